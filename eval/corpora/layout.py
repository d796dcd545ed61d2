"""What a corpus looks like on the disk of whoever was given it by its owner."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.corpora.classes import ClassMap, map_labels
from eval.corpora.corpus import Corpus, Utterance
from eval.corpora.manifest import check_whole
from search_spaces.errors import NasError

AUDIO = (".wav", ".flac")


@dataclass(frozen=True)
class Published:
    """What the owner or the literature says a corpus holds.

    Args:
        labels: Utterances of each label; empty where no figures are at hand.
        speakers: How many there are; None where no figure is at hand.
        names: The speakers by name, where they are known.
        each: Utterances of each speaker within ``labels``, where they are known.
        sessions: How many there are, where the corpus has any.
    """

    labels: Mapping[str, int]
    speakers: int | None
    names: frozenset[str] = frozenset()
    each: Mapping[str, int] | None = None
    sessions: int | None = None


@dataclass(frozen=True)
class Reading:
    """What was found in a folder.

    Args:
        utterances: With the corpus's own labels.
        notes: What a person should know of what was passed over.
    """

    utterances: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A corpus that is known by its layout.

    Args:
        name: What stands before the colon of ``--data name:FOLDER``.
        title: For people.
        source: Whom to cite.
        form: What the layout is recognised by, for people.
        classes: The default class of each of the corpus's own labels; None leaves it out.
        published: What it should hold.
        find: Tells of a folder, and the audio files below it, whether it is laid out so.
        read: Reads a folder that a person says is laid out so; nothing where it is not.
    """

    name: str
    title: str
    source: str
    form: str
    classes: ClassMap
    published: Published
    find: Callable[[Path, Iterable[str]], bool]
    read: Callable[[Path], Reading]


def open_layout(layout: Layout, folder: Path, class_map: ClassMap | None = None) -> Corpus:
    """Open a corpus as its owner ships it. No recording is read.

    What differs from the published figures becomes a note.

    Args:
        layout: Which corpus.
        folder: Where it lies.
        class_map: Changes to ``layout.classes``.

    Raises:
        NasError: Not this layout, damaged label files, or a class map that does not fit.
    """
    empty = next(folder.iterdir(), None) is None
    reading = Reading(()) if empty else layout.read(folder)
    own = reading.utterances
    if not own:
        raise NasError(
            "the folder is empty" if empty else f"this is not laid out as {layout.title}",
            where=str(folder),
            hint=f"looked for {layout.form}",
        )
    classes = {**layout.classes, **(class_map or {})}
    mapped = map_labels(own, layout.classes, classes, corpus=layout.name, where=folder)
    notes = check_whole(folder, mapped)
    return Corpus(
        name=layout.name,
        root=folder.resolve(),
        utterances=mapped,
        classes=tuple(sorted({u.label for u in mapped})),
        kind="audio",
        licence="its owner's",
        notes=(*differences(layout, own), *reading.notes, *notes),
        layout=layout.name,
    )


def with_classes(corpus: Corpus, class_map: ClassMap | None) -> Corpus:
    """Return a corpus whose labels are renamed, merged or left out.

    Raises:
        NasError: The map names a label that the corpus has not, or leaves too little.
    """
    if class_map is None:
        return corpus
    mapped = map_labels(
        corpus.utterances, corpus.classes, class_map, corpus=corpus.name, where=corpus.root
    )
    notes = check_whole(corpus.root, mapped)
    return replace(
        corpus,
        utterances=mapped,
        classes=tuple(sorted({u.label for u in mapped})),
        notes=tuple(dict.fromkeys((*corpus.notes, *notes))),
    )


def differences(layout: Layout, utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """Compare a reading with the published figures.

    Args:
        layout: With the figures.
        utterances: With the corpus's own labels.

    Returns:
        One line that says all that differs, or nothing.
    """
    published = layout.published
    counted = [u for u in utterances if not published.labels or u.label in published.labels]
    labels = Counter(u.label for u in counted)
    speakers = Counter(u.speaker for u in counted)
    said: list[str] = []
    if published.labels:
        total = sum(published.labels.values())
        if len(counted) != total:
            said.append(f"{len(counted)} utterances instead of {total}")
        said += _otherwise("label", labels, published.labels)
    if published.speakers is not None and len(speakers) != published.speakers:
        said.append(f"{len(speakers)} speakers instead of {published.speakers}")
    if published.names:
        absent, new = published.names - set(speakers), set(speakers) - published.names
        said += [f"no speaker {', '.join(sorted(absent))}"] if absent else []
        said += [f"unknown speaker {', '.join(sorted(new))}"] if new else []
    said += _otherwise("speaker", speakers, published.each or {})
    sessions = len({u.session for u in counted})
    if published.sessions is not None and sessions != published.sessions:
        said.append(f"{sessions} sessions instead of {published.sessions}")
    if not said:
        return ()
    return (f"not as published ({layout.source}): {'; '.join(said)}",)


def _otherwise(what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> Iterator[str]:
    for name, count in expected.items():
        if found.get(name, 0) != count:
            yield f"{what} {name}: {found.get(name, 0)} instead of {count}"


def audio_files(folder: Path) -> Iterator[str]:
    """Yield the audio files below a folder, relative to it, with slashes, in order.

    What a name beginning with a dot hides is passed over, the ``._`` twins that macOS leaves
    beside every file among it.
    """
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        relative = Path(base).relative_to(folder)
        for file in sorted(files):
            if not file.startswith(".") and file.lower().endswith(AUDIO):
                yield (relative / file).as_posix()


def some(names: Sequence[str], limit: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
