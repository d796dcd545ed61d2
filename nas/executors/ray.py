"""Many workers: Ray Tune runs the evaluations, on this machine or a cluster.

The process that drives the run stays the only one that proposes, counts and records. Tune runs
in a thread beside it and asks for a job whenever a worker is free; the driver answers when it
has taken in every result so far. Tune keeps no state that anyone would need again.
"""

from __future__ import annotations

import errno
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from queue import Empty
from typing import Any

from nas.evaluation import DiskFull, Evaluation, Job
from nas.executors.ray_messages import Ask, Done, Ended, Lost, Up
from nas.executors.workers import Say, Workers
from search_spaces.errors import NasError
from search_spaces.space import Space

ATTEMPTS = 3  # before a job whose worker dies is recorded as failed
LOAD_SECONDS = 90.0  # for loading the evaluator in a worker, on a busy machine
SILENT_SECONDS = 5.0  # after which the cluster's head is looked after
WARM_SECONDS = 30.0  # after which the search begins with the workers that are up

_END = object()


class RayExecutor:
    """Evaluates jobs on the workers of a Ray cluster.

    Args:
        evaluator: Measures an architecture; travels once to every node.
        space: The space.
        workers: How many, with what, and where.
        folder: Of the run.
        again: The command to go on with, for an error to name; by default a search's.
        say: Takes a line for people.
        log: Takes events.
    """

    def __init__(
        self,
        evaluator: Any,
        space: Space,
        workers: Workers,
        folder: Path,
        *,
        again: str | None = None,
        say: Say = lambda _: None,
        log: Callable[..., None] = lambda _, **__: None,
    ) -> None:
        self._evaluator = evaluator
        self._space = space
        self._workers = workers
        self._folder = folder.resolve()
        self._again = again or f"nas search --resume {self._folder}"
        self._say = say
        self._log = log

    def map(self, jobs: Iterable[Job | None]) -> Generator[Evaluation, None, None]:
        """Yield evaluations in order of completion.

        Raises:
            NasError: Ray cannot be started or reached, workers cannot load the evaluator, or
                the whole cluster is lost. What was under way can be made again.
            DiskFull: The disk of the run's folder is full.
        """
        from nas.executors.ray_cluster import cluster

        own = self._folder / "ray"
        with cluster(self._workers, own):
            from nas.executors.ray_tune import Session

            payload = self._sent(own)
            session = Session(payload, self._workers, own)
            try:
                everywhere = self._gather(session)
                yield from self._conduct(session, jobs, payload, everywhere)
            finally:
                session.stop()

    def _sent(self, own: Path) -> Any:
        """Put into the object store what every worker needs; return the reference."""
        import ray

        from nas.executors.ray_cluster import is_local
        from nas.executors.ray_worker import FOLDER_TOKEN, Payload
        from nas.executors.shipping import map_files_here, pack

        token = secrets.token_hex(8)
        (own / FOLDER_TOKEN).write_text(token, encoding="utf-8")
        map_files_here(is_local())
        try:
            payload = Payload(
                evaluator=ray.put(pack(self._evaluator)),
                path=tuple(str(Path(p).resolve()) for p in sys.path),
                space=self._space,
                folder=self._folder,
                token=token,
                threads=self._workers.threads,
                timeout=self._workers.timeout,
            )
            return ray.put(payload)
        except (TypeError, AttributeError, ValueError) as error:  # what pickle raises
            raise NasError(
                f"the evaluator cannot be sent to workers: {error}",
                hint="keep open files, locks and generators out of it",
            ) from None

    def _gather(self, session: Any) -> bool:
        """Wait for the workers, and see that each can load the evaluator before a job is begun.

        Returns:
            Whether every worker sees the run's folder.
        """
        began = time.monotonic()
        up: list[Up] = []
        while len(up) < self._workers.number:
            patience = WARM_SECONDS if up else LOAD_SECONDS
            left = patience - (time.monotonic() - began)
            try:
                event = session.inbox.get(timeout=max(0.0, left))
            except Empty:
                if up:
                    break  # the others join when there is room for them
                raise NasError(
                    f"no worker has loaded the evaluator in {LOAD_SECONDS:.0f} s",
                    hint=f"see the logs of Ray in {self._folder / 'ray' / 'logs'}",
                ) from None
            match event:
                case Up():
                    _check(event)
                    up.append(event)
                case Lost(_, reason):
                    raise NasError(
                        f"a worker cannot begin: {reason}",
                        hint="install nas with the same versions on every node",
                    )
                case Ended(error):
                    raise self._stopped(error)
        session.open()
        shared = all(u.shared for u in up)
        self._log(
            "workers",
            **self._workers.describe(),
            up=len(up),
            nodes=len({u.node for u in up}),
            shared_folder=shared,
            seconds=time.monotonic() - began,
        )
        return shared

    def _conduct(
        self, session: Any, jobs: Iterable[Job | None], payload: Any, everywhere: bool
    ) -> Generator[Evaluation, None, None]:
        """Hand out jobs and take in what comes back, until there is neither."""
        from nas.executors.ray_worker import Message
        from nas.executors.shipping import keep_files, state_of

        source = iter(jobs)
        flying: dict[int, int] = {}  # job number -> attempts so far
        again: deque[Any] = deque()
        ended = idle = False
        while flying or not ended:
            match self._next(session):
                case Ask():
                    answer: Any = None
                    if again:
                        answer = again.popleft()
                    elif not ended and not idle:
                        job: Any = next(source, _END)
                        if job is _END:
                            ended = True
                        elif job is None:
                            if not flying:
                                raise RuntimeError(
                                    "the jobs wait for an evaluation, and none runs"
                                )
                            idle = True
                        else:
                            flying[job.number] = 1
                            state = None if everywhere else state_of(job)
                            answer = Message(payload, job, state)
                    session.answer(answer)
                case Done(message, outcome):
                    job = message.job
                    if job.number not in flying:
                        continue  # it was given up, or made twice
                    if outcome.disk:
                        raise DiskFull(outcome.problem)
                    if outcome.evaluation is None:
                        session.inbox.put(Lost(message, outcome.problem, 0.0))
                        continue
                    message.state = None
                    keep_files(job, outcome.files)
                    del flying[job.number]
                    idle = False
                    yield outcome.evaluation
                case Lost(message, reason, seconds):
                    job = message.job
                    if job is None or job.number not in flying:
                        continue  # it came up late, or never
                    self._log("lost", hash=job.architecture.hash, reason=reason)
                    self._look_after_cluster(reason)
                    if flying[job.number] < ATTEMPTS:
                        flying[job.number] += 1
                        again.append(message)
                        continue
                    message.state = None
                    del flying[job.number]
                    idle = False
                    yield _given_up(job, reason, seconds)
                case Up() as late:
                    _check(late)
                    everywhere = everywhere and late.shared
                case Ended(error):
                    raise self._stopped(error)

    def _stopped(self, error: BaseException | None) -> Exception:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull(str(error))
        stopped = NasError(
            f"Ray has stopped: {error}",
            where=str(self._folder),
            hint=f"go on with: {self._again}",
        )
        stopped.__cause__ = error
        return stopped

    def _next(self, session: Any) -> Any:
        """Wait for an event. Without its head, Ray would wait and then end this process."""
        from nas.executors.ray_cluster import head_answers

        silent = 0
        while True:
            try:
                return session.inbox.get(timeout=SILENT_SECONDS)
            except Empty:
                silent = 0 if head_answers() else silent + 1
            if silent >= 2:
                raise self._lost("its head does not answer")

    def _look_after_cluster(self, reason: str) -> None:
        from nas.executors.ray_cluster import is_gone

        if is_gone():
            raise self._lost(reason)

    def _lost(self, reason: str) -> NasError:
        return NasError(
            f"the Ray cluster is lost: {reason}",
            where=str(self._folder),
            hint=f"see that it runs, and go on with: {self._again}",
        )


def _check(up: Up) -> None:
    import nas

    if up.nas != nas.__version__:
        raise NasError(
            f"nas {up.nas} is installed there, and {nas.__version__} here",
            where=f"node {up.node}",
            hint="install the same version on every node",
        )
    if up.error:
        raise NasError(
            f"the evaluator cannot be loaded: {up.error.strip()}",
            where=f"node {up.node}",
            hint="what it imports must be installed on every node",
        )


def _given_up(job: Job, reason: str, seconds: float) -> Evaluation:
    return job.outcome(
        error=f"given up after {ATTEMPTS} attempts; the last one: {reason}",
        seconds=seconds,
    )
