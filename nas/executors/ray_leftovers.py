"""The temporary folder of a run's own Ray, and what must not stay of it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from search_spaces.errors import NasError

LONGEST = 45  # of the path of Ray's folder: a socket's is 107 bytes, and Ray's names are long
TEMP = "temp"  # file in <run>/ray that says where Ray's folder is
PREFIX = "nas-ray-"


def clean_up(folder: Path) -> None:
    """End what is left of a run's own cluster, keep its logs, delete its temporary folder."""
    note = folder / TEMP
    if not note.is_file():
        return
    temp = Path(note.read_text(encoding="utf-8").strip())
    if temp.name.startswith(PREFIX) and temp.is_dir():
        _end_processes(str(temp))
        for logs in sorted(temp.glob("session_2*/logs")):
            with suppress(OSError):  # a full disk must not keep the folder from being deleted
                shutil.copytree(logs, folder / "logs" / logs.parent.name, dirs_exist_ok=True)
        shutil.rmtree(temp, ignore_errors=True)
    shutil.rmtree(folder / "tune", ignore_errors=True)
    note.unlink()


def _end_processes(temp: str) -> None:
    """Kill the processes that were started with this folder; no others can have its name."""
    deadline = time.monotonic() + 10.0
    while found := [pid for pid in processes() if is_of(pid, temp)]:
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)


def processes() -> list[int]:
    """Return the numbers of all processes; none where there is no ``/proc``."""
    if not sys.platform.startswith("linux"):
        return []
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]


def is_of(pid: int, temp: str) -> bool:
    """Whether a process is one of Ray's and was given, or has open, something in the folder."""
    if pid == os.getpid():
        return False
    process = Path(f"/proc/{pid}")
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        if not words[0].startswith("ray::") and not any("/ray/" in w for w in words[:4]):
            return False
        open_files = [str(f.readlink()) for f in (process / "fd").iterdir()]
    except OSError:  # it has ended meanwhile, or is another user's
        return False
    inside = f"{temp}/"
    return any(inside in f"{word}/" for word in [*words, *open_files])


def short_folder() -> Path:
    """Make a temporary folder whose path leaves room for Ray's sockets."""
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(place) + 1 + len(PREFIX) + 8 <= LONGEST and os.access(place, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    raise NasError(
        f"Ray needs a temporary folder with a path of at most {LONGEST - 9 - len(PREFIX)} letters",
        where=tempfile.gettempdir(),
        hint="set TMPDIR to a shorter one",
    )
