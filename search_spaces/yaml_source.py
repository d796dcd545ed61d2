"""YAML with the line of every key, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import NasError

KeyPath = tuple[str | int, ...]


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
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _walk(node, (), lines, Source(name, lines))
        return yaml.safe_load(text), Source(name, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise NasError(f"not valid YAML: {error.problem or error.context}", where=where) from None
    except yaml.YAMLError as error:
        raise NasError(f"not valid YAML: {error}", where=name) from None


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], source: Source) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            below = (*path, name)
            if name in seen:  # PyYAML keeps the last one silently
                line = key.start_mark.line + 1
                raise NasError(
                    f"{name!r} is given twice",
                    where=f"{source.name}:{line}:{'.'.join(map(str, below))}",
                    hint=f"first at line {lines[below]}; keep one of them",
                )
            seen.add(name)
            lines[below] = key.start_mark.line + 1
            _walk(value, below, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, source)
