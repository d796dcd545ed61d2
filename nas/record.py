"""The run's record on disk: an Optuna journal with one writer and a lock the kernel frees."""

from __future__ import annotations

import fcntl
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

    from nas.evaluation import Evaluation
    from search_spaces.space import Space

JOURNAL = "study.journal"
LOCK = "writer.lock"


def quiet_optuna() -> None:
    """Silence what Optuna says about itself; what a person should know, nas says."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class FlockLock:
    """Journal lock by ``flock``: a killed holder leaves nothing behind.

    Optuna's own lock files survive ``kill -9`` and then stall the next writer for 30 s, or,
    with a relative path, for ever.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Free the lock."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class WriterLock:
    """Held by the one process that drives a run, for as long as it lives.

    Raises:
        NasError: Another process drives the run.
    """

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise NasError(
                "another process is writing this run",
                where=str(folder),
                hint="wait for it, or stop it, then resume",
            ) from None

    def release(self) -> None:
        """Let another process drive the run."""
        os.close(self._fd)


def repair_tail(journal: Path) -> None:
    """Cut a half-written last line.

    A line torn by a power cut would glue to the next one, and no reader would ever get past
    it. Call while nobody else writes.
    """
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def open_storage(folder: Path) -> JournalStorage:
    """Open the journal of a run's folder."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = (folder / JOURNAL).resolve()
    lock: Any = FlockLock(path.with_suffix(".lock"))
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def open_record(folder: Path, name: str) -> tuple[JournalStorage, int]:
    """Open the journal of a run's folder and find the study ``name`` in it.

    Returns:
        The storage and the number of the study.

    Raises:
        NasError: The journal holds no such study, or is no journal.
    """
    try:
        storage = open_storage(folder)
        return storage, storage.get_study_id_from_name(name)
    except (KeyError, ValueError):  # ValueError: lines that are no JSON, or no text
        raise NasError(
            "this run's record is empty or damaged",
            where=str(folder / JOURNAL),
            hint="restore it from a copy, or start a new run",
        ) from None


def constraint_attributes(space: Space, e: Evaluation) -> dict[str, Any]:
    """Return an evaluation's constraints in the form that Optuna stores and understands."""
    return {
        f"constraints:{c.quantity}": e.violations.get(c.quantity, 0.0)
        for c in space.constraints
        if e.ok
    }
