"""Executors: where evaluations run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from nas.evaluation import Evaluation, Job


class Executor(Protocol):
    """Runs jobs.

    It takes the next job only when it can start it, so that every proposal sees all results
    so far; a job that fails comes back as a failed evaluation, never as an exception.
    """

    def map(self, jobs: Iterable[Job]) -> Iterator[Evaluation]:
        """Yield evaluations in order of completion."""
        ...
