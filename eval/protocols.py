"""Evaluation protocols: how a corpus is split into test, validation and training, by name.

Every protocol is nested. Outer folds hold out what is tested on; inner folds split the rest in
the same way into what a search trains and validates on, so that no choice of a search has seen
the test part. A split that puts one voice on both sides is used only where a person says
``--speaker-dependent``, and whatever is measured on it says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from eval.folds import (
    GROUPED_FOLDS,
    LEAKAGE,
    LEAST_GROUPS,
    LEAVE_ONE_OUT_UP_TO,
    Fold,
    Indices,
    Table,
    automatic_outer,
    checked,
    fitting,
    groups_of,
    has_split,
    shared_speakers,
)
from eval.published_folds import PUBLISHED
from eval.splitters import (
    AUTOMATIC,
    OFFICIAL,
    SPEAKER_DEPENDENT,
    Automatic,
    ByUtterance,
    LeaveOut,
    Official,
    Splitter,
)
from search_spaces.errors import NasError, nearest

SESSIONS = "leave-one-session-out"
SPEAKERS = "leave-one-speaker-out"
BY_SPEAKER = f"{GROUPED_FOLDS}-fold-by-speaker"
PUBLISHED_FOLDS = "published"

# What --protocol takes, for people; K is any number from 2.
NAMES = {
    SESSIONS: "one recording session is tested on at a time",
    SPEAKERS: "one speaker is tested on at a time",
    "K-fold-by-speaker": "K groups of speakers, as even in utterances as they go",
    PUBLISHED_FOLDS: "the groups of speakers in EmoBox's folds (ravdess, esd)",
    OFFICIAL: "the split that the corpus prescribes",
    "K-fold-speaker-dependent": "random utterances, classes evenly; K 5 if not given, -seed-N for"
    " another draw. Only with --speaker-dependent",
    AUTOMATIC: "official, else by session, else by speaker; in 5 groups where more than 10",
}

# What the field does with a corpus; the automatic rule where the copy at hand does not allow it.
DEFAULTS = {
    "iemocap": SESSIONS,
    "emodb": SPEAKERS,
    "casia": SPEAKERS,
    "emovo": SPEAKERS,
    "savee": SPEAKERS,
    "tess": SPEAKERS,  # two voices: refused with the reason
    "ravdess": PUBLISHED_FOLDS,
    "esd": PUBLISHED_FOLDS,
    "crema-d": BY_SPEAKER,
    "urdu": BY_SPEAKER,
    "see": BY_SPEAKER,
    "msp-podcast": OFFICIAL,
}

_BY_SPEAKER = re.compile(r"(\d+)-fold-by-speaker")
_BY_UTTERANCE = re.compile(rf"(?:(\d+)-fold-)?{SPEAKER_DEPENDENT}(?:-seed-(\d+))?")


@dataclass(frozen=True)
class Folding:
    """A protocol as it is used: with or without leave to put a voice on both sides.

    Args:
        splitter: Makes the folds.
        share: Whether a speaker may be on both sides.
    """

    splitter: Splitter
    share: bool = False

    def __post_init__(self) -> None:
        """Refuse leave that is missing, or that means nothing."""
        name = self.splitter.name
        if isinstance(self.splitter, ByUtterance) and not self.share:
            raise NasError(
                f"{name} tests on voices known from training",
                hint=f"{LEAKAGE}. If that is what you want, add --speaker-dependent: every result"
                " will say so",
            )
        if self.share and not self.splitter.mixes:
            raise NasError(
                f"{name} keeps every speaker on one side",
                hint=f"leave --speaker-dependent out, or --protocol {name}",
            )

    @property
    def name(self) -> str:
        """Of the protocol."""
        return self.splitter.name

    def outer(self, table: Table) -> list[Fold]:
        """Return the folds that hold out what is tested on.

        Raises:
            NasError: They cannot be made, a speaker is on both sides, or a class is never
                trained on.
        """
        return [self._checked(f, table) for f in self.splitter.outer(table)]

    def inner(self, table: Table, search: Indices, limit: int | None = None) -> list[Fold]:
        """Split the utterances that a search may see into training and validation parts.

        Args:
            table: The corpus.
            search: ``fit`` of an outer fold.
            limit: At most this many folds; None for all of them.

        Raises:
            NasError: As `outer`.
        """
        folds = self.splitter.inner(table, search)
        return [self._checked(f, table) for f in folds[:limit]]

    def mixed(self, table: Table, folds: Sequence[Fold]) -> bool:
        """Tell whether a speaker is on both sides of one of the folds."""
        return self.share and any(shared_speakers(f, table) for f in folds)

    def _checked(self, fold: Fold, table: Table) -> Fold:
        return checked(fold, table, share=self.share, where=self.splitter.where)


def named(name: str, layout: str | None = None) -> Splitter:
    """Return the protocol of a name.

    Args:
        name: As in ``NAMES``.
        layout: Of the corpus, which published folds are looked up by.

    Raises:
        NasError: No such protocol, or none is published for the corpus.
    """
    if match := _BY_SPEAKER.fullmatch(name):
        return LeaveOut(name, _speakers, k=_folds(name, match[1]))
    if match := _BY_UTTERANCE.fullmatch(name):
        return ByUtterance(_folds(name, match[1] or str(GROUPED_FOLDS)), int(match[2] or 0))
    if name == SESSIONS:
        return LeaveOut(name, _sessions, mixes=True)
    if name == SPEAKERS:
        return LeaveOut(name, _speakers)
    if name == OFFICIAL:
        return Official()
    if name == AUTOMATIC:
        return Automatic()
    if name != PUBLISHED_FOLDS:
        raise NasError(f"no protocol {name!r}", hint=nearest(name, NAMES))
    if layout not in PUBLISHED:
        raise NasError(
            f"no folds are published for {layout or 'a corpus of your own'}",
            hint=f"there are for {', '.join(PUBLISHED)}; --folds FILE takes any others",
        )
    return LeaveOut(name, partial(_published, layout))


def default_for(table: Table, layout: str | None = None) -> str:
    """Return the name of the protocol for a corpus where none is asked for.

    Args:
        table: The corpus.
        layout: Its layout, if it is one that is known.
    """
    usual = DEFAULTS.get(layout or "")
    return usual if usual and _possible(usual, table, layout) else _plain_name(table)


def _possible(name: str, table: Table, layout: str | None) -> bool:
    """Tell whether the copy of a corpus at hand has what its usual protocol needs."""
    if name == SESSIONS:
        sessions = set(table.sessions)
        return None not in sessions and len(sessions) >= LEAST_GROUPS
    if name == PUBLISHED_FOLDS:
        fold_of = {s: n for n, fold in enumerate(PUBLISHED[layout or ""]) for s in fold}
        found = {fold_of.get(s) for s in table.speakers}
        return None not in found and len(found) >= LEAST_GROUPS
    if name == BY_SPEAKER:
        return len(set(table.speakers)) >= GROUPED_FOLDS
    return name != OFFICIAL or has_split(table)


def _plain_name(table: Table) -> str:
    """Return the plain name of what the automatic rule does, where it has one."""
    if has_split(table):
        return OFFICIAL
    groups = groups_of(table)
    speakers = groups == table.speakers
    if fitting(groups) is None:
        return SPEAKERS if speakers else SESSIONS
    left = [len({groups[i] for i in fold.fit}) for fold in automatic_outer(table)]
    # with ten or fewer left, its inner folds are of single speakers
    return BY_SPEAKER if speakers and min(left) > LEAVE_ONE_OUT_UP_TO else AUTOMATIC


def _folds(name: str, count: str) -> int:
    if int(count) < 2:
        raise NasError(f"{name}: one part alone is no split", hint="give 2 folds or more")
    return int(count)


def _speakers(table: Table) -> Sequence[str]:
    return table.speakers


def _sessions(table: Table) -> Sequence[str]:
    if None in table.sessions:
        raise NasError(
            f"corpus {table.name!r} has no sessions to leave out",
            hint=f"a manifest gives them in its column session; or take --protocol {SPEAKERS}",
        )
    return [str(s) for s in table.sessions]


def _published(layout: str, table: Table) -> Sequence[str]:
    present = set(table.speakers)
    fold_of: dict[str, str] = {}
    for fold in PUBLISHED[layout]:
        here = sorted(present & set(fold))
        fold_of |= dict.fromkeys(here, "+".join(here))
    if unknown := sorted(present - set(fold_of)):
        raise NasError(
            f"the published folds of {layout} have no speaker {', '.join(unknown)}",
            hint=f"take --protocol {BY_SPEAKER}",
        )
    return [fold_of[s] for s in table.speakers]
