"""A small corpus of features, and commands on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CLASSES = ("angry", "calm", "sad")
SPEAKERS = ("ann", "bob", "cat", "dan")


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Any:
    """Run a command with ``--json`` and return its document."""
    done = subprocess.run(
        [sys.executable, "-m", "nas", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
