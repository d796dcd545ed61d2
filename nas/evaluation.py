"""What measuring one architecture at one fidelity and seed gave."""

from __future__ import annotations

import errno
import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nas.reserved import set_apart
from search_spaces.architecture import Architecture
from search_spaces.space import Space

LARGEST = 1e100  # of an objective: squares of differences and volumes of three stay finite
BITS = 1023  # of an integer that a float can hold


@dataclass(frozen=True)
class Job:
    """One evaluation to make.

    Args:
        number: Its place in the record.
        architecture: What to evaluate.
        fidelity: Share of the full training, in (0, 1].
        seed: Of everything random in the evaluation.
        paid: Fidelity that an earlier evaluation of the same architecture has reached; only
            the rest is charged.
        checkpoint: Where an evaluator may leave trained weights.
        partial: Where it may leave the state of a training that is not at its end, and find
            that of an earlier one.
    """

    number: int
    architecture: Architecture
    fidelity: float
    seed: int
    paid: float = 0.0
    checkpoint: Path | None = None
    partial: Path | None = None

    @property
    def cost(self) -> float:
        """What it charges to the budget."""
        return self.fidelity - self.paid

    def outcome(self, **found: Any) -> Evaluation:
        """Return the evaluation of this job, given the other fields of one."""
        return Evaluation(
            number=self.number,
            architecture=self.architecture,
            fidelity=self.fidelity,
            cost=self.cost,
            seed=self.seed,
            **found,
        )


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a job.

    Args:
        number: Place in the record.
        architecture: What was evaluated.
        fidelity: Share of the full training.
        cost: What it charged to the budget.
        seed: Seed it was made with.
        objectives: Value by name, in natural direction; empty when it failed.
        metrics: Everything measured, as plain data.
        error: Traceback or reason of a failure, None when it succeeded.
        violations: Constrained quantity to the amount outside its bounds; empty if feasible.
        seconds: Wall time.
    """

    number: int
    architecture: Architecture
    fidelity: float
    cost: float
    seed: int
    objectives: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every objective was measured."""
        return self.error is None

    @property
    def feasible(self) -> bool:
        """Whether it succeeded within every constraint."""
        return self.ok and not self.violations


class Evaluator(Protocol):
    """Measures an architecture. Plain data in, plain data out: it crosses process borders."""

    def __call__(
        self, architecture: dict[str, Any], fidelity: float, seed: int
    ) -> Mapping[str, Any]:
        """Return every objective of the space by name, and any other metrics."""
        ...


class EvaluationFailed(Exception):
    """An evaluator returned something that cannot be used."""


class DiskFull(Exception):
    """There is no space left for an evaluation's files. No fault of the architecture."""


def make_evaluation(
    job: Job, evaluator: Callable[..., Mapping[str, Any]], space: Space, *, exits: bool = True
) -> Evaluation:
    """Run an evaluator on a job; whatever it raises becomes a failed evaluation.

    Args:
        job: What to evaluate.
        evaluator: Measures it.
        space: Names the objectives and the constraints.
        exits: Whether ``SystemExit`` is a failure as well; else it passes through.

    Raises:
        DiskFull: The evaluator found no space to write to.
        KeyboardInterrupt: A person's interrupt is no failure of the architecture.
    """
    started = time.perf_counter()
    try:
        files = {"checkpoint": job.checkpoint, "partial": job.partial}
        extra = files if getattr(evaluator, "checkpoints", False) else {}
        result = evaluator(job.architecture.as_dict(), job.fidelity, job.seed, **extra)
        metrics = plain(result)
        objectives = {name: _number(metrics, name, "objective") for name in space.objectives}
        violations = {}
        for constraint in space.constraints:
            amount = constraint.violation(_number(metrics, constraint.quantity, "constraint"))
            if amount > 0:
                violations[constraint.quantity] = amount
        metrics = set_apart(metrics)
        error = None
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # sys.exit() must not end the search without a word
        if isinstance(failure, SystemExit) and not exits:
            raise
        if _no_space(failure):
            raise DiskFull(str(failure)) from failure
        metrics, objectives, violations = {}, {}, {}
        known = isinstance(failure, EvaluationFailed)
        error = str(failure) if known else traceback.format_exc()
    return job.outcome(
        objectives=objectives,
        metrics=metrics,
        error=error,
        violations=violations,
        seconds=time.perf_counter() - started,
    )


def _no_space(failure: BaseException) -> bool:
    if isinstance(failure, OSError):
        return failure.errno in (errno.ENOSPC, errno.EDQUOT)
    # safetensors writes in Rust and keeps no number but the one in its text
    return f"(os error {errno.ENOSPC})" in str(failure)


def _number(metrics: Mapping[str, Any], name: str, role: str) -> float:
    if name not in metrics:
        got = ", ".join(metrics) or "nothing"
        raise EvaluationFailed(f"{role} {name!r} is missing: the evaluator returned {got}")
    value = metrics[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationFailed(f"{role} {name!r} is no number: {value!r}")
    if not math.isfinite(value):
        raise EvaluationFailed(f"{role} {name!r} is {value}")
    if abs(value) > LARGEST:
        raise EvaluationFailed(
            f"{role} {name!r} is {value:g}: beyond {LARGEST:g} nothing can be compared;"
            " raise an exception for what cannot be measured"
        )
    return float(value)


def plain(value: Any, name: str = "") -> Any:
    """Turn numpy values into JSON types; refuse what JSON cannot hold.

    Args:
        value: What to turn.
        name: Of the value, for the error.

    Raises:
        EvaluationFailed: A value of another type, for example a tensor.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v, f"{name}.{k}" if name else str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, name) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), name)
    if isinstance(value, np.generic):
        # a long double is its own item
        value = float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, int) and value.bit_length() > BITS:
        raise EvaluationFailed(f"{name!r} is an integer of {value.bit_length()} bits")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = f"{type(value).__module__}.{type(value).__name__}"
    where = f" in {name!r}" if name else ""
    raise EvaluationFailed(f"the evaluator must return plain data, not {kind}{where}")
