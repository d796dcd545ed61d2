"""A cochlea-like encoder: sound into spikes, one train a place of the basilar membrane.

A bank of gammatone filters stands for the membrane, half-wave rectification and a low-pass
filter for the hair cells, a compressing power for their response, and leaky integrate-and-fire
neurons with a refractory time for the nerve. No part is trained. The spikes have times of a
millisecond, so that they can be counted into frames of any longer length.

Sources: gammatone filters of order 4 as in `scipy.signal.gammatone` (Slaney 1993), places by
the ERB-rate scale of Glasberg & Moore (Hearing Research 47, 1990). The chain is that of common
auditory models in its simplest form; its constants are ours, set once so that speech fires at
some tens of spikes a second in the channels it excites.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasError

CHANNELS = 64
LEVEL = 0.1  # RMS of full scale that every recording is brought to

Floats = npt.NDArray[np.floating]
Spikes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cochlea:
    """The constants of the encoder.

    Args:
        channels: Places along the membrane.
        lowest: Centre frequency of the lowest [Hz].
        highest: Of the highest [Hz]; at most 45 % of the sampling rate is used.
        rate: Steps a second of the nerve's neurons [Hz].
        cutoff: Of the hair cells' low-pass filter [Hz].
        compression: Power of their response.
        tau: Membrane time constant of the nerve [s].
        refractory: Time without a spike after each [s].
        gain: From the response to the membrane, whose threshold is 1.
    """

    channels: int = CHANNELS
    lowest: float = 80.0
    highest: float = 7000.0
    rate: float = 1000.0
    cutoff: float = 400.0
    compression: float = 0.4
    tau: float = 0.004
    refractory: float = 0.002
    gain: float = 8.0


def centres(lowest: float, highest: float, channels: int) -> Floats:
    """Return ``[C]`` frequencies [Hz], evenly apart on the ERB-rate scale.

    ``E(f) = 21.4 log10(1 + 0.00437 f)`` (Glasberg & Moore 1990, eq. 4 in hertz).
    """
    ends = 21.4 * np.log10(1.0 + 0.00437 * np.array([lowest, highest]))
    steps = np.linspace(ends[0], ends[1], channels)
    return np.asarray((10.0 ** (steps / 21.4) - 1.0) / 0.00437)


def spikes(samples: Floats, rate: float, cochlea: Cochlea | None = None) -> Spikes:
    """Encode a recording, at one loudness.

    Args:
        samples: ``[N]``, mono.
        rate: Samples a second [Hz].
        cochlea: Constants; the default ones if not given.

    Returns:
        ``[T, C]``, whether the nerve of channel ``C`` fired in each step of ``cochlea.rate``,
        low frequencies first.

    Raises:
        NasError: No sound, more than one channel, not finite, or a sampling rate too low.
    """
    from scipy.signal import butter, gammatone, lfilter

    c = cochlea or Cochlea()
    sound = _checked(samples, rate, c)
    highest = min(c.highest, 0.45 * rate)
    low_b, low_a = butter(2, c.cutoff, fs=rate)
    # of the middle of each step of the nerve: any ratio of rates, whole or not
    steps = max(1, math.floor(len(sound) * c.rate / rate))
    places = np.minimum(((np.arange(steps) + 0.5) * rate / c.rate).astype(int), len(sound) - 1)
    response = np.empty((steps, c.channels))
    for k, frequency in enumerate(centres(c.lowest, highest, c.channels)):
        b, a = gammatone(frequency, "iir", fs=rate)
        hair = lfilter(low_b, low_a, np.maximum(lfilter(b, a, sound), 0.0))
        response[:, k] = np.maximum(hair[places], 0.0) ** c.compression
    return _fired(response, c)


def cochleagram(
    samples: Floats,
    rate: float,
    frame_rate: float,
    channels: int = CHANNELS,
    cochlea: Cochlea | None = None,
) -> npt.NDArray[np.float32]:
    """Count the spikes of a recording into frames.

    Frame ``k`` holds the steps that begin from ``k / frame_rate`` up to
    ``(k + 1) / frame_rate``: where the ratio of the rates is not whole, frames keep pace with
    time. Counts of a coarser frame rate are sums of those of a finer one it divides.

    Args:
        samples: ``[N]``, mono.
        rate: Samples a second [Hz].
        frame_rate: Frames a second [Hz], up to the nerve's own rate.
        channels: ``C``; for others than the constants' own, instead of theirs.
        cochlea: Constants; the default ones if not given.

    Returns:
        ``[L, C]`` counts.

    Raises:
        NasError: As `spikes`; or a frame rate above the nerve's.
    """
    c = cochlea or Cochlea(channels=channels)
    if not 0 < frame_rate <= c.rate:
        raise NasError(
            f"{frame_rate:g} frames a second out of spikes with {c.rate:g} steps a second",
            hint=f"choose a frame rate above 0, up to {c.rate:g}",
        )
    return counted(spikes(samples, rate, c), c.rate / frame_rate)


def counted(trains: Spikes, steps: float) -> npt.NDArray[np.float32]:
    """Count ``[T, C]`` spikes into ``[ceil(T / steps), C]`` frames of so many steps."""
    frame = np.floor(np.arange(len(trains)) / steps + 1e-9).astype(np.int64)
    counts = np.zeros((int(frame[-1]) + 1, trains.shape[1]), np.float32)
    np.add.at(counts, frame, trains.astype(np.float32))
    return counts


def _checked(samples: Floats, rate: float, c: Cochlea) -> Floats:
    sound = np.asarray(samples, dtype=np.float64)
    if sound.ndim != 1 or not len(sound):
        raise NasError(
            f"a sound of shape {list(sound.shape)}", hint="one channel, at least one sample"
        )
    if not np.isfinite(sound).all():
        raise NasError("the sound holds samples that are not finite")
    if not math.isfinite(rate) or 0.45 * rate <= c.lowest or 2 * c.cutoff >= rate:
        raise NasError(
            f"a sampling rate of {rate:g} Hz", hint=f"above {max(c.lowest / 0.45, 2 * c.cutoff):g}"
        )
    level = float(np.sqrt(np.mean(sound**2)))
    return sound if level == 0 else sound * (LEVEL / level)


def _fired(response: Floats, c: Cochlea) -> Spikes:
    """Integrate and fire: all channels at once, a step at a time."""
    decay = math.exp(-1.0 / (c.tau * c.rate))
    rest = round(c.refractory * c.rate)
    drive = (1.0 - decay) * c.gain * response
    fired = np.zeros(response.shape, bool)
    membrane = np.zeros(response.shape[1])
    waiting = np.zeros(response.shape[1], np.int64)
    for t, current in enumerate(drive):
        membrane = decay * membrane + current
        fired[t] = (membrane >= 1.0) & (waiting <= 0)
        membrane[fired[t]] = 0.0
        waiting = np.where(fired[t], rest, waiting - 1)
    return fired
