"""Read recordings and feature files into arrays, or say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasError

SAMPLE_RATE = 16_000  # [Hz], what every encoder here was trained on
LEAST_SAMPLES = SAMPLE_RATE * 25 // 1000  # one analysis window of speech encoders, 25 ms

Floats = npt.NDArray[np.float32]


def read_audio(path: Path) -> Floats:
    """Read a recording.

    Channels are averaged; any sampling rate is resampled.

    Returns:
        ``[samples]`` at 16 kHz, full scale 1.

    Raises:
        NasError: It cannot be decoded, is shorter than 25 ms, or holds NaN or infinity.
    """
    import soundfile
    import soxr

    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise NasError(
            f"cannot read the audio: {error}", where=str(path), hint="use wav, flac or ogg"
        ) from error
    mono: Floats = samples.mean(axis=1, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(mono))
    if bad.size:
        raise NasError(f"sample {bad[0]} is {mono[bad[0]]}, not a number", where=str(path))
    if rate != SAMPLE_RATE and mono.size:
        mono = np.asarray(soxr.resample(mono, rate, SAMPLE_RATE), dtype=np.float32)
    if mono.size < LEAST_SAMPLES:
        raise NasError(
            f"{1000 * mono.size / SAMPLE_RATE:.1f} ms of audio; an encoder needs 25 ms",
            where=str(path),
            hint="remove it from the manifest",
        )
    return mono


def read_features(path: Path) -> Floats:
    """Read one utterance's features out of a ``.npy`` file.

    Returns:
        ``[L, D]``, at least one frame.

    Raises:
        NasError: Not such a file, not two-dimensional, empty, or a value is not finite.
    """
    try:
        array = np.load(path, allow_pickle=False)
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
