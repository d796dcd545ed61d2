"""How well a recording is made, told block by block: length, level, silence, clipping.

Definitions, all of decoded samples where full scale is 1:

- **silent**: the root mean square over the whole file is below -60 dBFS.
- **lead** and **tail**: what lies before the first and after the last window of 10 ms whose root
  mean square reaches -60 dBFS; all of a file without such a window is lead.
- **clipped**: the share of samples in runs of at least three samples in a row at full scale, in
  any channel. Full scale is within one and a half steps of 16 bits of 1, of 8 bits where the
  file has no more. What was clipped and then made quieter is not seen.
- **digest**: SHA-256 of the samples of the mean over channels at the file's own rate, in float32.
  The same audio as wav and flac, or in both channels, has the same digest; resampled or
  amplified copies have another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.audio import (
    LEAST_SAMPLES,
    SAMPLE_RATE,
    as_stream,
    decoded_blocks,
    decoder_error,
    sound_name,
)
from search_spaces.errors import NasError

SILENCE = 10.0 ** (-60 / 20)  # of full scale
WINDOW = 0.01  # s
RUN = 3  # samples
FULL_SCALE = 1 - 1.5 / 2**15
FULL_SCALE_8_BIT = 1 - 1.5 / 2**7
_BLOCK = 500  # windows read at a time


@dataclass(frozen=True)
class Quality:
    """What one recording is like.

    Args:
        seconds: Its length.
        rate: Samples per second.
        channels: Number of channels.
        form: Container and sample format, such as ``WAV PCM_16``.
        rms: Root mean square of the mean over channels.
        lead: Silence at its begin [s].
        tail: Silence at its end [s].
        clipped: Share of samples that are clipped.
        digest: Of its content.
    """

    seconds: float
    rate: int
    channels: int
    form: str
    rms: float
    lead: float
    tail: float
    clipped: float
    digest: str

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear."""
        return self.rms < SILENCE


def audio_quality(path: Path) -> Quality:
    """Read a recording a few seconds at a time.

    Raises:
        NasError: It cannot be decoded, is shorter than an encoder's window, holds NaN or
            infinity, or nothing but zeros.
    """
    import soundfile

    try:
        with soundfile.SoundFile(sound_name(path)) as file:
            return _measure(file, path)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise NasError(
            f"cannot read the audio: {decoder_error(error)}", where=str(path)
        ) from error


def _measure(file: Any, path: Path) -> Quality:
    window = max(1, round(file.samplerate * WINDOW))
    full = FULL_SCALE_8_BIT if file.subtype in ("PCM_S8", "PCM_U8") else FULL_SCALE
    digest, runs, total, power = hashlib.sha256(), Runs(RUN), 0, 0.0
    first = last = None  # window that can be heard
    as_stream(file)
    for block in decoded_blocks(file, window * _BLOCK, path):
        mono = block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            at = total + int(np.flatnonzero(~np.isfinite(mono))[0])
            raise NasError(f"sample {at} is not a number", where=str(path))
        digest.update(mono.tobytes())
        runs.add(np.asarray((np.abs(block) >= full).any(axis=1)))
        squares = np.square(mono, dtype=np.float64)
        power += float(squares.sum())
        starts = np.arange(0, len(mono), window)
        sizes = np.diff(starts, append=len(mono))
        heard = np.flatnonzero(np.add.reduceat(squares, starts) / sizes >= SILENCE**2)
        if heard.size:
            first = total + int(heard[0]) * window if first is None else first
            last = min(total + (int(heard[-1]) + 1) * window, total + len(mono))
        total += len(mono)
    rate = int(file.samplerate)
    if total * SAMPLE_RATE < LEAST_SAMPLES * rate:
        raise NasError(
            f"{1000 * total / rate:.1f} ms of audio; an encoder needs 25 ms", where=str(path)
        )
    if power == 0.0:
        raise NasError("nothing but silence", where=str(path))
    return Quality(
        seconds=total / rate,
        rate=rate,
        channels=int(file.channels),
        form=f"{file.format} {file.subtype}",
        rms=float(np.sqrt(power / total)),
        lead=(total if first is None else first) / rate,
        tail=0.0 if last is None else (total - last) / rate,
        clipped=runs.count() / total,
        digest=digest.hexdigest(),
    )


class Runs:
    """Counts the true values that stand at least ``least`` in a row, over blocks.

    Args:
        least: Shorter runs do not count.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._counted = 0
        self._open = 0  # length of the run that the last block ended in

    def add(self, values: npt.NDArray[np.bool_]) -> None:
        """Take the next block; an empty one changes nothing."""
        if not values.size:
            return
        edges = np.flatnonzero(np.diff(values, prepend=False, append=False))
        lengths = edges[1::2] - edges[::2]
        if values[0]:
            lengths[0] += self._open
        else:
            self._close()
        self._open = int(lengths[-1]) if values[-1] else 0
        whole = lengths[:-1] if values[-1] else lengths
        self._counted += int(whole[whole >= self._least].sum())

    def count(self) -> int:
        """Return the number of values in long runs so far, as if no more came."""
        return self._counted + (self._open if self._open >= self._least else 0)

    def _close(self) -> None:
        self._counted = self.count()
        self._open = 0
