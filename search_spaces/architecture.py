"""One assignment of the active parameters, hashable; its hash is its name everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]


# made once: searchers draw architectures by the thousand
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _frozen(self: Architecture, *_: Any, **__: Any) -> NoReturn:
    raise TypeError("an architecture is frozen; change a copy: {**architecture, name: value}")


class Architecture(dict[str, Value]):
    """A frozen assignment of every active parameter of a space.

    A plain dict to read, so that it goes wherever one goes (``json.dumps``, ``**``); no value
    can be changed. A repeated parameter holds a tuple, one value per block. Two architectures
    with the same values are equal and have the same :attr:`hash`, in every process and version;
    a plain mapping equals it when it has the same values, lists taken as tuples.

    Args:
        values: Parameter name to value; lists are taken as tuples.
    """

    __slots__ = ("_hash",)
    _hash: str

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(
            (name, tuple(value) if isinstance(value, list | tuple) else value)
            for name, value in sorted(values.items())
        )
        text = _encode(self)
        object.__setattr__(self, "_hash", hashlib.sha256(text.encode()).hexdigest()[:12])

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the values."""
        return self._hash

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._hash)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping) and not isinstance(other, Architecture):
            try:
                other = Architecture(other)
            except (TypeError, ValueError):  # keys or values that no architecture has
                return False
        return isinstance(other, Architecture) and self._hash == other._hash

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.items())
        return f"Architecture({self.hash}: {inside})"

    def __reduce__(self) -> tuple[type[Architecture], tuple[dict[str, Any]]]:
        return Architecture, (self.as_dict(),)

    __setitem__ = __delitem__ = __ior__ = _frozen
    clear = pop = popitem = setdefault = update = _frozen

    def __setattr__(self, name: str, value: object) -> NoReturn:
        _frozen(self)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data: JSON and YAML types only."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self.items()}
