"""Filters and order of a front: ``energy<0.1e-3``, safely read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from nas.evaluation import Evaluation

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
    "!=": lambda a, b: bool(a != b),
    "==": lambda a, b: bool(a == b),
    "=": lambda a, b: bool(a == b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
}
EXACT = ("=", "==", "!=")
OPERATOR = re.compile("|".join(map(re.escape, OPERATORS)))
# a comma separates two conditions only where another one follows
BETWEEN = re.compile(r",(?=[^,<>=!]+(?:[<>]|!=|=))")


@dataclass(frozen=True)
class Condition:
    """One comparison.

    Args:
        text: As it was given.
        name: Of an objective, a parameter or a metric.
        operator: One of ``OPERATORS``.
        value: A number, a truth value or a text.
    """

    text: str
    name: str
    operator: str
    value: float | bool | str

    def holds(self, e: Evaluation) -> bool:
        """Whether it holds for an evaluation; what has no such value never passes.

        Of a parameter with one value per block, all must.

        Raises:
            NasError: An order was asked of a text.
        """
        found = value_of(e, self.name)
        if found is None:
            return False
        items = found if isinstance(found, tuple) else (found,)
        return bool(items) and all(self._compare(item) for item in items)

    def _compare(self, found: Any) -> bool:
        kinds = {_kind(found), _kind(self.value)}
        if self.operator not in EXACT and kinds != {"number"}:
            raise NasError(
                f"{self.name} is {found!r}: {self.operator} compares numbers",
                where=f"--where {self.text!r}",
                hint="use = or !=",
            )
        if len(kinds) > 1:  # a choice may be the text "1"
            return OPERATORS[self.operator](_text(found), _text(self.value))
        return OPERATORS[self.operator](found, self.value)


def conditions(given: Sequence[str], names: Iterable[str]) -> list[Condition]:
    """Read ``NAME OP VALUE``, several in one text separated by commas.

    Args:
        given: Texts.
        names: What may be compared.

    Raises:
        NasError: Something else, or an unknown name.
    """
    known = list(names)
    return [_condition(part, known) for text in given for part in BETWEEN.split(text)]


def _condition(text: str, names: Sequence[str]) -> Condition:
    found = OPERATOR.search(text)
    name = text[: found.start()].strip() if found else ""
    value = text[found.end() :].strip() if found else ""
    if found is None or not name or not value or OPERATOR.match(value):
        raise NasError(
            f"cannot read the condition {text.strip()!r}",
            where="--where",
            hint="give NAME OPERATOR VALUE, such as energy<0.1e-3; operators: "
            + " ".join(OPERATORS),
        )
    check_name(name, names, "--where")
    return Condition(text.strip(), name, found.group(), _read(value))


def check_name(name: str, names: Iterable[str], where: str) -> None:
    """Refuse a name that nothing has.

    Raises:
        NasError: With the nearest valid ones.
    """
    known = list(names)
    if name not in known:
        raise NasError(f"nothing is called {name!r}", where=where, hint=nearest(name, known))


def names_in(evaluations: Iterable[Evaluation], objectives: Iterable[str]) -> list[str]:
    """Return what can be compared: objectives, parameters, and metrics of one value."""
    names = dict.fromkeys(objectives)
    later: dict[str, None] = {}
    for e in evaluations:
        for name, value in e.architecture.items():
            names[name] = None
            if isinstance(value, tuple):
                names |= dict.fromkeys(f"{name}.{i}" for i in range(len(value)))
        later |= {k: None for k, v in e.metrics.items() if isinstance(v, int | float | str)}
    return list(names | later)


def value_of(e: Evaluation, name: str) -> Any:
    """Return a value by name: of an objective, else of a parameter, else of a metric.

    ``NAME.i`` is block ``i`` of a parameter with one value per block. None where there is none.
    """
    sources: tuple[Mapping[str, Any], ...] = (e.objectives, e.architecture, e.metrics)
    for source in sources:
        if name in source:
            return source[name]
    stem, _, block = name.rpartition(".")
    blocks = e.architecture.get(stem)
    if isinstance(blocks, tuple) and block.isdecimal() and int(block) < len(blocks):
        return blocks[int(block)]
    return None


def ordered(members: Sequence[Evaluation], name: str, descending: bool) -> list[Evaluation]:
    """Return evaluations in order of a value, equal ones as they were; those without one last."""
    found = [e for e in members if value_of(e, name) is not None]
    numbers = all(_kind(value_of(e, name)) == "number" for e in found)

    def key(e: Evaluation) -> Any:
        value = value_of(e, name)
        return float(value) if numbers else _text(value)

    return [
        *sorted(found, key=key, reverse=descending),
        *(e for e in members if value_of(e, name) is None),
    ]


def _read(text: str) -> float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text.strip("'\"") if text[0] in "'\"" else text
    return number if math.isfinite(number) else text


def _kind(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "bool" if isinstance(value, bool) else "text"
    return "number"


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
