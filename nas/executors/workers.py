"""How many workers evaluate, and where: the settings of an executor, checked without Ray."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.executors.inline import InlineExecutor
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from nas.executors import Executor
    from search_spaces.space import Space

CONNECT_SECONDS = 5.0
# What a client of HTTP/2, on which Ray's head speaks, says first; and an empty SETTINGS frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
SETTINGS = 4

Say = Callable[[str], None]


@dataclass(frozen=True)
class Workers:
    """Where evaluations run. Never compared on resume: it changes no result.

    Args:
        count: Evaluations at the same time (default 1).
        address: ``host:port`` of a running Ray cluster, or ``auto`` for the one of this
            machine; None starts one here for the length of the run.
        gpus: Of each worker, 0.25 for four to a GPU (default 0).
        cpus: Of each worker, and its threads (default 1).
        timeout: Seconds after which an evaluation is ended; None for never.

    Raises:
        NasError: A setting nothing can run with.
    """

    count: int | None = None
    address: str | None = None
    gpus: float | None = None
    cpus: float | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.count is not None and (self.count != int(self.count) or self.count < 1):
            raise NasError(
                f"{self.count} workers evaluate nothing", hint="give --workers 1 or more"
            )
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            if value is None:
                continue
            if not math.isfinite(value) or value < 0 or (name == "cpus" and value == 0):
                raise NasError(
                    f"{value:g} {name} per worker",
                    hint=f"give --{name}-per-worker a number above 0",
                )
            if value > 1 and value != int(value):
                raise NasError(
                    f"{value:g} {name} per worker: Ray gives whole ones above 1",
                    hint=f"give --{name}-per-worker {math.ceil(value)}, or a fraction below 1",
                )
        if self.timeout is not None and not (0 < self.timeout < math.inf):
            raise NasError(f"a timeout of {self.timeout:g} s", hint="give seconds above 0")
        if self.address is not None and self.address != "auto":
            _host_and_port(self.address)

    @property
    def inline(self) -> bool:
        """Whether nothing was asked for that this process could not do alone."""
        rest = (self.address, self.gpus, self.cpus, self.timeout)
        return (self.count or 1) == 1 and all(value is None for value in rest)

    @property
    def number(self) -> int:
        """Evaluations at the same time."""
        return int(self.count or 1)

    @property
    def resources(self) -> dict[str, float]:
        """What one worker takes, as Ray names it."""
        return {"CPU": float(self.cpus or 1), "GPU": float(self.gpus or 0)}

    @property
    def threads(self) -> int:
        """Threads of one worker."""
        return max(1, math.floor(self.cpus or 1))

    def check(self) -> None:
        """Look whether this machine has the GPUs, or the cluster answers.

        Raises:
            NasError: It does not.
        """
        if self.address is not None:
            if self.address != "auto":
                host, port = _host_and_port(self.address)
                if problem := no_answer(host, port):
                    raise NasError(
                        f"no Ray cluster answers: {problem}",
                        where=self.address,
                        hint="start its head with: ray start --head --port 6379",
                    )
            return
        if self.gpus:
            import torch

            have, need = torch.cuda.device_count(), self.gpus * self.number
            if need > have + 1e-9:
                raise NasError(
                    f"{self.number} worker(s) of {self.gpus:g} GPU need {need:g},"
                    f" and this machine has {have}",
                    hint="lower --workers or --gpus-per-worker, or name a cluster",
                )

    def describe(self) -> dict[str, Any]:
        """Return what the log of a run keeps."""
        if self.inline:
            return {"executor": "inline", "workers": 1}
        return {
            "executor": "ray",
            "workers": self.number,
            "address": self.address,
            "cpus_per_worker": self.resources["CPU"],
            "gpus_per_worker": self.resources["GPU"],
            "timeout": self.timeout,
        }


def make_executor(
    workers: Workers,
    evaluator: Any,
    space: Space,
    folder: Path,
    *,
    again: str,
    say: Say,
    log: Callable[..., None] = lambda _, **__: None,
) -> Executor:
    """Return the executor that the settings ask for.

    Args:
        workers: The settings.
        evaluator: Measures a job's architecture.
        space: Whose objectives and constraints hold.
        folder: Below which workers keep what is theirs, and find the files of jobs.
        again: The command to go on with, for an error to name.
        say: Takes a line for people.
        log: Takes events.
    """
    if workers.inline:
        return InlineExecutor(evaluator, space)
    from nas.executors.ray import RayExecutor

    return RayExecutor(evaluator, space, workers, folder, again=again, say=say, log=log)


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not host or not port.isdigit():
        raise NasError(
            f"cannot read the Ray address {address!r}",
            hint="give host:port of the head (6379 unless told otherwise) on a machine of the"
            " cluster, or auto",
        )
    return host.strip("[]"), int(port)


def no_answer(host: str, port: int) -> str | None:
    """Say why no head of a Ray cluster answers there; None if one does.

    Ray itself would try for minutes, and a frozen process still accepts connections.
    """
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return None  # it would not answer in the clear
            connection.settimeout(CONNECT_SECONDS)
            connection.sendall(PREFACE)
            answer = connection.recv(9)
    except OSError as error:
        return str(error)
    return None if len(answer) > 3 and answer[3] == SETTINGS else "it is something else"
