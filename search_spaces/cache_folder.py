"""Where fetched and computed things are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "NAS_CACHE"


def cache_dir(*parts: str) -> Path:
    """Return a path inside the cache; nothing is created.

    The root is ``$NAS_CACHE``, else ``$XDG_CACHE_HOME/nas``, else ``~/.cache/nas``.

    Args:
        parts: Folder names below the root.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        root = Path(own).expanduser()
    elif shared := os.environ.get("XDG_CACHE_HOME"):
        root = Path(shared).expanduser() / "nas"
    else:
        root = Path.home() / ".cache" / "nas"
    return root.joinpath(*parts)
