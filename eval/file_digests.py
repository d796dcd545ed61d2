"""SHA-256 of files, remembered as long as the files do not change."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from eval.cache import file_sha256
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

# A file may change twice within one tick of its clock; one as young as this is read again.
SETTLED_SECONDS = 2.0

_TABLE = (
    "create table if not exists files"
    " (path text primary key, size integer, modified integer, changed integer, sha256 text)"
)
_Stamp = tuple[int, int, int]


def file_digests(paths: Sequence[Path]) -> list[str | NasError]:
    """Return the SHA-256 of files; one whose size and times are as before is not read again.

    The memory is a convenience: where it cannot be read or written, files are read.

    Args:
        paths: Absolute, of existing files.

    Returns:
        For each 64 hexadecimal digits, or the error that reading it gave.
    """
    memory = _open()
    try:
        known = _known(memory, {str(p.parent) for p in paths}) if memory else {}
    except (sqlite3.Error, UnicodeEncodeError):
        known = {}
    found: list[str | NasError] = []
    fresh: dict[str, tuple[_Stamp, str]] = {}
    for path in paths:
        try:
            stamp = _stamp(path)
            before = known.get(str(path))
            if before is not None and before[0] == stamp:
                found.append(before[1])
                continue
            digest = file_sha256(path)
        except OSError as error:
            found.append(NasError(f"cannot read it: {error.strerror}", where=str(path)))
            continue
        found.append(digest)
        # written while it was read, or too young for its times to tell
        if _stamp(path) == stamp and time.time() - max(stamp[1:]) / 1e9 > SETTLED_SECONDS:
            fresh[str(path)] = (stamp, digest)
    if memory:
        # SQLite's text is UTF-8, which the name of a file need not be
        with contextlib.suppress(sqlite3.Error, UnicodeEncodeError), memory:
            rows = [(path, *stamp, sha) for path, (stamp, sha) in fresh.items()]
            memory.executemany("insert or replace into files values (?, ?, ?, ?, ?)", rows)
        memory.close()
    return found


def file_digest(path: Path) -> str:
    """Return the SHA-256 of one file, as `file_digests`.

    Raises:
        NasError: It cannot be read.
    """
    (found,) = file_digests([path])
    if isinstance(found, NasError):
        raise found
    return found


def _stamp(path: Path) -> _Stamp:
    # The time of change as well: copying with the times of another file leaves only that trace.
    told = path.stat()
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns


def _open() -> sqlite3.Connection | None:
    path = cache_dir("digests.sqlite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        memory = sqlite3.connect(path, timeout=5)
        memory.execute(_TABLE)
    except (OSError, sqlite3.Error):
        return None
    return memory


def _known(memory: sqlite3.Connection, folders: set[str]) -> dict[str, tuple[_Stamp, str]]:
    # Paths below a folder are a range of the table's order, so that one corpus is one read.
    known: dict[str, tuple[_Stamp, str]] = {}
    for folder in folders:
        rows = memory.execute(
            "select path, size, modified, changed, sha256 from files where path > ? and path < ?",
            (f"{folder}{os.sep}", f"{folder}{chr(ord(os.sep) + 1)}"),
        )
        known.update((path, ((size, a, b), sha)) for path, size, a, b, sha in rows)
    return known
