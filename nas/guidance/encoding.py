"""Architectures as vectors, for models that measure how alike two of them are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.pareto import Matrix
from search_spaces.architecture import Architecture
from search_spaces.parameter import Parameter
from search_spaces.space import Space

NEUTRAL = 0.5
CACHED = 20_000


class Encoder:
    """Maps the architectures of a space to vectors of one length.

    A number is scaled to [0, 1] (in log where the parameter is), a choice is one-hot, a bool is
    0 or 1. A choice among numbers has its place in their order beside the one-hot columns. A
    parameter that can be inactive has an activity flag beside its value, which is neutral while
    it is inactive. A repeated parameter has these for every position, and a summary that does
    not depend on the order: the mean of a number, the share of each choice.

    Args:
        space: Where the architectures come from.

    Attributes:
        width: Length of a vector.
        groups: ``[width]`` int, columns that describe one thing (a parameter, a position of
            it, its summary) share a number.
        numeric: ``[width]`` bool, columns that hold a scaled number.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._codes = [_Code(p) for p in space.parameters]
        self._places: list[tuple[_Code, int, int, int]] = []  # code, offset, positions, block
        groups: list[int] = []
        numeric: list[bool] = []
        for code in self._codes:
            p = code.parameter
            offset = len(groups)
            positions = _most(space, p)
            flag = bool(p.parents)
            block = code.width + flag
            for _ in range(positions):
                groups += [max(groups, default=-1) + 1] * block
                numeric += [*code.numeric, *[False] * flag]
            if p.repeat is not None:
                groups += [max(groups, default=-1) + 1] * code.width
                numeric += code.numeric
            self._places.append((code, offset, positions, block))
        self.width = len(groups)
        self.groups = np.array(groups, dtype=np.intp)
        self.numeric = np.array(numeric, dtype=bool)
        self._blank = self._neutral()
        self._known: dict[str, Matrix] = {}

    def __call__(self, architectures: Sequence[Architecture]) -> Matrix:
        """Return ``[N, width]``."""
        if len(self._known) > CACHED:
            self._known.clear()
        rows = np.empty((len(architectures), self.width))
        for i, a in enumerate(architectures):
            row = self._known.get(a.hash)
            if row is None:
                row = self._known[a.hash] = self._row(a)
            rows[i] = row
        return rows

    def _neutral(self) -> Matrix:
        blank = np.zeros(self.width)
        for code, offset, positions, block in self._places:
            for i in range(positions):
                blank[offset + i * block : offset + i * block + code.width] = code.neutral
            if code.parameter.repeat is not None:
                blank[offset + positions * block :][: code.width] = code.neutral
        return blank

    def _row(self, a: Architecture) -> Matrix:
        row = self._blank.tolist()
        for code, offset, positions, block in self._places:
            p = code.parameter
            if p.name not in a:
                continue
            value: Any = a[p.name]
            items = value if p.repeat is not None else (value,)
            codes = [code(item) for item in items]
            for i, numbers in enumerate(codes):
                at = offset + i * block
                row[at : at + code.width] = numbers
                if block > code.width:
                    row[at + code.width] = 1.0
            if p.repeat is not None and codes:
                at = offset + positions * block
                row[at : at + code.width] = [sum(c) / len(codes) for c in zip(*codes, strict=True)]
        return np.array(row)


class _Code:
    """The numbers of one value of a parameter."""

    def __init__(self, p: Parameter) -> None:
        self.parameter = p
        # plain lists: most are shorter than what an array costs
        self._table: dict[Any, list[float]] = {}
        if p.kind == "choice":
            codes = np.eye(len(p.choices))
            if _ordered(p):
                order = sorted(p.choices)
                places = [order.index(c) / (len(order) - 1) for c in p.choices]
                codes = np.column_stack([codes, places])
            self._table = {(type(c), c): codes[i].tolist() for i, c in enumerate(p.choices)}
            self.neutral = codes.mean(0)
        else:
            self.neutral = np.array([NEUTRAL])
        self.width = len(self.neutral)
        scaled = p.kind in ("int", "float")
        self.numeric = [scaled or i >= len(p.choices) for i in range(self.width)]
        if p.kind == "bool":
            self.numeric = [False]

    def __call__(self, value: Any) -> list[float]:
        if self.parameter.kind == "choice":
            return self._table[type(value), value]
        return [self._scaled(value)]

    def _scaled(self, value: Any) -> float:
        p = self.parameter
        if p.kind == "bool":
            return float(value)
        if p.high == p.low:
            return NEUTRAL
        if p.log:
            return math.log(value / p.low) / math.log(p.high / p.low)
        return float((value - p.low) / (p.high - p.low))


def _ordered(p: Parameter) -> bool:
    numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in p.choices)
    return numbers and len(p.choices) > 2


def _most(space: Space, p: Parameter) -> int:
    """Return how many values ``p`` has at most."""
    if p.repeat is None:
        return 1
    counts = space.parameter(p.repeat).values or ()
    return max((int(c) for c in counts if isinstance(c, int)), default=0)
