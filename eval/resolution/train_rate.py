"""Training at a coarser rate than a network is measured at: fewer frames, and then adaptation.

A network is trained on frames put together, and given the time step of its deployment by
``compensated`` on recordings of the training part, no label read. Where it needs no training at
a coarser rate, because its own is no finer, nothing changes, bit for bit.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from eval.batches import collate, ordered
from eval.folds import Indices
from eval.resolution.clock import refit
from eval.resolution.consistency import at_rate
from eval.resolution.frames import at_frame_rate
from eval.resolution.network import ChangesStep, has_memory
from search_spaces.errors import NasError
from search_spaces.frames import FramePooling
from search_spaces.pts_snn import PTSSNN
from search_spaces.pts_ttfs import PTSTTFS

if TYPE_CHECKING:
    from eval.dataset import Dataset
    from eval.resolution.state_space import Inputs

BATCH = 64


@dataclass(frozen=True)
class Coarse:
    """The training of one network at a coarser rate.

    Args:
        dataset: At the frame rate of the training.
        ratio: Step of the deployment over that of the training, below 1.
        rate: Steps a second of the network while it is trained [Hz].
        method: By which it is adapted then.
        inputs: What frames hold.
    """

    dataset: Dataset
    ratio: float
    rate: float
    method: str
    inputs: Inputs

    def adapted(self, network: nn.Module, dataset: Dataset, seen: Indices) -> nn.Module:
        """Return a copy of a trained network at the step of its deployment.

        Args:
            network: Trained on ``self.dataset``; not changed.
            dataset: The same recordings at the frame rate of the deployment.
            seen: Utterances it was trained on.
        """
        changed = copy.deepcopy(network)
        at_rate(
            changed, network, self.ratio, self.method, self.dataset, dataset, seen, self.inputs
        )
        refit(changed, (collate(dataset, batch)[:2] for batch in ordered(seen, BATCH)))
        return changed.eval()

    def describe(self) -> dict[str, Any]:
        """Return what an evaluation keeps."""
        return {"train_rate": self.rate, "adapted_by": self.method}


class TrainRate:
    """Makes the training data of networks that are trained at a coarser rate.

    Args:
        dataset: At the frame rate of the deployment.
        rate: Steps a second that networks are trained at [Hz], input pooling counted in. A
            network whose own rate is no finer is trained at its own.

    Raises:
        NasError: No rate, one above that of the deployment, or clips of event frames.
    """

    def __init__(self, dataset: Dataset, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise NasError(f"--train-rate {rate:g} is no frame rate", hint="give a number above 0")
        if dataset.clip is not None:
            raise NasError(
                "clips of event frames are not trained at another rate: each is a few frames"
                " that are seen once",
                hint="leave --train-rate out",
            )
        if rate > dataset.frame_rate:
            raise NasError(
                f"--train-rate {rate:g} is above the {dataset.frame_rate:g} frames a second that"
                " networks are measured at",
                hint=f"give {dataset.frame_rate:g} or fewer, or a higher --frame-rate",
            )
        self.dataset = dataset
        self.rate = float(rate)
        self._made: dict[float, Dataset] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What is made here is made again where this travels to."""
        return {**self.__dict__, "_made": {}}

    def check(self, network: nn.Module) -> None:
        """Refuse a network of which it is not known what it does at another rate.

        Raises:
            NasError: It is one.
        """
        if not isinstance(network, PTSSNN | PTSTTFS | ChangesStep):
            raise NasError(
                f"a {type(network).__name__} has no time step to be changed after training",
                hint="leave --train-rate out: it is for the neurons of pts_snn, and for a family"
                " of your own whose network has change_step(ratio, method, inputs)",
            )

    def of(self, network: nn.Module) -> Coarse | None:
        """Return how to train a network coarsely; None where it is trained at its own rate.

        Raises:
            NasError: As of :meth:`check`.
        """
        self.check(network)
        pooled = next((m.size for m in network.modules() if isinstance(m, FramePooling)), 1)
        ratio = self.rate * pooled / self.dataset.frame_rate
        if ratio >= 1:
            return None
        inputs: Inputs = self.dataset.source.get("inputs") or "held"
        if ratio not in self._made:
            rate = self.rate * pooled
            self._made[ratio] = at_frame_rate(self.dataset, rate, inputs)
        spiking = isinstance(network, PTSSNN) and has_memory(network)
        method = "compensated" if spiking else "integral"
        return Coarse(self._made[ratio], ratio, self.rate, method, inputs)
