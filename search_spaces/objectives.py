"""The objectives of a space file: a direction each, and the cost model of an energy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

from search_spaces.errors import nearest
from search_spaces.yaml_source import Source, read_yaml

DIRECTIONS = ("minimize", "maximize")
KEYS = (*DIRECTIONS, "profile")

Profile = str | Mapping[str, Any]

_LONG = {
    "type": "object",
    "properties": {
        "minimize": {"const": True},
        "maximize": {"const": True},
        "profile": {
            "description": "of an energy: a packaged profile, the path of a file, or its content",
            "type": ["string", "object"],
        },
    },
    "additionalProperties": False,
}
_SHORT = {"enum": list(DIRECTIONS), "type": "string"}
# what is checked is the short form, which read_objectives makes of the long one
Objective = Annotated[Literal["minimize", "maximize"], WithJsonSchema({"anyOf": [_SHORT, _LONG]})]


def read_objectives(
    document: dict[str, Any], source: Source
) -> tuple[dict[str, Any], dict[str, Any], Profile | None]:
    """Bring the objectives of a space to their short form and take the cost model out.

    ``energy: minimize`` and ``energy: {minimize: true, profile: loihi}`` are both valid. What a
    profile holds is checked where it is used.

    Args:
        document: The space; objectives that are no mapping are left to the caller.
        source: Where it stands.

    Returns:
        The document with a direction for every objective; the document for the record, with
        the content of a person's profile in place of its path, for the file may change or be
        gone when the run is resumed; and the profile (a name, the path of a file or its
        content), None where none is named.

    Raises:
        NasError: No direction or two, a profile of what is no energy, or two profiles.
    """
    given = document.get("objectives")
    if not isinstance(given, dict):
        return document, document, None
    short, kept = dict(given), dict(given)
    profile: Profile | None = None
    for name, value in given.items():
        if not isinstance(value, dict):
            continue
        path = ("objectives", str(name))
        short[name] = _direction(str(name), value, source)
        if value.get("profile") is None:
            continue
        at = (*path, "profile")
        if not str(name).startswith("energy"):
            raise source.error(at, f"{name!r} is no energy, so it has no profile")
        named, content = _resolved(value["profile"], source, at)
        if profile is not None and profile != named:
            raise source.error(at, "the energies of a space have one profile; this is another")
        profile = named
        kept[name] = {**value, "profile": content}
    return {**document, "objectives": short}, {**document, "objectives": kept}, profile


def _direction(name: str, value: dict[str, Any], source: Source) -> str:
    path = ("objectives", name)
    for key in value:
        if key not in KEYS:
            raise source.error((*path, str(key)), f"unknown key {key!r}", nearest(key, KEYS))
    ways = [d for d in DIRECTIONS if d in value]
    if len(ways) != 1 or value[ways[0]] is not True:
        raise source.error(path, f"{name!r} needs one direction", "for example {minimize: true}")
    return ways[0]


def _resolved(given: Any, source: Source, at: tuple[str, ...]) -> tuple[Profile, Profile]:
    """Return a profile as it is loaded, and as it is recorded."""
    if isinstance(given, Mapping):
        return dict(given), dict(given)
    if not isinstance(given, str):
        raise source.error(at, f"a profile is a name or a file, not {given!r}")
    if not given.endswith((".yaml", ".yml")) and "/" not in given:
        return given, given
    beside = Path(source.name).parent / given
    path = beside if beside.is_file() else Path(given)
    if not path.is_file():
        raise source.error(at, f"there is no profile {given!r}")
    document, _ = read_yaml(path)
    return str(path), document if isinstance(document, Mapping) else given
