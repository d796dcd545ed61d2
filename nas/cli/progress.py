"""Progress of a search: a bar with the front so far on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from nas.cli.output import Out, heading, shown
from nas.evaluation import Evaluation
from nas.study import Study

PLAIN_EVERY_SECONDS = 20.0


class Progress:
    """Watches a search for a person.

    Args:
        out: Where to speak.
    """

    def __init__(self, out: Out) -> None:
        self._out = out
        self._bar: Any = None
        self._task: Any = None
        self._began = 0.0
        self._said = 0.0
        self._at_start = 0.0
        self._failed = 0

    def started(self, study: Study) -> None:
        """Say where the run is and show the bar."""
        self._began = self._said = time.monotonic()
        self._at_start = study.spent
        self._out.say(f"run {study.folder}")
        if study.spent:
            left = study.config.budget - study.spent
            self._out.say(f"resumed: {study.spent:g} units spent, {left:g} to go")
        if self._out.mode == "quiet" or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(
            _front(study), total=study.config.budget, completed=study.spent
        )
        self._bar.start()

    def evaluated(self, study: Study, evaluation: Evaluation) -> None:
        """Move on by one evaluation."""
        if not evaluation.ok:
            self._failed += 1
            last = (evaluation.error or "").strip().splitlines()[-1]
            if self._failed <= 3:
                self._out.say(f"failed {evaluation.architecture.hash}: {last}")
            if self._failed == 3:
                self._out.say("further failures are kept in the record only (nas show RUN HASH)")
        if self._bar is not None:
            self._bar.update(self._task, completed=study.spent, description=_front(study))
            return
        now = time.monotonic()
        if now - self._said >= PLAIN_EVERY_SECONDS or study.spent >= study.config.budget:
            self._said = now
            pace = (now - self._began) / max(study.spent - self._at_start, 1e-9)
            eta = pace * (study.config.budget - study.spent)
            self._out.say(
                f"{study.spent:g}/{study.config.budget} units, {now - self._began:.0f} s,"
                f" {eta:.0f} s left, {_front(study)}"
            )

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _front(study: Study) -> str:
    """Say how many are on the front, and the best of each objective there."""
    members = study.front()
    parts = []
    for name, direction in study.space.objectives.items():
        values = [e.objectives[name] for e in members]
        if values:
            best = max(values) if direction == "maximize" else min(values)
            parts.append(f"{heading(name)} {shown(name, best)}")
    return f"front {len(members)}: " + ", ".join(parts) if members else "front empty"
