"""One worker: this process."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import redirect_stdout

from nas.evaluation import Evaluation, Evaluator, Job, make_evaluation
from search_spaces.space import Space


class InlineExecutor:
    """Evaluates one job after another, in this process."""

    def __init__(self, evaluator: Evaluator, space: Space) -> None:
        self._evaluator = evaluator
        self._space = space

    def map(self, jobs: Iterable[Job | None]) -> Generator[Evaluation, None, None]:
        """Yield evaluations in the order of the jobs."""
        for job in jobs:
            if job is None:
                raise RuntimeError("the jobs wait for an evaluation, and none runs")
            with redirect_stdout(sys.stderr):  # stdout is for the result of the command
                evaluation = make_evaluation(job, self._evaluator, self._space)
            yield evaluation
