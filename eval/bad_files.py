"""Files and rows that cannot be used: all of them at once, or a summary of what was left out."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from search_spaces.errors import NasError

T = TypeVar("T")

SHOWN = 20  # of a list that a person reads


@dataclass(frozen=True)
class BadFile:
    """One thing that cannot be used.

    Args:
        where: The file, or the manifest with its line.
        why: What is wrong with it.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def most_common(values: Iterable[T]) -> T | None:
    """Return what most of a corpus has, which the rest is measured by: of equals the first."""
    counts = Counter(values)
    return counts.most_common(1)[0][0] if counts else None


class BadFiles:
    """Collects what is wrong with a corpus, so that a person hears of it once.

    Args:
        skip: Go on without them; else `settle` raises.
        offer: Whether an error may say that ``--skip-bad`` goes on without them.
    """

    def __init__(self, *, skip: bool = False, offer: bool = False) -> None:
        self.skip = skip
        self._offer = offer
        self._errors: list[NasError] = []

    def add(self, error: NasError) -> None:
        """Take note of an error that concerns one file or row."""
        self._errors.append(error)

    def take(self, others: BadFiles) -> None:
        """Take over what another noted."""
        self._errors += others._errors

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Take note of the error that ends a block, and go on after it."""
        try:
            yield
        except NasError as error:
            self.add(error)

    @property
    def found(self) -> tuple[BadFile, ...]:
        """What was noted, in the order of coming."""
        return tuple(BadFile(e.where or "", e.what) for e in self._errors)

    @property
    def enough(self) -> bool:
        """Whether looking for more would add nothing that is shown."""
        return not self.skip and len(self._errors) >= SHOWN

    def settle(self) -> None:
        """Raise what was noted, unless it is to be left out.

        Raises:
            NasError: One as it came, several as a list.
        """
        if self.skip or not self._errors:
            return
        first = self._errors[0]
        if len(self._errors) == 1:
            without = "go on without it: --skip-bad"
            hints = [h for h in (first.hint, without if self._offer else None) if h]
            raise NasError(first.what, where=first.where, hint="; or ".join(hints) or None)
        hints = list(dict.fromkeys(e.hint for e in self._errors if e.hint))[:3]
        if self._offer:
            hints.append("or go on without them: --skip-bad")
        least = "at least " if self.enough else ""
        raise NasError(
            f"{least}{len(self._errors)} files or rows cannot be used\n" + self._listed(),
            hint="\n  ".join(hints) or None,
        )

    def summary(self) -> str | None:
        """Return what was left out, for people; None where nothing was."""
        if not self._errors:
            return None
        n = len(self._errors)
        return f"left out {n} file{'s' * (n > 1)} or row{'s' * (n > 1)}:\n{self._listed()}"

    def as_data(self) -> list[dict[str, Any]]:
        """Return ``file`` and ``why`` of each, for a record."""
        return [{"file": b.where, "why": b.why} for b in self.found]

    def _listed(self) -> str:
        lines = [f"  {b}" for b in self.found[:SHOWN]]
        more = len(self._errors) - SHOWN
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
