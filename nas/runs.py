"""The folder of all runs."""

from __future__ import annotations

import os
from pathlib import Path

from nas.run_config import FILE


def runs_folder() -> Path:
    """Return where runs go: ``NAS_RUNS``, else ``runs`` in the current folder."""
    return Path(os.environ.get("NAS_RUNS") or "runs")


def list_runs(folder: Path | None = None) -> list[Path]:
    """Return the folders of all runs, by name."""
    root = folder or runs_folder()
    return sorted(p.parent for p in root.glob(f"*/{FILE}") if not p.parent.name.startswith("."))
