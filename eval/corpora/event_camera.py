"""An event camera for rendered luminance: when a pixel's brightness crosses a threshold.

The model is that of the event camera simulators (Rebecq et al., ESIM, CoRL 2018; Hu et al.,
v2e, CVPRW 2021), re-derived: a pixel remembers a level of log luminance, fires whenever the
luminance is a threshold away from it, and moves the level by that threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DARK = 0.03  # of full scale, what the sensor sees in the dark: low light has less contrast


@dataclass(frozen=True)
class Camera:
    """One event camera.

    Args:
        threshold: Mean contrast threshold, in units of log luminance.
        mismatch: Standard deviation of a pixel's threshold, relative.
        noise: Background events of a pixel [Hz].
        hot: Number of hot pixels.
        hot_rate: Events of a hot pixel [Hz].
    """

    threshold: float
    mismatch: float
    noise: float
    hot: int
    hot_rate: float


Stream = tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]
]


def record(
    luminance: npt.NDArray[np.float32], rate: float, camera: Camera, rng: np.random.Generator
) -> Stream:
    """Record a film with an event camera.

    Args:
        luminance: ``[T, H, W]``, at least 0; full scale about 1.
        rate: Images per second [Hz].
        camera: The camera.
        rng: Of thresholds and noise.

    Returns:
        Time stamps [µs], columns, rows and polarities (1: brighter) of the events, ``[N]``
        each, in order of time.
    """
    length, height, width = luminance.shape
    pixels = height * width
    level = np.log(luminance.reshape(length, pixels) + np.float32(DARK))
    thresholds = [
        (camera.threshold * np.clip(1 + camera.mismatch * rng.standard_normal(pixels), 0.3, 3.0))
        for _ in range(2)
    ]
    up, down = (t.astype(np.float32) for t in thresholds)
    per_up, per_down = 1 / up, 1 / down
    reference = level[0].copy()
    where: list[npt.NDArray[np.int64]] = []
    when: list[npt.NDArray[np.float64]] = []
    sign: list[npt.NDArray[np.uint8]] = []
    for k in range(1, length):
        change = level[k] - reference
        # truncation: a change short of a threshold in either direction is no event
        steps = (change * np.where(change > 0, per_up, per_down)).astype(np.int32)
        fired = np.flatnonzero(steps)
        if not fired.size:
            continue
        count = steps[fired]
        step = np.where(count > 0, up[fired], down[fired])
        before, start = reference[fired], level[k - 1, fired]
        slope = level[k, fired] - start
        reference[fired] = before + count * step
        times = np.abs(count)
        pixel = np.repeat(np.arange(fired.size), times)
        nth = np.arange(len(pixel)) - np.repeat(np.cumsum(times) - times, times) + 1
        crossed = before[pixel] + np.sign(count)[pixel] * nth * step[pixel]
        share = np.clip((crossed - start[pixel]) / slope[pixel], 0.0, 1.0)
        where.append(fired[pixel])
        when.append((k - 1 + share.astype(np.float64)) / rate)
        sign.append((count[pixel] > 0).astype(np.uint8))
    _add_noise(where, when, sign, pixels, (length - 1) / rate, camera, rng)
    pixel = np.concatenate(where)
    t = np.floor(np.concatenate(when) * 1e6).astype(np.int64)
    p = np.concatenate(sign)
    order = np.lexsort((p, pixel, t))
    pixel = pixel[order]
    return t[order], pixel % width, pixel // width, p[order]


def _add_noise(
    where: list[npt.NDArray[np.int64]],
    when: list[npt.NDArray[np.float64]],
    sign: list[npt.NDArray[np.uint8]],
    pixels: int,
    duration: float,
    camera: Camera,
    rng: np.random.Generator,
) -> None:
    """Add events that nothing caused: at any pixel, and many at a few hot ones."""
    hot = rng.choice(pixels, camera.hot, replace=False)
    for places, hertz in ((np.arange(pixels), camera.noise), (hot, camera.hot_rate)):
        n = int(rng.poisson(hertz * duration * len(places)))
        where.append(places[rng.integers(0, max(len(places), 1), n)] if n else places[:0])
        when.append(rng.uniform(0.0, duration, n))
        sign.append(rng.integers(0, 2, n).astype(np.uint8))
