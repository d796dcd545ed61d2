"""Executors: where evaluations run."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Protocol

from nas.evaluation import Evaluation, Job


class Executor(Protocol):
    """Runs jobs.

    It takes the next job only when it can start it, so that every proposal sees all results
    so far; a job that fails comes back as a failed evaluation, never as an exception.
    """

    def map(self, jobs: Iterable[Job | None]) -> Generator[Evaluation, None, None]:
        """Yield evaluations in order of completion; close it to end what still runs.

        Args:
            jobs: What to evaluate. None stands for: nothing until one of those under way has
                ended, then ask again.
        """
        ...
