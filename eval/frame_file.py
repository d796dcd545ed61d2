"""Frames of a corpus on disk: written one utterance at a time, read by numpy's memory map."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eval.audio import Floats
from search_spaces.errors import NasError

FRAMES = "frames.npy"
OFFSETS = "offsets.npy"
MACS = "macs.npy"

Stored = npt.NDArray[np.floating[Any]]


def as_stored(frames: Floats | Stored, dtype: npt.DTypeLike, path: Path) -> Stored:
    """Convert frames to the type they are kept in.

    Args:
        frames: ``[L, D]``.
        dtype: The type.
        path: Their file, for the error.

    Raises:
        NasError: A value that ``dtype`` cannot hold.
    """
    with np.errstate(over="ignore"):
        stored: Stored = frames.astype(dtype)
    if not np.isfinite(stored).all():
        raise NasError(
            f"a feature of {np.abs(frames).max():g} does not fit into {stored.dtype}",
            where=str(path),
            hint="choose another layer of the encoder",
        )
    return stored


class FrameFile:
    """Fills ``frames.npy`` ``[sum L, D]``, ``offsets.npy`` ``[N + 1]`` and ``macs.npy`` ``[N]``.

    Frames go to disk as they come, so that a corpus larger than memory can be written. numpy's
    header keeps room for the number of rows to grow; it is written again at the end.

    Args:
        folder: Existing.
        dtype: What to store frames as.
        like: Dimensions that frames must have, and a file that has them; as the first if not
            given.
    """

    def __init__(
        self, folder: Path, dtype: npt.DTypeLike, like: tuple[int, Path] | None = None
    ) -> None:
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._file = (folder / FRAMES).open("w+b")
        self._lengths: list[int] = []
        self._macs: list[int] = []
        self._like = like

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._header()
        if kind is None:
            offsets = np.concatenate(([0], np.cumsum(self._lengths))).astype(np.int64)
            np.save(self._folder / OFFSETS, offsets)
            np.save(self._folder / MACS, np.array(self._macs, dtype=np.int64))

    def append(self, frames: Floats | Stored, path: Path, macs: int) -> None:
        """Append one utterance.

        Args:
            frames: ``[L, D]``.
            path: Its file, for the error.
            macs: What its encoding cost.

        Raises:
            NasError: Not as wide as the others, or a value that ``dtype`` cannot hold; then
                nothing was appended.
        """
        width = frames.shape[1]
        if self._like is not None and width != self._like[0]:
            raise NasError(
                f"frames of {width} dimensions; {self._like[1]} has {self._like[0]}",
                where=str(path),
                hint="all files of a corpus must hold the same features",
            )
        stored = as_stored(frames, self._dtype, path)
        self._like = self._like or (width, path)
        if not self._lengths:
            self._header()
        self._file.write(stored.tobytes())
        self._lengths.append(len(stored))
        self._macs.append(macs)

    def _header(self) -> None:
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (sum(self._lengths), self._like[0] if self._like else 0),
            },
        )


class FrameReader:
    """Reads utterances out of a finished folder without mapping it into memory.

    Pages of a memory map count as the process's own as they are read, file by file.

    Args:
        folder: As `FrameFile` leaves it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / FRAMES).open("rb")
        np.lib.format.read_magic(self._file)
        (_, self.dim), _, self._dtype = np.lib.format.read_array_header_1_0(self._file)
        self._start = self._file.tell()
        self._offsets = np.load(folder / OFFSETS)
        self._macs = np.load(folder / MACS)

    def read(self, i: int) -> tuple[Stored, int]:
        """Return utterance ``i`` as ``[L, D]``, and what its encoding cost [MACs]."""
        first, end = (int(v) for v in self._offsets[i : i + 2])
        width = self.dim * self._dtype.itemsize
        self._file.seek(self._start + first * width)
        content = self._file.read((end - first) * width)
        return np.frombuffer(content, self._dtype).reshape(-1, self.dim), int(self._macs[i])

    def close(self) -> None:
        """Close the file."""
        self._file.close()
