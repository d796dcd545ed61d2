"""Average frames over windows that keep pace with time."""

from __future__ import annotations

import numpy as np

from eval.audio import Floats


class Pooling:
    """Averages a stream of frames over windows.

    Window ``k`` is frames ``round(k * ratio)`` up to ``round((k + 1) * ratio)``, so that
    windows keep pace with time where the ratio is not whole.

    Args:
        ratio: Frames per window, at least 1.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._window = 0  # the first that is not finished
        self._held: Floats | None = None  # frames from its beginning on

    def add(self, frames: Floats) -> Floats:
        """Take the next frames ``[L, D]`` and return the windows that they finish."""
        held = frames if self._held is None else np.concatenate([self._held, frames])
        begin = self._boundary(self._window)
        end = begin + len(held)
        count = int(end / self._ratio) + 2 - self._window
        edges = self._boundary(self._window + np.arange(count + 1))
        done = int(np.searchsorted(edges, end, side="right")) - 1
        self._window += done
        self._held = held[edges[done] - begin :]
        return _means(held, edges[: done + 1] - begin)

    def rest(self) -> Floats:
        """Return the last window, averaged over what there is; nothing where none is open."""
        held = self._held
        assert held is not None, "no frames were added"
        return _means(held, np.array([0, len(held)])) if len(held) else held

    def _boundary(self, window: int | np.ndarray) -> np.ndarray:
        return np.floor(np.asarray(window) * self._ratio + 0.5).astype(np.int64)


def pool(frames: Floats, ratio: float) -> Floats:
    """Average frames over windows, as `Pooling`; the last over what there is.

    Args:
        frames: ``[L, D]``.
        ratio: Frames per window, at least 1.

    Returns:
        ``[ceil(L / ratio), D]``, a frame less where rounding leaves the last window empty.
    """
    pooling = Pooling(ratio)
    return np.concatenate([pooling.add(frames), pooling.rest()])


def _means(frames: Floats, edges: np.ndarray) -> Floats:
    if len(edges) < 2:
        return frames[:0].astype(np.float32)
    sums = np.add.reduceat(frames[: edges[-1]], edges[:-1], axis=0, dtype=np.float64)
    return np.asarray(sums / np.diff(edges)[:, None], dtype=np.float32)
