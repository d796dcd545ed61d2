"""Clips of event frames out of event streams, sampled as in SEE.

Zhang et al. (SIGGRAPH 2023, arXiv 2310.04043) accumulate events over 33 ms and test on clips
``Ex-Sy``: ``x`` event frames with ``y`` skipped between two of them, from 20 random starts in
every sequence, averaged. Here every sequence gives a number of clips whose starts come from a
seed, and every clip is an item of the dataset: WA and UA over clips are means over starts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.cache import atomic_dir, file_sha256
from eval.corpora import Corpus
from eval.corpora.event_settings import EventSettings
from eval.event_images import IMAGE_RATE, image_files, read_images
from eval.events import POLARITIES, Events, Frames, Ints, accumulate, frame_indices, read_events
from eval.feature_damage import is_whole
from eval.frame_file import FrameFile
from eval.seeds import derived_seed
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

DEFAULT_SAMPLING = "E4-S3"  # the best one of SEE

PERCENTILE = 99.0  # of the counts that are not zero; the few above it are clipped
LEAST_COUNT = 1.0  # a lone event in a clip is one event, not full scale of anything
LEAST_TONE = 0.1  # the same for images, which have no counts

MOST_FRAMES = 1000

# Part of every cache key: raise it when the same events would give other frames.
_VERSION = 1

_FOLDER_TOLD = "told.json"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sampling:
    """``Ex-Sy``: which frames of a sequence make a clip.

    Args:
        frames: In a clip, ``x``.
        skipped: Between two of them, ``y``.
    """

    frames: int
    skipped: int

    @classmethod
    def parse(cls, text: str) -> Sampling:
        """Read ``E4-S3``.

        Raises:
            NasError: Not of that form.
        """
        match = re.fullmatch(r"E(\d{1,4})-S(\d{1,4})", text.strip(), re.IGNORECASE)
        found = cls(int(match[1]), int(match[2])) if match else None
        if found is None or found.frames < 1 or found.span > MOST_FRAMES:
            raise NasError(
                f"no sampling {text!r}",
                hint="write E4-S3 for 4 event frames with 3 skipped between two of them;"
                f" at most {MOST_FRAMES} frames from first to last",
            )
        return found

    def __str__(self) -> str:
        return f"E{self.frames}-S{self.skipped}"

    @property
    def span(self) -> int:
        """Frames from the first of a clip to the last, both counted."""
        return self.frames + (self.frames - 1) * self.skipped

    def indices(self, start: int) -> Ints:
        """Return ``[x]``, the frames of the clip that starts at ``start``."""
        return start + (self.skipped + 1) * np.arange(self.frames, dtype=np.int64)


@dataclass(frozen=True)
class Clips:
    """Clips of a corpus in the cache.

    Args:
        key: Of everything that decides them.
        folder: Of ``frames.npy`` and ``offsets.npy``.
        shape: ``(x, 2, H, W)`` of a clip.
        each: Clips of every sequence.
        rate: Event frames a second [Hz].
        notes: What a person should know.
        source: Plain data for reports.
    """

    key: str
    folder: Path
    shape: tuple[int, int, int, int]
    each: int
    rate: float
    notes: tuple[str, ...]
    source: dict[str, Any]


def make_clips(
    corpus: Corpus,
    sampling: Sampling,
    frame_rate: float | None,
    say: Callable[[str], None],
    progress: Progress | None,
) -> Clips:
    """Cut the clips of a corpus, or find them in the cache.

    Values are in [0, 1]: a clip's counts are divided by their own robust maximum, so that
    nothing is learned across clips. Where a sequence is shorter than a clip, the missing
    frames are empty.

    Args:
        corpus: Of events.
        sampling: Which frames make a clip.
        frame_rate: Event frames a second [Hz]; None for the corpus's own.
        say: Told what is computed.
        progress: Told sequences done and in all.

    Raises:
        NasError: A file that cannot be used, or a rate that images were not made at.
    """
    settings = corpus.events or EventSettings()
    images = corpus.kind == "event images"
    rate = float(frame_rate or settings.frame_rate)
    if images and rate != IMAGE_RATE:
        raise NasError(
            f"{rate:g} frames a second out of images made at {IMAGE_RATE:g}",
            where=str(corpus.root),
            hint="leave the frame rate out; --sampling skips frames",
        )
    width, height = settings.size
    asked = {
        "sampling": str(sampling),
        "size": {"width": width, "height": height},
        "clips_per_sequence": settings.clips,
    }
    digests = [content_digest(u.path) for u in corpus.utterances]
    told = json.dumps([_VERSION, corpus.kind, asked, rate, settings.sensor, digests])
    key = hashlib.sha256(told.encode()).hexdigest()
    folder = cache_dir("features", key)
    total = len(corpus.utterances)
    if not is_whole(folder, say, beside=_FOLDER_TOLD):
        say(f"cutting {settings.clips} clips {sampling} out of each of {total} sequences")
        short = 0
        with atomic_dir(folder) as made, FrameFile(made, np.float16) as file:
            for i, (utterance, digest) in enumerate(zip(corpus.utterances, digests, strict=True)):
                length, clips = _clips_of(utterance.path, images, digest, sampling, rate, settings)
                short += length < sampling.span
                for clip in clips:
                    file.append(clip.reshape(sampling.frames, -1), utterance.path, 0)
                if progress:
                    progress(i + 1, total)
            (made / _FOLDER_TOLD).write_text(json.dumps({"short": short}), encoding="utf-8")
    short = json.loads((folder / _FOLDER_TOLD).read_text(encoding="utf-8"))["short"]
    return Clips(
        key=key,
        folder=folder,
        shape=(sampling.frames, POLARITIES, height, width),
        each=settings.clips,
        rate=rate,
        notes=short_note(short, total, sampling),
        source={**asked, "sequences": total, "encoder": None},
    )


def short_note(short: int, total: int, sampling: Sampling) -> tuple[str, ...]:
    """Return a note on sequences that are shorter than a clip, or nothing."""
    if not short:
        return ()
    return (
        f"{short} of {total} sequences are shorter than the {sampling.span} frames that"
        f" {sampling} spans: the missing frames are empty",
    )


def read_sequence(path: Path, settings: EventSettings) -> Events:
    """Read an event file whose sensor is as large as the frames, at least.

    Raises:
        NasError: Not so, or see `eval.events.read_events`.
    """
    events = read_events(path, settings.sensor)
    width, height = settings.size
    if width > events.width or height > events.height:
        raise NasError(
            f"frames of {width}x{height} out of a sensor of {events.width}x{events.height}",
            where=str(path),
            hint="write a smaller `size: {width: ..., height: ...}` into events.yaml",
        )
    return events


def sequence_length(events: Events, rate: float) -> int:
    """Return the number of event frames, at least 1."""
    return int(frame_indices(events, 1.0 / rate)[-1]) + 1


def starts(length: int, sampling: Sampling, count: int, seed: int) -> list[int]:
    """Draw the first frames of the clips of a sequence.

    No start comes twice before each came once; more clips leave the earlier ones as they are.

    Args:
        length: Frames of the sequence.
        sampling: Frames of a clip.
        count: Clips.
        seed: Of the sequence.
    """
    order = np.random.default_rng(seed).permutation(max(1, length - sampling.span + 1))
    return [int(s) for s in np.resize(order, count)]


def to_unit(values: Frames, least: float) -> Frames:
    """Bring the values of one clip to [0, 1], by that clip alone.

    Args:
        values: ``[x, 2, H, W]``, at least 0.
        least: What counts as full scale, at least.

    Returns:
        ``values`` over the 99th percentile of those that are not zero, clipped to 1.
    """
    some = values[values > 0]
    scale = max(least, float(np.percentile(some, PERCENTILE))) if some.size else least
    return np.asarray(np.minimum(values / scale, 1.0), dtype=np.float32)


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the images of a folder in their order."""
    if path.is_dir():
        joined = "".join(file_sha256(p) for p in image_files(path))
        return hashlib.sha256(joined.encode()).hexdigest()
    return file_sha256(path)


def _clips_of(
    path: Path,
    images: bool,
    digest: str,
    sampling: Sampling,
    rate: float,
    settings: EventSettings,
) -> tuple[int, list[npt.NDArray[np.float32]]]:
    """Return a sequence's number of frames, and its clips ``[x, 2, H, W]``."""
    width, height = settings.size
    seed = derived_seed("clips", digest)  # of the content: a moved file keeps its clips
    if images:
        files = image_files(path)
        first = starts(len(files), sampling, settings.clips, seed)
        wanted = [sampling.indices(s) for s in first]
        return len(files), [
            to_unit(read_images(files, w, height, width), LEAST_TONE) for w in wanted
        ]
    events = read_sequence(path, settings)
    length = sequence_length(events, rate)
    first = starts(length, sampling, settings.clips, seed)
    return length, [
        to_unit(accumulate(events, 1.0 / rate, height, width, sampling.indices(s)), LEAST_COUNT)
        for s in first
    ]
