"""The search over time-to-first-spike networks, against its own smallest and largest network.

Runs ``nas search --space tnas_er.yaml`` on the synthetic eye events (synthetic: nothing here
says anything about people), then trains on the same folds the smallest and the largest
architecture of the space, and the best one's digital ReLU twin. All figures are of validation
subjects; with ``--confirm`` also of the test subjects, which the search never saw.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import report

import nas
from nas.corpus import corpus_evaluator
from nas.evaluators import CorpusEvaluator
from search_spaces.schema import load_space

NAS = [sys.executable, "-m", "nas"]

SMALLEST: dict[str, Any] = {
    "input.normalization": "none",
    "encoder.depth": 1,
    "block.operation": ["conv"],
    "block.kernel": [3],
    "block.channels": [4],
    "block.skip": ["none"],
    "pool.kind": "max",
    "readout.pool": "average",
    "ttfs.steps": 4,
    "ttfs.margin": 0,
    "ttfs.finetune": 0,
}
LARGEST: dict[str, Any] = {
    "input.normalization": "batch",
    "encoder.depth": 4,
    "block.operation": ["double"] * 4,
    "block.kernel": [5] * 4,
    "block.channels": [16] * 4,
    "block.skip": ["concat"] * 4,
    "pool.kind": "average",
    "readout.pool": "none",
    "ttfs.steps": 64,
    "ttfs.margin": 0,
    "ttfs.finetune": 0.25,
}
FIGURES = ("wa", "ua", "energy", "spikes", "latency_steps", "parameters", "macs", "acs")


def figures(metrics: Any) -> dict[str, Any]:
    return {name: metrics.get(name) for name in FIGURES}


def measured(evaluator: CorpusEvaluator, architecture: dict[str, Any]) -> dict[str, Any]:
    return figures(evaluator(architecture, 1.0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confirm", action="store_true")
    options = parser.parse_args()
    space = load_space("tnas_er.yaml")
    evaluator = corpus_evaluator(space, {}, print)  # makes the corpus, if it is not there
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(Path(scratch) / "run")
        began = time.perf_counter()
        given = ["--budget", str(options.budget), "--seed", str(options.seed)]
        subprocess.run(
            [*NAS, "search", "--space", "tnas_er.yaml", *given, "--out", folder], check=True
        )
        seconds = time.perf_counter() - began
        study = nas.open_run(folder)
        front = [(e.architecture.as_dict(), figures(e.metrics)) for e in study.front()]
        baselines = {n: figures(row) for n, row in study.baselines().items()}
        confirmed = {}
        if options.confirm:
            done = subprocess.run(
                [*NAS, "confirm", folder, "--seeds", "3", "--json"],
                check=True,
                stdout=subprocess.PIPE,
            )
            confirmed = json.loads(done.stdout)
            confirmed.pop("run")
    best_architecture, best = max(front, key=lambda m: m[1]["ua"])
    twin = {k: v for k, v in best_architecture.items() if not k.startswith("ttfs.")}
    ends = {
        "smallest": measured(evaluator, SMALLEST),
        "largest": measured(evaluator, LARGEST),
        "relu_twin_of_best": measured(evaluator, {**twin, "neuron.type": "relu"}),
    }
    rows = {"best of the front": best, **ends, **baselines}
    print(f"{options.budget} units in {seconds:.0f} s, {len(front)} on the front")
    print(f"{'':<20}{'UA %':>7}{'energy mJ':>12}{'spikes':>9}{'steps':>7}{'parameters':>12}")
    for name, row in rows.items():
        steps, spikes = row["latency_steps"] or "", row["spikes"]
        print(
            f"{name:<20}{100 * row['ua']:>7.1f}{1e3 * row['energy']:>12.6f}{spikes:>9.0f}"
            f"{steps:>7}{row['parameters']:>12,}"
        )
    beaten = {}
    for name in ("smallest", "largest"):
        row = ends[name]
        better = [f for _, f in front if f["ua"] > row["ua"]]
        cheaper = [f for f in better if f["energy"] <= row["energy"]]
        beaten[name] = {"more_recall": len(better), "more_recall_for_no_more_energy": len(cheaper)}
        print(
            f"{name}: {len(better)} of {len(front)} on the front recognise more,"
            f" {len(cheaper)} of them for no more energy"
        )
    for m in confirmed.get("models", []):
        u = m["ua"]
        print(f"{m['model']:>14}: test UA {100 * u['mean']:.1f} % (s.d. {100 * u['sd']:.1f})")
    report.write(
        "tnas_er",
        {
            "budget": options.budget,
            "seconds": seconds,
            "front": [{"architecture": a, **f} for a, f in front],
            "beside": {**ends, **baselines},
            "beaten": beaten,
            "confirmed": confirmed,
        },
    )


if __name__ == "__main__":
    main()
