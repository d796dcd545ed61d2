"""A scatter plot in characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 80, 20
GUTTER = 11  # characters of the scale on the left


@dataclass(frozen=True)
class Series:
    """Points that share a mark.

    Args:
        mark: One character.
        name: In the legend.
        points: ``(x, y)`` in the unit of the axes.
    """

    mark: str
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """A scale from ``low`` to ``high`` over a number of cells.

    Args:
        low: Value of the first cell.
        high: Value of the last one.
        cells: How many there are.
        log: Whether equal factors take equal room.
    """

    low: float
    high: float
    cells: int
    log: bool

    @classmethod
    def of(cls, values: Sequence[float], cells: int) -> Axis:
        """Return the axis of values; logarithmic where all are positive and decades apart."""
        low, high = min(values), max(values)
        return cls(low, high, cells, low > 0 and high > 10 * low)

    def cell(self, value: float) -> int:
        """Return the cell of a value."""
        if self.high == self.low:
            return self.cells // 2
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round((at - low) / (high - low) * (self.cells - 1))

    def value(self, cell: int) -> float:
        """Return the value in the middle of a cell."""
        share = cell / (self.cells - 1)
        if self.log:
            return self.low * math.pow(self.high / self.low, share)
        return self.low + (self.high - self.low) * share


def scatter(
    series: Sequence[Series], x_title: str, y_title: str, width: int = WIDTH, height: int = HEIGHT
) -> list[str]:
    """Return the lines of a plot, at most ``width`` characters each, plain ASCII.

    Args:
        series: A later one is drawn over an earlier one.
        x_title: Under the plot.
        y_title: Over it.
        width: Characters of a line.
        height: Lines of the field.

    Returns:
        Nothing where there is no point.
    """
    points = [p for s in series for p in s.points]
    if not points:
        return []
    across = Axis.of([p[0] for p in points], width - GUTTER - 1)
    up = Axis.of([p[1] for p in points], height)
    field = [[" "] * across.cells for _ in range(height)]
    for one in series:
        for x, y in one.points:
            field[height - 1 - up.cell(y)][across.cell(x)] = one.mark
    lines = [f"{y_title}{' (log)' if up.log else ''}"[:width]]
    for i, row in enumerate(field):
        cell = height - 1 - i
        tick = i in (0, height // 2, height - 1) and (up.high > up.low or i == height // 2)
        scale = f"{_short(up.value(cell) if up.high > up.low else up.low):>{GUTTER - 2}} +"
        lines.append(f"{scale if tick else ' ' * (GUTTER - 1) + '|'}{''.join(row)}".rstrip())
    lines.append(f"{' ' * (GUTTER - 1)}+{'-' * across.cells}")
    lines.append(f"{' ' * GUTTER}{_scale(across)}".rstrip())
    lines.append(f"{' ' * GUTTER}{x_title}{' (log)' if across.log else ''}"[:width])
    shown = ", ".join(f"{s.mark} {s.name}" for s in series if s.points)
    return [*lines, f"{' ' * GUTTER}{shown}"[:width]]


def _scale(axis: Axis) -> str:
    if axis.high == axis.low:
        return _short(axis.low).center(axis.cells).rstrip()
    line = ""
    for cell in (0, (axis.cells - 1) // 2, axis.cells - 1):
        text = _short(axis.value(cell))
        start = min(max(0, cell - len(text) // 2), axis.cells - len(text))
        line = f"{line:<{start}}{text}"
    return line


def _short(value: float) -> str:
    return f"{value:.3g}"
