"""How many architectures a space holds, without going through them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from search_spaces.architecture import Scalar, Value
from search_spaces.parameter import Parameter

if TYPE_CHECKING:
    from search_spaces.space import Space

# Name, whether a bool (True is 1 to a dict), and value of each parameter still to be looked at.
State = tuple[tuple[str, bool, Value], ...]


def combinations(space: Space) -> int:
    """Count the combinations of all but the continuous parameters exactly.

    Goes once through the parameters. All that is kept of those before is which values of the
    ones that a later one depends on came up, and in how many ways each, so the work grows
    with what depends on each other and not with the space.
    """
    order = counting_order(space.parameters)
    last = {name: at for at, p in enumerate(order) for name in p.parents}
    ways: dict[State, int] = {(): 1}
    for at, p in enumerate(order):
        needed = last.get(p.name, -1) > at
        classes = _classes(p, order[at + 1 :]) if needed else []
        after: dict[State, int] = {}
        for state, n in ways.items():
            chosen = {name: value for name, _, value in state}
            kept = tuple(s for s in state if last[s[0]] > at)
            if not space.is_active(p, chosen):
                after[kept] = after.get(kept, 0) + n
            elif needed:
                for value, alike in classes:
                    new = (*kept, (p.name, isinstance(value, bool), value))
                    after[new] = after.get(new, 0) + n * alike
            else:
                values = len(p.values) if p.values is not None else 1
                repeats = space.repeats(p, chosen)
                n *= values ** (1 if repeats is None else repeats)
                after[kept] = after.get(kept, 0) + n
        ways = after
    return sum(ways.values())


def counting_order(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Order parameters after their parents, so that few are waited for at any time.

    Each time the one that leaves the fewest open comes next: a file may well name all its
    conditions first, and what depends on them at the end.
    """
    left = {p.name: p for p in parameters}
    children: dict[str, set[str]] = {name: set() for name in left}
    for p in left.values():
        for parent in p.parents:
            children[parent].add(p.name)
    order: list[Parameter] = []

    def opened(p: Parameter) -> int:
        return bool(children[p.name]) - sum(len(children[name]) == 1 for name in p.parents)

    while left:
        ready = (p for p in left.values() if not any(name in left for name in p.parents))
        p = min(ready, key=opened)
        order.append(left.pop(p.name))
        for name in p.parents:
            children[name].discard(p.name)
    return order


def _classes(p: Parameter, later: Sequence[Parameter]) -> list[tuple[Scalar, int]]:
    """Return one value of each kind that ``later`` tells apart, and how many there are of it."""
    conditions = [c for q in later for c in q.when if c.parameter == p.name]
    counts = any(q.repeat == p.name for q in later)
    found: dict[tuple[object, ...], tuple[Scalar, int]] = {}
    for value in p.values or ():
        kind = (value if counts else None, *(c.holds(value) for c in conditions))
        first, number = found.get(kind, (value, 0))
        found[kind] = first, number + 1
    return list(found.values())
