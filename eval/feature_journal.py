"""Finished utterances of an unfinished extraction, safe from a process that is killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from eval.frame_file import Stored
from eval.packages import Say, silent
from search_spaces.cache_folder import CACHE_VARIABLE
from search_spaces.errors import NasError

_DTYPE = np.dtype(np.float16)
_CHUNK = 1 << 22  # bytes that are checked at a time


@dataclass(frozen=True)
class _Place:
    at: int  # bytes
    length: int
    dim: int
    macs: int


class Journal:
    """Frames of utterances by name, appended a batch at a time.

    A batch is there whole or not at all: its frames are written first, then one line with
    their checksum. What a killed process leaves half-written is cut off. One process at a time
    holds a journal; another waits for it.

    Args:
        folder: Of ``frames.bin`` and ``index.jsonl``; made if need be.
        say: Told that another process is waited for.

    Raises:
        NasError: The folder cannot be written to.
    """

    def __init__(self, folder: Path, say: Say = silent) -> None:
        self.folder = folder
        with _writing(folder):
            self._lock = _locked(folder, say)
            self._frames: BinaryIO = (folder / "frames.bin").open("a+b")
            self._index: BinaryIO = (folder / "index.jsonl").open("a+b")
        self._places: dict[str, _Place] = {}
        self._recover()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._frames.close()
        self._index.close()
        self.forget(())  # an empty one
        os.close(self._lock)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def commit(self, batch: Sequence[tuple[str, Stored, int]]) -> None:
        """Append a batch.

        Args:
            batch: Of each utterance its name, frames ``[L, D]`` float16, and MACs.
        """
        at = self._frames.seek(0, os.SEEK_END)
        content = b"".join(frames.tobytes() for _, frames, _ in batch)
        told = [[name, len(frames), macs] for name, frames, macs in batch]
        dim = batch[0][1].shape[1]
        line = {"at": at, "bytes": len(content), "crc": zlib.crc32(content), "dim": dim}
        with _writing(self.folder):
            self._frames.write(content)
            self._frames.flush()
            self._index.write(json.dumps({**line, "items": told}).encode() + b"\n")
            self._index.flush()
        self._enter(at, dim, told)

    def read(self, name: str) -> tuple[Stored, int]:
        """Return an utterance's frames ``[L, D]`` and MACs."""
        place = self._places[name]
        self._frames.seek(place.at)
        content = self._frames.read(place.length * place.dim * _DTYPE.itemsize)
        return np.frombuffer(content, _DTYPE).reshape(-1, place.dim), place.macs

    def forget(self, names: Iterable[str]) -> None:
        """Remove the journal if it holds nothing but what is kept elsewhere by now."""
        if not self._places.keys() - set(names):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _enter(self, at: int, dim: int, items: Iterable[Sequence[Any]]) -> None:
        for name, length, macs in items:
            self._places[name] = _Place(at, length, dim, macs)
            at += length * dim * _DTYPE.itemsize

    def _recover(self) -> None:
        """Read the index up to the first line that is not whole, and cut the rest off."""
        whole = end = 0
        self._index.seek(0)
        for line in self._index:
            try:
                told = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                told = None
            if told is None or not self._holds(told):
                break
            self._enter(told["at"], told["dim"], told["items"])
            whole += len(line)
            end = told["at"] + told["bytes"]
        self._index.truncate(whole)
        self._frames.truncate(end)

    def _holds(self, told: dict[str, Any]) -> bool:
        self._frames.seek(told["at"])
        left, crc = told["bytes"], 0
        while left and (part := self._frames.read(min(left, _CHUNK))):
            crc, left = zlib.crc32(part, crc), left - len(part)
        return not left and crc == told["crc"]


def _locked(folder: Path, say: Say) -> int:
    """Return the descriptor of the folder's lock file, held by this process alone."""
    path = folder / "lock"
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is extracting features with these settings; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # whoever held it may have removed the folder, and someone else made it again
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NasError(
            f"cannot write there: {error.strerror}",
            where=str(folder),
            hint=f"make room, or set {CACHE_VARIABLE} to a folder that you can write to",
        ) from error
