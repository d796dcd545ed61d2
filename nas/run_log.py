"""Reading the JSON lines of a run's folder while another process may be writing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOG = "log.jsonl"


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; none where there is no file.

    The file is never touched: a line that is half written, or was torn by a kill, is passed
    over.
    """
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
