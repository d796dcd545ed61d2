"""YAML with the line of every key, so that an error can point at it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import NasError

KeyPath = tuple[str | int, ...]

_SCALARS = yaml.constructor.SafeConstructor()


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with two rules of YAML 1.2 that people expect.

    ``1e-4`` is a number, and ``on``, ``off``, ``yes`` and ``no`` are words.
    """


_KEPT = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:bool"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.yaml_implicit_resolvers = _KEPT
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class Source:
    """Where a document came from: its name and the line of every key path.

    Args:
        name: File name, or ``<dict>`` for a document that never was a file.
        lines: Key path to line, counted from 1.
    """

    def __init__(self, name: str, lines: Mapping[KeyPath, int] | None = None) -> None:
        self.name = name
        self._lines = dict(lines or {})

    def at(self, path: KeyPath) -> str:
        """Return ``file:line:key`` for a key path, or for its nearest known ancestor."""
        key = ".".join(str(p) for p in path)
        for end in range(len(path), -1, -1):
            line = self._lines.get(path[:end])
            if line is not None:
                return f"{self.name}:{line}:{key}" if key else f"{self.name}:{line}"
        return f"{self.name}:{key}" if key else self.name

    def error(self, path: KeyPath, what: str, hint: str | None = None) -> NasError:
        """Build the error for a key path."""
        return NasError(what, where=self.at(path), hint=hint)


def read_yaml(path: Path) -> tuple[Any, Source]:
    """Read one YAML document and remember its lines.

    Raises:
        NasError: The file cannot be read, is not YAML, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NasError(f"cannot read this file: {error}", where=str(path)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> tuple[Any, Source]:
    """Parse YAML text; see :func:`read_yaml`."""
    lines: dict[KeyPath, int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            _walk(node, (), lines, name)
        return yaml.load(text, Loader=_Loader), Source(name, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise NasError(f"not valid YAML: {error.problem or error.context}", where=where) from None
    except yaml.YAMLError as error:
        raise NasError(f"not valid YAML: {error}", where=name) from None


def _walk(
    node: yaml.Node,
    path: KeyPath,
    lines: dict[KeyPath, int],
    name: str,
    above: tuple[yaml.Node, ...] = (),
) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if any(node is n for n in above):
        raise Source(name, lines).error(path, "an alias (*) lies within its own anchor (&)")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            word = str(key.value)
            below = (*path, word)
            if word in seen:  # PyYAML keeps the last one silently
                line = key.start_mark.line + 1
                raise NasError(
                    f"{word!r} is given twice",
                    where=f"{name}:{line}:{'.'.join(map(str, below))}",
                    hint=f"first at line {lines[below]}; keep one of them",
                )
            seen.add(word)
            lines[below] = key.start_mark.line + 1
            _walk(value, below, lines, name, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, name, above)
    else:
        try:
            _SCALARS.construct_object(node)
        except (ValueError, ArithmeticError, LookupError) as error:
            # PyYAML lets Python's own errors through for a date or number it cannot make
            raise Source(name, lines).error(path, f"{node.value!r} is no value: {error}") from None
