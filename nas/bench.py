"""Latency and peak memory of attention against sequence length.

Every point is measured in a process of its own (:mod:`nas.bench_worker`): its peak of
memory is its own, and a point that is killed is a result like any other.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Phase = Literal["forward", "forward+backward"]
Status = Literal["measured", "too slow", "out of memory", "failed", "skipped"]

LONG_FRAMES = 1000
PHASES: tuple[Phase, ...] = ("forward", "forward+backward")


@dataclass(frozen=True)
class Setting:
    """What all points of a benchmark share.

    Args:
        width: Channels.
        heads: Attention heads.
        batch: Sequences at once.
        causal: Whether a frame sees only what came before.
        repeats: Timed passes, after one that is not timed.
        threads: Of the processor.
        device: ``cpu`` or ``cuda``.
        limit: Seconds that a single pass may take.
    """

    width: int = 256
    heads: int = 4
    batch: int = 1
    causal: bool = False
    repeats: int = 5
    threads: int = 1
    device: str = "cpu"
    limit: float = 60.0


@dataclass(frozen=True)
class Point:
    """One kind at one length, forward only (inference) or forward and backward (training).

    Args:
        kind: Attention kind.
        seconds: Length in seconds of speech.
        frames: Length in frames.
        phase: What was run.
        status: ``measured``, or why there is no figure.
        latency: Median over the repeats, s.
        latencies: Every repeat, s.
        memory: Growth of the peak during the first pass, bytes. The module and its input are
            there before; activations, the output and, backward, all gradients count.
        gauge: How memory was measured.
        system: Share of the processor time of the repeats that the operating system took; a
            large one means that pages of memory were taken and given back over and over.
        backend: What computed it.
        device: Name of the GPU; none on a processor.
        detail: For people, when there is no figure.
    """

    kind: str
    seconds: float
    frames: int
    phase: Phase
    status: Status
    latency: float | None = None
    latencies: tuple[float, ...] = ()
    memory: int | None = None
    gauge: str | None = None
    system: float | None = None
    backend: str | None = None
    device: str | None = None
    detail: str | None = None


def measure(
    kinds: Iterable[str],
    lengths: Sequence[tuple[float, int]],
    setting: Setting,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Point]:
    """Measure every kind at every length, one fresh process a point.

    A kind whose forward pass gave no figure is skipped from there on; one whose backward pass
    gave none goes on forward only.

    Args:
        kinds: Attention kinds.
        lengths: ``(seconds, frames)``, growing.
        setting: The rest.
        say: Is told what is being measured.

    Yields:
        Points, in the order of ``kinds``, ``lengths`` and ``PHASES``.
    """
    kinds = list(kinds)
    total, done = len(kinds) * len(lengths) * len(PHASES), 0
    for kind in kinds:
        stopped: dict[str, str] = {}
        for seconds, frames in lengths:
            for phase in PHASES:
                done += 1
                reason = stopped.get("forward") or stopped.get(phase)
                if reason:
                    yield Point(kind, seconds, frames, phase, "skipped", detail=reason)
                    continue
                say(f"{done}/{total} {kind}, {seconds:g} s = {frames} frames, {phase}")
                point = measure_point(kind, seconds, frames, phase, setting)
                say(f"    {describe(point)}")
                if point.status != "measured":
                    stopped[phase] = f"{phase} {point.status} at {frames} frames"
                yield point


def measure_point(kind: str, seconds: float, frames: int, phase: Phase, setting: Setting) -> Point:
    """Measure one point in a fresh process; never raises for what happens in there."""
    job = {"kind": kind, "frames": frames, "phase": phase, **asdict(setting)}
    threads = str(setting.threads)
    done = subprocess.run(
        _command(json.dumps(job)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
    )
    status, detail = _outcome(done, setting)
    if status != "measured":
        return Point(kind, seconds, frames, phase, status, detail=detail)
    values = json.loads(done.stdout.splitlines()[-1])  # a library may print before it
    return Point(kind, seconds, frames, phase, **values)


def growth(points: Iterable[Point]) -> list[dict[str, Any]]:
    """Return how latency grows with length: the slope of its logarithm.

    A line is fitted by least squares to ``log t`` over ``log n``: 1 is linear, 2 quadratic.
    Lengths under a thousand frames are left out where two longer ones are there: on short
    inputs fixed costs count more than the length.

    Returns:
        One row a kind: ``{"kind": ..., phase: {"exponent": ..., "frames": [n1, n2]}}`` with
        the shortest and the longest length used, null for a phase with fewer than two.
    """
    times: dict[str, dict[str, dict[int, float]]] = {}
    for p in points:
        of_kind = times.setdefault(p.kind, {phase: {} for phase in PHASES})
        if p.latency:
            of_kind[p.phase][p.frames] = p.latency
    return [
        {"kind": kind, **{phase: _exponent(by) for phase, by in phases.items()}}
        for kind, phases in times.items()
    ]


def describe(point: Point) -> str:
    """Say in a line what a point gave."""
    if point.status != "measured" or point.latency is None:
        return f"{point.status}: {point.detail}"
    memory = "memory unknown" if point.memory is None else f"{point.memory / 1e6:.1f} MB"
    return f"{1e3 * point.latency:.3g} ms, {memory}"


def _exponent(times: dict[int, float]) -> dict[str, Any] | None:
    if len(times) < 2:
        return None
    lengths = sorted(times)
    used = [n for n in lengths if n >= LONG_FRAMES]
    used = used if len(used) > 1 else lengths[-2:]
    fit = statistics.linear_regression(
        [math.log(n) for n in used], [math.log(times[n]) for n in used]
    )
    return {"exponent": fit.slope, "frames": [used[0], used[-1]]}


def _command(job: str) -> list[str]:
    return [sys.executable, "-m", "nas.bench_worker", job]


def _outcome(done: subprocess.CompletedProcess[str], setting: Setting) -> tuple[Status, str]:
    """Tell from how a process ended what its point is."""
    if done.returncode == -signal.SIGALRM:
        return "too slow", f"a single pass takes over {setting.limit:g} s"
    if done.returncode == -signal.SIGKILL:
        return "out of memory", "killed by the system"
    if done.returncode < 0:
        return "failed", f"killed by {signal.Signals(-done.returncode).name}"
    if done.returncode == 0:
        return "measured", ""
    # the last line of a traceback that is not the indented hint below it
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line[0].isspace()]
    text = lines[-1] if lines else "no message"
    # torch has no error class of its own for a processor's memory
    starved = any(s in done.stderr for s in ("MemoryError", "OutOfMemory", "can't allocate"))
    return ("out of memory" if starved else "failed"), text
