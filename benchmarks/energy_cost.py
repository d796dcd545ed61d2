"""What counting operations costs an evaluation, and what re-pricing a thousand of them takes.

Claims: counting adds at most 20 % to an evaluation; pricing 1,000 evaluations under every packaged
profile takes less than a second.

    python benchmarks/energy_cost.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
import report

from eval import evaluate as front_door
from eval.energy.operations import OperationCounter
from eval.energy.profile import load_profile, profile_names
from eval.evaluate import evaluate
from eval.features import Dataset
from eval.folds import outer_folds
from eval.process import prepare_cpu
from nas.evaluation import Evaluation
from nas.repricing import reprice
from search_spaces.architecture import Architecture
from search_spaces.named import REFERENCE
from search_spaces.schema import load_space

HEADS: dict[str, dict[str, Any]] = {
    "plif, 2 blocks of 64": {"encoder.width": 64, "neuron.type": "plif"},
    "plif with ssla": {**REFERENCE, "encoder.width": 64},
    "ttfs, 16 steps": {"encoder.width": 64, "neuron.type": "ttfs"},
}
EVALUATIONS = 1000


class Silent(OperationCounter):
    """Counts nothing: an evaluation without any counting, its table made before."""

    ready: list[dict[str, Any]]

    @contextmanager
    def counting(self) -> Iterator[OperationCounter]:
        """Hook nothing."""
        yield self

    def table(self) -> list[dict[str, Any]]:
        """Return what an evaluation with counting found."""
        return self.ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    prepare_cpu()
    dataset = _corpus()
    folds = outer_folds(dataset)
    measured: dict[str, Any] = {"counting": {}, "repricing": {}}
    result: dict[str, Any] = {}
    for name, values in HEADS.items():
        result = evaluate(values, dataset, folds, family="pts_snn")
        Silent.ready = result["layers"]
        seconds: dict[str, list[float]] = {"on": [], "off": []}
        for _ in range(repeats):
            for mode, counter in (("on", OperationCounter), ("off", Silent)):
                front_door.OperationCounter = counter  # type: ignore[misc]
                started = time.process_time()
                evaluate(values, dataset, folds, family="pts_snn")
                seconds[mode].append(time.process_time() - started)
        front_door.OperationCounter = OperationCounter  # type: ignore[misc]
        pairs = [on / off for on, off in zip(seconds["on"], seconds["off"], strict=True)]
        size = len(json.dumps(result["layers"]))
        measured["counting"][name] = {**seconds, "ratio": median(pairs), "table_bytes": size}
        print(f"{name}: {100 * (median(pairs) - 1):+.1f} % ({size} bytes a table)")
    measured["repricing"] = _repricing(result, repeats)
    report.write("energy_cost", measured)


def _repricing(result: dict[str, Any], repeats: int) -> dict[str, Any]:
    space = load_space("pts_snn")
    rng = np.random.default_rng(0)
    run = [
        Evaluation(
            number=i,
            architecture=Architecture({"n": i}),
            fidelity=1.0,
            cost=1.0,
            seed=0,
            objectives={"wa": rng.random(), "ua": rng.random(), "energy": result["energy"]},
            metrics={**result, "layers": [dict(row) for row in result["layers"]]},
        )
        for i in range(EVALUATIONS)
    ]
    seconds = {}
    for name in profile_names():
        profile = load_profile(name)
        taken = []
        for _ in range(repeats):
            started = time.process_time()
            reprice(run, space, profile)
            taken.append(time.process_time() - started)
        seconds[name] = median(taken)
        print(f"{EVALUATIONS} evaluations under {name}: {seconds[name]:.3f} s")
    print(f"under all of them: {sum(seconds.values()):.2f} s")
    return {"evaluations": EVALUATIONS, "layers": len(result["layers"]), "seconds": seconds}


def _corpus() -> Dataset:
    """Make 240 utterances of about 25 frames of 384 values, 3 classes, 4 speakers."""
    rng = np.random.default_rng(0)
    n, dim = 240, 384
    labels = rng.integers(0, 3, n)
    lengths = rng.integers(15, 36, n)
    means = rng.standard_normal((3, dim))
    pairs = zip(labels, lengths, strict=True)
    frames = [means[c] + rng.standard_normal((m, dim)) for c, m in pairs]
    return Dataset(
        name="made",
        frames=np.concatenate(frames).astype(np.float32),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=labels.astype(np.int64),
        classes=("a", "b", "c"),
        speakers=tuple(f"s{i % 4}" for i in range(n)),
        sessions=(None,) * n,
        splits=(None,) * n,
        paths=tuple(f"{i}.npy" for i in range(n)),
        frame_rate=12.5,
        source={"corpus": "made"},
        encoder_macs=None,
        digest="made",
    )


if __name__ == "__main__":
    main()
