"""From a trained ReLU twin to the discrete time-to-first-spike network that is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from eval.batches import collate, ordered
from eval.folds import Indices
from eval.training import Recipe, train
from search_spaces.ttfs import ReLUView, TTFSNetwork

if TYPE_CHECKING:
    from eval.features import Dataset

FINETUNE_RATE = 0.1  # of the learning rate: the weights are nearly right already
BATCH = 64


def train_network(
    network: nn.Module,
    dataset: Dataset,
    indices: Indices,
    recipe: Recipe,
    *,
    fidelity: float,
    rng: np.random.Generator,
) -> None:
    """Train a network in place; one of B1 neurons ends as what a device runs.

    Such a network is trained as a ReLU network, its normalisations are folded, its windows are
    fitted to the training data, and it is left in its spiking view. With ``finetune`` the last
    share of the epochs follows after that, with rounding in the loop and a tenth of the
    learning rate; the windows then stay, for the weights have settled into their steps.

    Args:
        network: As ``train`` takes.
        dataset: The corpus.
        indices: Utterances to train on; windows too are fitted on these alone.
        recipe: How to train.
        fidelity: Share of the epochs, in (0, 1].
        rng: Order of the utterances.
    """
    spiking = network if isinstance(network, TTFSNetwork) and network.discretisation else None
    if spiking is None:
        train(network, dataset, indices, recipe, fidelity=fidelity, rng=rng)
        return
    wanted = spiking.discretisation
    assert wanted is not None
    epochs = recipe.epochs_at(fidelity)
    last = min(epochs - 1, round(wanted.finetune * epochs))
    first = replace(recipe, epochs=epochs - last)
    train(network, dataset, indices, first, fidelity=1.0, rng=rng)
    spiking.fold()
    spiking.fit_windows((collate(dataset, b)[:2] for b in ordered(indices, BATCH)), wanted.margin)
    if last:
        rate = FINETUNE_RATE * recipe.learning_rate
        tuning = replace(recipe, epochs=last, learning_rate=rate)
        with spiking.viewed(ReLUView(steps=wanted.steps)):
            train(network, dataset, indices, tuning, fidelity=1.0, rng=rng)
    spiking.view = spiking.spiking_view()
