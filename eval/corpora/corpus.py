"""What a corpus is: a table of utterances, each with a label and a speaker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eval.cache import cache_dir

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Utterance:
    """One recording, or one ``[L, D]`` array of features.

    Args:
        path: The file.
        label: The emotion.
        speaker: Who speaks; never on both sides of a split.
        session: Recording session, where a corpus is split by sessions.
        split: ``train``, ``validation`` or ``test``, where a corpus prescribes it.
    """

    path: Path
    label: str
    speaker: str
    session: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Corpus:
    """A checked table of utterances.

    Args:
        name: For people and reports.
        root: Folder of the manifest.
        utterances: In the manifest's order.
        classes: The labels, sorted; a class index counts in this order.
        kind: What the files hold.
        licence: Of the recordings, where known.
        notes: What a person should know but need not mend.
    """

    name: str
    root: Path
    utterances: tuple[Utterance, ...]
    classes: tuple[str, ...]
    kind: Literal["audio", "features"]
    licence: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CorpusInfo:
    """A corpus that can be had by its name.

    Args:
        name: What ``--data`` takes.
        title: For people.
        clips: Number of utterances.
        speakers: Number of speakers.
        classes: The labels, sorted.
        licence: Of the recordings.
        source: Whom to cite.
    """

    name: str
    title: str
    clips: int
    speakers: int
    classes: tuple[str, ...]
    licence: str
    source: str

    @property
    def folder(self) -> Path:
        """Where it lies once fetched."""
        return cache_dir("corpora", self.name)

    @property
    def fetched(self) -> bool:
        """Whether it lies there."""
        return (self.folder / MANIFEST).is_file()
