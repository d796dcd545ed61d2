"""How fetched and computed things get into the cache whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from search_spaces.cache_folder import CACHE_VARIABLE, cache_dir
from search_spaces.errors import NasError

_TEMPORARY = ".tmp"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_dir(target: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name only when it is complete.

    A process killed half-way leaves a temporary sibling, never a half-made ``target``; the
    next one to come by removes it. When another process made ``target`` in the meantime,
    theirs is kept.

    Args:
        target: The folder to make; its parents are created.

    Yields:
        A temporary folder beside ``target``, on the same file system.
    """
    with scratch_dir(target.parent) as scratch:
        made = scratch / target.name
        made.mkdir()
        yield made
        into_place(made, target)


def into_place(made: Path, target: Path) -> None:
    """Give a complete folder its name; where another process was first, theirs is kept."""
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def is_scratch(folder: Path) -> bool:
    """Tell whether a folder is one that `scratch_dir` made."""
    return folder.name.startswith(_TEMPORARY)


@contextlib.contextmanager
def scratch_dir(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder inside ``parent`` and remove it afterwards.

    The folder's name says which process on which machine owns it, so that leftovers of dead
    processes can be told from the work of living ones, also in a home shared over a network.

    Raises:
        NasError: ``parent`` cannot be written to.
    """
    scratch = parent / f"{_TEMPORARY}-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(parent)
        scratch.mkdir()
    except OSError as error:
        cached = parent.is_relative_to(cache_dir())
        told = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise NasError(
            f"cannot write there: {told}",
            where=str(parent),
            hint=f"{f'set {CACHE_VARIABLE} to' if cached else 'choose'} a folder that you can"
            " write to",
        ) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    if os.name != "posix":
        return  # elsewhere signal 0 is a real one
    prefix = f"{_TEMPORARY}-{_machine()}-"
    for leftover in parent.glob(f"{prefix}*"):
        pid = leftover.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's process
    return True


def _machine() -> str:
    # the dashes of a host name would blur the parts of the folder's name
    return socket.gethostname().replace("-", "_") or "localhost"
