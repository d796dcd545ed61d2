"""The command line, as a person calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def nas(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command and check its exit code; no output ever holds a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "nas", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done
