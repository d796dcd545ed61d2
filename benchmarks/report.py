"""Write what a benchmark measured, with machine and date, as JSON beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nas.run_config import describe_environment

RESULTS = Path(__file__).parent / "results"


def write(name: str, measured: dict[str, Any]) -> None:
    """Write ``results/<name>.json`` and say where."""
    # no path of a machine in the project: a file is named, its place is not
    given = [Path(a).name if a.startswith("/") else a for a in sys.argv[1:]]
    command = f"python benchmarks/{Path(sys.argv[0]).name} " + " ".join(given)
    document = {"measured": measured, "environment": describe_environment(command.strip())}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"-> {path}")
