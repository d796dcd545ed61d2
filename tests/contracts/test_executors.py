"""What every executor must keep to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nas.evaluation import DiskFull, Evaluation, Job, make_evaluation
from nas.executors import Executor
from nas.executors.inline import InlineExecutor
from nas.executors.ray import RayExecutor
from nas.executors.workers import Workers
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space

SPACE = load_space(
    {"name": "s", "parameters": {"a": {"int": [0, 99]}}, "objectives": {"ua": "maximize"}}
)

Make = Callable[[Callable[..., Any]], Executor]


@pytest.fixture(scope="module")
def own_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all tests of this file; an executor uses what the process is connected to."""
    import ray

    from nas.executors.ray_cluster import cluster

    with cluster(Workers(2), tmp_path_factory.mktemp("ray")):
        yield
    assert not ray.is_initialized()


@pytest.fixture(params=["inline", "ray"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "inline":
        return lambda evaluator: InlineExecutor(evaluator, SPACE)
    request.getfixturevalue("own_ray")
    return lambda evaluator: RayExecutor(evaluator, SPACE, Workers(2), tmp_path)


def jobs(n: int, log: list[str]) -> Iterator[Job]:
    for i in range(n):
        log.append(f"ask {i}")
        yield Job(i, Architecture({"a": i}), 1.0, seed=i)


def a_tenth(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    if seed % 10 == 1:
        raise ValueError("no")
    return {"ua": 0.1 * seed}


def run(executor: Executor, source: Any) -> list[Evaluation]:
    with closing(executor.map(source)) as results:
        return list(results)


def test_every_job_comes_back_once_and_a_failing_one_as_a_failed_evaluation(make: Make) -> None:
    """The study has one writer: jobs are pulled and results given in the calling thread."""
    threads = set()

    def source() -> Iterator[Job]:
        for job in jobs(13, []):
            threads.add(threading.get_ident())
            yield job

    results = run(make(a_tenth), source())
    assert threads == {threading.get_ident()}
    assert sorted(e.number for e in results) == list(range(13))
    done = {e.number: e for e in results}
    assert {n for n, e in done.items() if not e.ok} == {1, 11}
    assert "ValueError: no" in (done[1].error or "")
    assert done[7].objectives == {"ua": 0.1 * 7}
    assert done[7].architecture == {"a": 7}


def test_a_job_is_taken_only_when_it_can_start(make: Make) -> None:
    """Every proposal must see all results so far, so nothing is taken ahead of time."""
    log: list[str] = []
    with closing(make(a_tenth).map(jobs(9, log))) as results:
        for e in results:
            log.append(f"told {e.number}")
            under_way = sum(x[:3] == "ask" for x in log) - sum(x[:4] == "told" for x in log)
            assert under_way <= 1  # of two workers, one has just become free
    assert len(log) == 18


def test_jobs_that_wait_are_asked_again_after_the_next_result(make: Make) -> None:
    """None stands for nothing until something under way has ended."""
    told: list[int] = []
    waited: list[int] = []

    def source() -> Iterator[Job | None]:
        yield Job(0, Architecture({"a": 0}), 1.0, seed=0)
        while not told:  # inline, the first is done by now
            waited.append(len(told))
            yield None
        yield Job(2, Architecture({"a": 2}), 1.0, seed=2)

    with closing(make(a_tenth).map(source())) as results:
        for e in results:
            told.append(e.number)
    assert told == [0, 2]
    assert len(waited) <= 1


def test_waiting_for_nothing_is_an_error_and_not_a_hang(make: Make) -> None:
    with pytest.raises(RuntimeError, match="none runs"):
        run(make(a_tenth), iter([None]))


def test_an_error_of_the_jobs_passes_through(make: Make) -> None:
    def source() -> Iterator[Job]:
        yield from jobs(1, [])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make(a_tenth), source())


def no_space(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_no_failure_of_an_architecture(make: Make) -> None:
    with pytest.raises((OSError, DiskFull), match="No space left"):
        run(make(no_space), jobs(1, []))


@pytest.mark.parametrize("stop", [SystemExit, SystemExit(0), GeneratorExit])
def test_inline_an_exit_is_a_failed_evaluation(stop: Any) -> None:
    """A search that ended with it would have said nothing, with exit code 0."""

    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        raise stop

    results = list(InlineExecutor(evaluator, SPACE).map(jobs(2, [])))
    assert [e.ok for e in results] == [False, False]
    assert "Exit" in (results[0].error or "")


def test_an_exit_of_a_worker_of_ray_is_left_to_ray() -> None:
    """A worker that is told to end (SIGTERM) says so by SystemExit, in the midst of a job."""

    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        raise SystemExit(1)

    [job] = jobs(1, [])
    with pytest.raises(SystemExit):
        make_evaluation(job, evaluator, SPACE, exits=False)


def test_inline_what_an_evaluator_prints_is_no_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        sys.stdout.write("epoch 1\n")
        return {"ua": 0.5}

    for _ in InlineExecutor(evaluator, SPACE).map(jobs(1, [])):
        sys.stdout.write("between\n")
    assert capsys.readouterr() == ("between\n", "epoch 1\n")


def test_inline_an_interrupt_passes_through() -> None:
    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(InlineExecutor(evaluator, SPACE).map(jobs(1, [])))
