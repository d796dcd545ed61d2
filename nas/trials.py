"""Evaluations as Optuna trials, there and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nas.evaluation import Evaluation, Job
from nas.reserved import set_apart
from search_spaces.architecture import Architecture
from search_spaces.space import Space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def checkpoint_path(folder: Path, architecture: Architecture) -> Path:
    """Return where a run keeps the weights of an architecture."""
    return folder / "checkpoints" / f"{architecture.hash}.safetensors"


def partial_path(folder: Path, architecture: Architecture) -> Path:
    """Return where a run keeps the training state of an architecture it may promote."""
    return folder / "partial" / f"{architecture.hash}.safetensors"


def new_trial(
    space: Space,
    architecture: Architecture,
    fidelity: float,
    seed: int,
    paid: float,
    again: bool = False,
) -> FrozenTrial:
    """Return a running trial that holds all of an architecture, to be stored in one write."""
    from optuna.trial import FrozenTrial, TrialState

    from nas.optuna_space import flat

    params, distributions = flat(space, architecture)
    return FrozenTrial(
        number=-1,  # the storage gives it its number
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(UTC),
        datetime_complete=None,
        params=params,
        distributions=distributions,
        user_attrs={
            "hash": architecture.hash,
            "architecture": architecture.as_dict(),
            "fidelity": fidelity,
            "seed": seed,
            "paid": paid,
            "again": again,
        },
        system_attrs={},
        intermediate_values={},
    )


def read_job(trial: FrozenTrial, folder: Path) -> Job:
    """Return the job that a trial was started for."""
    attrs = trial.user_attrs
    architecture = Architecture(attrs["architecture"])
    again = attrs.get("again", False)
    return Job(
        number=trial.number,
        architecture=architecture,
        fidelity=attrs["fidelity"],
        seed=attrs["seed"],
        paid=attrs.get("paid", 0.0),
        checkpoint=None if again else checkpoint_path(folder, architecture).resolve(),
        partial=None if again else partial_path(folder, architecture).resolve(),
    )


def read_evaluation(trial: FrozenTrial, space: Space, folder: Path) -> Evaluation:
    """Return what a finished trial recorded."""
    job, result = read_job(trial, folder), trial.user_attrs["result"]
    amounts = {c.quantity: trial.constraints.get(c.quantity, 0.0) for c in space.constraints}
    return job.outcome(
        objectives=dict(zip(space.objectives, trial.values or [], strict=False)),
        metrics=set_apart(result["metrics"]),  # older records may hold what is now set apart
        error=result["error"],
        violations={q: amount for q, amount in amounts.items() if amount > 0.0},
        seconds=result["seconds"],
    )
