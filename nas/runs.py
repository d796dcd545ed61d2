"""The folder of all runs."""

from __future__ import annotations

import os
from datetime import date
from itertools import count
from pathlib import Path

from nas.out_folder import refuse_unwritable
from nas.run_config import FILE
from search_spaces.errors import NasError


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
            "the output exists already",
            where=str(folder),
            hint=f"choose another --out, or go on with it: nas search --resume {folder}",
        )
    refuse_unwritable(folder)
