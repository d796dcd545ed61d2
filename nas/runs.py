"""The folder of all runs."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path

from nas.out_folder import refuse_unwritable, writing
from nas.run_config import FILE
from search_spaces.errors import NasError

FORGOTTEN = 3600.0  # [s] after which a run that was being made is that of a killed process


def runs_folder() -> Path:
    """Return where runs go: ``NAS_RUNS``, else ``runs`` in the current folder."""
    return Path(os.environ.get("NAS_RUNS") or "runs")


def list_runs(folder: Path | None = None) -> list[Path]:
    """Return the folders of all runs, by name."""
    root = folder or runs_folder()
    return sorted(p.parent for p in root.glob(f"*/{FILE}") if not p.parent.name.startswith("."))


def default_folder(space: str) -> Path:
    """Return the first free ``<space>-<date>-<n>`` under :func:`runs_folder`."""
    day = date.today().isoformat()
    folders = (runs_folder() / f"{space}-{day}-{n}" for n in count(1))
    return next(f for f in folders if not f.exists())


def refuse_existing(folder: Path) -> None:
    """Refuse to write a run where something lies already, or nothing can.

    Raises:
        NasError: The folder exists, or cannot be made.
    """
    if folder.exists():
        raise NasError(
            "the output folder exists already",
            where=str(folder),
            hint=f"choose another --out, or go on with it: nas search --resume {folder}",
        )
    refuse_unwritable(folder)


@contextlib.contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Give a place to build a run's folder in; it appears whole, or not at all.

    Nobody else builds there: of two searches that want the same folder one is refused.

    Raises:
        NasError: The folder exists, at the beginning or at the end, or cannot be made.
    """
    refuse_existing(folder)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        pattern = f".{glob.escape(folder.name)}.*.making"
        for left in folder.parent.glob(pattern):
            with contextlib.suppress(OSError):  # that another process removes
                if time.time() - left.stat().st_mtime > FORGOTTEN:
                    shutil.rmtree(left)
        making = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.making")
        making.mkdir()
    try:
        yield making
        try:
            making.rename(folder)
        except OSError:
            refuse_existing(folder)
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
