"""Draw a right eye that makes faces: a parametric picture driven by FACS action units.

Re-derived; not a model of anatomy. Coordinates: ``x`` to the nose, ``y`` up, the picture is
2 units high. Edges are soft over about a pixel, so that motion of a fraction of a pixel
changes luminance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]  # numpy keeps to it beside plain Python numbers
_Any = npt.NDArray[np.floating[Any]]

_AT_ONCE = 16  # pictures: what is worked on should stay in the processor's cache

UNITS = ("1", "2", "4", "5", "6", "7", "9", "droop")

# From memory of FACS (Ekman & Friesen 1978) and of the emotion prototypes that go with it,
# as far as they show round an eye; 12 (lip corners) shows only in the cheek that it lifts.
EMOTIONS: dict[str, dict[str, float]] = {
    "anger": {"4": 1.0, "5": 0.6, "7": 0.9},
    "disgust": {"9": 1.0, "7": 0.3},
    "fear": {"1": 0.9, "2": 0.5, "4": 0.6, "5": 1.0},
    "happiness": {"6": 1.0},
    "neutral": {},
    "sadness": {"1": 1.0, "4": 0.3, "droop": 0.8},
    "surprise": {"1": 1.0, "2": 1.0, "5": 0.8},
}


@dataclass(frozen=True)
class Face:
    """What does not change while a person is recorded; lengths in half picture heights.

    Args:
        centre: Of the eye, ``(x, y)``.
        half_width: From the middle of the eye to a corner.
        upper: Opening of the upper lid at rest.
        lower: Opening of the lower lid at rest.
        tilt: Slope of the line through the corners.
        iris: Radius of the iris.
        pupil: Radius of the pupil.
        brow: Height of the brow above the eye.
        arch: Of the brow.
        brow_width: Half its length.
        thickness: Half the thickness of the brow.
        zoom: Picture over life.
        skin: Luminance of the skin, and so on.
        hair: Of the brow and the lashes.
        iris_tone: Of the iris.
        shade: Difference in luminance across the picture.
        wrinkles: How dark wrinkles get.
        texture: ``[6, 4]`` amplitude, two wave numbers and phase of the skin's texture.
    """

    centre: tuple[float, float]
    half_width: float
    upper: float
    lower: float
    tilt: float
    iris: float
    pupil: float
    brow: float
    arch: float
    brow_width: float
    thickness: float
    zoom: float
    skin: float
    hair: float
    iris_tone: float
    shade: float
    wrinkles: float
    texture: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """What changes; ``[T]`` each.

    Args:
        units: Action unit to its strength, 0 to about 1.
        blink: 0 open to 1 shut.
        gaze: ``[T, 2]`` offset of the iris.
        head: ``[T, 2]`` offset of the whole picture.
        light: Factor of the luminance.
    """

    units: Mapping[str, Floats]
    blink: Floats
    gaze: Floats
    head: Floats
    light: Floats


def draw(face: Face, motion: Motion, height: int, width: int) -> Floats:
    """Draw a film.

    Returns:
        Luminance ``[T, height, width]``, at least 0; row 0 is on top.
    """
    rows = 1 - (2 * np.arange(height, dtype=np.float32) + 1) / height
    columns = ((2 * np.arange(width, dtype=np.float32) + 1) - width) / height
    film = np.empty((len(motion.light), height, width), dtype=np.float32)
    for start in range(0, len(film), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        _draw(film[part], face, motion, part, rows, columns)
    return film


def _draw(
    image: Floats, face: Face, motion: Motion, part: slice, rows: _Any, columns: _Any
) -> None:
    soft = 2.2 / len(rows)
    head = motion.head[part].astype(np.float32)
    # x varies along columns, y along rows: full size only where they meet
    x = (columns[None, None, :] - face.centre[0] - head[:, 0, None, None]) / face.zoom
    y = (rows[None, :, None] - face.centre[1] - head[:, 1, None, None]) / face.zoom
    u = {name: _column(motion.units[name][part]) for name in UNITS}
    image[:] = _skin(face, u, x, y)
    _brow(image, face, u, x, y, soft)
    _eye(image, face, u, motion.blink[part], motion.gaze[part], x, y, soft)
    np.maximum(image, 0.0, out=image)
    image *= _column(motion.light[part])


def _column(series: _Any) -> Floats:
    return np.asarray(series, dtype=np.float32)[:, None, None]


def _inside(distance: _Any, soft: float) -> _Any:
    """Return 1 where ``distance`` is positive, 0 where negative, and a ramp between."""
    ramp = distance * (0.5 / soft)
    ramp += 0.5
    np.clip(ramp, 0.0, 1.0, out=ramp)
    return ramp


def _paint(image: _Any, cover: _Any, tone: _Any | float) -> None:
    image += cover * (tone - image)


def _skin(face: Face, u: Mapping[str, Floats], x: _Any, y: _Any) -> Floats:
    """Return ``[T, H, W]``: a shade, a texture, and the wrinkles of the action units.

    All of them are sums of products of something along rows and something along columns,
    which one matrix product adds up.
    """
    one = np.ones_like(x)
    terms: list[tuple[_Any, _Any]] = [
        (np.ones_like(y), 1 + face.shade * x),
        (-0.06 * y, one),
    ]
    for amplitude, kx, ky, phase in face.texture.astype(np.float32):
        terms.append((amplitude * np.sin(ky * y), np.sin(kx * x + phase)))
    inner = np.clip((x - 0.35) * 3, 0, 1)
    outer = np.clip((-x - 0.45) * 3, 0, 1)
    high = np.clip((y - face.brow - 0.18) * 6, 0, 1)
    between = np.clip((y - 0.15) * 4, 0, 1) * np.clip((0.95 - y) * 4, 0, 1)
    below = np.clip((-y - 0.05) * 5, 0, 1)
    fold = -0.5 * face.wrinkles
    for strength, down, across, ripple in (
        (0.6 * (u["1"] + u["2"]), high, one, (26 * y, 0 * x)),  # the forehead
        (u["4"], between, inner, (0 * y, 24 * x)),  # between the brows
        (u["6"], np.ones_like(y), outer, (20 * y, 8 * x)),  # crow's feet
        (u["9"], 1 - between, inner, (22 * y, 11 * x)),  # the nose
        (u["6"] + 0.6 * u["9"], below, one, (14 * y, 3 * x * x)),  # the cheek
    ):
        rows = fold * strength * down  # 1 + sin(a + b), opened up
        terms.append((rows, across))
        terms.append((rows * np.sin(ripple[0]), across * np.cos(ripple[1])))
        terms.append((rows * np.cos(ripple[0]), across * np.sin(ripple[1])))
    left = np.concatenate([a for a, _ in terms], axis=2)
    right = np.concatenate([b for _, b in terms], axis=1)
    return np.asarray(face.skin * (left @ right), dtype=np.float32)


def _brow(
    image: Floats, face: Face, u: Mapping[str, Floats], x: _Any, y: _Any, soft: float
) -> None:
    along = x / face.brow_width
    inner, outer = np.clip(0.5 + 0.7 * along, 0, 1), np.clip(0.5 - 0.7 * along, 0, 1)
    middle = face.brow + face.arch * (1 - along * along) - 0.04 * along
    middle = middle + 0.24 * u["1"] * inner + 0.24 * u["2"] * outer
    middle = middle - u["4"] * (0.10 + 0.16 * inner) - u["9"] * (0.06 + 0.08 * inner)
    middle = middle - 0.05 * u["6"] * outer
    half = face.thickness * (0.75 + 0.25 * inner)
    ends = _inside(1 - np.abs(along - 0.08 * u["4"]), soft * 4)
    cover = _inside(half - np.abs(y - middle), soft) * ends
    _paint(image, cover * 0.9, face.hair)


def _eye(
    image: Floats,
    face: Face,
    u: Mapping[str, Floats],
    blink: Floats,
    gaze: Floats,
    x: _Any,
    y: _Any,
    soft: float,
) -> None:
    along = x / face.half_width
    bow = np.maximum(1 - along * along, 0.0)
    rest = face.tilt * x
    open_up = face.upper * (1 + 0.5 * u["5"] - 0.28 * u["7"] - 0.5 * u["droop"] - 0.12 * u["6"])
    open_up = open_up * (1 - 0.15 * u["9"])
    rise = 0.55 * u["7"] + 0.75 * u["6"] + 0.5 * u["9"]
    open_low = face.lower * (1 - rise)
    shut = _column(blink)
    # a shut lid meets the lower one a little below the line through the corners
    upper = rest + bow * ((1 - shut) * open_up - shut * open_low)
    upper = upper - u["droop"] * 0.06 * np.clip(-along, 0, 1)  # the outer part hangs most
    lower = rest - bow * open_low
    opening = np.minimum(_inside(upper - y, soft), _inside(y - lower, soft))
    opening = opening * _inside(1 - np.abs(along), soft * 2)
    gx, gy = _column(gaze[:, 0]), _column(gaze[:, 1])
    radius = np.sqrt((x - gx) ** 2 + (y - gy - 0.05) ** 2)
    ball = np.full_like(image, min(1.0, face.skin + 0.3))
    _paint(ball, _inside(face.iris - radius, soft), face.iris_tone)
    _paint(ball, _inside(face.pupil - radius, soft), 0.02)
    glint = np.sqrt((x - 0.5 * gx - 0.06) ** 2 + (y - 0.5 * gy - 0.11) ** 2)
    _paint(ball, _inside(0.05 - glint, soft), 1.0)
    _paint(image, opening, ball)
    within = _inside(1.05 - np.abs(along), soft * 2)
    lash = _inside(0.045 - np.abs(y - upper - 0.03), soft) * within
    _paint(image, lash * 0.85, face.hair)
    crease = _inside(0.02 - np.abs(y - upper - 0.14 - 0.05 * u["5"]), soft) * within
    _paint(image, crease * 0.35, face.hair)
    bag = _inside(0.02 - np.abs(y - lower + 0.12 - 0.05 * rise), soft) * within
    _paint(image, bag * (0.12 + 0.3 * u["6"] + 0.2 * u["7"]), face.hair)
