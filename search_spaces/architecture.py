"""One assignment of the active parameters, hashable; its hash is its name everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]


class Architecture(Mapping[str, Value]):
    """A frozen assignment of every active parameter of a space.

    A repeated parameter holds a tuple, one value per block. Two architectures with the
    same values are equal and have the same :attr:`hash`, in every process and version.

    Args:
        values: Parameter name to value; lists are taken as tuples.
    """

    __slots__ = ("_hash", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Value] = {
            name: tuple(value) if isinstance(value, list | tuple) else value
            for name, value in sorted(values.items())
        }
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        self._hash = hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the values."""
        return self._hash

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self.hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.hash == other.hash

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self._values.items())
        return f"Architecture({self.hash}: {inside})"

    def __reduce__(self) -> tuple[type[Architecture], tuple[dict[str, Any]]]:
        return Architecture, (self.as_dict(),)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data: JSON and YAML types only."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self._values.items()}
