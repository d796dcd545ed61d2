"""Conditions and repeats: checked, resolved to values, and put in topological order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from search_spaces.architecture import Scalar
from search_spaces.errors import nearest
from search_spaces.parameter import Condition, Parameter, same
from search_spaces.yaml_source import KeyPath, Source

MOST_LOOKED_AT = 10_000  # values of a parameter that a condition looks at, which lists them
MOST_BLOCKS = 1_000


def resolve(
    parameters: Sequence[Parameter], raw: Mapping[str, Mapping[str, Any]], source: Source
) -> tuple[Parameter, ...]:
    """Attach conditions to parameters and order them so that parents come first.

    Args:
        parameters: As read, without conditions.
        raw: For each parameter, other parameter -> value, list of values or (min, max).
        source: For errors.

    Raises:
        NasError: A condition on an unknown parameter, on a value it never has, on one that is
            never active at the same time; a cycle; a repeat that is no int.
    """
    by_name = {p.name: p for p in parameters}
    full = {
        p.name: replace(p, when=_conditions(p, raw.get(p.name, {}), by_name, source))
        for p in parameters
    }
    for p in full.values():
        _check_repeat(p, full, source)
    ordered = _ordered(full, source)
    _check_reachable(ordered, source)
    return ordered


def _path(name: str, *rest: str) -> KeyPath:
    return ("parameters", name, *rest)


def _conditions(
    p: Parameter, raw: Mapping[str, Any], known: Mapping[str, Parameter], source: Source
) -> tuple[Condition, ...]:
    out = []
    for name, wanted in raw.items():
        path = _path(p.name, "when", name)
        parent = known.get(name)
        if parent is None:
            raise source.error(
                path, f"condition on unknown parameter {name!r}", nearest(name, known)
            )
        if parent.repeat is not None or parent.values is None:
            kind = "repeated" if parent.repeat is not None else "continuous"
            raise source.error(
                path,
                f"condition on {name!r}, a {kind} parameter",
                "conditions look at int, choice, bool and stepped parameters with one value",
            )
        if len(parent.values) > MOST_LOOKED_AT:
            raise source.error(
                path,
                f"condition on {name!r}, which has {len(parent.values):,} values",
                f"conditions look at parameters of up to {MOST_LOOKED_AT:,}; give it a step",
            )
        out.append(Condition(name, _allowed(parent, wanted, path, source)))
    return tuple(out)


def _allowed(parent: Parameter, wanted: Any, path: KeyPath, source: Source) -> Sequence[Scalar]:
    values = parent.values or ()
    if isinstance(wanted, tuple):
        if parent.kind not in ("int", "float"):
            raise source.error(path, f"min and max need a number, but {parent.name!r} is a choice")
        low, high = wanted
        if low is None and high is None:
            raise source.error(path, "a range needs min, max or both")
        allowed = [
            v
            for v in values
            if (low is None or float(v) >= low) and (high is None or float(v) <= high)
        ]
        if not allowed:
            raise source.error(path, f"{parent.name!r} never lies in [{low}, {high}]")
        return tuple(allowed)
    asked = wanted if isinstance(wanted, list) else [wanted]
    if not asked:
        raise source.error(path, f"an empty list: {parent.name!r} never has one of no values")
    for item in asked:
        if not any(same(item, v) for v in values):
            raise source.error(path, f"{parent.name!r} is never {item!r}", nearest(item, values))
    return tuple(asked)


def _check_repeat(p: Parameter, known: Mapping[str, Parameter], source: Source) -> None:
    if p.repeat is None:
        return
    path = _path(p.name, "repeat")
    count = known.get(p.repeat)
    if count is None:
        raise source.error(
            path, f"repeat names no parameter: {p.repeat!r}", nearest(p.repeat, known)
        )
    if count.kind != "int" or count.low < 0 or count.repeat is not None:
        raise source.error(
            path,
            f"{p.repeat!r} cannot count: repeat needs an int parameter, 0 or more, not repeated",
        )
    if count.high > MOST_BLOCKS:
        raise source.error(
            path, f"{p.repeat!r} goes up to {count.high:,} blocks, more than {MOST_BLOCKS:,}"
        )
    for index in range(int(count.high)):
        if f"{p.name}.{index}" in known:  # the flat names of the record would clash
            raise source.error(
                _path(f"{p.name}.{index}"), f"name clashes with block {index} of {p.name!r}"
            )


def _ordered(full: Mapping[str, Parameter], source: Source) -> tuple[Parameter, ...]:
    sorter = TopologicalSorter({p.name: p.parents for p in full.values()})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle: list[str] = list(reversed(error.args[1]))
        raise source.error(
            _path(cycle[0]), f"cyclic conditions: {' -> '.join(cycle)}", "remove one of them"
        ) from None
    out: dict[str, Parameter] = {}

    def emit(p: Parameter) -> None:
        if p.name in out:  # or a parameter is come back to on every path that leads to it
            return
        for parent in p.parents:
            emit(full[parent])
        out[p.name] = p

    for p in full.values():  # parents first, otherwise as the file has it
        emit(p)
    return tuple(out.values())


def _check_reachable(ordered: Sequence[Parameter], source: Source) -> None:
    """Refuse a parameter that no architecture can ever have.

    The values that each ancestor may take while a parameter is active are intersected along
    all its chains of conditions.
    """
    needs: dict[str, dict[str, list[Scalar]]] = {}
    for p in ordered:
        mine: dict[str, list[Scalar]] = {}
        for condition in p.when:
            _narrow(mine, condition.parameter, condition.allowed)
        for parent in p.parents:
            for name, values in needs[parent].items():
                _narrow(mine, name, values)
        for name, values in mine.items():
            if not values:
                raise source.error(
                    _path(p.name, "when"),
                    f"{p.name!r} can never be active: its conditions need two values of {name!r}"
                    " at once (one of them on an inactive parameter)",
                )
        needs[p.name] = mine


def _narrow(mine: dict[str, list[Scalar]], name: str, values: Sequence[Scalar]) -> None:
    before = Condition(name, mine[name]) if name in mine else None
    mine[name] = [v for v in values if before is None or before.holds(v)]
