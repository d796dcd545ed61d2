"""What of a corpus is encoded together, and one such batch from files to stored frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.audio import BLOCK_SECONDS, LEAST_SAMPLES, SAMPLE_RATE, Floats, audio_blocks
from eval.bad_files import BadFiles
from eval.corpora.corpus import Utterance
from eval.encoder import Encoder, Precision
from eval.frame_file import Stored, as_stored
from eval.pooling import Pooling, pool
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from torch import Tensor

TARGET_RMS = 0.1  # of full scale

CHUNK = 256  # recordings that are sorted by length together

Finished = tuple[str, Stored, int]  # name, frames [L, D], MACs


@dataclass(frozen=True)
class Extraction:
    """How to encode. The last two change frames by no more than rounding.

    Args:
        layer: Of the encoder.
        frame_rate: What to pool to [Hz].
        precision: Of the encoder's arithmetic.
        max_seconds: What is kept of a recording, from its beginning [s]; None for all.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_seconds: Audio that is encoded at a time [s], padding included; 0 for one
            recording at a time, None for 120 on a GPU and one recording on a CPU.
    """

    layer: int
    frame_rate: float
    precision: Precision = "fp32"
    max_seconds: float | None = None
    device: str = "auto"
    batch_seconds: float | None = None


def check_batch_seconds(seconds: float) -> None:
    """Refuse what is no length of a batch [s].

    Raises:
        NasError: It is negative, infinite or no number.
    """
    if not 0 <= seconds < float("inf"):
        raise NasError(
            f"batches of {seconds} s", hint="give seconds of audio, 0 for one recording"
        )


@dataclass(frozen=True)
class Item:
    """A recording to encode.

    Args:
        name: Its digest, and where it is cut.
        utterance: With its path.
        seconds: Of it that are kept; 0 where nobody needs to know.
    """

    name: str
    utterance: Utterance
    seconds: float


def batches(items: Sequence[Item], room: float) -> Iterator[list[Item]]:
    """Plan what is encoded together: recordings of about the same length.

    The plan depends on the corpus alone, not on what of it is done: an extraction that goes on
    encodes the same recordings together as one that was never interrupted.

    Args:
        items: In the corpus's order; what occurs again is left out.
        room: Audio in a batch [s], with padding. What is longer, or longer than the 30 s that
            are encoded at a time, is a batch of its own.
    """
    unique = list({i.name: i for i in reversed(items)}.values())[::-1]
    if room <= 0:
        yield from ([i] for i in unique)
        return
    for start in range(0, len(unique), CHUNK):
        batch: list[Item] = []
        for item in sorted(unique[start : start + CHUNK], key=lambda i: i.seconds):
            # the newest is the longest, and every other is padded to it
            full = (len(batch) + 1) * item.seconds > room or item.seconds > BLOCK_SECONDS
            if batch and full:
                yield batch
                batch = []
            batch.append(item)
        yield batch


@dataclass(frozen=True)
class Read:
    """A recording that was read.

    Args:
        item: Which.
        prepared: The encoder's input; None for a long recording.
        windows: Of a long recording, 30 s each, not yet read.
    """

    item: Item
    prepared: Tensor | None
    windows: Iterator[Floats]


def read_items(
    batch: Sequence[Item], encoder: Encoder, how: Extraction, bad: BadFiles
) -> list[Read]:
    """Read a batch and prepare it, as can be done while another is encoded.

    Args:
        batch: One of `batches`.
        encoder: The encoder.
        how: The settings.
        bad: Takes what cannot be used.
    """
    read = []
    for item in batch:
        with bad.noting():
            windows = levelled(item.utterance.path, how.max_seconds)
            first = next(windows)
            long = len(batch) == 1 and len(first) >= BLOCK_SECONDS * SAMPLE_RATE
            prepared = None if long else encoder.prepare(first)
            read.append(Read(item, prepared, chain([first], windows)))
    return read


def encode_items(
    read: Sequence[Read], encoder: Encoder, how: Extraction, room: float, bad: BadFiles
) -> list[Finished]:
    """Encode and pool a batch.

    float16 keeps 3 digits of a frame, far finer than frames of one sound differ, and halves
    what training reads.

    Args:
        read: What `read_items` gave.
        encoder: The encoder.
        how: The settings.
        room: As for `batches`.
        bad: Takes what cannot be used.
    """
    ratio = encoder.frame_rate / how.frame_rate
    short = [(r.item, r.prepared) for r in read if r.prepared is not None]
    encoded = encoder.encode_prepared([x for _, x in short], how.layer) if short else []
    frames = [
        (item, pool(f, ratio), macs) for (item, _), (f, macs) in zip(short, encoded, strict=True)
    ]
    finished: list[Finished] = []
    for r in read:
        if r.prepared is None:
            at_once = max(1, int(room / BLOCK_SECONDS))
            with bad.noting():
                made = _long(r.windows, encoder, how.layer, ratio, at_once)
                frames.append((r.item, *made))
    for item, pooled, macs in frames:
        with bad.noting():
            finished.append((item.name, as_stored(pooled, np.float16, item.utterance.path), macs))
    return finished


def _long(
    windows: Iterator[Floats], encoder: Encoder, layer: int, ratio: float, at_once: int
) -> tuple[Floats, int]:
    """Encode a recording of several windows; its frames are pooled as they come."""
    pooling, parts, total = Pooling(ratio), [], 0
    while together := list(islice(windows, at_once)):
        for frames, macs in encoder.encode_batch(together, layer):
            parts.append(pooling.add(frames))
            total += macs
    return np.concatenate([*parts, pooling.rest()]), total


def levelled(path: Path, max_seconds: float | None = None) -> Iterator[Floats]:
    """Read a recording brought to one loudness: how far the microphone stood is no emotion.

    A long one is read twice, so that it is never in memory as a whole.

    Yields:
        ``[samples]``: 30 s, the last less, at least 25 ms.

    Raises:
        NasError: As `eval.audio.read_audio`, or nothing but silence.
    """
    squares, samples, blocks = 0.0, 0, 0
    first: Floats | None = None
    for block in audio_blocks(path, max_seconds):
        squares += float(np.sum(np.square(block, dtype=np.float64)))
        samples += len(block)
        blocks += 1
        first = block if first is None else first
    rms = float(np.sqrt(squares / samples))
    if rms == 0.0:
        raise NasError("nothing but silence", where=str(path), hint="leave it out")
    scale = np.float32(TARGET_RMS / rms)
    if blocks == 1 and first is not None:
        yield first * scale
        return
    for i, block in enumerate(audio_blocks(path, max_seconds)):
        if i == 0 or len(block) >= LEAST_SAMPLES:
            yield block * scale
