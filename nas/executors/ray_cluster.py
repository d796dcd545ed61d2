"""A Ray cluster for the length of a run: one of this machine's own, or one that runs already.

A cluster of its own leaves nothing behind: its sockets need a short path and lie in a
temporary folder, which is deleted at the end (or by the next process that drives the run, after
a ``kill -9``), its logs move to ``<run>/ray/logs``.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.executors.ray_leftovers import TEMP, clean_up, short_folder
from nas.executors.workers import Workers, no_answer
from search_spaces.errors import NasError

# Read by Ray when it is imported, when it starts and when Tune runs. A person's own come first.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_worker_niceness": "0",  # or workers run at nice 15, behind everything else
    "RAY_py_gcs_connect_timeout_s": "10",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # nothing of Tune's state is ever needed
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
# Of a cluster of our own: no workers before it is known what they are for.
OWN = {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
FREE_SECONDS = 15.0  # to wait for resources that others use

# One for all clusters of this process: Ray reads a token once and keeps it.
_TOKEN = secrets.token_hex(16)


@contextmanager
def cluster(workers: Workers, folder: Path) -> Iterator[None]:
    """Connect this process to a cluster, and disconnect it at the end.

    A process that is connected already, by a person's own ``ray.init``, stays so.

    Args:
        workers: How many there must be room for, and where.
        folder: ``<run>/ray``, for the token and the logs.

    Raises:
        NasError: Ray cannot be started or reached, or there is no room for the workers.
    """
    with _environment(ENVIRONMENT):
        import ray

        folder.mkdir(parents=True, exist_ok=True)
        clean_up(folder)
        if ray.is_initialized():
            if workers.address is not None:
                raise NasError(
                    "this process is connected to Ray already",
                    hint="leave the address out to use that cluster, or call ray.shutdown() first",
                )
            _wait_for_room(workers)
            yield
        elif workers.address is not None:
            with _silent(), _patient_once(), _attached(workers):
                yield
        else:
            with _silent(), _own(workers, folder):
                yield


def is_local() -> bool:
    """Whether every worker will run on this machine."""
    import ray

    mine = ray.util.get_node_ip_address()
    return all(node["NodeManagerAddress"] == mine for node in ray.nodes() if node["Alive"])


def head_answers() -> bool:
    """Whether the cluster's head listens."""
    import ray

    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return no_answer(host.strip("[]"), int(port)) is None


def is_gone() -> bool:
    """Whether nobody is left who could run anything."""
    import ray

    if not head_answers():  # or the next call would wait for it
        return True
    try:
        return not any(node["Alive"] for node in ray.nodes())
    except Exception:  # Ray has many ways to say that its head does not answer
        return True


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray says of dead workers off stdout, where results go; the run's log has it."""
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *_, **__: None  # there is no setting for it
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _patient_once() -> Iterator[None]:
    """Join a cluster at the first try or not; Ray tries twenty times, for seven minutes."""
    from ray._private import ray_constants

    before = getattr(ray_constants, "NUM_REDIS_GET_RETRIES", None)
    ray_constants.NUM_REDIS_GET_RETRIES = 1
    try:
        yield
    finally:
        ray_constants.NUM_REDIS_GET_RETRIES = before


@contextmanager
def _own(workers: Workers, folder: Path) -> Iterator[None]:
    import ray

    token = folder / "token"
    token.unlink(missing_ok=True)
    descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_TOKEN)
    # without a mode given, Ray takes the token as soon as there is one
    settings = {**OWN, "RAY_AUTH_TOKEN_PATH": str(token.resolve())}
    temp = short_folder()
    (folder / TEMP).write_text(str(temp), encoding="utf-8")
    take = workers.resources
    try:
        with _environment(settings):
            try:
                ray.init(
                    num_cpus=math.ceil(take["CPU"] * workers.number),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    _temp_dir=str(temp),
                )
            except (RuntimeError, OSError, TimeoutError, ValueError) as error:
                raise NasError(
                    f"Ray does not start: {error}",
                    where=str(temp),
                    hint=f"its logs are in {folder / 'logs'}; without workers the search runs"
                    " in this process",
                ) from error
            yield
    finally:
        with suppress(Exception):  # it may be dead already; what is left is ended below
            ray.shutdown()
        clean_up(folder)
        token.unlink(missing_ok=True)


@contextmanager
def _attached(workers: Workers) -> Iterator[None]:
    import ray

    try:
        ray.init(address=workers.address, log_to_driver=False, logging_level="ERROR")
    except (RuntimeError, OSError, TimeoutError, ValueError, AssertionError) as error:
        with suppress(Exception):
            ray.shutdown()
        said = str(error).strip()
        hint = "nas runs on a machine of the cluster: ray start --address HEAD:6379 makes it one"
        if "ersion mismatch" in said:
            hint = "install the same versions of Ray and Python on every machine"
        elif "oken" in said or "authent" in said.lower():
            hint = "give the cluster's token in RAY_AUTH_TOKEN, or its file in RAY_AUTH_TOKEN_PATH"
        raise NasError(
            f"cannot join the Ray cluster: {said}", where=workers.address, hint=hint
        ) from error
    try:
        _wait_for_room(workers)
        yield
    finally:
        with suppress(Exception):
            ray.shutdown()


# -- room for workers -----------------------------------------------------------------------------


def _wait_for_room(workers: Workers) -> None:
    import ray

    take = {name: n for name, n in workers.resources.items() if n > 0}
    text = ", ".join(f"{n:g} {name}" for name, n in take.items())
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = sum(_fits(node, take) for node in nodes)
    if fits < workers.number:
        raise NasError(
            f"{workers.number} worker(s) of {text} were asked for, and the cluster has room for"
            f" {fits} ({len(nodes)} node(s))",
            where=workers.address,
            hint="lower --workers, --cpus-per-worker or --gpus-per-worker, or add nodes",
        )
    deadline = time.monotonic() + FREE_SECONDS
    while not _fits(ray.available_resources(), take):
        if time.monotonic() > deadline:
            raise NasError(
                f"nothing is free on the cluster: no room for one worker of {text}"
                f" in {FREE_SECONDS:.0f} s",
                where=workers.address,
                hint="wait for the other jobs (ray status shows them), or add nodes",
            )
        time.sleep(0.5)


def _fits(have: Mapping[str, float], take: Mapping[str, float]) -> int:
    return min(math.floor(have.get(name, 0.0) / n + 1e-9) for name, n in take.items())


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, and take them away again."""
    before = dict(os.environ)
    os.environ.update({k: v for k, v in values.items() if k not in before})
    try:
        yield
    finally:
        for name in [n for n in os.environ if n not in before and n.startswith(("RAY_", "TUNE_"))]:
            del os.environ[name]  # Ray sets some of its own
