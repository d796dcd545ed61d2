"""Read recordings and feature files into arrays, or say what is wrong with them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasError

SAMPLE_RATE = 16_000  # [Hz], what every encoder here was trained on
LEAST_SAMPLES = SAMPLE_RATE * 25 // 1000  # one analysis window of speech encoders, 25 ms

BLOCK_SECONDS = 30  # of a long recording that are in memory at a time

ENDLESS = 2**63 - 1  # frames, libsndfile says, where a header does not give them

Floats = npt.NDArray[np.float32]


def read_audio(path: Path, max_seconds: float | None = None) -> Floats:
    """Read a recording.

    Channels are averaged; any sampling rate is resampled.

    Args:
        path: What soundfile reads: wav, flac, ogg of any rate, channels and sample format.
        max_seconds: Read the beginning of the recording, up to this; None for all.

    Returns:
        ``[samples]`` at 16 kHz, full scale 1.

    Raises:
        NasError: It cannot be decoded, is shorter than 25 ms, or holds NaN or infinity.
    """
    return np.concatenate(list(audio_blocks(path, max_seconds)))


def audio_blocks(path: Path, max_seconds: float | None = None) -> Iterator[Floats]:
    """Read a recording as `read_audio` does, 30 s at a time.

    A long recording is never in memory as a whole; joined, the blocks are what resampling it as
    a whole gives.

    Args:
        path: As for `read_audio`.
        max_seconds: As for `read_audio`.

    Yields:
        ``[samples]`` at 16 kHz: 30 s, the last less.

    Raises:
        NasError: As `read_audio`; possibly after some blocks.
    """
    import soxr

    size = BLOCK_SECONDS * SAMPLE_RATE
    read = 0
    waiting: list[Floats] = []
    held = 0
    with _opened(path) as file:
        as_stream(file)
        rate = int(file.samplerate)
        left = _frames(file, max_seconds)
        # a stream that is fed one block would do; the short way is the usual one
        stream = None
        if rate != SAMPLE_RATE and left > BLOCK_SECONDS * rate:
            stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        while left > 0:
            samples = _decoded(file, min(left, BLOCK_SECONDS * rate), path)
            left = left - len(samples) if len(samples) else 0
            mono = _mono(samples, read, path)
            read += len(samples)
            if stream is not None:
                mono = stream.resample_chunk(mono, last=left == 0)
            elif rate != SAMPLE_RATE and mono.size:
                mono = np.asarray(soxr.resample(mono, rate, SAMPLE_RATE), dtype=np.float32)
            waiting.append(mono)
            held += len(mono)
            while held > size:
                joined = np.concatenate(waiting)
                yield joined[:size]
                waiting, held = [joined[size:]], held - size
    whole = read * SAMPLE_RATE / rate
    if whole < LEAST_SAMPLES:
        raise too_short(path, whole / SAMPLE_RATE)
    if held:
        yield np.concatenate(waiting)


def audio_seconds(path: Path) -> float:
    """Return the length of a recording as its header gives it, else of what can be read [s].

    Raises:
        NasError: It cannot be decoded, or is shorter than 25 ms.
    """
    with _opened(path) as file:
        rate = int(file.samplerate)
        if as_stream(file):
            frames = sum(map(len, decoded_blocks(file, BLOCK_SECONDS * rate, path)))
        else:
            frames = int(file.frames)
        seconds = frames / rate
    if seconds * SAMPLE_RATE < LEAST_SAMPLES:
        raise too_short(path, seconds)
    return seconds


def as_stream(file: Any) -> bool:
    """Make a recording readable whose header gives no length; return whether it is one.

    What encodes a stream to FLAC cannot know how long it gets, and writes 0. Such a file can be
    read from front to back, but not be sought in, which soundfile does after every read.

    Args:
        file: A ``soundfile.SoundFile``; nothing was read from it yet.
    """
    if int(file.frames) != ENDLESS:
        return False
    file.seekable = lambda: False
    return True


def decoded_blocks(file: Any, size: int, path: Path) -> Iterator[npt.NDArray[np.float32]]:
    """Yield ``[frames, channels]`` of an open recording, ``size`` frames at a time.

    Args:
        file: A ``soundfile.SoundFile`` that `as_stream` has seen.
        size: Frames of a block; the last has less.
        path: Its file, for the error.

    Raises:
        NasError: It cannot be decoded.
    """
    while len(samples := _decoded(file, size, path)):
        yield samples


def too_short(path: Path, seconds: float) -> NasError:
    """Return the error for a recording that no encoder can take."""
    return NasError(
        f"{1000 * seconds:.1f} ms of audio; an encoder needs 25 ms",
        where=str(path),
        hint="leave it out",
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import soundfile

    try:
        # the system's own words; of libsndfile they would all be "System error"
        path.open("rb").close()
        if path.is_file() and path.stat().st_size == 0:
            raise NasError("the file is empty", where=str(path), hint="restore or remove it")
        file = soundfile.SoundFile(sound_name(path))
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def sound_name(path: Path) -> str | bytes:
    """Return a path as soundfile takes it, which cannot encode a name that is not UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def decoder_error(error: Exception) -> str:
    """Return what is against a recording, without its name."""
    told = getattr(error, "error_string", None) or getattr(error, "strerror", None)
    return str(told or error)


def no_such_file(path: Path) -> NasError:
    """Return the error for a file that is not there."""
    return NasError("no such file", where=str(path), hint="check its name")


def _decoded(file: Any, frames: int, path: Path) -> npt.NDArray[np.float32]:
    import soundfile

    try:
        return np.asarray(file.read(frames, dtype="float32", always_2d=True))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> NasError:
    return NasError(
        f"cannot read the audio: {decoder_error(error)}",
        where=str(path),
        hint="use wav, flac or ogg",
    )


def _frames(file: Any, max_seconds: float | None) -> int:
    every = int(file.frames)
    return every if max_seconds is None else min(every, round(max_seconds * file.samplerate))


def _mono(samples: npt.NDArray[np.float32], before: int, path: Path) -> Floats:
    mono: Floats = samples.mean(axis=1, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(mono))
    if bad.size:
        raise NasError(
            f"sample {before + bad[0]} is {mono[bad[0]]}, not a number", where=str(path)
        )
    return mono


def feature_width(path: Path) -> int | None:
    """Return the dimensions of a feature file by its header; None where it holds no features."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError):
        return None
    fitting = array.dtype.kind in "fiu" and array.ndim == 2 and 0 not in array.shape
    return int(array.shape[1]) if fitting else None


def read_features(path: Path) -> Floats:
    """Read one utterance's features out of a ``.npy`` file.

    Returns:
        ``[L, D]``, at least one frame.

    Raises:
        NasError: Not such a file, not two-dimensional, empty, or a value is not finite.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (ValueError, OSError, EOFError) as error:
        raise NasError(
            f"cannot read the features: {error}",
            where=str(path),
            hint="save an array of numbers with numpy.save",
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise NasError(
            f"{getattr(array, 'dtype', 'an archive of arrays')} instead of real numbers",
            where=str(path),
        )
    if array.ndim != 2 or 0 in array.shape:
        raise NasError(
            f"an array of shape {list(array.shape)}; features are [frames, dimensions]",
            where=str(path),
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold turns up as infinity below
        features: Floats = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise NasError(f"frame {bad[0]} holds NaN or infinity", where=str(path))
    return features
