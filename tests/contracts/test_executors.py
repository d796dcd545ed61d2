"""What every executor must keep to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nas.evaluation import Job
from nas.executors.inline import InlineExecutor
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space

SPACE = load_space(
    {"name": "s", "parameters": {"a": {"int": [0, 9]}}, "objectives": {"ua": "maximize"}}
)


def jobs(n: int, log: list[str]) -> Iterator[Job]:
    for i in range(n):
        log.append(f"ask {i}")
        yield Job(i, Architecture({"a": i}), 1.0, seed=i)


def test_a_job_is_taken_only_when_it_can_start() -> None:
    """Every proposal must see all results so far, so nothing is taken ahead of time."""
    log: list[str] = []

    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        log.append(f"run {seed}")
        return {"ua": 0.5}

    for e in InlineExecutor(evaluator, SPACE).map(jobs(2, log)):
        log.append(f"told {e.number}")
    assert log == ["ask 0", "run 0", "told 0", "ask 1", "run 1", "told 1"]


def test_a_failing_job_comes_back_as_a_failed_evaluation() -> None:
    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        if seed == 1:
            raise ValueError("no")
        return {"ua": 0.1 * seed}

    done = list(InlineExecutor(evaluator, SPACE).map(jobs(3, [])))
    assert [e.ok for e in done] == [True, False, True]
    assert "ValueError: no" in (done[1].error or "")


def test_an_interrupt_passes_through() -> None:
    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(InlineExecutor(evaluator, SPACE).map(jobs(1, [])))
