"""Many workers: what is lost when something dies, and what must not stay behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_evaluators import faulty
from ray_watch import (
    HERE,
    NAS,
    WIDE,
    alive,
    check_record,
    ends,
    events,
    lines,
    pid_under_way,
    repeated,
    run,
    running_with,
    share_beside_another,
    start,
    wait_for,
)

import nas
from nas.evaluation import Job
from nas.evaluators import FunctionEvaluator
from nas.executors.ray import RayExecutor
from nas.executors.workers import Workers
from search_spaces.architecture import Architecture


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "evaluations.log"
    monkeypatch.setenv("NAS_TEST_LOG", str(path))
    path.touch()
    return path


# -- a cluster of the run's own -------------------------------------------------------------------


def test_a_killed_driver_leaves_nothing_and_its_run_goes_on(tmp_path: Path, log: Path) -> None:
    """Kill -9 in the middle; the resumed run keeps two workers busy to the exact end."""
    folder, budget = tmp_path / "run", 30
    process = start(tmp_path, folder, "--budget", str(budget), "--workers", "2")
    wait_for(lambda: ends(log) >= 6, process)
    process.kill()
    process.communicate()
    temp = Path((folder / "ray" / "temp").read_text())
    assert temp.is_dir()
    assert 1 <= len(nas.open_run(folder).pending) <= 2
    resumed_at = time.time()
    done = subprocess.run(
        [*NAS, "--resume", str(folder), "--workers", "2", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == str(folder)  # nothing of Ray's on stdout
    assert "ray" not in done.stderr.lower().replace(str(folder), "").replace("array", "")
    check_record(folder, budget)
    assert repeated(log) <= 2
    assert share_beside_another(folder, resumed_at) >= 0.8
    assert not temp.exists()
    assert not (folder / "ray" / "temp").exists()
    assert not (folder / "ray" / "token").exists()
    assert list((folder / "ray" / "logs").glob("session_*/raylet.out"))
    assert running_with(str(temp)) == []
    assert alive(log) == []


# -- two nodes ------------------------------------------------------------------------------------


class TwoNodes:
    """The cluster of ``two_nodes.py``, its nodes found dead within a second."""

    def __init__(self) -> None:
        quick = {f"RAY_health_check_{x}_ms": "500" for x in ("initial_delay", "period", "timeout")}
        self.environment = {
            **os.environ,
            **quick,
            "RAY_health_check_failure_threshold": "2",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 2,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "two_nodes.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


@pytest.fixture
def two_nodes(log: Path) -> Iterator[TwoNodes]:
    nodes = TwoNodes()
    try:
        yield nodes
    finally:
        nodes.close()


def test_dead_workers_nodes_and_drivers_cost_what_was_in_flight(
    tmp_path: Path, log: Path, two_nodes: TwoNodes
) -> None:
    folder, budget = tmp_path / "run", 60
    more = ["--ray-address", two_nodes.address, "--workers", "2"]
    environment = two_nodes.environment
    process = start(tmp_path, folder, "--budget", str(budget), *more, env=environment)
    wait_for(lambda: ends(log) >= 6, process)
    os.kill(pid_under_way(log), signal.SIGKILL)  # a worker
    # another takes its place, though an evaluation is shorter than a worker's start
    wait_for(lambda: len({words[2] for words in lines(log) if words[0] == "end"}) == 3, process)
    two_nodes.tell("kill")
    before = ends(log)
    wait_for(lambda: ends(log) >= before + 4, process)  # the other node goes on alone
    two_nodes.tell("add")
    process.kill()  # the driver
    process.communicate()
    wait_for(lambda: alive(log) == [])
    assert len(nas.open_run(folder).evaluations) >= 12
    # interrupted once more, by Ctrl-C this time
    resume = [*NAS, "--resume", str(folder), *more]
    before = ends(log)
    again = subprocess.Popen(
        resume,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background of a shell ignores SIGINT, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: ends(log) >= before + 4, again)
    again.send_signal(signal.SIGINT)
    _, said = again.communicate(timeout=30)
    assert again.returncode == 130
    address = two_nodes.address
    assert f"nas search --resume {folder} --workers 2 --ray-address {address}" in said
    assert "Traceback" not in said
    wait_for(lambda: alive(log) == [])
    assert 1 <= len(nas.open_run(folder).pending) <= 2
    subprocess.run([*resume, "--quiet"], check=True, env=environment, stdout=subprocess.DEVNULL)
    check_record(folder, budget)
    # one with the worker, one with the node, two each with the driver and with Ctrl-C
    assert repeated(log) <= 6
    wait_for(lambda: alive(log) == [])
    lost = [e for e in events(folder) if e["event"] == "lost"]
    assert len(lost) == 2  # the worker's, and the node's


# -- workers that die or hang ---------------------------------------------------------------------


def test_what_kills_or_hangs_its_worker_is_tried_three_times(
    own_ray: Path, tmp_path: Path
) -> None:
    """With the interpreter's lock held, too: no thread of Python could end it."""
    wanted = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 0)]
    jobs = [Job(i, Architecture({"a": a, "b": b}), 1.0, seed=0) for i, (a, b) in enumerate(wanted)]
    evaluator = FunctionEvaluator(faulty, f"{HERE / 'ray_evaluators.py'}:faulty")
    done = run(RayExecutor(evaluator, WIDE, Workers(2, timeout=2.0), tmp_path), jobs)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert {n: e.ok for n, e in done.items()} == {0: True, 1: False, 2: False, 3: True, 4: True}
    assert "took longer than 2 s" in (done[1].error or "")
    assert "after 3 attempts" in (done[2].error or "")
    assert "died" in (done[2].error or "")
    starts = Counter(words[1] for words in lines(own_ray))
    assert starts == {"1.0": 1, "2.1": 3, "3.2": 3, "4.3": 2, "5.0": 1}
