"""Cost models: what one operation costs, from a YAML file with its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import NasError, nearest

FOLDER = Path(__file__).parent / "profiles"
DEFAULT_PROFILE = "45nm_fp32"


@dataclass(frozen=True)
class Profile:
    """Energy of one operation.

    Args:
        name: Named beside every energy that it gave.
        mac: Joules per multiply-accumulate.
        ac: Joules per accumulate.
        compare: Joules per comparison of a membrane with a threshold.
        source: Publication of the figures.
        excludes: What the sum leaves out.
    """

    name: str
    mac: float
    ac: float
    compare: float
    source: str
    excludes: tuple[str, ...]

    def energy(self, macs: float, acs: float, compares: float) -> float:
        """Return joules."""
        return macs * self.mac + acs * self.ac + compares * self.compare


def load_profile(name: str = DEFAULT_PROFILE) -> Profile:
    """Read a packaged profile.

    Raises:
        NasError: No such profile.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        names = [p.stem for p in FOLDER.glob("*.yaml")]
        raise NasError(f"unknown energy profile {name!r}", hint=nearest(name, names))
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Profile(
        name=data["name"],
        mac=data["mac"] * 1e-12,
        ac=data["ac"] * 1e-12,
        compare=data["compare"] * 1e-12,
        source=data["source"],
        excludes=tuple(data["excludes"]),
    )
