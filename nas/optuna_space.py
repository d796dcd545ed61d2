"""Architectures as Optuna parameters: flat names, one distribution each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study, create_study
from optuna.trial import FrozenTrial, Trial, TrialState

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


def flat(
    space: Space, a: Architecture, known: Mapping[str, BaseDistribution] | None = None
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return an architecture as Optuna parameters and their distributions.

    Block ``i`` of a repeated parameter ``p`` is named ``p.i``.

    Args:
        space: Where it comes from.
        a: The architecture.
        known: The distribution of every parameter of the space; None makes them.
    """
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for p in space.parameters:
        if p.name not in a:
            continue
        d = distribution(p) if known is None else known[p.name]
        for name, value in _named(p.name, a[p.name]):
            params[name] = value
            distributions[name] = d
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
    known = {p.name: distribution(p) for p in space.parameters}
    for e in archive.evaluations:
        if e.fidelity < 1.0:
            continue
        values = [e.objectives[name] for name in space.objectives] if e.ok else None
        state = TrialState.COMPLETE if e.ok else TrialState.FAIL
        about = constraint_attributes(space, e)
        study.add_trial(_Told(state, *flat(space, e.architecture, known), about, values))
    for architecture in archive.pending:
        study.add_trial(_Told(TrialState.RUNNING, *flat(space, architecture, known)))
    return study


class _Told(FrozenTrial):
    """A trial for one study in memory, which takes a copy of it.

    Everything in its dictionaries is never changed: copied deep, as others are, the distributions
    would take most of the time that a study of a hundred trials does.
    """

    def __init__(
        self,
        state: TrialState,
        params: dict[str, Any],
        distributions: dict[str, BaseDistribution],
        system_attrs: Mapping[str, Any] | None = None,
        values: Sequence[float] | None = None,
    ) -> None:
        now = datetime.now()
        super().__init__(
            number=-1,  # the study numbers it
            trial_id=-1,
            state=state,
            value=None,
            values=values,
            datetime_start=now,
            datetime_complete=now if state.is_finished() else None,
            params=params,
            distributions=distributions,
            user_attrs={},
            system_attrs=dict(system_attrs or {}),
            intermediate_values={},
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return FrozenTrial(
            number=self.number,
            trial_id=self._trial_id,
            state=self.state,
            value=None,
            values=self.values,
            datetime_start=self.datetime_start,
            datetime_complete=self.datetime_complete,
            params=dict(self.params),
            distributions=dict(self.distributions),
            user_attrs=dict(self.user_attrs),
            system_attrs=dict(self.system_attrs),
            intermediate_values=dict(self.intermediate_values),
        )


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
