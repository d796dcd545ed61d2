"""Places that a person names for results: whether anything can be written there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from eval.cache import scratch_dir
from search_spaces.errors import NasError


def refuse_taken(out: Path) -> None:
    """Refuse an output that is there already or cannot be made.

    Raises:
        NasError: It is, or it cannot.
    """
    refuse_existing(out)
    refuse_unwritable(out)


def refuse_existing(out: Path) -> None:
    """Refuse an output that is there already.

    Raises:
        NasError: It is.
    """
    if out.exists() or out.is_symlink():
        raise NasError("the output exists already", where=str(out), hint="choose another --out")


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


@contextlib.contextmanager
def made_whole(out: Path) -> Iterator[Path]:
    """Yield a place to make a file or folder, which gets its name when all went well.

    Nobody else makes it there: of two that want the same name one is refused.

    Raises:
        NasError: The output exists, at the beginning or at the end, or cannot be written.
    """
    refuse_taken(out)
    with writing(out), scratch_dir(out.parent) as scratch:
        making = scratch / out.name
        yield making
        refuse_existing(out)  # made by somebody else in the meantime
        making.replace(out)
