"""Spike counts of the cochlea-like encoder as the features of a corpus of audio."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from eval.audio import SAMPLE_RATE, Floats, read_audio
from eval.cochlea import Cochlea, cochleagram
from eval.feature_files import Reading
from search_spaces.errors import NasError

COCHLEA_RATE = 50.0  # [Hz], frames a second unless told otherwise


def of_recordings(rate: float, max_seconds: float | None) -> Reading:
    """Return how recordings become frames of spike counts.

    Args:
        rate: Frames a second [Hz].
        max_seconds: What is kept of each, from its beginning [s]; None for all.
    """
    constants = Cochlea()

    def read(path: Path) -> Floats:
        samples = read_audio(path, max_seconds)
        if not samples.any():
            raise NasError("nothing but silence", where=str(path), hint="leave it out")
        return cochleagram(samples, SAMPLE_RATE, rate, cochlea=constants)

    return Reading("cochlea spikes", (asdict(constants), rate, max_seconds), read)
