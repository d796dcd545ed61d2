"""Start searches on many workers, and look at what they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from ray_evaluators import SPACE, measured

import nas
from nas.evaluation import Evaluation
from nas.executors.ray import RayExecutor
from search_spaces.schema import load_space

HERE = Path(__file__).parent
WIDE = load_space(SPACE)
NAS = [sys.executable, "-m", "nas", "search"]
EVALUATOR = f"{HERE / 'ray_evaluators.py'}:slow"


def space_file(folder: Path) -> str:
    path = folder / "wide.yaml"
    path.write_text(yaml.safe_dump(SPACE))
    return str(path)


def start(folder: Path, out: Path, *options: str, env: Any = None) -> subprocess.Popen[str]:
    command = [*NAS, "--space", space_file(folder), "--evaluator", EVALUATOR, "--out", str(out)]
    command += ["--searcher", "random", *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env
    )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 60
    while not what():
        if process is not None and process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run(executor: RayExecutor, jobs: Any) -> dict[int, Evaluation]:
    with closing(executor.map(jobs)) as results:
        return {e.number: e for e in results}


def lines(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()]


def ends(log: Path) -> int:
    return sum(words[0] == "end" for words in lines(log))


def repeated(log: Path) -> int:
    """Evaluations that were begun more than once, counted by how often."""
    counts = Counter(words[1] for words in lines(log) if words[0] == "start")
    return sum(counts.values()) - len(counts)


def pid_under_way(log: Path) -> int:
    """The process of an evaluation that has begun and not ended."""
    while True:
        ended = {tuple(words[1:3]) for words in lines(log) if words[0] == "end"}
        begun = [words for words in lines(log) if words[0] == "start"]
        for words in reversed(begun):
            if tuple(words[1:3]) not in ended:
                return int(words[2])
        time.sleep(0.02)


def alive(log: Path) -> list[int]:
    """Processes of evaluations that are still there."""
    return [pid for pid in {int(words[2]) for words in lines(log)} if not _is_over(pid)]


def _is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def running_with(text: str) -> list[str]:
    """Command lines of other processes that name something."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in command and path.parent.name != str(os.getpid()):
            found.append(command)
    return found


def check_record(folder: Path, budget: int) -> None:
    study = nas.open_run(str(folder))
    assert study.spent == budget
    assert study.pending == []
    assert all(e.ok for e in study.evaluations)
    assert len({e.architecture.hash for e in study.evaluations}) == budget
    for e in study.evaluations:
        assert e.objectives == measured(e.architecture.as_dict())


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def share_beside_another(folder: Path, since: float) -> float:
    """Share of the evaluations begun since that had another under way when they ended."""
    from optuna.trial import TrialState

    from nas.record import open_storage

    spans = [
        (t.datetime_start, t.datetime_complete)
        for t in open_storage(folder).get_all_trials(0)
        if t.state == TrialState.COMPLETE and t.datetime_start.timestamp() > since
    ]
    assert len(spans) >= 20
    beside = [any(b < end < e for b, e in spans) for _, end in spans]
    return sum(beside) / len(beside)
