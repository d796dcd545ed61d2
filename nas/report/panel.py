"""The parts of a report: sections of tables and figures, none of them empty without a reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Panel:
    """A figure, or the sentence that says why there is none.

    Args:
        key: Names the figure in the page and among the image files.
        title: Heading, plain text.
        about: What it shows and how to read it, plain text.
        figure: A plotly figure; None where there is nothing to draw.
        missing: Why there is none.
        wide: Whether it needs the whole width of the page.
    """

    key: str
    title: str
    about: str = ""
    figure: Any = None
    missing: str = ""
    wide: bool = True

    def __post_init__(self) -> None:
        if (self.figure is None) != bool(self.missing):
            raise ValueError(f"panel {self.key!r} needs a figure or a reason, not both")


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain text.

    Args:
        columns: Headings.
        rows: Cells.
        title: Heading of the table.
        preformatted: Text of several lines to print under it as it is, folded away.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    preformatted: str = ""


@dataclass(frozen=True)
class Section:
    """A chapter.

    Args:
        key: Anchor in the page.
        title: Heading, plain text.
        parts: In order.
        about: Plain text under the heading.
    """

    key: str
    title: str
    parts: Sequence[Panel | Table]
    about: str = ""

    @property
    def panels(self) -> list[Panel]:
        """The figures, drawn or missing."""
        return [p for p in self.parts if isinstance(p, Panel)]


def slug(text: str) -> str:
    """Return ``text`` as a part of a file name and of an anchor."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "run"
