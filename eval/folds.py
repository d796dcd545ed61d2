"""Speaker-independent folds. A speaker on both sides is an error, never a warning.

Outer folds hold out test speakers. A search sees one outer fold's other speakers only and
splits those again into training and validation speakers (inner folds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasError

Indices = npt.NDArray[np.int64]

LEAST_GROUPS = 3
LEAVE_ONE_OUT_UP_TO = 10
GROUPED_FOLDS = 5


class Table(Protocol):
    """What folds need to know of a corpus; a ``Dataset`` has it all."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> npt.NDArray[np.int64]: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def speakers(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def sessions(self) -> tuple[str | None, ...]: ...  # noqa: D102
    @property
    def splits(self) -> tuple[str | None, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Groups:
    """The table of a corpus whose features nobody needs yet."""

    name: str
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    sessions: tuple[str | None, ...]
    splits: tuple[str | None, ...]

    @classmethod
    def of(cls, corpus: Any) -> Groups:
        """Take the table out of an ``eval.corpora.corpus.Corpus``."""
        us = corpus.utterances
        return cls(
            name=corpus.name,
            labels=np.array([corpus.classes.index(u.label) for u in us], np.int64),
            classes=corpus.classes,
            speakers=tuple(u.speaker for u in us),
            sessions=tuple(u.session for u in us),
            splits=tuple(u.split for u in us),
        )


@dataclass(frozen=True)
class Fold:
    """One split into what is fitted and what it is measured on.

    Args:
        name: The groups held out, for people.
        fit: Indices of the utterances to train on (of an outer fold: to search on).
        held: Indices held out.
    """

    name: str
    fit: Indices
    held: Indices


def groups_of(dataset: Table) -> tuple[str, ...]:
    """Return the group of each utterance: its session where there are sessions, else its speaker.

    Fewer than three sessions cannot give train, validation and test; speakers may.

    Raises:
        NasError: Some utterances have a session and some have none.
    """
    sessions = [s for s in dataset.sessions if s is not None]
    if 0 < len(sessions) < len(dataset.speakers):
        raise NasError(
            f"{len(sessions)} of {len(dataset.speakers)} utterances of corpus {dataset.name!r}"
            " have a session",
            hint="give every row a session, or none",
        )
    return tuple(sessions) if len(set(sessions)) >= LEAST_GROUPS else dataset.speakers


def outer_folds(dataset: Table) -> list[Fold]:
    """Return the folds that hold out test speakers.

    An official ``split`` column gives one fold. Otherwise one group (session or speaker) is
    left out at a time, or a fifth of them where there are more than ten.

    Raises:
        NasError: Too few speakers, or a class that a training part never sees.
    """
    if all(s is not None for s in dataset.splits):
        test = np.array([s == "test" for s in dataset.splits])
        if not test.any() or test.all():
            raise NasError(
                f"corpus {dataset.name!r} has a split column, but not both test and other rows",
                hint="use train, validation and test, or remove the column",
            )
        folds = [Fold("test", np.flatnonzero(~test), np.flatnonzero(test))]
    else:
        everything = np.arange(len(dataset.speakers))
        folds = _leave_out(everything, groups_of(dataset), least=LEAST_GROUPS, name=dataset.name)
    return [_checked(f, dataset) for f in folds]


def inner_folds(dataset: Table, search: Indices, limit: int | None = None) -> list[Fold]:
    """Split the utterances of a search into training and validation parts.

    Args:
        dataset: The corpus.
        search: Indices that the search may see.
        limit: At most this many folds; None for all of them.

    Raises:
        NasError: Too few speakers, or a class that a training part never sees.
    """
    if all(dataset.splits[i] is not None for i in search):
        held = np.array([dataset.splits[i] == "validation" for i in search])
        if not held.any() or held.all():
            raise NasError(
                f"corpus {dataset.name!r} has a split column without train or validation rows"
            )
        folds = [Fold("validation", search[~held], search[held])]
    else:
        groups = groups_of(dataset)
        folds = _leave_out(search, [groups[i] for i in search], least=2, name=dataset.name)
    return [_checked(f, dataset) for f in folds[:limit]]


def _leave_out(indices: Indices, groups: Sequence[str], *, least: int, name: str) -> list[Fold]:
    names = sorted(set(groups))
    if len(names) < least:
        raise NasError(
            f"corpus {name!r} has {len(names)} speaker(s) or session(s) to split:"
            f" {', '.join(names)}",
            hint="speaker-independent evaluation needs at least 3: train, validation, test."
            " A split by utterances would test on voices known from training",
        )
    if len(names) <= LEAVE_ONE_OUT_UP_TO:
        held_out = [[n] for n in names]
    else:
        # largest groups first, each to the fold that is smallest so far
        sizes = {n: groups.count(n) for n in names}
        held_out = [[] for _ in range(GROUPED_FOLDS)]
        for n in sorted(names, key=lambda g: (-sizes[g], g)):
            min(held_out, key=lambda fold: sum(sizes[g] for g in fold)).append(n)
    folds = []
    for held_names in held_out:
        held = np.array([g in held_names for g in groups])
        folds.append(Fold("+".join(sorted(held_names)), indices[~held], indices[held]))
    return folds


def _checked(fold: Fold, dataset: Table) -> Fold:
    shared = {dataset.speakers[i] for i in fold.fit} & {dataset.speakers[i] for i in fold.held}
    if shared:
        raise NasError(
            f"speaker leakage in fold {fold.name!r}: {', '.join(sorted(shared))} on both sides",
            hint="give every speaker one session and one split",
        )
    seen = set(dataset.labels[fold.fit].tolist())
    unseen = [c for i, c in enumerate(dataset.classes) if i not in seen]
    if unseen:
        raise NasError(
            f"fold {fold.name!r} of corpus {dataset.name!r} trains without any utterance of"
            f" {', '.join(unseen)}",
            hint="a class needs utterances of at least 3 speakers; merge or drop it",
        )
    return fold
