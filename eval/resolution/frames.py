"""Recordings at another frame rate, for corpora whose frames cannot be computed anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from eval.audio import Floats
from eval.resolution.state_space import Inputs, check_ratio

if TYPE_CHECKING:
    from eval.features import Dataset


def rebin(frames: Floats, ratio: float, inputs: Inputs = "held") -> Floats:
    """Put frames together, or hold each for several new ones.

    New frame ``k`` begins at old frame ``k * ratio``, rounded, so that frames keep pace with
    time where the ratio is not whole. What is coarser is averaged, counts are added up. What is
    finer repeats a frame, and counts are spread evenly: when in a frame an event came is lost.

    Args:
        frames: ``[L, D]``.
        ratio: Length of a new frame over that of an old one.
        inputs: What the frames hold.

    Returns:
        ``[L', D]`` with ``L'`` about ``L / ratio``, at least 1.

    Raises:
        NasError: A ratio that is none.
    """
    check_ratio(ratio)
    if ratio == 1:
        return frames
    length = len(frames)
    if ratio < 1:
        places = np.floor((np.arange(max(1, round(length / ratio))) + 0.5) * ratio)
        held = frames[np.minimum(places.astype(np.int64), length - 1)]
        return held if inputs == "held" else np.asarray(held * ratio, dtype=frames.dtype)
    starts = np.floor(np.arange(int(length / ratio) + 2) * ratio + 0.5).astype(np.int64)
    starts = starts[starts < length]
    sums = np.add.reduceat(frames, starts, axis=0, dtype=np.float64)
    if inputs == "held":
        sums /= np.diff(starts, append=length)[:, None]
    return np.asarray(sums, dtype=np.float32)


def at_frame_rate(dataset: Dataset, rate: float, inputs: Inputs = "held") -> Dataset:
    """Return a data set with its frames put together or held; in memory.

    Args:
        dataset: Of frames in one row each; not clips, which are sampled anew.
        rate: New frames a second [Hz].
        inputs: What the frames hold.
    """
    ratio = dataset.frame_rate / rate
    check_ratio(ratio)
    if ratio == 1:
        return dataset
    parts = [rebin(dataset.utterance(i), ratio, inputs) for i in range(len(dataset))]
    return replace(
        dataset,
        frames=np.concatenate(parts),
        offsets=np.cumsum([0, *(len(p) for p in parts)]).astype(np.int64),
        frame_rate=rate,
        source={**dataset.source, "frame_rate": rate, "rebinned_from": dataset.frame_rate},
        digest=f"{dataset.digest}@{rate:g}",
    )
