"""Architectures as Optuna parameters: flat names, one distribution each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study, create_study
from optuna.trial import Trial, TrialState, create_trial

from nas.archive import Archive
from nas.record import constraint_attributes
from search_spaces.architecture import Architecture, Value
from search_spaces.parameter import Parameter
from search_spaces.space import Space


def distribution(p: Parameter) -> BaseDistribution:
    """Return the Optuna distribution of one parameter."""
    if p.kind in ("choice", "bool"):
        return CategoricalDistribution(p.choices)
    if p.kind == "int":
        step = int(p.step or 1)
        # Optuna has no log scale with a step
        return IntDistribution(int(p.low), int(p.high), log=p.log and step == 1, step=step)
    if p.step is not None and not p.log:
        return FloatDistribution(p.low, p.high, step=p.step)
    return FloatDistribution(p.low, p.high, log=p.log)


def flat(space: Space, a: Architecture) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return an architecture as Optuna parameters and their distributions.

    Block ``i`` of a repeated parameter ``p`` is named ``p.i``.
    """
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for p in space.parameters:
        if p.name not in a:
            continue
        for name, value in _named(p.name, a[p.name]):
            params[name] = value
            distributions[name] = distribution(p)
    return params, distributions


def suggest(space: Space, trial: Trial) -> Architecture:
    """Let a sampler choose an architecture, parents before what depends on them."""
    chosen: dict[str, Value] = {}
    for p in space.parameters:
        if not space.is_active(p, chosen):
            continue
        count = space.repeats(p, chosen)
        if count is None:
            chosen[p.name] = _suggested(p, trial, p.name)
        else:
            chosen[p.name] = tuple(_suggested(p, trial, f"{p.name}.{i}") for i in range(count))
    return Architecture(chosen)


def study_of(space: Space, archive: Archive, sampler: BaseSampler) -> Study:
    """Return a study in memory that holds the archive's full evaluations and what is pending."""
    study = create_study(directions=list(space.objectives.values()), sampler=sampler)
    for e in archive.evaluations:
        if e.fidelity < 1.0:
            continue
        params, distributions = flat(space, e.architecture)
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if e.ok else TrialState.FAIL,
                values=[e.objectives[name] for name in space.objectives] if e.ok else None,
                params=params,
                distributions=distributions,
                system_attrs=constraint_attributes(space, e),
            )
        )
    for architecture in archive.pending:
        params, distributions = flat(space, architecture)
        study.add_trial(
            create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        )
    return study


def _suggested(p: Parameter, trial: Trial, name: str) -> Any:
    d = distribution(p)
    if isinstance(d, CategoricalDistribution):
        return trial.suggest_categorical(name, d.choices)
    if isinstance(d, IntDistribution):
        return trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
    assert isinstance(d, FloatDistribution)
    drawn = trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)
    if p.values is not None:
        return min(p.values, key=lambda v: abs(float(v) - drawn))
    return p.canonical(drawn)


def _named(name: str, value: Value) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        yield from ((f"{name}.{i}", v) for i, v in enumerate(value))
    else:
        yield name, value
