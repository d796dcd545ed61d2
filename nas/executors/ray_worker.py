"""What runs in a worker: one evaluation a step, with the evaluator loaded once per process."""

from __future__ import annotations

import faulthandler
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
from ray import tune

import nas
from nas.evaluation import DiskFull, Evaluation, Job, make_evaluation
from nas.executors.ray_messages import Up
from nas.executors.shipping import unpack
from search_spaces.errors import NasError
from search_spaces.space import Space

BETWEEN_SECONDS = 0.05  # between two words of a worker that waits for the others
FOLDER_TOKEN = "folder_token"  # a file in the run's `ray` folder: who reads it sees the folder


@dataclass(frozen=True)
class Payload:
    """What every worker needs, the same for all evaluations of a run.

    Args:
        evaluator: Reference to what ``shipping.pack`` made.
        path: Where the driver finds modules.
        space: The space.
        folder: Of the run, on the driver's machine.
        token: What stands in its token file.
        threads: Of a worker.
        timeout: Seconds of an evaluation, None for any.
    """

    evaluator: Any
    path: tuple[str, ...]
    space: Space
    folder: Path
    token: str
    threads: int
    timeout: float | None


class Message:
    """A job on its way to a worker. The driver empties it when the job is done.

    Args:
        payload: Reference to the ``Payload``.
        job: What to evaluate; None to say when the worker is up.
        state: Reference to the training state that the job goes on from, where workers do not
            see the run's folder.
    """

    def __init__(self, payload: Any, job: Job | None, state: Any = None) -> None:
        self.payload = payload
        self.job = job
        self.state = state

    def __deepcopy__(self, memo: dict[int, Any]) -> Message:
        return self  # Tune copies and keeps every configuration; this one can be emptied

    def __repr__(self) -> str:
        # becomes part of the name of a Tune trial
        return f"job-{self.job.number if self.job else 'none'}"


class Outcome:
    """What came out of a job, on its way to the driver.

    Args:
        evaluation: None where the worker could not evaluate at all, for ``problem``.
        files: Contents of the files that the evaluator left, by role; empty where the worker
            sees the run's folder.
        problem: Of the worker's machine, not of the architecture.
        disk: Whether it was a full disk.
    """

    def __init__(
        self,
        evaluation: Evaluation | None,
        files: dict[str, bytes] | None = None,
        problem: str = "",
        disk: bool = False,
    ) -> None:
        self.evaluation = evaluation
        self.files = files or {}
        self.problem = problem
        self.disk = disk


class Bench:
    """A worker's place: the evaluator, and where files go."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        # on the driver's machine, and on others with the same folders, modules are found alike
        sys.path += [p for p in payload.path if p not in sys.path and Path(p).exists()]
        self.evaluator = unpack(ray.get(payload.evaluator))
        self.shared = _reads(payload.folder / "ray" / FOLDER_TOKEN) == payload.token
        trains = hasattr(self.evaluator, "family")
        if trains:  # now, and not in the time of the first evaluation
            import_module("eval.evaluate")
        if trains or "torch" in sys.modules:
            import torch

            from eval.process import keep_freed_memory

            torch.set_num_threads(payload.threads)
            keep_freed_memory()

    def run(self, job: Job, state: bytes | None) -> Outcome:
        """Make an evaluation; whatever goes wrong comes back in the outcome."""
        if self.shared:
            return self._evaluated(job, {})
        scratch = Path(tempfile.mkdtemp(prefix="nas-job-"))
        try:
            own = {"checkpoint": job.checkpoint, "partial": job.partial}
            here = {role: scratch / role / p.name for role, p in own.items() if p is not None}
            if state is not None and "partial" in here:
                here["partial"].parent.mkdir()
                here["partial"].write_bytes(state)
            moved = replace(job, checkpoint=here.get("checkpoint"), partial=here.get("partial"))
            return self._evaluated(moved, here)
        except OSError as error:
            return Outcome(None, problem=f"no place for a job's files: {error}")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _evaluated(self, job: Job, files: dict[str, Path]) -> Outcome:
        try:
            # Ray ends a worker (SIGTERM) by SystemExit, which is no architecture's failure
            evaluation = make_evaluation(job, self.evaluator, self.payload.space, exits=False)
        except DiskFull as error:
            return Outcome(None, problem=str(error), disk=self.shared)
        left = {role: path.read_bytes() for role, path in files.items() if path.is_file()}
        if job.fidelity >= 1.0:
            left.pop("partial", None)  # nobody goes on from a finished training
        return Outcome(evaluation, left)


_bench: Bench | None = None


def bench_of(payload: Payload) -> Bench:
    """Return this process's bench; the evaluator is loaded only once."""
    global _bench
    if _bench is None or _bench.payload.token != payload.token:
        _bench = Bench(payload)
    return _bench


class Worker(tune.Trainable):  # type: ignore[misc] # ray is not typed
    """A reused actor of Ray Tune; one step is one evaluation."""

    def setup(self, config: dict[str, Any]) -> None:
        """Load the evaluator, and see whether it can be."""
        self.message: Message = config["message"]
        self.bench: Bench | None = None
        error = ""
        try:
            self.bench = bench_of(ray.get(self.message.payload))
        except NasError as wrong:
            error = str(wrong)
        except Exception:  # a person's module may raise anything
            traceback.print_exc()  # into the worker's log
            error = traceback.format_exc().strip().splitlines()[-1]
        node = ray.util.get_node_ip_address()
        shared = self.bench is not None and self.bench.shared
        self.up = Up(node, nas.__version__, shared, error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next job. Nothing else: Tune does not retry what dies in here."""
        self.message = new_config["message"]
        return True

    def step(self) -> dict[str, Any]:
        """Evaluate; without a job, say that this worker is up, until Tune ends the trial."""
        if self.message.job is None:
            time.sleep(BETWEEN_SECONDS)
            return {"up": self.up}
        assert self.bench is not None
        timeout = self.bench.payload.timeout
        if timeout is not None:
            # a thread of C, for one of Python would wait for an evaluator that holds the GIL
            assert sys.__stderr__ is not None
            faulthandler.dump_traceback_later(timeout, exit=True, file=sys.__stderr__)
        try:
            state = ray.get(self.message.state) if self.message.state is not None else None
            outcome = self.bench.run(self.message.job, state)
        finally:
            faulthandler.cancel_dump_traceback_later()
        return {"done": True, "outcome": outcome}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the study's record is all there is to resume from."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


def _reads(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
