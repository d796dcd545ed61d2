"""Places that a person names for results: whether anything can be written there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from search_spaces.errors import NasError


def refuse_taken(out: Path) -> None:
    """Refuse an output that is there already or cannot be made.

    Raises:
        NasError: It is, or it cannot.
    """
    if out.exists():
        raise NasError(
            "the output folder exists already", where=str(out), hint="choose another --out"
        )
    refuse_unwritable(out)


def refuse_unwritable(out: Path) -> None:
    """Refuse an output that cannot be made, before anything is computed for it.

    Tries it in the nearest folder that is there, and leaves nothing behind.

    Raises:
        NasError: No file or folder can be made there.
    """
    there = next(p for p in out.absolute().parents if os.path.lexists(p))
    # permissions alone would not tell of /proc or of a disk that is mounted to be read
    with writing(out), tempfile.TemporaryDirectory(prefix=".nas-", dir=there):
        pass


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the system says against writing into an error about ``out``.

    Raises:
        NasError: The block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise NasError(
            f"cannot write there: {error.strerror or error}",
            where=str(out),
            hint="choose another --out",
        ) from None
