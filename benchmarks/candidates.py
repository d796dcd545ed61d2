"""Candidates an hour: the obvious way, ours on the same candidates, and a default search.

    python benchmarks/candidates.py --budget 200

The obvious way trains random candidates of ``pts_snn`` with spikingjelly's own neurons in
float32, in one process with two threads. The same candidates are trained with ours in one
process of one thread and in two; then a search runs as it comes, with two workers: guided,
start of Ray and training of the supernet included, features in the cache. All on the bundled
corpus, every candidate on four folds. Spikes and gradients of both ways are the same bits, so what
a random search finds does not depend on the way; ``--seeds N`` compares the hypervolume of so
many default searches with random ones of the same budget.
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

import numpy as np
import report

import nas
from nas import pareto

SPACE = "pts_snn"
WAYS = {"obvious": 2, "ours": 1}  # threads


def worker(way: str, seed: int, count: int, part: int, parts: int) -> None:
    """Evaluate a share of the candidates and print the seconds of each."""
    import torch

    from nas.corpus import corpus_evaluator
    from nas.profile import drawn
    from search_spaces.schema import load_space

    evaluator = corpus_evaluator(load_space(SPACE), {"dtype": "float32"}, lambda _: None)
    candidates = drawn(evaluator, count, seed, lambda _: None)[part::parts]
    if way == "obvious":
        torch.set_num_threads(WAYS[way])
        their_neurons()
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = []
    for a in candidates:
        began = time.perf_counter()
        evaluator(a.as_dict(), 1.0, seed)
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds), flush=True)


def their_neurons() -> None:
    """Let every layer of neurons run spikingjelly's multi-step forward pass."""
    from spikingjelly.activation_based import neuron

    from search_spaces.neurons import IntegrateAndFire, SpikingNeurons

    def of(theirs: Any) -> Any:
        def forward(self: Any, x: Any) -> Any:
            self.reset()
            spikes = theirs.multi_step_forward(self, x)
            self.reset()
            return spikes

        return forward

    SpikingNeurons.multi_step_forward = of(neuron.ParametricLIFNode)
    IntegrateAndFire.multi_step_forward = of(neuron.IFNode)


def evaluated(way: str, seed: int, count: int, processes: int) -> tuple[float, list[float]]:
    """Return wall seconds for all candidates, and the seconds of each."""
    started = []
    for part in range(processes):
        arguments = [way, str(seed), str(count), str(part), str(processes)]
        command = [sys.executable, __file__, "--worker", *arguments]
        started.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    began = time.perf_counter()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    each = [json.loads(process.communicate()[0]) for process in started]
    return time.perf_counter() - began, [s for share in each for s in share]


def searched(folder: Path, budget: int, seed: int, *more: str) -> tuple[float, Any]:
    """Run a search as a person would; return its wall seconds and its study."""
    command = [sys.executable, "-m", "nas", "search", "--space", SPACE, "--quiet"]
    command += ["--budget", str(budget), "--seed", str(seed), "--workers", "2"]
    began = time.perf_counter()
    subprocess.run([*command, "--out", str(folder), *more], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, nas.open_run(folder)


def volumes(studies: list[Any]) -> list[float]:
    """Return the hypervolume of each front, scaled by the range of all that was tried."""
    losses = [s.archive().losses(s.archive().full) for s in studies]
    everything = np.concatenate(losses)
    low, high = everything.min(0), everything.max(0)
    scaled = [(s.archive().losses(s.front()) - low) / (high - low) for s in studies]
    return [float(pareto.hypervolume(front, np.ones(len(low)))) for front in scaled]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--candidates", type=int, default=6)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=0, help="of searches that are compared")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        way, *numbers = options.worker
        worker(way, *map(int, numbers))
        return
    measured: dict[str, Any] = {"candidates": options.candidates, "budget": options.budget}
    rates: dict[str, float] = {}
    for name, way, processes in (
        ("obvious, 1x2", "obvious", 1),
        ("ours, 1x1", "ours", 1),
        ("ours, 2x1", "ours", 2),
    ):
        wall, each = evaluated(way, 0, options.candidates, processes)
        rates[name] = 3600 * options.candidates / wall
        measured[name] = {"seconds": wall, "each": each}
        print(f"{name:<14} {rates[name]:6.0f} candidates an hour")
    with tempfile.TemporaryDirectory() as scratch:
        wall, study = searched(Path(scratch) / "default", options.budget, 0)
        rates["default search"] = 3600 * len(study.evaluations) / wall
        measured["default search"] = {"seconds": wall, "evaluations": len(study.evaluations)}
        print(f"default search {rates['default search']:6.0f} evaluations an hour")
        found: dict[str, list[float]] = {"auto": [], "random": []}
        for seed in range(options.seeds):
            pair = [
                searched(Path(scratch) / f"{s}-{seed}", options.budget, seed, "--searcher", s)[1]
                for s in found
            ]
            for name, value in zip(found, volumes(pair), strict=True):
                found[name].append(value)
            told = ", ".join(f"{name} {v[-1]:.3f}" for name, v in found.items())
            print(f"seed {seed}: hypervolume {told}")
        measured["hypervolume"] = found
    base = rates["obvious, 1x2"]
    measured["times the obvious way"] = {k: v / base for k, v in rates.items()}
    print({k: round(v / base, 2) for k, v in rates.items()})
    report.write("candidates", measured)


if __name__ == "__main__":
    main()
