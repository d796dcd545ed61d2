"""A parameter of a space: its domain, when it is active, how it moves."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

import numpy as np

from search_spaces.architecture import Scalar

Kind = Literal["int", "float", "choice", "bool"]

# Floats are kept to 4 significant digits, so that an architecture reads well, survives
# YAML and JSON unchanged, and two that cannot differ in practice have one hash.
FLOAT_DIGITS = 4


def same(a: object, b: object) -> bool:
    """Equality that does not take ``True`` for ``1``."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _key(value: Any) -> tuple[bool, Any]:
    """Return what two values that are the ``same`` share, to look one of them up."""
    return isinstance(value, bool), value


@dataclass(frozen=True)
class Condition:
    """Active only while another parameter has one of some values."""

    parameter: str
    allowed: Sequence[Scalar]

    def holds(self, value: object) -> bool:
        """Whether ``value`` of :attr:`parameter` switches the conditional parameter on."""
        try:
            return _key(value) in self._keys
        except TypeError:  # unhashable: no scalar
            return False

    @cached_property
    def _keys(self) -> frozenset[tuple[bool, Scalar]]:
        return frozenset(_key(v) for v in self.allowed)


@dataclass(frozen=True)
class Parameter:
    """One searchable parameter.

    Args:
        name: Dotted name.
        kind: ``int``, ``float``, ``choice`` or ``bool``.
        low: Lower bound of an int or float, inclusive.
        high: Upper bound, inclusive.
        step: Distance of neighbouring values of an int, or of a float if given.
        log: Sample and move on a logarithmic scale.
        choices: Values of a choice or bool, in the order of the file.
        when: All of these must hold.
        repeat: Name of the int parameter that says how many values this one has.
    """

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    when: tuple[Condition, ...] = ()
    repeat: str | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """Names that decide whether, and how often, this parameter is there."""
        names = [c.parameter for c in self.when]
        return tuple(dict.fromkeys([*names, self.repeat] if self.repeat else names))

    @cached_property
    def values(self) -> Sequence[Scalar] | None:
        """All values in order, or None for a continuous float."""
        if self.kind in ("choice", "bool"):
            return self.choices
        if self.kind == "int":
            return range(int(self.low), int(self.high) + 1, int(self.step or 1))
        if self.step is not None:
            # exact decimals: 0.1 + 0.2 must be the 0.3 that a person writes in a condition
            low, high, step = (Decimal(str(v)) for v in (self.low, self.high, self.step))
            return tuple(float(low + i * step) for i in range(int((high - low) / step) + 1))
        return None

    def canonical(self, value: Any) -> Scalar | None:
        """Return the domain's own form of ``value``, or None when it is not in the domain."""
        if self.values is not None:
            if isinstance(self.values, range):
                # as an int: a range looks for anything else one value after the other
                fits = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
                fits = fits and not isinstance(value, bool) and int(value) in self.values
                return int(value) if fits else None
            try:
                return self._own.get(_key(value))
            except TypeError:  # unhashable: no scalar
                return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return self._clip(float(value)) if self.low <= value <= self.high else None

    def sample(self, rng: np.random.Generator) -> Scalar:
        """Draw one value, uniformly or log-uniformly."""
        if self.values is None:
            return self._from_unit(rng.random())
        if self.log:
            # uniform in log over the index range, so that a log int favours small values
            low, high = math.log(self.low), math.log(self.high)
            target = math.exp(low + (high - low) * rng.random())
            at = bisect_left(self.values, target)
            near = self.values[max(0, at - 1) : at + 1]
            return min(near, key=lambda v: abs(math.log(float(v) / target)))
        return self.values[int(rng.integers(len(self.values)))]

    def moves(self, value: Scalar) -> list[Scalar]:
        """Return the values one step away: neighbours of a number, all others of a choice."""
        values = self.values
        if values is None:
            unit = self._to_unit(float(value))
            near = [self._from_unit(u) for u in (unit - 0.1, unit + 0.1) if 0.0 <= u <= 1.0]
            return [v for v in dict.fromkeys(near) if v != value]
        if self.kind in ("choice", "bool"):
            if _key(value) not in self._others:
                return list(values)
            return list(self._others[_key(value)])
        at = values.index(value)
        return [values[i] for i in (at - 1, at + 1) if 0 <= i < len(values)]

    def mutate(self, value: Scalar, rng: np.random.Generator) -> Scalar:
        """Draw a value other than ``value``: near it for a number, any other for a choice."""
        values = self.values
        if values is None:
            if rng.random() < 0.2:  # now and then far, so that no region is out of reach
                return self.sample(rng)
            unit = self._to_unit(float(value)) + rng.normal(0.0, 0.15)
            unit = abs(unit) if unit < 1.0 else 2.0 - unit  # reflected at the bounds
            moved = self._from_unit(min(1.0, max(0.0, unit)))
            return moved if moved != value else self.sample(rng)
        if len(values) == 1:
            return value
        if self.kind in ("choice", "bool"):
            others = self.moves(value)
            return others[int(rng.integers(len(others)))]
        at, n = values.index(value), len(values)
        hop = max(1, round(abs(rng.normal(0.0, 0.15 * n))))
        sign = 1 if rng.random() < 0.5 else -1
        to = min(n - 1, max(0, at + sign * hop))
        return values[to if to != at else min(n - 1, max(0, at - sign * hop))]

    @cached_property
    def _own(self) -> dict[tuple[bool, Any], Scalar]:
        """The domain's own form of each of its values."""
        return {_key(v): v for v in reversed(self.values or ())}

    @cached_property
    def _others(self) -> dict[tuple[bool, Any], tuple[Scalar, ...]]:
        """All values of a choice but one."""
        values = self.values or ()
        return {_key(v): tuple(o for o in values if not same(o, v)) for v in values}

    def _to_unit(self, value: float) -> float:
        if self.high == self.low:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def _from_unit(self, unit: float) -> float:
        if self.log:
            return self._clip(self.low * (self.high / self.low) ** unit)
        return self._clip(self.low + unit * (self.high - self.low))

    def _clip(self, value: float) -> float:
        return min(self.high, max(self.low, _rounded(value)))


def _rounded(value: float) -> float:
    return float(f"{value:.{FLOAT_DIGITS}g}")
