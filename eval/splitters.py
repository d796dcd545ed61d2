"""Ways to split a corpus. Their names are in `eval.protocols`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from eval.folds import (
    GROUPED_FOLDS,
    LEAST_GROUPS,
    Fold,
    Indices,
    Table,
    automatic_inner,
    automatic_outer,
    has_split,
    leave_out,
    official_test,
    official_validation,
)
from search_spaces.errors import NasError

AUTOMATIC = "automatic"
OFFICIAL = "official"
SPEAKER_DEPENDENT = "speaker-dependent"

_INNER = 1  # of a seed: validation parts are not dealt like test parts


class Splitter(Protocol):
    """A way to split a corpus.

    ``name`` goes into records; ``mixes`` tells whether it can put one voice on both sides;
    ``where`` is the file that says how, if any.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def mixes(self) -> bool: ...  # noqa: D102
    @property
    def where(self) -> str | None: ...  # noqa: D102

    def outer(self, table: Table) -> list[Fold]:
        """Return the folds that hold out what is tested on; nobody has checked them."""

    def inner(self, table: Table, search: Indices) -> list[Fold]:
        """Split what an outer fold leaves into training and validation; not checked either."""


@dataclass(frozen=True)
class Automatic:
    """The rule where nothing else is said; a record that names no protocol means this one."""

    name: str = AUTOMATIC
    mixes: bool = True  # an official split, or a speaker in two sessions
    where: str | None = None

    def outer(self, table: Table) -> list[Fold]:
        """See `eval.folds.automatic_outer`."""
        return automatic_outer(table)

    def inner(self, table: Table, search: Indices) -> list[Fold]:
        """See `eval.folds.automatic_inner`."""
        return automatic_inner(table, search)


@dataclass(frozen=True)
class LeaveOut:
    """Leaves out groups: one at a time, or in ``k`` even folds.

    Args:
        name: Of the protocol.
        groups: Gives the group of each utterance.
        k: Number of folds; None for one a group.
        mixes: Whether a group need not have all of a speaker.
    """

    name: str
    groups: Callable[[Table], Sequence[str]]
    k: int | None = None
    mixes: bool = False
    where: str | None = None

    def outer(self, table: Table) -> list[Fold]:
        """Leave out each group once.

        Raises:
            NasError: Fewer groups than three, or than folds.
        """
        groups = self.groups(table)
        folds = self._folds(table, np.arange(len(groups)), groups, LEAST_GROUPS)
        if self.k is not None and len(folds) < self.k:
            raise NasError(
                f"corpus {table.name!r} has {len(folds)} speakers, too few for {self.name}",
                hint=f"give {len(folds)}-fold-by-speaker or fewer folds",
            )
        return folds

    def inner(self, table: Table, search: Indices) -> list[Fold]:
        """Leave out each of the groups that are left, in as many folds as they allow."""
        every = self.groups(table)
        return self._folds(table, search, [every[i] for i in search], 2)

    def _folds(
        self, table: Table, indices: Indices, groups: Sequence[str], least: int
    ) -> list[Fold]:
        return leave_out(indices, groups, k=self.k, least=least, name=table.name)


@dataclass(frozen=True)
class Official:
    """The split column: one fold, validation inside."""

    name: str = OFFICIAL
    mixes: bool = True
    where: str | None = None

    def outer(self, table: Table) -> list[Fold]:
        """Hold out the test rows.

        Raises:
            NasError: No split, or no test rows.
        """
        if not has_split(table):
            raise NasError(
                f"corpus {table.name!r} prescribes no split",
                hint="a manifest does so in its column split: train, validation, test;"
                " leave --protocol out, or name another",
            )
        return official_test(table)

    def inner(self, table: Table, search: Indices) -> list[Fold]:
        """Hold out the validation rows."""
        return official_validation(table, search)


@dataclass(frozen=True)
class ByUtterance:
    """Deals utterances to ``k`` folds at random, the classes evenly: voices are on both sides.

    Args:
        k: Number of folds, of the inner ones too.
        seed: Of the dealing.
    """

    k: int = GROUPED_FOLDS
    seed: int = 0
    mixes: bool = True
    where: str | None = None

    @property
    def name(self) -> str:
        """Return what `eval.protocols.named` reads as this one."""
        folds = f"{self.k}-fold-" if self.k != GROUPED_FOLDS else ""
        return f"{folds}{SPEAKER_DEPENDENT}{f'-seed-{self.seed}' if self.seed else ''}"

    def outer(self, table: Table) -> list[Fold]:
        """Deal all utterances out.

        Raises:
            NasError: More than five folds, and more than any class has utterances.
        """
        everything = np.arange(len(table.speakers))
        label = _label_of(table, everything)
        # a class of few is missing in some test parts; where every class is, they measure little.
        # The usual number is made of what there is, as nobody need have asked for it.
        most = max(GROUPED_FOLDS, *Counter(label.values()).values())
        if self.k > most:
            raise NasError(
                f"corpus {table.name!r} has too few utterances for {self.name}",
                hint="there are no more folds than its largest class has utterances: give"
                f" {most}-fold-{SPEAKER_DEPENDENT} or fewer folds",
            )
        return self._dealt(table, everything, [self.seed])

    def inner(self, table: Table, search: Indices) -> list[Fold]:
        """Deal what is left out in another order, to as many folds as there are utterances."""
        return self._dealt(table, search, [self.seed, _INNER])

    def _dealt(self, table: Table, indices: Indices, seed: list[int]) -> list[Fold]:
        # clips of one recording stay together: they are no other utterances
        recordings = [recording(table, int(i)) for i in indices]
        label = _label_of(table, indices)
        row = {r: n for n, r in enumerate(label)}
        rng = np.random.default_rng(seed)
        dealt = deal_out(np.arange(len(row)), list(label.values()), k=self.k, rng=rng)
        rows = np.array([row[r] for r in recordings], np.int64)
        return [
            Fold(f.name, indices[np.isin(rows, f.fit)], indices[np.isin(rows, f.held)])
            for f in dealt
        ]


def _label_of(table: Table, indices: Indices) -> dict[str, int]:
    """Return the label of each recording among utterances."""
    return {recording(table, int(i)): int(table.labels[i]) for i in indices}


def recording(table: Table, i: int) -> str:
    """Return what utterance ``i`` is cut from: its file, or itself where no paths are known."""
    return re.sub(r"#\d+$", "", table.paths[i]) if table.paths else str(i)


def deal_out(
    indices: Indices, labels: Sequence[object], *, k: int, rng: np.random.Generator
) -> list[Fold]:
    """Deal items to ``k`` folds at random, every label as evenly as it goes; unchecked.

    Args:
        indices: Of the items, in order.
        labels: Of each of ``indices``.
        k: Number of folds.
        rng: Source of the order.
    """
    fold_of = np.empty(len(indices), np.int64)
    dealt = 0
    for label in sorted(set(labels), key=str):
        mine = rng.permutation(np.flatnonzero([other == label for other in labels]))
        fold_of[mine] = (dealt + np.arange(len(mine))) % k
        dealt += len(mine)
    return [
        Fold(f"part {i + 1}", indices[fold_of != i], indices[fold_of == i])
        for i in range(k)
        if (fold_of == i).any()
    ]
