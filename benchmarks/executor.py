"""What Ray costs: time added to an evaluation, start-up, memory, bytes moved.

Evaluations sleep, so that nothing but the executor is measured: of 0.1 s, 1 s and 10 s, inline
and on two workers, proposed at random. What is added to an evaluation is the time a worker was
not evaluating, for each evaluation. Memory is the proportional set size (PSS) of the driver, of
a worker and of Ray's own processes, at the first and the last of a thousand evaluations. Bytes
are counted twice: what a job and its result hold when pickled, and everything that crossed the
loopback device meanwhile, Ray's own talk (and that of whatever else ran) included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import report

import nas
from nas.executors import ray_leftovers

SPACE = {
    "name": "wide",
    "parameters": {"a": {"int": [0, 9999]}, "b": {"choice": ["x", "y", "z"]}},
    "objectives": {"ua": "maximize", "energy": "minimize"},
}
NAPS = {0.1: 60, 1.0: 20, 10.0: 6}  # [s] to the number of evaluations
WORKERS = 2


def sleeper(seconds: float) -> Callable[..., dict[str, Any]]:
    def nap(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        began = time.time()
        time.sleep(seconds)
        a = architecture["a"]
        measured = {"ua": a / 10000, "energy": float(a * a + 1)}
        return {**measured, "began": began, "ended": time.time(), "pid": os.getpid()}

    return nap


class Sampler:
    """Looks at memory and bytes as a run goes on."""

    def __init__(self, at: tuple[int, ...] = ()) -> None:
        self.at = at
        self.seen: dict[int, dict[str, float]] = {}

    def started(self, study: Any) -> None:
        """Nothing yet."""

    def evaluated(self, study: Any, evaluation: Any) -> None:
        """Look, at some evaluations."""
        n = len(study.evaluations)
        if n not in self.at:
            return
        pids = {e.metrics["pid"] for e in study.evaluations if e.ok}
        note = study.folder / "ray" / ray_leftovers.TEMP
        own = note.read_text().strip() if note.is_file() else None
        rest = [p for p in ray_leftovers.processes() if own and ray_leftovers.is_of(p, own)]
        workers = [pss(p) for p in pids if p != os.getpid()]
        self.seen[n] = {
            "driver_mb": pss(os.getpid()),
            "worker_mb": max(workers, default=0.0),
            "ray_mb": sum(pss(p) for p in rest if p not in pids),
            "loopback_bytes": loopback(),
            "seconds": time.perf_counter(),
        }


def pss(pid: int) -> float:
    """Return the proportional set size of a process [MB]."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(x.split()[1]) for x in lines if x.startswith("Pss:")) / 1e3


def loopback() -> int:
    """Return the bytes received on the loopback device so far."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.strip().startswith("lo:"))


def search(folder: Path, nap: float, budget: int, workers: int, watch: Sampler) -> dict[str, Any]:
    """Run a search; return seconds to the first evaluation, busy share, time lost by each."""
    called = time.time()
    study = nas.search(
        space=SPACE,
        evaluator=sleeper(nap),
        searcher="random",
        budget=budget,
        out=folder,
        workers=workers,
        observer=watch,
    )
    returned = time.time()
    spans = [(e.metrics["began"], e.metrics["ended"]) for e in study.evaluations]
    first, last = min(b for b, _ in spans), max(e for _, e in spans)
    busy = sum(e - b for b, e in spans)
    return {
        "start_seconds": first - called,
        "stop_seconds": returned - last,
        "busy_workers": busy / (last - first),
        "lost_ms": 1e3 * (workers * (last - first) - busy) / budget,
    }


def travelling() -> dict[str, int]:
    """Return the bytes of what is sent: a job, its result, and the bundled corpus."""
    import numpy as np
    from ray import cloudpickle

    from nas.corpus import corpus_evaluator
    from nas.evaluation import Job, make_evaluation
    from nas.executors.ray_worker import Message, Outcome
    from search_spaces.schema import load_space

    space = load_space("pts_snn.yaml")
    evaluator = corpus_evaluator(space, {"validation_folds": 1}, lambda _: None)
    architecture = space.sample(np.random.default_rng(0))
    job = Job(0, architecture, 0.125, 0)
    made = make_evaluation(job, evaluator, space)
    frames = evaluator.dataset.frames
    evaluator.dataset = replace(evaluator.dataset, frames=np.asarray(frames[:0]))
    parts: list[Any] = []
    whole = len(cloudpickle.dumps(evaluator, protocol=5, buffer_callback=parts.append))
    buffers = sum(len(p.raw()) for p in parts)
    return {
        "job": len(cloudpickle.dumps(Message(None, job))),
        "result": len(cloudpickle.dumps(Outcome(made))),
        "frames": frames.nbytes,
        "evaluator_without_frames": whole + buffers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=1000, help="evaluations of the memory run")
    options = parser.parse_args()
    naps: dict[str, Mapping[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for nap, n in NAPS.items():
            inline = search(root / f"inline-{nap}", nap, n // WORKERS, 1, Sampler())
            ray = search(root / f"ray-{nap}", nap, n, WORKERS, Sampler())
            added = ray["lost_ms"] - inline["lost_ms"]
            naps[str(nap)] = {"evaluations": n, "inline": inline, "ray": ray, "added_ms": added}
            print(
                f"{nap:g} s: added {added:.0f} ms an evaluation, {ray['busy_workers']:.2f} of"
                f" {WORKERS} busy, start {ray['start_seconds'] - inline['start_seconds']:.1f} s"
            )
        at = (100, options.many)
        watch, alone = Sampler(at), Sampler(at)
        many = search(root / "many", 0.0, options.many, WORKERS, watch)
        search(root / "alone", 0.0, options.many, 1, alone)
    early, late = (watch.seen[n] for n in at)
    moved = (late["loopback_bytes"] - early["loopback_bytes"]) / (at[1] - at[0])
    memory = {
        "evaluations": at[1],
        "ray": {str(n): seen for n, seen in watch.seen.items()},
        "inline": {str(n): seen for n, seen in alone.seen.items()},
        "per_evaluation_ms": 1e3 * (late["seconds"] - early["seconds"]) / (at[1] - at[0]),
        "loopback_bytes_per_evaluation": moved,
        **many,
    }
    sizes = travelling()
    for n, seen in watch.seen.items():
        print(
            f"at {n}: driver {seen['driver_mb']:.0f} MB (inline"
            f" {alone.seen[n]['driver_mb']:.0f}), worker {seen['worker_mb']:.0f} MB,"
            f" Ray's own {seen['ray_mb']:.0f} MB"
        )
    print(f"bytes an evaluation: {sizes['job'] + sizes['result']} in job and result of a corpus")
    print(f"search, {moved:.0f} over loopback in all; once per node: {sizes}")
    report.write("executor", {"workers": WORKERS, "naps": naps, "many": memory, "bytes": sizes})


if __name__ == "__main__":
    main()
