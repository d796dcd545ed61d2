"""One training loop for every neuron type; fidelity is the share of the epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eval.autocast import FLOAT32, autocast
from eval.batches import collate, ordered, shuffled
from eval.firing_rates import FiringRates
from eval.folds import Indices
from eval.phases import Phase

if TYPE_CHECKING:
    from eval.features import Dataset


# what trainings were like before the recipe said so
BEFORE: Mapping[str, Any] = {"dtype": FLOAT32, "bucket": 1}


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
        dtype: ``float32``, or ``bfloat16`` for the matrix products of a training. Networks are
            measured in float32 in either case.
        bucket: Batches that share utterances of like lengths, as of ``eval.batches.shuffled``.
    """

    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 6e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    label_smoothing: float = 0.1
    clip: float = 1.0
    dtype: str = FLOAT32
    bucket: int = 8

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> Recipe:
        """Return a recipe as a record has it; an older one does not know all there is now."""
        return cls(**{**BEFORE, **recorded})

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def epochs_at(self, fidelity: float) -> int:
        """Return the epochs of a partial training, at least one."""
        return max(1, round(self.epochs * fidelity))


@dataclass(frozen=True)
class Epoch:
    """What an epoch of a training was like.

    Args:
        number: Which one of the training, from 1.
        loss: Mean over its steps of the weighted cross-entropy [nats].
        learning_rate: Of its last step.
        penalty: Mean over its steps of the term on firing rates; None without one.
    """

    number: int
    loss: float
    learning_rate: float
    penalty: float | None = None


# what `nas profile` tells apart
BATCHES, FORWARD, BACKWARD, STEP = map(Phase, ("batches", "forward", "backward", "step"))

Watch = Callable[[Epoch], None]


class Trainer:
    """Trains a network in place; can stop after any epoch and go on as if it never had.

    The loss weighs classes by their inverse frequency, so that UA counts as much as WA. The
    learning rate follows the whole of the training wherever it stops: what is measured half-way
    is a point of the learning curve, and going on from there costs nothing twice. A network with
    a ``regulariser`` adds a term on its firing rates.

    Args:
        network: Takes ``(features [B, L, D], lengths [B])``, gives logits ``[B, C]``.
        dataset: The corpus.
        indices: Utterances to train on.
        recipe: Epochs, rates and the rest.
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
        self.epoch = 0
        self._loss = nn.CrossEntropyLoss(
            class_weights(dataset, indices), label_smoothing=recipe.label_smoothing
        )
        self._rates = FiringRates.of(network)
        self._parameters = list(network.parameters())  # finding them takes a while at every step
        self._optimizer = torch.optim.AdamW(
            _groups(network, recipe.weight_decay), lr=recipe.learning_rate, fused=True
        )

    def run_to(self, epoch: int, watch: Watch | None = None) -> None:
        """Train until so many epochs are done; ``watch`` is told of each when it is."""
        recipe = self.recipe
        steps = math.ceil(len(self.indices) / recipe.batch_size)
        frames = np.diff(self.dataset.offsets)[self.indices]
        self.network.train()
        while self.epoch < epoch:
            # of the epoch alone, so that nothing random has to be kept when training stops
            rng = np.random.default_rng([self.seed, self.epoch])
            step = self.epoch * steps
            losses: list[Tensor] = []
            penalties: list[Tensor] = []
            for batch in shuffled(self.indices, recipe.batch_size, rng, frames, recipe.bucket):
                with BATCHES:
                    features, lengths, labels = collate(self.dataset, batch)
                rate = _schedule(step / (steps * recipe.epochs), recipe.warmup)
                for group in self._optimizer.param_groups:
                    group["lr"] = recipe.learning_rate * rate
                self._optimizer.zero_grad()
                with FORWARD, autocast(self.recipe.dtype):
                    logits = self.network(features, lengths)
                loss = self._loss(logits.float(), labels)
                losses.append(loss.detach())
                if self._rates is not None:
                    penalty = self._rates.penalty()
                    penalties.append(penalty.detach())
                    loss = loss + penalty
                with BACKWARD:
                    loss.backward()
                with STEP:
                    nn.utils.clip_grad_norm_(self._parameters, recipe.clip)
                    self._optimizer.step()
                step += 1
            self.epoch += 1
            if watch is not None:
                last = self._optimizer.param_groups[0]["lr"]
                rates = _mean(penalties) if penalties else None
                watch(Epoch(self.epoch, _mean(losses), last, rates))

    def state(self) -> dict[str, Tensor]:
        """Return all that going on needs, as tensors by name."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        for i, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in values.items()}
        return tensors | {"epoch": torch.tensor(self.epoch)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a state of the same training."""
        self.epoch = int(tensors["epoch"])
        weights = {
            k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")
        }
        self.network.load_state_dict(weights)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                moments.setdefault(int(index), {})[name] = value
        whole = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**whole, "state": moments})


def class_weights(dataset: Dataset, indices: Indices) -> Tensor:
    """Return ``[C]``, the inverse frequency of each class, 1 for all when they are balanced."""
    counts = np.bincount(dataset.labels[indices], minlength=len(dataset.classes))
    weights = len(indices) / (len(counts) * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float)


@torch.no_grad()
def predict(
    network: nn.Module, dataset: Dataset, indices: Indices, batch_size: int = 64
) -> Tensor:
    """Return the logits ``[N, C]`` of utterances, in the order of ``indices``."""
    network.eval()
    out = [network(*collate(dataset, b)[:2]) for b in ordered(indices, batch_size)]
    return torch.cat(out)


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())


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
