"""Does what saves time cost recall? bfloat16, and batches of utterances of like lengths.

    python benchmarks/recall_cost.py --seeds 10

On the bundled corpus, two validation folds, the architectures below, with the seeds 0, 1, ...,
each against the plain way: float32, any lengths in a batch. Networks are measured in float32 in
every case. A difference is seen against the spread between seeds. Seconds are of processor
time; those of bfloat16 mean nothing on a processor without it: there its products are emulated.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import report
from scipy.stats import ttest_rel

from eval.autocast import BFLOAT16, processor_has_bfloat16
from eval.evaluate import evaluate
from eval.training import Recipe
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
PLAIN = "plain"
WAYS = {
    PLAIN: Recipe(bucket=1),
    "like lengths": Recipe(),
    "bfloat16": Recipe(bucket=1, dtype=BFLOAT16),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    evaluator = corpus_evaluator(load_space("pts_snn"), {"validation_folds": 2}, print)
    measured: dict[str, Any] = {"hardware": processor_has_bfloat16()}
    for name, values in ARCHITECTURES.items():
        ua: dict[str, list[float]] = {way: [] for way in WAYS}
        seconds = dict.fromkeys(WAYS, 0.0)
        for seed in range(options.seeds):
            for way, recipe in WAYS.items():
                began = time.process_time()
                found = evaluate(
                    values,
                    evaluator.dataset,
                    evaluator.folds,
                    family="pts_snn",
                    seed=seed,
                    recipe=recipe,
                )
                seconds[way] += time.process_time() - began
                ua[way].append(found["ua"])
        measured[name] = {"ua": ua}
        print(f"{name}: plain {told(ua[PLAIN])}")
        for way in list(WAYS)[1:]:
            lost = np.array(ua[PLAIN]) - np.array(ua[way])
            p = float(ttest_rel(ua[PLAIN], ua[way]).pvalue)
            time_ratio = seconds[way] / seconds[PLAIN]
            measured[name][way] = {
                "lost": float(lost.mean()),
                "sd_of_lost": float(lost.std(ddof=1)),
                "p": p,
                "time": time_ratio,
            }
            print(
                f"  {way}: {told(ua[way])}, lost {100 * lost.mean():.1f} points, p {p:.2f}, "
                f"{time_ratio:.2f} of the time"
            )
    report.write("recall_cost", measured)


def told(ua: list[float]) -> str:
    return f"UA {100 * np.mean(ua):.1f} % (s.d. {100 * np.std(ua, ddof=1):.1f})"


if __name__ == "__main__":
    main()
