"""Read every file of a corpus, one at a time, and keep what a check needs of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eval.audio_quality import Quality, audio_quality
from eval.bad_files import most_common
from eval.corpora import Corpus
from eval.corpora.event_settings import EventSettings
from search_spaces.errors import NasError

Progress = Callable[[int, int], None]


@dataclass
class Read:
    """What reading the files gave, by the number of the utterance.

    Args:
        lengths: In seconds; in frames of features.
        digests: Of the content.
        events: How many there are.
        qualities: Of audio.
        widths: Dimensions of features.
        short: Sequences of events shorter than a clip.
        broken: Why a file cannot be used.
    """

    lengths: dict[int, float] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    events: dict[int, int] = field(default_factory=dict)
    qualities: dict[int, Quality] = field(default_factory=dict)
    widths: dict[int, int] = field(default_factory=dict)
    short: int = 0
    broken: dict[int, NasError] = field(default_factory=dict)


def read_files(corpus: Corpus, span: int, progress: Progress | None = None) -> Read:
    """Read every file; those that cannot be used are noted, all of them.

    Args:
        corpus: Whose files they are.
        span: Event frames of a clip.
        progress: Told files done and in all.
    """
    take = {
        "audio": _audio,
        "features": _features,
        "events": _events,
        "event images": _images,
    }[corpus.kind]
    read = Read()
    for i, u in enumerate(corpus.utterances):
        try:
            take(read, i, u.path, corpus, span)
        except NasError as error:
            read.broken[i] = error
        if progress is not None:
            progress(i + 1, len(corpus.utterances))
    _one_width(read, corpus)
    return read


def _audio(read: Read, i: int, path: Path, _corpus: Corpus, _span: int) -> None:
    quality = audio_quality(path)
    read.qualities[i] = quality
    read.lengths[i] = quality.seconds
    read.digests[i] = quality.digest


def _features(read: Read, i: int, path: Path, _corpus: Corpus, _span: int) -> None:
    from eval.audio import read_features

    content = read_features(path)
    read.lengths[i] = float(len(content))
    read.widths[i] = content.shape[1]
    read.digests[i] = hashlib.sha256(content.tobytes()).hexdigest()


def _one_width(read: Read, corpus: Corpus) -> None:
    """Note features that have not as many dimensions as most."""
    if len(set(read.widths.values())) < 2:
        return
    usual = most_common(read.widths.values())
    example = corpus.utterances[next(i for i, w in read.widths.items() if w == usual)].path
    for i, width in read.widths.items():
        if width != usual:
            path = corpus.utterances[i].path
            read.broken[i] = NasError(f"{width} features, {usual} in {example}", where=str(path))


def _events(read: Read, i: int, path: Path, corpus: Corpus, span: int) -> None:
    from eval.event_frames import read_sequence, sequence_length

    settings = corpus.events or EventSettings()
    events = read_sequence(path, settings)
    read.lengths[i] = events.duration
    read.events[i] = len(events)
    read.short += sequence_length(events, settings.frame_rate) < span
    digest = hashlib.sha256()
    for column in (events.t - events.t[0], events.x, events.y, events.p):
        digest.update(column.tobytes())
    read.digests[i] = digest.hexdigest()


def _images(read: Read, i: int, path: Path, _corpus: Corpus, span: int) -> None:
    from eval.event_frames import content_digest
    from eval.event_images import IMAGE_RATE, image_files, read_grey

    files = image_files(path)
    shapes = {read_grey(file).shape for file in files}
    if len(shapes) > 1:
        raise NasError(f"images of {len(shapes)} different sizes", where=str(path))
    digest = content_digest(path)
    read.lengths[i] = len(files) / IMAGE_RATE
    read.short += len(files) < span
    read.digests[i] = digest
