"""What a command asks of an export folder before it works with it: folders come from anybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from nas.export import Exported, read_folder
from search_spaces.errors import NasError, nearest
from search_spaces.families import FAMILIES

MOST_CLASSES = 10_000

_BROKEN = "export it again, or retrain it with nas train DIR --out NEW"


def trusted_family(config: Mapping[str, Any], trusted: Collection[str], folder: Path) -> str:
    """Return the family of an export; refuse one whose building would import what a folder names.

    Raises:
        NasError: There is none, or it is neither of this package nor trusted.
    """
    family = config.get("family")
    if not isinstance(family, str):
        raise NasError("this architecture has no family to build it", where=str(folder))
    if family in FAMILIES or family in trusted:
        return family
    if ":" not in family:
        raise NasError(
            f"unknown family {family!r}", where=str(folder), hint=nearest(family, FAMILIES)
        )
    raise NasError(
        f"family {family!r} is none of this package's, and building it would run its code",
        where=str(folder),
        hint=f"if you trust it: --trust {family}, in Python trusted=[{family!r}]",
    )


def classes_of(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Return the classes of an export's network.

    Raises:
        NasError: It lists none.
    """
    classes = config.get("classes")
    if (
        not isinstance(classes, list)
        or not 1 <= len(classes) <= MOST_CLASSES
        or not all(isinstance(c, str) for c in classes)
        or len(set(classes)) != len(classes)
    ):
        raise NasError(
            "config.json does not list the classes of this network",
            where=str(folder),
            hint=_BROKEN,
        )
    return tuple(classes)


def read_trained(folder: Path, trusted: Collection[str] = ()) -> Exported:
    """Read an export whose corpus is to be loaded and whose network is to be built.

    Args:
        folder: The export.
        trusted: Families outside this package (``module:attribute``) that may be imported.

    Raises:
        NasError: It is none, its family is not trusted, or it does not say what it was trained on.
    """
    model = read_folder(folder)
    trusted_family(model.config, trusted, folder)
    for key in ("features", "source"):
        if not isinstance(model.config.get(key), dict):
            raise NasError(
                f"config.json does not tell the {key} of this network",
                where=str(folder),
                hint=_BROKEN,
            )
    classes_of(model.config, folder)
    held = model.config.get("held_out")
    if held is not None and not (
        isinstance(held, dict)
        and isinstance(held.get("digest"), str)
        and type(held.get("test_fold")) is int
        and held["test_fold"] >= 0
    ):
        raise NasError(
            "config.json does not tell what the weights have not seen",
            where=str(folder),
            hint=_BROKEN,
        )
    return model
