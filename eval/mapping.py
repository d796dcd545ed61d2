"""A whole training, the mapping to a time-to-first-spike network included."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from eval.autocast import FLOAT32
from eval.batches import collate, ordered
from eval.folds import Indices
from eval.training import Epoch, Recipe, Trainer, Watch
from search_spaces.ttfs import ReLUView, TTFSNetwork

if TYPE_CHECKING:
    from eval.features import Dataset

FINETUNE_RATE = 0.1  # of the learning rate: the weights are nearly right already
BATCH = 64


class Training:
    """The training of one network on one fold, which can be measured and left at any epoch.

    A network of B1 neurons is trained as a ReLU network, its normalisations are folded, its
    windows are fitted to the training data, and it is measured in its spiking view. With
    ``finetune`` the last share of the epochs follows after that, with rounding in the loop and
    a tenth of the learning rate; the windows then stay, for the weights have settled into
    their steps.

    Args:
        network: Freshly built; changed in place.
        dataset: The corpus.
        indices: Utterances to train on; windows too are fitted on these alone.
        recipe: How to train.
        seed: Of the order of the utterances.
    """

    def __init__(
        self, network: nn.Module, dataset: Dataset, indices: Indices, recipe: Recipe, seed: int
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.indices = indices
        self.recipe = recipe
        self.seed = seed
        self._spiking: TTFSNetwork | None = None
        last = 0
        if isinstance(network, TTFSNetwork) and network.discretisation is not None:
            self._spiking = network
            share = network.discretisation.finetune
            last = min(recipe.epochs - 1, round(share * recipe.epochs))
        self._first_epochs = recipe.epochs - last
        self._trainer = Trainer(
            network, dataset, indices, replace(recipe, epochs=self._first_epochs), seed
        )
        self._tuner: Trainer | None = None

    def run(
        self, fidelity: float, watch: Watch | None = None, resumable: bool = False
    ) -> nn.Module:
        """Train to a share of the epochs, in (0, 1]; ``watch`` is told of each of them.

        Args:
            fidelity: The share.
            watch: Told of every epoch.
            resumable: Whether ``state`` is asked for at the end of the training too.

        Returns:
            The network to measure. At fidelity 1 it is the trained one and the training is
            over; before, or where it is resumable, a time-to-first-spike network is a mapped
            copy of it.
        """
        target = self.recipe.epochs_at(fidelity)
        self._trainer.run_to(min(target, self._first_epochs), watch)
        spiking = self._spiking
        if spiking is None:
            return self.network
        if target > self._first_epochs:
            if self._tuner is None:
                self._map(spiking)
                self._tuner = self._make_tuner()
            assert spiking.discretisation is not None
            with spiking.viewed(ReLUView(steps=spiking.discretisation.steps)):
                self._tuner.run_to(target - self._first_epochs, self._later(watch))
            return spiking
        over = target == self.recipe.epochs and not resumable
        measured = spiking if over else copy.deepcopy(spiking)
        self._map(measured)
        return measured

    def _later(self, watch: Watch | None) -> Watch | None:
        """Count the epochs of the finetuning from the beginning of the training."""
        if watch is None:
            return None

        def told(epoch: Epoch) -> None:
            watch(replace(epoch, number=epoch.number + self._first_epochs))

        return told

    def state(self) -> dict[str, Tensor]:
        """Return all that going on needs, as tensors by name."""
        current = self._tuner or self._trainer
        return current.state() | {"tuning": torch.tensor(self._tuner is not None)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a state of the same training, from which ``run`` goes on."""
        if bool(tensors["tuning"]):
            assert self._spiking is not None
            self._spiking.fold()
            self._spiking.view = self._spiking.spiking_view()
            self._trainer.epoch = self._first_epochs
            self._tuner = self._make_tuner()
        (self._tuner or self._trainer).restore(tensors)

    def _map(self, network: TTFSNetwork) -> None:
        assert network.discretisation is not None
        network.fold()
        batches = (collate(self.dataset, b)[:2] for b in ordered(self.indices, BATCH))
        network.fit_windows(batches, network.discretisation.margin)
        network.view = network.spiking_view()

    def _make_tuner(self) -> Trainer:
        rate = FINETUNE_RATE * self.recipe.learning_rate
        epochs = self.recipe.epochs - self._first_epochs
        # rounding in the loop is of spike times, which bfloat16 would round once more
        recipe = replace(self.recipe, epochs=epochs, learning_rate=rate, dtype=FLOAT32)
        return Trainer(self.network, self.dataset, self.indices, recipe, self.seed + 1)
