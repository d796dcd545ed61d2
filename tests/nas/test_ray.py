"""Many workers: what is lost when something dies, and what must not stay behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ray_evaluators import SPACE, Keeper, faulty, measured

import nas
from nas.evaluation import Evaluation, Job
from nas.evaluators import FunctionEvaluator
from nas.executors import ray_cluster, ray_worker
from nas.executors.ray import RayExecutor
from nas.executors.ray_cluster import cluster
from nas.executors.shipping import pack, unpack
from nas.executors.workers import Workers
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.schema import load_space

HERE = Path(__file__).parent
WIDE = load_space(SPACE)
NAS = [sys.executable, "-m", "nas", "search"]
EVALUATOR = f"{HERE / 'ray_evaluators.py'}:slow"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "evaluations.log"
    monkeypatch.setenv("NAS_TEST_LOG", str(path))
    path.touch()
    return path


@pytest.fixture(scope="module")
def own_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One Ray for many tests, and the log of the evaluations on it."""
    folder = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NAS_TEST_LOG", str(folder / "evaluations.log"))
        with cluster(Workers(2), folder):
            yield folder / "evaluations.log"


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
    assert in_flight(folder, resumed_at) >= 1.9
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


# -- what travels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_files_come_back_and_a_promotion_goes_on_from_them(
    shared: bool, own_ray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the run's folder seen by the workers and without."""
    if not shared:  # the driver writes its token where no worker looks for it
        monkeypatch.setattr(ray_worker, "FOLDER_TOKEN", "elsewhere")
    checkpoint, partial = tmp_path / "checkpoints" / "x.st", tmp_path / "partial" / "x.st"
    look = Job(0, Architecture({"a": 7, "b": 0}), 0.125, 0, 0.0, checkpoint, partial)
    full = Job(1, look.architecture, 1.0, 0, 0.125, checkpoint, partial)

    def in_turn() -> Iterator[Job | None]:
        yield look
        while not told:
            yield None
        assert checkpoint.read_text() == "weights of 7 at 0.125"
        assert partial.read_text() == "state of 7 at 0.125"
        yield full

    told: dict[int, Evaluation] = {}
    with closing(RayExecutor(Keeper(), WIDE, Workers(1, cpus=1), tmp_path).map(in_turn())) as made:
        for e in made:
            told[e.number] = e
    assert told[0].metrics["before"] == "nothing"
    assert told[1].metrics["before"] == "state of 7 at 0.125"
    assert checkpoint.read_text() == "weights of 7 at 1"
    assert (told[1].metrics["folder"] == str(tmp_path)) == shared
    if not shared:
        assert not Path(told[1].metrics["folder"]).exists()  # scratch


class Reader:
    """Says how it sees its memory-mapped frames."""

    def __init__(self, frames: np.ndarray[Any, Any]) -> None:
        self.frames = frames

    def __call__(self, architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        import warnings

        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            total = float(torch.from_numpy(self.frames[:10].astype(np.float32)).sum())
        return {
            "ua": total,
            "energy": 1.0,
            "mapped": isinstance(self.frames, np.memmap),
            "writable": bool(self.frames.flags.writeable),
            "owner": bool(self.frames.flags.owndata),
        }


@pytest.mark.parametrize("same_machine", [True, False])
def test_mapped_frames_are_never_copied_per_worker(
    same_machine: bool, own_ray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the driver's machine the file is mapped again, elsewhere the node's one copy is."""
    monkeypatch.setattr("nas.executors.ray_cluster.is_local", lambda: same_machine)
    np.save(tmp_path / "frames.npy", (np.arange(4_000_000) % 7).astype(np.float16).reshape(-1, 4))
    frames = np.load(tmp_path / "frames.npy", mmap_mode="r")
    job = Job(0, Architecture({"a": 1, "b": 1}), 1.0, seed=0)
    [e] = run(RayExecutor(Reader(frames), WIDE, Workers(1), tmp_path), [job]).values()
    assert e.objectives["ua"] == float(frames[:10].astype(np.float32).sum())
    assert e.metrics["mapped"] == same_machine
    assert not e.metrics["writable"]
    assert not e.metrics["owner"]


def test_a_function_travels_with_its_file_where_that_is_not(tmp_path: Path) -> None:
    """With what lies beside it; the same file is loaded where it is there."""
    (tmp_path / "beside_it.py").write_text("def twice(x):\n    return 2 * x\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from beside_it import twice\n"
        "def f(architecture, fidelity, seed):\n    return {'ua': twice(architecture['a'])}\n"
    )
    from nas.evaluators import load_function

    packed = pack(load_function(f"{file}:f"))
    here = unpack(packed)
    assert here.describe()["sha256"] == packed.digest
    code = (
        "import pickle, sys\n"
        "from nas.executors.shipping import unpack\n"
        "print(unpack(pickle.load(sys.stdin.buffer))({'a': 21}, 1.0, 0))"
    )
    import pickle

    (tmp_path / "mine.py").unlink()
    (tmp_path / "beside_it.py").unlink()
    found = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(packed), capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == "{'ua': 42}"


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "0 workers"),
        ({"workers": -2}, "-2 workers"),
        ({"cpus_per_worker": 0}, "0 cpus"),
        ({"cpus_per_worker": 1.5}, "1.5 cpus"),
        ({"gpus_per_worker": float("nan")}, "nan gpus"),
        ({"gpus_per_worker": 64}, "64 GPU"),
        ({"timeout": 0}, "timeout of 0 s"),
        ({"ray_address": "head"}, "'head'"),
        ({"ray_address": "ray://head:10001"}, "ray://"),
    ],
)
def test_settings_nothing_can_run_with_are_refused_before_a_run_begins(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(NasError, match=said) as caught:
        nas.search(space=SPACE, evaluator=measured, budget=3, out=tmp_path / "run", **options)
    assert caught.value.hint
    assert not (tmp_path / "run").exists()


def test_an_address_that_nobody_answers_at_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [*NAS, "--space", space_file(tmp_path), "--evaluator", EVALUATOR]
    command += ["--out", str(tmp_path / "run"), "--ray-address", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert f"{address}: no Ray cluster answers" in done.stderr
    assert "ray start --head" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_process_that_is_no_ray_is_an_error_and_not_a_wait_of_minutes() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        began = time.monotonic()
        with pytest.raises(NasError, match="no Ray cluster answers: timed out"):
            Workers(1, f"127.0.0.1:{other.getsockname()[1]}").check()
        assert time.monotonic() - began < 30


def test_more_workers_than_the_cluster_has_room_for(own_ray: Path, tmp_path: Path) -> None:
    executor = RayExecutor(FunctionEvaluator(faulty, "<f>"), WIDE, Workers(3), tmp_path)
    with pytest.raises(NasError, match=r"room for 2 \(1 node") as caught:
        run(executor, [])
    assert "--workers" in (caught.value.hint or "")


def test_a_cluster_whose_places_are_taken(
    own_ray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(ray_cluster, "FREE_SECONDS", 1.0)
    release = tmp_path / "release"

    def occupy() -> None:
        while not release.exists():
            time.sleep(0.05)

    taken = ray.remote(num_cpus=2)(occupy).remote()
    wait_for(lambda: ray.available_resources().get("CPU", 0) == 0)
    with pytest.raises(NasError, match="nothing is free"):
        run(RayExecutor(FunctionEvaluator(faulty, "<f>"), WIDE, Workers(2), tmp_path), [])
    release.touch()
    ray.get(taken)


def test_an_evaluator_that_only_the_driver_can_import(
    own_ray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_here = types.ModuleType("only_here")
    exec("def f(architecture, fidelity, seed):\n    return {}", vars(only_here))
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    evaluator = FunctionEvaluator(vars(only_here)["f"], "only_here:f")
    with pytest.raises(NasError, match=r"cannot be loaded.*no module 'only_here'") as caught:
        run(RayExecutor(evaluator, WIDE, Workers(1), tmp_path), [])
    assert (caught.value.where or "").startswith("node ")


def test_an_evaluator_that_cannot_be_sent(own_ray: Path, tmp_path: Path) -> None:
    lock = threading.Lock()
    evaluator = FunctionEvaluator(lambda *_: {"lock": lock}, "<lambda>")
    with pytest.raises(NasError, match="cannot be sent") as caught:
        run(RayExecutor(evaluator, WIDE, Workers(1), tmp_path), [])
    assert caught.value.hint


def test_another_version_of_ray_on_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def init(**_: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with: Ray: 2.9.0")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with (
        pytest.raises(NasError, match="Version mismatch") as caught,
        cluster(Workers(1, address="127.0.0.1:6379"), tmp_path),
    ):
        pass
    assert "same versions" in (caught.value.hint or "")


def test_the_help_loads_no_ray() -> None:
    code = (
        "import nas.cli.search, nas.driver, sys; sys.exit(bool({'ray', 'torch'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- looking --------------------------------------------------------------------------------------


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


def in_flight(folder: Path, since: float) -> float:
    """Mean number of evaluations under way, by the times in the record, of those begun since."""
    from optuna.trial import TrialState

    from nas.record import open_storage

    trials = open_storage(folder).get_all_trials(0)
    spans = [
        (t.datetime_start.timestamp(), t.datetime_complete.timestamp())
        for t in trials
        if t.state == TrialState.COMPLETE and t.datetime_start.timestamp() > since
    ]
    assert len(spans) >= 20
    whole = max(end for _, end in spans) - min(begun for begun, _ in spans)
    return sum(end - begun for begun, end in spans) / whole
