"""Where the time of an evaluation goes: by phase, and by kind of operation.

Phases are timed in a whole evaluation as a search makes it. Kinds of operations are those of a
short one, an epoch on one fold, under torch's profiler. The profiler costs time itself, most of
it where operations are small: shares of small operations are upper bounds. Measuring on the
held-out part weighs more in the short evaluation than in a whole one, and the finetuning of
time-to-first-spike networks is not in it.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from nas.evaluators import CorpusEvaluator

# The first that an operation's name contains counts.
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("neurons", ("SpikeFunction",)),
    ("matrix products", ("mm", "linear", "matmul", "convolution", "dot_product")),
    ("normalisation", ("batch_norm", "layer_norm", "rms_norm")),
    ("optimiser", ("Optimizer.", "adam", "clip_grad", "linalg_vector_norm")),
    ("copies", ("copy_", "index", "::cat", "stack", "clone", "gather", "scatter", "_pad")),
)
OTHER = "other operations"
OUTSIDE = "outside of torch"
REST = "rest"


@dataclass(frozen=True)
class Profile:
    """What an evaluation spent its time on.

    Args:
        architecture: What was evaluated.
        seconds: Of the evaluation, without the profiler.
        phases: Share of the time by phase; they add up to 1.
        kinds: Share of the time of a short evaluation by kind of operation; they add up to 1.
        calls: Operations of torch that were called in the short evaluation.
    """

    architecture: Architecture
    seconds: float
    phases: Mapping[str, float]
    kinds: Mapping[str, float]
    calls: int


def profile(evaluator: CorpusEvaluator, architecture: Architecture, seed: int) -> Profile:
    """Evaluate an architecture, in full and on every fold, and see where the time goes."""
    from eval.phases import measuring

    kinds, calls = operations(evaluator, architecture, seed)
    with measuring() as found:
        began = time.perf_counter()
        evaluator(architecture.as_dict(), 1.0, seed)
        seconds = time.perf_counter() - began
    phases = {name: taken / seconds for name, taken in found.items()}
    phases[REST] = max(0.0, 1.0 - sum(phases.values()))
    return Profile(architecture, seconds, phases, kinds, calls)


def operations(
    evaluator: CorpusEvaluator, architecture: Architecture, seed: int
) -> tuple[dict[str, float], int]:
    """Return the shares of kinds of operations in an epoch on one fold, and how many there were.

    What is left over, nothing that torch knows of, is of the kind ``outside of torch``.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # it tells of GPUs that are not there
    import torch
    from torch.profiler import ProfilerActivity

    short = copy.copy(evaluator)
    short.folds, short.looks = evaluator.folds[:1], "epochs"
    values, fidelity = architecture.as_dict(), 1.0 / evaluator.recipe.epochs
    short(values, fidelity, seed)  # what a process does only once is then done
    with torch.profiler.profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        began = time.perf_counter()
        short(values, fidelity, seed)
        whole = 1e6 * (time.perf_counter() - began)  # [us], without the profiler's own summing
    kinds = dict.fromkeys([*(k for k, _ in KINDS), OTHER], 0.0)
    calls = 0
    for e in seen.key_averages():
        kinds[kind_of(e.key)] += e.self_cpu_time_total / whole
        calls += e.count
    kinds[OUTSIDE] = max(0.0, 1.0 - sum(kinds.values()))
    return kinds, calls


def kind_of(operation: str) -> str:
    """Return the kind of an operation of torch's profiler."""
    return next((kind for kind, parts in KINDS if any(p in operation for p in parts)), OTHER)


def drawn(
    evaluator: CorpusEvaluator, count: int, seed: int, say: Callable[[str], None]
) -> list[Architecture]:
    """Draw architectures of the evaluator's space that can be trained.

    Raises:
        NasError: There are none.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    found: dict[str, Architecture] = {}
    for _ in range(1000):
        a = evaluator.space.sample(rng)
        if evaluator.refuse(a) is None:
            found.setdefault(a.hash, a)
        if len(found) == count:
            break
    if not found:
        raise NasError("no architecture of this space can be trained")
    if len(found) < count:
        say(f"only {len(found)} architectures of this space were found")
    return list(found.values())


def mean(profiles: Sequence[Profile]) -> dict[str, Any]:
    """Return the means of several, each weighted by its seconds."""
    total = sum(p.seconds for p in profiles)

    def weighted(of: Callable[[Profile], Mapping[str, float]]) -> dict[str, float]:
        names = dict.fromkeys(name for p in profiles for name in of(p))
        return {n: sum(p.seconds * of(p).get(n, 0.0) for p in profiles) / total for n in names}

    return {
        "seconds": total / len(profiles),
        "phases": weighted(lambda p: p.phases),
        "kinds": weighted(lambda p: p.kinds),
    }
