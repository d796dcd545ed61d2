"""The state of a training on disk while it lasts, so that one that is killed goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from eval.training import Epoch, Watch
from eval.weights import load_states, save_states

if TYPE_CHECKING:
    from eval.mapping import Training

EVERY_SECONDS = 10.0  # of training at least, between two states: writing one takes time too


class Keeper:
    """Keeps what a training needs to go on, after an epoch, and hands epochs on.

    Args:
        path: Of the state (safetensors), which appears whole or not at all; None keeps nothing.
        name: Of the training in the file.
        watch: Told of every epoch, before its state is kept: what is kept has been told.
    """

    def __init__(self, path: Path | None, name: str, watch: Watch | None = None) -> None:
        self._path = path
        self._name = name
        self._watch = watch
        self._kept = time.monotonic()

    def before(self) -> dict[str, Tensor] | None:
        """Return the state that an earlier process left, if one did."""
        return load_states(self._path).get(self._name) if self._path is not None else None

    def __call__(self, training: Training, epoch: Epoch) -> None:
        """Take note of an epoch that is done."""
        if self._watch is not None:
            self._watch(epoch)
        if self._path is not None and time.monotonic() - self._kept >= EVERY_SECONDS:
            save_states({self._name: training.state()}, self._path)
            self._kept = time.monotonic()
