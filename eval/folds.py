"""What every split is made of: groups left out, an official column, random utterances.

Outer folds hold out test speakers. A search sees one outer fold's other speakers only and
splits those again into training and validation speakers (inner folds). A speaker on both sides
is an error, never a warning, unless a person asked for it in so many words. Which of these ways
a corpus is split by has a name: `eval.protocols`.
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
THREE_SPEAKERS = "utterances of at least 3 speakers"

LEAKAGE = (
    "tested on voices known from training, fine-tuned speech encoders reach 79.58 % on IEMOCAP,"
    " on unknown voices 73.01 % (arXiv 2111.02735)"
)


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
    @property
    def paths(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Groups:
    """The table of a corpus whose features nobody needs yet."""

    name: str
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    sessions: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    paths: tuple[str, ...] = ()

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
            paths=tuple(str(u.path) for u in us),
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
    """Return the folds that hold out test speakers where no protocol is named.

    Raises:
        NasError: Too few speakers, or a class that a training part never sees.
    """
    return [checked(f, dataset) for f in automatic_outer(dataset)]


def inner_folds(dataset: Table, search: Indices, limit: int | None = None) -> list[Fold]:
    """Split the utterances of a search where no protocol is named.

    Args:
        dataset: The corpus.
        search: Indices that the search may see.
        limit: At most this many folds; None for all of them.

    Raises:
        NasError: Too few speakers, or a class that a training part never sees.
    """
    return [checked(f, dataset) for f in automatic_inner(dataset, search)[:limit]]


def automatic_outer(dataset: Table) -> list[Fold]:
    """Hold out the official test rows, else groups; unchecked.

    An official ``split`` column gives one fold. Otherwise one group (session or speaker) is
    left out at a time, or a fifth of them where there are more than ten.

    Raises:
        NasError: Too few groups.
    """
    if has_split(dataset):
        return official_test(dataset)
    groups = groups_of(dataset)
    everything = np.arange(len(groups))
    return leave_out(everything, groups, k=fitting(groups), least=LEAST_GROUPS, name=dataset.name)


def automatic_inner(dataset: Table, search: Indices) -> list[Fold]:
    """Hold out the official validation rows of a search, else groups; unchecked.

    Raises:
        NasError: Too few groups.
    """
    if all(dataset.splits[i] is not None for i in search):
        return official_validation(dataset, search)
    return leave_groups_out(dataset, search)


def leave_groups_out(dataset: Table, search: Indices) -> list[Fold]:
    """Leave out one session or speaker of a search at a time, or a fifth of many; unchecked.

    Raises:
        NasError: Too few of them.
    """
    every = groups_of(dataset)
    groups = [every[i] for i in search]
    return leave_out(search, groups, k=fitting(groups), least=2, name=dataset.name)


def has_split(dataset: Table) -> bool:
    """Tell whether a corpus prescribes its split."""
    return all(s is not None for s in dataset.splits)


def official_test(dataset: Table) -> list[Fold]:
    """Hold out what the split column calls test; unchecked.

    Raises:
        NasError: Nothing, or everything, is called so.
    """
    test = np.array([s == "test" for s in dataset.splits])
    if not test.any() or test.all():
        raise NasError(
            f"corpus {dataset.name!r} has a split column, but not both test and other rows",
            hint="use train, validation and test, or remove the column",
        )
    return [Fold("test", np.flatnonzero(~test), np.flatnonzero(test))]


def official_validation(dataset: Table, search: Indices) -> list[Fold]:
    """Hold out what the split column calls validation; unchecked.

    Raises:
        NasError: Nothing, or everything, is called so.
    """
    held = np.array([dataset.splits[i] == "validation" for i in search])
    if not held.any() or held.all():
        raise NasError(
            f"corpus {dataset.name!r} has a split column without train or validation rows"
        )
    return [Fold("validation", search[~held], search[held])]


def fitting(groups: Sequence[str]) -> int | None:
    """Return into how many folds groups go by themselves: one each (None) up to ten, else five."""
    return None if len(set(groups)) <= LEAVE_ONE_OUT_UP_TO else GROUPED_FOLDS


def leave_out(
    indices: Indices, groups: Sequence[str], *, k: int | None, least: int, name: str
) -> list[Fold]:
    """Leave groups out; unchecked.

    Args:
        indices: Of the utterances to split.
        groups: Of each of ``indices``.
        k: So many folds of whole groups, as even in utterances as they go; None for a fold for
            each group.
        least: Fewer groups are an error.
        name: Of the corpus.

    Raises:
        NasError: Too few groups.
    """
    values, codes, counts = np.unique(
        np.array(groups, dtype=object), return_inverse=True, return_counts=True
    )
    names = [str(v) for v in values]
    if len(names) < least:
        raise NasError(
            f"corpus {name!r} has {len(names)} speaker(s) or session(s) to split:"
            f" {', '.join(names)}",
            hint="speaker-independent evaluation needs at least 3: train, validation, test."
            f" A split by utterances would test on voices known from training: {LEAKAGE}."
            " If that is what you want: --speaker-dependent",
        )
    if k is None:
        held_out = [[i] for i in range(len(names))]
    else:
        # largest groups first, each to the fold that is smallest so far
        held_out = [[] for _ in range(min(k, len(names)))]
        for i in sorted(range(len(names)), key=lambda g: (-counts[g], names[g])):
            min(held_out, key=lambda fold: sum(counts[g] for g in fold)).append(i)
    folds = []
    for members in held_out:
        held = np.isin(codes, members)
        title = "+".join(sorted(names[i] for i in members))
        folds.append(Fold(title, indices[~held], indices[held]))
    return folds


def shared_speakers(fold: Fold, dataset: Table) -> list[str]:
    """Return the speakers on both sides of a fold."""
    speakers = np.array(dataset.speakers, dtype=object)
    return sorted(set(speakers[fold.fit]) & set(speakers[fold.held]))


def checked(fold: Fold, dataset: Table, *, share: bool = False, where: str | None = None) -> Fold:
    """Return a fold that can be trained and measured on.

    Args:
        fold: To check.
        dataset: The corpus.
        share: Whether a speaker may be on both sides.
        where: The file that the fold comes from.

    Raises:
        NasError: A speaker on both sides, or a class that the training part never sees.
    """
    shared = [] if share else shared_speakers(fold, dataset)
    if shared:
        more = f" and {len(shared) - 10} more" if len(shared) > 10 else ""
        raise NasError(
            f"speaker leakage in fold {fold.name!r}: {', '.join(shared[:10])}{more} on both sides",
            where=where,
            hint="give every speaker one session and one split, or say --speaker-dependent:"
            f" {LEAKAGE}",
        )
    seen = set(dataset.labels[fold.fit].tolist())
    unseen = [c for i, c in enumerate(dataset.classes) if i not in seen]
    if unseen:
        raise NasError(
            f"fold {fold.name!r} of corpus {dataset.name!r} trains without any utterance of"
            f" {', '.join(unseen)}",
            where=where,
            hint=f"a class needs {'at least 3 utterances' if share else THREE_SPEAKERS};"
            " merge or drop it, as with --classes",
        )
    return fold
