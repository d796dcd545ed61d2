"""N-MNIST: handwritten digits in front of a moving event camera.

Orchard, Jayawant, Cohen, Thakor (Frontiers in Neuroscience 9:437, 2015). ``Train`` and ``Test``
hold a folder a digit with a file a recording, five bytes an event: column, row, then a bit of
polarity and 23 of the time stamp [µs], high byte first. A row of 240 is no event but tells that
8,192 µs have passed without one.

Writers are not named. A fifth of ``Train`` by file number is for validation, and one writer may
be on several sides: what is measured is no generalisation to new writers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from eval.corpora.converted import Numbers, Packed, Recording
from eval.corpora.event_settings import EventSettings
from search_spaces.errors import NasError

SIDE = 34  # [pixels]
PARTS = ("Train", "Test")
BYTES = 5  # an event
OVERFLOW_ROW, OVERFLOW = 240, 1 << 13  # [µs]
VALIDATION = 5  # every so manieth training recording


def read_bin(path: Path) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Read one recording: time stamps [µs], columns, rows and polarities, ``[N]`` each.

    Raises:
        NasError: Not a whole number of events, or one outside the sensor.
    """
    raw = np.fromfile(path, np.uint8).astype(np.int64)
    if len(raw) % BYTES:
        raise NasError(f"{len(raw)} bytes are no whole number of events", where=str(path))
    x, y, high, middle, low = raw.reshape(-1, BYTES).T
    marks = y == OVERFLOW_ROW
    t = ((high & 127) << 16 | middle << 8 | low) + np.cumsum(marks) * OVERFLOW
    x, y, t, p = (values[~marks] for values in (x, y, t, high >> 7))
    if len(x) and max(x.max(), y.max()) >= SIDE:
        raise NasError(f"an event lies outside the sensor of {SIDE}x{SIDE}", where=str(path))
    order = np.argsort(t, kind="stable")
    return t[order], x[order], y[order], p[order]


def _files(folder: Path) -> list[Path]:
    parts = [sorted((folder / part).glob("[0-9]/*.bin")) for part in PARTS]
    return [p for part in parts for p in part] if all(parts) else []


def _read(files: list[Path]) -> Iterator[Recording]:
    def events(path: Path) -> Callable[[], tuple[Numbers, Numbers, Numbers, Numbers]]:
        return lambda: read_bin(path)

    seen: dict[str, int] = {}
    for path in files:
        digit, part = path.parent.name, path.parent.parent.name
        nth = seen[f"{part}/{digit}"] = seen.get(f"{part}/{digit}", -1) + 1
        split = "test" if part == "Test" else "train" if nth % VALIDATION else "validation"
        yield Recording(f"{part}-{digit}-{path.stem}", digit, split, split, events(path))


N_MNIST = Packed(
    name="n-mnist",
    title="N-MNIST",
    form="Train/0/00002.bin and Test/0/00004.bin",
    settings=EventSettings(sensor=(SIDE, SIDE), size=(SIDE, SIDE), clips=1, frame_rate=30.0),
    files=_files,
    read=_read,
    notes=lambda _: ("N-MNIST does not name its writers: one may be on both sides of a split",),
)
