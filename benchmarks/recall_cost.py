"""Does what saves time cost recall? bfloat16, and batches of utterances of like lengths.

    python benchmarks/recall_cost.py --seeds 10

On the bundled corpus, two validation folds, the architectures below, with the seeds 0, 1, ...,
each way against the plain one. Networks are measured in float32 in every case. A difference is
seen against the spread between seeds. Batches are of like lengths only where an epoch has 16 or
more; to have so many of this small corpus, they are of eight utterances in that comparison.
What it saves is measured on made-up features of lengths that scatter as those of conversations
do. The time of bfloat16 means nothing on a processor without it: there it is emulated.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import report
from scipy.stats import ttest_rel

from eval.autocast import BFLOAT16, processor_has_bfloat16
from eval.dataset import Dataset
from eval.evaluate import build, evaluate
from eval.training import Recipe, Trainer
from nas.corpus import corpus_evaluator
from search_spaces.schema import load_space

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "two blocks of 64, static bias": {
        "encoder.width": 64,
        "encoder.depth": 2,
        "encoder.shift": [0.125, 0.125],
        "calibration.kind": "static",
    },
    "one block of 96, prompts with SSLA": {
        "encoder.width": 96,
        "encoder.depth": 1,
        "encoder.shift": [0.25],
        "calibration.kind": "dynamic",
        "attention.kind": "ssla",
    },
}
# name: the plain way, and the one that saves time
WAYS = {
    "bfloat16": (Recipe(), Recipe(dtype=BFLOAT16)),
    "like lengths": (Recipe(batch_size=8, bucket=1), Recipe(batch_size=8)),
}
UTTERANCES, WIDTH, RATE = 1024, 384, 12.5
SECONDS = (0.6, 4.5, 30.0)  # shortest, mean, longest of the made-up utterances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    evaluator = corpus_evaluator(load_space("pts_snn"), {"validation_folds": 2}, print)
    measured: dict[str, Any] = {"hardware": processor_has_bfloat16()}
    for name, values in ARCHITECTURES.items():
        print(name)
        measured[name] = {}
        for way, recipes in WAYS.items():
            ua: list[list[float]] = [[], []]
            for seed in range(options.seeds):
                for found, recipe in zip(ua, recipes, strict=True):
                    made = evaluate(
                        values,
                        evaluator.dataset,
                        evaluator.folds,
                        family="pts_snn",
                        seed=seed,
                        recipe=recipe,
                    )
                    found.append(made["ua"])
            lost = np.array(ua[0]) - np.array(ua[1])
            p = float(ttest_rel(*ua).pvalue)
            measured[name][way] = {
                "ua": {"plain": ua[0], way: ua[1]},
                "lost": float(lost.mean()),
                "sd_of_lost": float(lost.std(ddof=1)),
                "p": p,
            }
            print(
                f"  plain {told(ua[0])}, {way} {told(ua[1])}: "
                f"lost {100 * lost.mean():.1f} points, p {p:.2f}"
            )
        ratio = time_ratio(values)
        measured[name]["like lengths"]["time"] = ratio
        print(f"  like lengths: {ratio:.2f} of the time")
    report.write("recall_cost", measured)


def time_ratio(values: dict[str, Any]) -> float:
    """Return the processor time of an epoch with like lengths, by that of one without."""
    rng = np.random.default_rng(0)
    low, mean, high = (s * RATE for s in SECONDS)
    lengths = np.clip(rng.gamma(2.2, mean / 2.2, UTTERANCES), low, high).round().astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    data = Dataset(
        name="made up",
        frames=rng.standard_normal((int(offsets[-1]), WIDTH), dtype=np.float32),
        offsets=offsets,
        labels=rng.integers(0, 4, UTTERANCES),
        classes=("a", "b", "c", "d"),
        speakers=("one",) * UTTERANCES,
        sessions=(None,) * UTTERANCES,
        splits=(None,) * UTTERANCES,
        paths=tuple(map(str, range(UTTERANCES))),
        frame_rate=RATE,
        source={},
        encoder_macs=None,
        digest="",
    )
    took: dict[int, float] = {1: 0.0, Recipe().bucket: 0.0}
    for _ in range(3):  # in turn: whatever else runs meets both
        for bucket in took:
            network = build(values, "pts_snn", WIDTH, 4, np.random.default_rng(0))
            recipe = Recipe(epochs=1, bucket=bucket)
            trainer = Trainer(network, data, np.arange(UTTERANCES), recipe, seed=0)
            began = time.process_time()
            trainer.run_to(1)
            took[bucket] += time.process_time() - began
    return took[Recipe().bucket] / took[1]


def told(ua: list[float]) -> str:
    return f"UA {100 * np.mean(ua):.1f} % (s.d. {100 * np.std(ua, ddof=1):.1f})"


if __name__ == "__main__":
    main()
