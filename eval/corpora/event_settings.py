"""``events.yaml``: what the event files of a corpus do not say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import nearest
from search_spaces.yaml_source import Source, read_yaml

SETTINGS = "events.yaml"

LARGEST = 65_536  # [pixels], no sensor has a longer side
MOST_CLIPS = 1000


@dataclass(frozen=True)
class EventSettings:
    """How a corpus of events is read.

    Args:
        sensor: Its ``(width, height)`` [pixels]; None where every file says so itself.
        size: ``(width, height)`` of the event frames.
        clips: Clips out of every sequence.
        frame_rate: Event frames a second [Hz]; 30 is the 33 ms of SEE.
    """

    sensor: tuple[int, int] | None = None
    size: tuple[int, int] = (32, 32)
    clips: int = 2
    frame_rate: float = 30.0


def read_settings(folder: Path) -> EventSettings:
    """Read ``events.yaml`` of a corpus's folder; without one, the defaults.

    Raises:
        NasError: An unknown key or a value that cannot be, with file, line and key.
    """
    path = folder / SETTINGS
    if not path.is_file():
        return EventSettings()
    data, source = read_yaml(path)
    if data is None:
        return EventSettings()
    known = ("sensor", "size", "clips", "frame_rate")
    _check_keys(data, known, source, ())
    default = EventSettings()
    sensor = _sides(data["sensor"], source, "sensor") if "sensor" in data else default.sensor
    size = _sides(data["size"], source, "size") if "size" in data else default.size
    if sensor is not None and (size[0] > sensor[0] or size[1] > sensor[1]):
        raise source.error(
            ("size",),
            f"frames of {size[0]}x{size[1]} out of a sensor of {sensor[0]}x{sensor[1]}",
            "events can be put together, not apart: give a size up to the sensor's",
        )
    clips = _whole(data.get("clips", default.clips), source, ("clips",), MOST_CLIPS)
    rate = data.get("frame_rate", default.frame_rate)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1e6:
        raise source.error(("frame_rate",), f"{rate!r} is no number of frames per second")
    return EventSettings(sensor, size, clips, float(rate))


def _check_keys(
    data: Any, known: tuple[str, ...], source: Source, path: tuple[str, ...]
) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise source.error(path, "this must be a mapping", f"keys: {', '.join(known)}")
    for key in data:
        if key not in known:
            raise source.error((*path, str(key)), f"unknown key {key!r}", nearest(key, known))
    return data


def _sides(data: Any, source: Source, name: str) -> tuple[int, int]:
    sides = _check_keys(data, ("width", "height"), source, (name,))
    for key in ("width", "height"):
        if key not in sides:
            raise source.error((name,), f"{key} is missing", f"{name}: {{width: 64, height: 48}}")
    width, height = (_whole(sides[k], source, (name, k), LARGEST) for k in ("width", "height"))
    return width, height


def _whole(value: Any, source: Source, path: tuple[str, ...], most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise source.error(path, f"{value!r} is not a whole number from 1 to {most}")
    return value
