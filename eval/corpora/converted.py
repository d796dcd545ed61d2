"""Event corpora whose owners pack many recordings into a file, or use a format of their own.

They are written once into the cache, an event file a recording with a manifest, and are an
ordinary corpus of events from then on.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.cache import atomic_dir
from eval.corpora.corpus import MANIFEST, Corpus
from eval.corpora.event_settings import SETTINGS, EventSettings, read_settings
from eval.corpora.manifest import COLUMNS, read_manifest
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

_VERSION = 1  # raise it when the same files would give other events

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recording:
    """One recording, with whatever its owner says of it.

    Args:
        name: Of its event file, without an extension.
        label: Its class.
        speaker: Who is never on both sides of a split.
        split: ``train``, ``validation`` or ``test``; None where folds are made here.
        events: Gives time stamps [µs], columns, rows and polarities, in order of time.
    """

    name: str
    label: str
    speaker: str
    split: str | None
    events: Callable[[], tuple[Numbers, Numbers, Numbers, Numbers]]


@dataclass(frozen=True)
class Packed:
    """A corpus as its owner packs it.

    Args:
        name: What stands before the colon of ``--data name:FOLDER``.
        title: For people.
        form: What it is recognised by, for people.
        settings: How it is read where its folder has no ``events.yaml``.
        files: The files of it in a folder; none where it is something else.
        read: Yields the recordings of these files.
        notes: What a person should know, given a folder's files.
    """

    name: str
    title: str
    form: str
    settings: EventSettings
    files: Callable[[Path], list[Path]]
    read: Callable[[list[Path]], Iterable[Recording]]
    notes: Callable[[list[Path]], tuple[str, ...]]

    def find(self, folder: Path) -> bool:
        """Tell whether a folder is laid out so."""
        return bool(self.files(folder))

    def open(self, folder: Path) -> Corpus:
        """Open the corpus; its events are written into the cache the first time.

        Raises:
            NasError: Not this layout, or a file that cannot be read.
        """
        files = self.files(folder)
        if not files:
            raise NasError(
                f"this is not laid out as {self.title}",
                where=str(folder),
                hint=f"looked for {self.form}",
            )
        # of names, sizes and times: reading gigabytes for a digest would take minutes each time
        told = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
        key = hashlib.sha256(json.dumps([_VERSION, self.name, told]).encode()).hexdigest()
        made = cache_dir("corpora", f"{self.name}-{key[:16]}")
        if not (made / MANIFEST).is_file():
            _write(made, self.read(files))
        corpus = read_manifest(made / MANIFEST, name=self.name, licence="its owner's")
        settings = self.settings
        if (folder / SETTINGS).is_file():
            own = read_settings(folder)
            settings = replace(own, sensor=own.sensor or settings.sensor)
        return replace(
            corpus,
            root=folder.resolve(),
            events=settings,
            notes=(*self.notes(files), *corpus.notes),
        )


def _write(folder: Path, recordings: Iterable[Recording]) -> None:
    with atomic_dir(folder) as made:
        rows = list(_rows(made, recordings))
        split = any(row[-1] for row in rows)
        columns = [c for c in COLUMNS if c != "session" and (split or c != "split")]
        with (made / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(row[: len(columns)] for row in rows)


def _rows(folder: Path, recordings: Iterable[Recording]) -> Iterator[list[str]]:
    for r in recordings:
        t, x, y, p = r.events()
        if len(t):  # what holds no event is no recording
            np.savez_compressed(folder / f"{r.name}.npz", t=t, x=x, y=y, p=p)
            yield [f"{r.name}.npz", r.label, r.speaker, r.split or ""]
