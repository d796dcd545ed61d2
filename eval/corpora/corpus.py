"""What a corpus is: a table of utterances, each with a label and a speaker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eval.corpora.event_settings import EventSettings
from search_spaces.cache_folder import cache_dir

MANIFEST = "manifest.csv"

Kind = Literal["audio", "features", "events", "event images"]

EVENT_KINDS: tuple[Kind, ...] = ("events", "event images")


@dataclass(frozen=True)
class Utterance:
    """One recording: of speech, of events, or one ``[L, D]`` array of features.

    Args:
        path: The file; the folder of a sequence of event images.
        label: The emotion.
        speaker: Who speaks, or whose eye it is; never on both sides of a split.
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
        events: How events are read; None of a corpus that holds none.
        synthetic: Whether no person was ever recorded.
        layout: The name of the layout it was known by; None of a manifest.
    """

    name: str
    root: Path
    utterances: tuple[Utterance, ...]
    classes: tuple[str, ...]
    kind: Kind
    licence: str | None
    notes: tuple[str, ...]
    events: EventSettings | None = None
    synthetic: bool = False
    layout: str | None = None

    @property
    def is_events(self) -> bool:
        """Whether it holds events, as files or as images."""
        return self.kind in EVENT_KINDS


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
        kind: What the files hold.
        folder_name: Its folder in the cache; its name if not given.
    """

    name: str
    title: str
    clips: int
    speakers: int
    classes: tuple[str, ...]
    licence: str
    source: str
    kind: Kind = "audio"
    folder_name: str | None = None

    @property
    def folder(self) -> Path:
        """Where it lies once fetched."""
        return cache_dir("corpora", self.folder_name or self.name)

    @property
    def fetched(self) -> bool:
        """Whether it lies there."""
        return (self.folder / MANIFEST).is_file()
