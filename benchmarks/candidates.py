"""Candidates an hour: the obvious way, ours on the same candidates, and a default search.

    python benchmarks/candidates.py --budget 200

The obvious way trains random candidates of ``pts_snn`` with spikingjelly's own neurons in
float32, in one process with two threads. The same candidates are trained with ours in one
process of one thread and in two; then a search runs as it comes, with two workers: guided,
with first looks at one fold of four, start of Ray and training of the supernet included, features
in the cache; and one that trains every candidate on all folds; and one that begins with an empty
cache, so that it computes the features too (fetching left out). All on the bundled corpus. Spikes
and gradients of both ways are the same bits, so what a random search finds does not depend on the
way.

    python benchmarks/candidates.py --seeds 8 --budget 60 --folds 4 --keep FOLDER

compares what so many default searches find with unguided and with random ones of the same budget,
and how soon; ``FOLDER`` keeps the runs, so that a comparison that is interrupted goes on. Every
member of a front is trained once more with a seed that no search has used: a front of the
luckiest of many noisy measurements looks better than it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import report
from scipy.stats import wilcoxon

import nas
from nas import pareto
from nas.archive import Archive
from search_spaces.cache_folder import CACHE_VARIABLE

SPACE = "pts_snn"
WAYS = {"obvious": 2, "ours": 1}  # threads
ROWS = {"obvious, 1x2": ("obvious", 1), "ours, 1x1": ("ours", 1), "ours, 2x1": ("ours", 2)}
COLD = "empty cache"
SEARCHES = {"default search": (), "without first looks": ("--no-halving",), COLD: ()}
KINDS = {  # searches that are compared
    "auto": ("--searcher", "auto"),
    "unguided": ("--searcher", "auto", "--no-guidance"),
    "random": ("--searcher", "random"),
}
FRESH = 10**6 + 7


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
    """Run a search as a person would, unless it has been; return its wall seconds and study."""
    command = [sys.executable, "-m", "nas", "search", "--quiet", "--workers", "2"]
    if folder.exists():
        command += ["--resume", str(folder)]
    else:
        command += ["--space", SPACE, "--budget", str(budget), "--seed", str(seed)]
        command += ["--out", str(folder), *more]
    began = time.perf_counter()
    study = nas.open_run(folder) if folder.exists() else None
    if study is None or study.spent < budget:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, nas.open_run(folder)


def empty_cache(folder: Path) -> None:
    """Let searches from now on compute what a first one has to; fetch what it would."""
    os.environ[CACHE_VARIABLE] = str(folder)
    subprocess.run([sys.executable, "-m", "nas", "data", "fetch", "polish"], check=True)


# -- what searches find -------------------------------------------------------------------------


def compared(folder: Path, budget: int, seeds: int, folds: int) -> dict[str, Any]:
    """Return what searches of every kind found over seeds, and tests of the differences."""
    studies: dict[str, list[Any]] = {}
    trained = ("--validation-folds", str(folds))
    for seed in range(seeds):
        for kind, options in KINDS.items():
            print(f"seed {seed}: {kind}", flush=True)
            run = folder / f"{kind}-{seed}"
            study = searched(run, budget, seed, *options, *trained)[1]
            studies.setdefault(kind, []).append(study)
    everyone = [s for many in studies.values() for s in many]
    losses = np.concatenate([s.archive().losses(s.archive().full) for s in everyone])
    low, high = losses.min(0), losses.max(0)
    fresh = measured_again(folder, everyone, folds)
    found: dict[str, Any] = {}
    for kind, many in studies.items():
        found[kind] = {"measured": [], "again": [], "members": [], "units to random": []}
        for seed, study in enumerate(many):
            archive, front = study.archive(), study.front()
            again = losses_of(archive, [fresh[e.architecture.hash] for e in front])
            found[kind]["measured"].append(volume(archive.losses(front), low, high))
            found[kind]["again"].append(volume(again, low, high))
            found[kind]["members"].append(len(front))
            rival = studies["random"][seed]
            goal = volume(rival.archive().losses(rival.front()), low, high)
            found[kind]["units to random"].append(units_to(study, goal, low, high))
    ours, *rivals = KINDS
    for name in ("measured", "again"):
        means = {k: round(float(np.mean(found[k][name])), 3) for k in KINDS}
        print(f"hypervolume, {name}:", means)
        for other in rivals:
            mine, theirs = np.array(found[ours][name]), np.array(found[other][name])
            worse = wilcoxon(mine, theirs, alternative="less").pvalue if seeds > 1 else 1.0
            found[f"worse than {other}, {name} (p)"] = float(worse)
            print(f"  worse than {other} (paired, one-sided): p {worse:.3f}")
    for kind in KINDS:
        units = [np.inf if u is None else u for u in found[kind]["units to random"]]
        print(f"{kind}: units to the random search's {units}, median {np.median(units)}")
    return found


def volume(losses: Any, low: Any, high: Any) -> float:
    """Return the hypervolume of losses that are scaled by the range of all there are."""
    return float(pareto.hypervolume((losses - low) / (high - low), np.ones(len(low))))


def losses_of(archive: Archive, objectives: list[dict[str, float]]) -> Any:
    """Return ``[N, M]`` losses of plain values."""
    signs = {"maximize": -1.0, "minimize": 1.0}
    return np.array(
        [[signs[d] * o[n] for n, d in archive.space.objectives.items()] for o in objectives]
    )


def units_to(study: Any, goal: float, low: Any, high: Any) -> float | None:
    """Return the units after which a search's front had a volume; None if it never had."""
    for n in range(1, len(study.evaluations) + 1):
        archive = Archive(study.space, study.evaluations[:n])
        if archive.front and volume(archive.losses(archive.front), low, high) >= goal - 1e-12:
            return float(sum(e.cost for e in study.evaluations[:n]))
    return None


def measured_again(folder: Path, studies: list[Any], folds: int) -> dict[str, dict[str, float]]:
    """Train every member of a front once more, two at a time; return objectives by hash."""
    path = folder / "again.json"
    known: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.is_file() else {}
    members = {e.architecture.hash: e.architecture for s in studies for e in s.front()}
    missing = {h: a.as_dict() for h, a in members.items() if h not in known}
    print(f"{len(members)} members of fronts are measured again, {len(missing)} now")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        again = pool.map(once_more, missing.values(), [folds] * len(missing))
        for h, values in zip(missing, again, strict=True):
            known[h] = values
            path.write_text(json.dumps(known))
    return known


def once_more(architecture: dict[str, Any], folds: int) -> dict[str, float]:
    """Evaluate with a seed that no search has used."""
    evaluator = own_evaluator(folds)
    found = evaluator(architecture, 1.0, FRESH)
    return {name: float(found[name]) for name in evaluator.space.objectives}


@cache
def own_evaluator(folds: int) -> Any:
    """Make the evaluator of this process."""
    import torch

    from nas.corpus import corpus_evaluator
    from search_spaces.schema import load_space

    torch.set_num_threads(1)
    return corpus_evaluator(load_space(SPACE), {"validation_folds": folds}, lambda _: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=0, help="of searches to compare")
    parser.add_argument("--folds", type=int, default=4, help="of searches that are compared")
    parser.add_argument("--keep", metavar="FOLDER", help="of the runs that are compared")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[*ROWS, *SEARCHES])
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        way, *numbers = options.worker
        worker(way, *map(int, numbers))
        return
    if options.seeds:
        folder = Path(options.keep or tempfile.mkdtemp())
        folder.mkdir(parents=True, exist_ok=True)
        found = compared(folder, options.budget, options.seeds, options.folds)
        report.write(
            "candidates_found", {"budget": options.budget, "folds": options.folds, **found}
        )
        return
    path = report.RESULTS / "candidates.json"
    known = json.loads(path.read_text("utf-8"))["measured"] if options.only else {}
    measured: dict[str, Any] = {"candidates": options.candidates, "budget": options.budget}
    rates: dict[str, float] = {}
    for name, (way, processes) in ROWS.items():
        measured[name] = known.get(name)
        if not options.only or name in options.only:
            wall, each = evaluated(way, 0, options.candidates, processes)
            measured[name] = {"seconds": wall, "each": each}
        rates[name] = 3600 * len(measured[name]["each"]) / measured[name]["seconds"]
        print(f"{name:<16} {rates[name]:6.0f} candidates an hour")
    for name, more in SEARCHES.items():
        measured[name] = known.get(name)
        if not options.only or name in options.only:
            with tempfile.TemporaryDirectory() as scratch:
                if name == COLD:
                    empty_cache(Path(scratch) / "cache")
                wall, study = searched(Path(scratch) / "run", options.budget, 0, *more)
            tried = {e.architecture.hash for e in study.evaluations}
            full = {e.architecture.hash for e in study.evaluations if e.fidelity == 1.0}
            measured[name] = {"seconds": wall, "candidates": len(tried), "in full": len(full)}
        rates[name] = 3600 * measured[name]["candidates"] / measured[name]["seconds"]
        print(f"{name:<16} {rates[name]:6.0f} candidates an hour")
    base = rates["obvious, 1x2"]
    measured["times the obvious way"] = {k: v / base for k, v in rates.items()}
    print({k: round(v / base, 2) for k, v in rates.items()})
    report.write("candidates", measured)


if __name__ == "__main__":
    main()
