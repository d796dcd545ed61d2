"""Many workers: what travels to them and back, and mistakes that must not become waits."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_evaluators import SPACE, Keeper, faulty, measured
from ray_watch import (
    EVALUATOR,
    NAS,
    WIDE,
    run,
    space_file,
    wait_for,
)

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

# -- what travels --------------------------------------------------------------------------------


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


# -- mistakes ------------------------------------------------------------------------------------


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
