"""TensorBoard event files of trainings: loss and learning rate by epoch, test figures at the end.

No figure of the test speakers is written before a training is over: nobody should choose an
epoch by them.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.training import Epoch


class EventLog:
    """Writes one training's events; what is written is on disk at once.

    A training that goes on after a kill gets a second file, which tells readers to forget the
    epochs of the first that are made again.

    Args:
        folder: Of this training.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Any = None

    def epoch(self, epoch: Epoch) -> None:
        """Write what an epoch was like."""
        if self._file is None and self._folder.is_dir():
            self._forget(epoch.number)
        scalars = {"train/loss": epoch.loss, "train/learning_rate": epoch.learning_rate}
        if epoch.penalty is not None:
            scalars["train/rate_penalty"] = epoch.penalty
        self._write(scalars, epoch.number)

    def end(self, epochs: int, figures: Mapping[str, float] | None = None) -> None:
        """Write the test figures of a training of so many epochs, if any, and close the file."""
        if figures is not None:
            self._write({f"test/{k}": figures[k] for k in ("wa", "ua")}, epochs)
        if self._file is not None:
            self._file.close()

    def _forget(self, step: int) -> None:
        """Tell readers that what earlier files say of this step and later ones is void."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        self._opened(step).write_event(Event(wall_time=time.time(), step=step, session_log=start))

    def _write(self, scalars: Mapping[str, float], step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        file = self._opened(step)
        for name, value in scalars.items():
            file.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        file.flush()

    def _opened(self, step: int) -> Any:
        if self._file is None:
            from tensorboardX.event_file_writer import EventsWriter

            self._folder.mkdir(parents=True, exist_ok=True)
            # the name holds whole seconds, and two attempts can begin within one
            self._file = EventsWriter(str(self._folder / "events"), f".{step}-{os.getpid()}")
        return self._file


def place(model: str, number: int, fold: str, seed: int) -> Path:
    """Return where the events of a training lie below the folder of all.

    Args:
        model: Its name.
        number: Of the fold, which keeps apart names that look alike as folders.
        fold: Name of the fold.
        seed: Of the training.
    """
    return Path(_clean(model), f"{number}-{_clean(fold)}", f"seed-{seed}")


def _clean(name: str) -> str:
    return re.sub(r"[^\w.+=-]+", "_", name)[:60].strip(".") or "_"
