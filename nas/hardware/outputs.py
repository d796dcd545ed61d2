"""Where conversions go: beside nothing that is there, whole or not at all."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from eval.cache import scratch_dir
from search_spaces.errors import NasError


def require(package: str) -> ModuleType:
    """Import an optional package.

    Raises:
        NasError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise NasError(
            f"this needs the package {package}: {error}", hint="pip install 'nas[hardware]'"
        ) from None


def refuse_existing(path: Path) -> None:
    """Refuse an output that is there already.

    Raises:
        NasError: It is.
    """
    if path.exists() or path.is_symlink():
        raise NasError("the output exists already", where=str(path), hint="choose another --out")


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Yield a place to write a file or folder, which gets its name when all went well.

    Raises:
        NasError: The output exists, or its folder cannot be written to.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise NasError("no file can be made there", where=str(path.parent))
        with scratch_dir(path.parent) as scratch:
            making = scratch / path.name
            yield making
            refuse_existing(path)  # made by somebody else in the meantime
            making.replace(path)
    except OSError as error:
        raise NasError(f"cannot write there: {error.strerror or error}", where=str(path)) from None
