"""Write the frames of a corpus one utterance at a time, into files numpy can memory-map."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eval.audio import Floats
from search_spaces.errors import NasError


class FrameFile:
    """Fills ``frames.npy`` ``[sum L, D]``, ``offsets.npy`` ``[N + 1]`` and ``macs.npy`` ``[N]``.

    Frames go to disk as they come, so that a corpus larger than memory can be written. numpy's
    header keeps room for the number of rows to grow; it is written again at the end.

    Args:
        folder: Existing.
        dtype: What to store frames as.
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._file = (folder / "frames.npy").open("w+b")
        self._lengths: list[int] = []
        self._macs: list[int] = []
        self._first: Path | None = None
        self._dim = 0

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
            np.save(self._folder / "offsets.npy", offsets)
            np.save(self._folder / "macs.npy", np.array(self._macs, dtype=np.int64))

    def append(self, frames: Floats, path: Path, macs: int) -> None:
        """Append one utterance.

        Args:
            frames: ``[L, D]``.
            path: Its file, for the error.
            macs: What its encoding cost.

        Raises:
            NasError: Not as wide as the first, or a value that ``dtype`` cannot hold.
        """
        if self._first is None:
            self._first, self._dim = path, frames.shape[1]
            self._header()
        elif frames.shape[1] != self._dim:
            raise NasError(
                f"frames of {frames.shape[1]} dimensions; {self._first} has {self._dim}",
                where=str(path),
                hint="all files of a corpus must hold the same features",
            )
        with np.errstate(over="ignore"):
            stored: npt.NDArray[Any] = frames.astype(self._dtype)
        if not np.isfinite(stored).all():
            raise NasError(
                f"a feature of {np.abs(frames).max():g} does not fit into {self._dtype}",
                where=str(path),
                hint="choose another layer of the encoder",
            )
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
                "shape": (sum(self._lengths), self._dim),
            },
        )
