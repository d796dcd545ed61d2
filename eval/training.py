"""One training loop for every neuron type; fidelity is the share of the epochs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eval.batches import collate, ordered, shuffled
from eval.folds import Indices

if TYPE_CHECKING:
    from eval.features import Dataset


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        epochs: Epochs of a full training (fidelity 1).
        batch_size: Utterances per step.
        learning_rate: Peak rate of AdamW.
        weight_decay: Of AdamW, on weight matrices.
        warmup: Share of the steps with rising learning rate; cosine to 0 afterwards.
        label_smoothing: Of the cross-entropy.
        clip: Largest gradient norm.
    """

    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 6e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    label_smoothing: float = 0.1
    clip: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def epochs_at(self, fidelity: float) -> int:
        """Return the epochs of a partial training, at least one."""
        return max(1, round(self.epochs * fidelity))


def train(
    network: nn.Module,
    dataset: Dataset,
    indices: Indices,
    recipe: Recipe,
    *,
    fidelity: float,
    rng: np.random.Generator,
) -> None:
    """Train a network in place.

    The loss weighs classes by their inverse frequency, so that UA counts as much as WA.

    Args:
        network: Takes ``(features [B, L, D], lengths [B])``, gives logits ``[B, C]``.
        dataset: The corpus.
        indices: Utterances to train on.
        recipe: Epochs, rates and the rest.
        fidelity: Share of the epochs, in (0, 1].
        rng: Order of the utterances.
    """
    counts = np.bincount(dataset.labels[indices], minlength=len(dataset.classes))
    weight = torch.tensor(len(indices) / (len(counts) * np.maximum(counts, 1)), dtype=torch.float)
    loss_of = nn.CrossEntropyLoss(weight, label_smoothing=recipe.label_smoothing)
    epochs = recipe.epochs_at(fidelity)
    steps = epochs * math.ceil(len(indices) / recipe.batch_size)
    optimizer = torch.optim.AdamW(_groups(network, recipe.weight_decay), lr=recipe.learning_rate)
    step = 0
    network.train()
    for _ in range(epochs):
        for batch in shuffled(indices, recipe.batch_size, rng):
            features, lengths, labels = collate(dataset, batch)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * _schedule(step / steps, recipe.warmup)
            optimizer.zero_grad()
            loss_of(network(features, lengths), labels).backward()
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            step += 1


@torch.no_grad()
def predict(
    network: nn.Module, dataset: Dataset, indices: Indices, batch_size: int = 64
) -> Tensor:
    """Return the logits ``[N, C]`` of utterances, in the order of ``indices``."""
    network.eval()
    out = [network(*collate(dataset, b)[:2]) for b in ordered(indices, batch_size)]
    return torch.cat(out)


def _schedule(done: float, warmup: float) -> float:
    """Linear warm-up, then cosine to 0; ``done`` is the share of the steps already made."""
    if done < warmup:
        return (done + 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Decay weight matrices only: decay would pull time constants and gains to nonsense."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
