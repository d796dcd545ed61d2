"""Event streams: read them out of files, count them into frames.

An event is one pixel's brightness crossing a threshold: time ``t`` [µs], column ``x``, row
``y``, polarity ``p`` (1: brighter, 0: darker).
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasError

FIELDS = ("t", "x", "y", "p")
POLARITIES = 2

_HINT = "save integer arrays t (microseconds), x, y and p with numpy.savez"

Ints = npt.NDArray[np.int64]
Frames = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Events:
    """A checked event stream; ``N`` events in order of time, at least one.

    Args:
        t: ``[N]`` time stamps [µs], never negative, never going back.
        x: ``[N]`` columns, 0 is left.
        y: ``[N]`` rows, 0 is on top.
        p: ``[N]`` polarities, 0 or 1.
        width: Columns of the sensor.
        height: Rows of the sensor.
    """

    t: Ints
    x: Ints
    y: Ints
    p: npt.NDArray[np.uint8]
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.t)

    @property
    def duration(self) -> float:
        """From the first event to the last [s]."""
        return float(self.t[-1] - self.t[0]) * 1e-6


def read_events(path: Path, sensor: tuple[int, int] | None = None) -> Events:
    """Read an event file.

    Either ``.npz`` with arrays ``t, x, y, p`` of one length (or with one structured array that
    has these fields) and, if it likes, numbers ``width`` and ``height``; or ``.npy`` with a
    structured array. Time stamps are whole microseconds. Polarity is 0 and 1, -1 and 1, or
    False and True. Nothing is ever unpickled.

    Args:
        path: The file.
        sensor: ``(width, height)`` for files that do not say; one that says something else is
            refused.

    Raises:
        NasError: Not such a file; a missing field; no events; events out of order or outside
            the sensor; an unknown sensor.
    """
    fields, said = _load(path)
    columns = {name: _whole(path, name, array) for name, array in fields.items() if name != "p"}
    p = _polarity(path, fields["p"])
    lengths = {name: len(fields[name]) for name in FIELDS}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise NasError(f"fields of different lengths: {told}", where=str(path))
    t, x, y = (columns[name] for name in "txy")
    if not len(t):
        raise NasError("there is no event in it", where=str(path), hint="leave it out")
    back = np.flatnonzero(t[1:] < t[:-1])
    if back.size:
        i = int(back[0]) + 1
        raise NasError(
            f"time goes back at event {i}: {t[i]} µs after {t[i - 1]} µs",
            where=str(path),
            hint="sort the events by t, or mend the clock",
        )
    if t[0] < 0:
        raise NasError(f"event 0 is at {t[0]} µs; time is not negative", where=str(path))
    width, height = _sensor(path, said, sensor)
    outside = np.flatnonzero((x < 0) | (x >= width) | (y < 0) | (y >= height))
    if outside.size:
        i = int(outside[0])
        raise NasError(
            f"event {i} at x {x[i]}, y {y[i]} lies outside the sensor of {width}x{height}"
            f" ({outside.size} of {len(t)} events do)",
            where=str(path),
            hint="x counts columns from 0, y rows; give the right sensor in events.yaml",
        )
    return Events(t, x, y, p, width, height)


def accumulate(
    events: Events,
    frame_seconds: float,
    height: int,
    width: int,
    wanted: Ints | None = None,
) -> Frames:
    """Count events into frames, by polarity.

    Frame ``k`` counts the events from ``k`` to ``k + 1`` frame lengths after the first event;
    pixel ``(x, y)`` of the sensor counts for column ``x * width // sensor width`` and row
    likewise.

    Args:
        events: The stream.
        frame_seconds: Length of a frame [s].
        height: Of the frames, ``H``.
        width: Of the frames, ``W``.
        wanted: ``[n]`` which frames, in any order, also such as lie beyond the end; None for
            all of them.

    Returns:
        ``[L, 2, H, W]`` counts, darker (0) before brighter (1).
    """
    index = frame_indices(events, frame_seconds)
    if wanted is None:
        wanted = np.arange(int(index[-1]) + 1)
    asked, place = np.unique(wanted, return_inverse=True)
    slot = np.searchsorted(asked, index)
    slot[slot == len(asked)] = 0
    counted = asked[slot] == index
    column = events.x * width // events.width
    row = events.y * height // events.height
    cell = ((slot * POLARITIES + events.p) * height + row) * width + column
    size = len(asked) * POLARITIES * height * width
    counts = np.bincount(cell[counted], minlength=size).astype(np.float32)
    return counts.reshape(len(asked), POLARITIES, height, width)[place.ravel()]


def frame_indices(events: Events, frame_seconds: float) -> Ints:
    """Return ``[N]``, the frame each event falls into."""
    since: Ints = events.t - events.t[0]
    return np.floor(since / (frame_seconds * 1e6)).astype(np.int64)


def _load(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the four fields, and width and height where the file has them."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = (
            {"": loaded}
            if isinstance(loaded, np.ndarray)
            else {name: loaded[name] for name in loaded.files}
        )
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        pickled = "pickle" in str(error)
        raise NasError(
            "it holds Python objects, which are not read"
            if pickled
            else f"cannot read the events: {error}",
            where=str(path),
            hint=_HINT,
        ) from error
    structured = [a for a in arrays.values() if a.dtype.names]
    if len(structured) == 1 and not set(FIELDS) & set(arrays):
        [table] = structured
        names = table.dtype.names or ()
        found = {name: table[name] for name in FIELDS if name in names}
    else:
        names = tuple(arrays)
        found = {name: arrays[name] for name in FIELDS if name in arrays}
    missing = [name for name in FIELDS if name not in found]
    if missing:
        listed = ", ".join(repr(n) for n in names if n) or "none"
        raise NasError(f"no field {missing[0]!r}; it has {listed}", where=str(path), hint=_HINT)
    for name, array in found.items():
        if array.ndim != 1:
            raise NasError(
                f"{name} has the shape {list(array.shape)}, not one number per event",
                where=str(path),
                hint=_HINT,
            )
    return found, {k: arrays[k] for k in ("width", "height") if k in arrays}


def _whole(path: Path, name: str, array: npt.NDArray[Any]) -> Ints:
    if array.dtype.kind == "f" and np.isnan(array).any():
        at = int(np.flatnonzero(np.isnan(array))[0])
        raise NasError(f"{name} of event {at} is NaN", where=str(path), hint=_HINT)
    if array.dtype.kind not in "iu":
        unit = " (seconds or milliseconds cannot be told apart)" if name == "t" else ""
        raise NasError(
            f"{name} holds {array.dtype}, not whole numbers{unit}",
            where=str(path),
            hint="time stamps are integer microseconds: numpy.round(t * 1e6).astype('int64')"
            if name == "t"
            else _HINT,
        )
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise NasError(f"{name} holds {array.max()}, too large a number", where=str(path))
    return array.astype(np.int64)


def _polarity(path: Path, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype.kind == "f" and np.isnan(array).any():
        at = int(np.flatnonzero(np.isnan(array))[0])
        raise NasError(f"p of event {at} is NaN", where=str(path), hint=_HINT)
    values = set(np.unique(array).tolist()) if array.dtype.kind in "biuf" else {str(array.dtype)}
    if not (values <= {0, 1} or values <= {-1, 1}):
        shown = ", ".join(map(str, sorted(values)[:5]))
        raise NasError(
            f"polarities {shown}",
            where=str(path),
            hint="p is 0 and 1, -1 and 1, or False and True (1: brighter)",
        )
    return (array > 0).astype(np.uint8)


def _sensor(path: Path, said: dict[str, Any], given: tuple[int, int] | None) -> tuple[int, int]:
    if len(said) == 1:
        raise NasError(f"it says its {next(iter(said))} only", where=str(path), hint=_HINT)
    if not said:
        if given is None:
            raise NasError(
                "the size of the sensor is not known",
                where=str(path),
                hint="write `sensor: {width: 346, height: 260}` into events.yaml beside the"
                " manifest, or numbers width and height into the file",
            )
        return given
    sides = []
    for name in ("width", "height"):
        value = said[name]
        if value.size != 1 or value.dtype.kind not in "iu" or int(value.reshape(-1)[0]) < 1:
            raise NasError(f"{name} is not a whole number from 1", where=str(path), hint=_HINT)
        sides.append(int(value.reshape(-1)[0]))
    own = (sides[0], sides[1])
    if given is not None and own != given:
        raise NasError(
            f"a sensor of {own[0]}x{own[1]}; events.yaml says {given[0]}x{given[1]}",
            where=str(path),
            hint="leave sensor out of events.yaml, or mend one of them",
        )
    return own
