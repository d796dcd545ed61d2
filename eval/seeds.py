"""Seeds derived from a seed and names."""

from __future__ import annotations

import hashlib


def derived_seed(*parts: object) -> int:
    """Derive a 31-bit seed, the same in every process and on every machine."""
    text = ":".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
