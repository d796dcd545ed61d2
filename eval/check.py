"""What a person needs to know to trust a corpus."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.corpora import ClassMap, Corpus, open_corpus
from search_spaces.errors import NasError

_UNITS = {"audio": "s", "features": "frames", "events": "s", "event images": "s"}


@dataclass
class _Read:
    """What reading the files of a corpus gave, one entry a file."""

    lengths: list[float] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    short: int = 0


def check_corpus(
    data: str | Path, say: Callable[[str], None], class_map: ClassMap | None = None
) -> dict[str, Any]:
    """Read every file and sum a corpus up.

    Args:
        data: What `eval.corpora.open_corpus` takes.
        say: Told what is fetched.
        class_map: What `eval.corpora.open_corpus` takes.

    Returns:
        Plain data: ``name``, ``kind``, ``utterances``, ``classes``, ``speakers``, ``counts``
        (speaker, class, number), ``length`` (shortest, median, longest) in ``length_unit``,
        ``events`` (fewest, median, most in a sequence, or None), ``duplicates`` (lists of
        files of equal content), ``outer_folds``, ``notes``.

    Raises:
        NasError: A file that cannot be used, or no speaker-independent folds.
    """
    from eval.event_frames import DEFAULT_SAMPLING, Sampling, short_note
    from eval.folds import Groups, inner_folds, outer_folds

    corpus = open_corpus(data, say, class_map)
    table = Groups.of(corpus)
    outer = outer_folds(table)  # before hours of reading
    for fold in outer:
        inner_folds(table, fold.fit)
    sampling = Sampling.parse(DEFAULT_SAMPLING)
    read = _Read()
    if corpus.kind == "events":
        _read_events(corpus, read, sampling.span)
    elif corpus.kind == "event images":
        _read_images(corpus, read, sampling.span)
    else:
        _read_arrays(corpus, read)
    same = defaultdict(list)
    for utterance, digest in zip(corpus.utterances, read.digests, strict=True):
        same[digest].append(str(utterance.path))
    counts = Counter((u.speaker, u.label) for u in corpus.utterances)
    return {
        "name": corpus.name,
        "kind": corpus.kind,
        "utterances": len(corpus.utterances),
        "classes": list(corpus.classes),
        "speakers": sorted({u.speaker for u in corpus.utterances}),
        "counts": [[s, c, n] for (s, c), n in sorted(counts.items())],
        "length": _spread(read.lengths),
        "length_unit": _UNITS[corpus.kind],
        "events": _spread(read.events) if read.events else None,
        "duplicates": [files for files in same.values() if len(files) > 1],
        "outer_folds": [f.name for f in outer],
        "notes": [*corpus.notes, *short_note(read.short, len(corpus.utterances), sampling)],
    }


def _spread(values: Sequence[float]) -> list[float]:
    return [float(np.min(values)), float(np.median(values)), float(np.max(values))]


def _read_arrays(corpus: Corpus, read: _Read) -> None:
    from eval.audio import SAMPLE_RATE, read_audio, read_features

    widths: dict[int, Path] = {}
    for u in corpus.utterances:
        if corpus.kind == "audio":
            content = read_audio(u.path)
            read.lengths.append(len(content) / SAMPLE_RATE)
        else:
            content = read_features(u.path)
            read.lengths.append(float(len(content)))
            widths.setdefault(content.shape[1], u.path)
        read.digests.append(hashlib.sha256(content.tobytes()).hexdigest())
    if len(widths) > 1:
        (a, first), (b, second) = sorted(widths.items())[:2]
        raise NasError(f"{a} features in {first}, {b} in {second}", where=str(corpus.root))


def _read_events(corpus: Corpus, read: _Read, span: int) -> None:
    from eval.corpora.event_settings import EventSettings
    from eval.event_frames import read_sequence, sequence_length

    settings = corpus.events or EventSettings()
    for u in corpus.utterances:
        events = read_sequence(u.path, settings)
        read.lengths.append(events.duration)
        read.events.append(len(events))
        read.short += sequence_length(events, settings.frame_rate) < span
        digest = hashlib.sha256()
        for column in (events.t - events.t[0], events.x, events.y, events.p):
            digest.update(column.tobytes())
        read.digests.append(digest.hexdigest())


def _read_images(corpus: Corpus, read: _Read, span: int) -> None:
    from eval.event_frames import content_digest
    from eval.event_images import IMAGE_RATE, image_files, read_grey

    for u in corpus.utterances:
        files = image_files(u.path)
        shapes = {read_grey(file).shape for file in files}
        if len(shapes) > 1:
            raise NasError(f"images of {len(shapes)} different sizes", where=str(u.path))
        read.lengths.append(len(files) / IMAGE_RATE)
        read.short += len(files) < span
        read.digests.append(content_digest(u.path))
