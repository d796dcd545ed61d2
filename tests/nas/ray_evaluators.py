"""Evaluators for the tests of the Ray executor; workers load this file as a person's own.

What they do depends on files beside the log that ``NAS_TEST_LOG`` names, so that a test can
steer processes it did not start.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

SPACE: dict[str, Any] = {
    "name": "wide",
    "parameters": {"a": {"int": [0, 999]}, "b": {"int": [0, 9]}},
    "objectives": {"ua": "maximize", "energy": "minimize"},
}
SECONDS = 0.4


def measured(architecture: dict[str, Any]) -> dict[str, Any]:
    a, b = architecture["a"], architecture["b"]
    return {"ua": a / 1000, "energy": (a * a + 1) * 1e-9 * (b + 1)}


def _log(event: str, architecture: dict[str, Any]) -> None:
    line = f"{event} {architecture['a']}.{architecture['b']} {os.getpid()} {time.time():.6f}\n"
    descriptor = os.open(os.environ["NAS_TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())  # in one piece, whoever writes besides
    os.close(descriptor)


def slow(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    _log("start", architecture)
    time.sleep(SECONDS)
    _log("end", architecture)
    return measured(architecture)


def faulty(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    """Hang for ``b`` 1; take the worker along every time for 2, and once for 3."""
    _log("start", architecture)
    mark = Path(os.environ["NAS_TEST_LOG"]).with_name(f"died-{architecture['a']}")
    if architecture["b"] == 1:
        while True:
            sum(range(10_000_000))  # holds the interpreter's lock, as a frozen library would
    if architecture["b"] == 2 or (architecture["b"] == 3 and not mark.exists()):
        mark.touch()
        os._exit(9)
    return measured(architecture)


class Keeper:
    """Leaves files as a training does: weights, and a state that a longer one goes on from."""

    checkpoints = True

    def __call__(
        self,
        architecture: dict[str, Any],
        fidelity: float,
        seed: int,
        checkpoint: Path | None = None,
        partial: Path | None = None,
    ) -> dict[str, Any]:
        assert checkpoint is not None
        assert partial is not None
        before = partial.read_text() if partial.is_file() else "nothing"
        for role, path in (("weights", checkpoint), ("state", partial)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{role} of {architecture['a']} at {fidelity:g}")
        folder = str(checkpoint.parent.parent)
        return {"ua": 0.5, "energy": 1.0, "before": before, "folder": folder}
