"""Ray Tune in a thread of its own, and the sides on which the driver meets it."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from nas.executors.ray_messages import Ask, Done, Ended, Lost, Up
from nas.executors.ray_worker import Message, Worker
from nas.executors.workers import Workers

GRACE_SECONDS = 20.0  # beyond the timeout, for a worker that cannot end itself


class Stopped(Exception):
    """Ends Tune's loop; the driver needs it no more."""


class Session:
    """Tune, running.

    Args:
        payload: Reference to what every worker needs.
        workers: How many at a time, and what each takes.
        folder: ``<run>/ray``.
    """

    def __init__(self, payload: Any, workers: Workers, folder: Path) -> None:
        self.inbox: SimpleQueue[Up | Ask | Done | Lost | Ended] = SimpleQueue()
        self._answers: SimpleQueue[Message | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._opened = threading.Event()
        self._workers = workers
        self._folder = folder
        self._watch = _Watch(self.inbox, self._stopping, workers.timeout)
        self._desk = _Desk(self.inbox, self._answers, self._watch)
        self._desk.first.extend(Message(payload, None) for _ in range(workers.number))
        self._thread = threading.Thread(target=self._run, name="ray-tune", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Let workers that are up ask for jobs."""
        self._opened.set()

    def answer(self, message: Message | None) -> None:
        """Answer an ``Ask``: with a job, or None for nothing now."""
        self._answers.put(message)

    def stop(self) -> None:
        """End Tune and its workers, whatever they are doing."""
        self._stopping.set()
        self._answers.put(None)
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        error: BaseException | None = None
        take = {k.lower(): v for k, v in self._workers.resources.items() if v}
        try:
            tune.Tuner(
                tune.with_resources(Worker, take),
                tune_config=tune.TuneConfig(
                    search_alg=self._desk,
                    scheduler=_InTurn(),
                    num_samples=10**9,
                    max_concurrent_trials=self._workers.number,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=str(self._folder / "tune"),
                    verbose=0,
                    callbacks=[self._watch],
                    stop=_Gate(self._opened),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=0),  # the driver counts them
                ),
            ).fit()
        except Stopped:
            pass
        except BaseException as reason:  # told to the driver's thread, which raises it
            error = reason
        self.inbox.put(Ended(error))


class _Unpicklable:
    """Tune pickles and copies what it is given, for a resume that never comes."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class _Desk(_Unpicklable, Searcher):  # type: ignore[misc] # ray is not typed
    """Where Tune asks for work. Knows nothing; every decision is the driver's."""

    def __init__(
        self, inbox: SimpleQueue[Any], answers: SimpleQueue[Message | None], watch: _Watch
    ) -> None:
        super().__init__()
        self.first: deque[Message] = deque()  # to bring workers up, before any job
        self._inbox = inbox
        self._answers = answers
        self._watch = watch
        self._messages: dict[str, Message] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask the driver for a job and wait for the answer."""
        message: Message | None
        if self.first:
            message = self.first.popleft()
        else:
            self._inbox.put(Ask())
            message = self._answers.get()
        self._watch.stop_if_told()
        if message is None:
            return None
        self._messages[trial_id] = message
        return {"message": message}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hand a result on. A trial without one is told of by ``_Watch``, who knows why."""
        message = self._messages.pop(trial_id, None)
        if message is not None and result and "outcome" in result and not error:
            self._inbox.put(Done(message, result["outcome"]))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""


class _Watch(_Unpicklable, tune.Callback):  # type: ignore[misc] # ray is not typed
    """Sees trials begin and die, and ends the loop when the driver says so."""

    def __init__(
        self, inbox: SimpleQueue[Any], stopping: threading.Event, timeout: float | None
    ) -> None:
        self._inbox = inbox
        self._stopping = stopping
        self._timeout = timeout
        self._running: dict[str, tuple[float, Any]] = {}
        self._up: set[str] = set()

    def stop_if_told(self) -> None:
        """Leave Tune's loop; whatever workers are doing is not waited for."""
        if self._stopping.is_set():
            for _, trial in self._running.values():
                _kill(trial)
            raise Stopped

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Stop, or end workers that are past their time and did not end themselves."""
        self.stop_if_told()
        if self._timeout is None:
            return
        late = time.monotonic() - self._timeout - GRACE_SECONDS
        for began, trial in self._running.values():
            if began < late and trial.config["message"].job is not None:
                _kill(trial)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note when an evaluation began."""
        self._running[trial.trial_id] = time.monotonic(), trial

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell the driver, once, that a worker is up."""
        if "up" in result and trial.trial_id not in self._up:
            self._up.add(trial.trial_id)
            self._inbox.put(result["up"])

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None:
        """Forget a finished one."""
        self._running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell the driver that a worker died, and why."""
        began, _ = self._running.pop(trial.trial_id, (time.monotonic(), None))
        seconds = time.monotonic() - began
        if self._timeout is not None and seconds >= self._timeout:
            reason = f"it took longer than {self._timeout:g} s"
        else:
            reason = _reason(trial)
        self._inbox.put(Lost(trial.config["message"], reason, seconds))


class _InTurn(_Unpicklable, FIFOScheduler):  # type: ignore[misc] # ray is not typed
    """Trials begin in the order they come, a new one on a worker that is free.

    By default Tune gives a free worker to the oldest trial, though another worker is being
    started for that one, and ends the other. Where evaluations are shorter than a start, a
    worker that died would never be replaced.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Choose none; what is waiting begins in turn."""


class _Gate(_Unpicklable, tune.Stopper):  # type: ignore[misc] # ray is not typed
    """Ends the trials that brought workers up, when the driver has seen enough of them."""

    def __init__(self, opened: threading.Event) -> None:
        self._opened = opened

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Say whether a trial is over."""
        return "up" in result and self._opened.is_set()

    def stop_all(self) -> bool:
        """Say no: the end comes by ``_Watch``."""
        return False


def _kill(trial: Any) -> None:
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)


def _reason(trial: Any) -> str:
    """Return what Ray says of a death."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8").strip()
    except OSError:
        text = ""
    # Ray's names for things help nobody, and what it guesses is the same for every death
    lines = [x for x in text.splitlines() if x.strip() and x[0] != "\t" and "Failure #" not in x]
    return " ".join(lines).partition(" Some common causes")[0] or "its worker died"
