"""The one front door: Architecture + Dataset + fidelity + seed -> measured figures."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from eval.energy.operations import OperationCounter
from eval.energy.pricing import encoder_energy, totals
from eval.energy.profile import DEFAULT_PROFILE, Spec, load_profile
from eval.energy.table import mean_table
from eval.folds import Fold, Indices
from eval.mapping import Training
from eval.phases import Phase
from eval.recall import recall
from eval.seeds import derived_seed
from eval.training import Epoch, Recipe, predict
from eval.weights import load_states, save_states, save_weights
from search_spaces.families import get_family

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.resolution.train_rate import Coarse, TrainRate
    from eval.supernet import Supernet


Looks = Literal["epochs", "folds"]
EPOCHS: Looks = "epochs"
FOLDS: Looks = "folds"

BUILT, MEASURED = Phase("build"), Phase("measure")  # what `nas profile` tells apart


@dataclass(frozen=True)
class Trained:
    """A network trained on one fold, and what it predicts on the utterances held out."""

    network: nn.Module
    parameters: int
    state: dict[str, Tensor]
    fold: Fold
    predicted: np.ndarray[Any, np.dtype[np.int64]]
    loss: float
    operations: list[dict[str, Any]]
    coarse: Coarse | None = None  # how it was trained, where not at the rate it is measured at


def evaluate(
    architecture: Mapping[str, Any],
    dataset: Dataset,
    folds: Sequence[Fold],
    *,
    family: str,
    fidelity: float = 1.0,
    seed: int = 0,
    recipe: Recipe | None = None,
    profile: Spec = DEFAULT_PROFILE,
    checkpoint: Path | None = None,
    partial: Path | None = None,
    warm: Mapping[str, Supernet] | None = None,
    train_rate: TrainRate | None = None,
    looks: Looks = EPOCHS,
) -> dict[str, Any]:
    """Train an architecture on every fold and measure it on what each holds out.

    Args:
        architecture: Parameter values; the family's defaults fill the rest.
        dataset: The corpus as frame features.
        folds: Speaker-independent splits; the predictions of all are pooled.
        family: Name of the network family.
        fidelity: Share of the full training, in (0, 1]; ``looks`` says of what.
        seed: Of initial weights and order of utterances.
        recipe: How to train.
        profile: Cost model that prices the operations: name, path or content.
        checkpoint: Where to keep the weights trained on the first fold (safetensors).
        partial: A file of training states. Where there is one, training goes on from it, to
            the same result as in one go; below fidelity 1 it is written for the next time.
        warm: By fold, a supernet trained on the same part, from whose ReLU weights training
            begins; None begins from random ones.
        train_rate: Trains at a coarser rate and adapts; None trains at the dataset's own.
        looks: What a fidelity below 1 leaves out: ``epochs`` of every fold, or ``folds`` but
            the first ones, which are trained to their end.

    Returns:
        Plain data: ``wa``, ``ua``, ``macro_f1`` in [0, 1]; ``loss`` (cross-entropy, nats);
        ``energy`` of the head and ``energy_with_encoder`` [J per sample] where there is an
        encoder and a price for it, ``energy_profile``;
        ``macs``, ``acs``, ``compares``, ``spikes``, ``synops`` and ``encoder_macs`` per sample;
        ``spike_rate``; ``parameters``
        (trainable, before normalisations fold); ``latency_steps`` of a spiking network;
        ``latency`` [s], the time from a frame's arrival to its output (for a network that
        reads the whole utterance first, the mean length of an utterance); ``confusion``
        (``[C][C]``, true class by row), ``classes``, ``folds``, ``layers``, ``train_seconds``,
        ``dtype`` of the training;
        of a network that was trained at a coarser rate ``train_rate`` [Hz] and ``adapted_by``.

    Raises:
        NasError: The family cannot build the architecture.
    """
    if not 0.0 < fidelity <= 1.0:
        raise ValueError(f"fidelity {fidelity} is not in (0, 1]")
    started = time.perf_counter()
    recipe = recipe or Recipe()
    before = load_states(partial) if partial is not None else {}
    share = fidelity
    if looks == FOLDS:
        folds, share = folds[: max(1, round(fidelity * len(folds)))], 1.0
    done = [
        train_fold(
            architecture,
            dataset,
            fold,
            family=family,
            fidelity=share,
            seed=seed,
            recipe=recipe,
            before=before.get(fold.name),
            resumable=partial is not None and fidelity < 1.0,
            warm=warm[fold.name] if warm is not None else None,
            train_rate=train_rate,
        )
        for fold in folds
    ]
    if partial is not None and fidelity < 1.0:
        save_states({t.fold.name: t.state for t in done}, partial)
    if checkpoint is not None:
        save_weights(done[0].network, checkpoint)
    result = measure(done, dataset, profile)
    result["dtype"] = recipe.dtype
    result["train_seconds"] = time.perf_counter() - started
    return result


def train_fold(
    architecture: Mapping[str, Any],
    dataset: Dataset,
    fold: Fold,
    *,
    family: str,
    fidelity: float,
    seed: int,
    recipe: Recipe,
    before: Mapping[str, Tensor] | None = None,
    resumable: bool = False,
    warm: Supernet | None = None,
    watch: Callable[[Training, Epoch], None] | None = None,
    train_rate: TrainRate | None = None,
) -> Trained:
    """Train on one fold, from the beginning or a state, and predict what it holds out.

    ``watch`` is told of every epoch when it is done. A training that is ``resumable`` gives
    its state too, even at its end.
    """
    own = derived_seed(seed, fold.name)
    rng = np.random.default_rng(own)
    with BUILT:
        network = build(architecture, family, dataset.shape, len(dataset.classes), rng)
    if warm is not None:
        warm.inherit(network, architecture)
    parameters = count_parameters(network)
    coarse = train_rate.of(network) if train_rate is not None else None
    trained_on = coarse.dataset if coarse is not None else dataset
    training = Training(network, trained_on, fold.fit, recipe, own)
    if before is not None:
        training.restore(before)
    told = functools.partial(watch, training) if watch is not None else None
    network = training.run(fidelity, told, resumable)
    if coarse is not None:
        network = coarse.adapted(network, dataset, fold.fit)
    with MEASURED, OperationCounter(network).counting() as counter:
        logits = predict(network, dataset, fold.held)
    true = torch.from_numpy(dataset.labels[fold.held])
    return Trained(
        network=network,
        parameters=parameters,
        state=training.state() if resumable else {},
        fold=fold,
        predicted=logits.argmax(1).numpy(),
        loss=float(nn.functional.cross_entropy(logits, true)),
        operations=counter.table(),
        coarse=coarse,
    )


def measure(done: Sequence[Trained], dataset: Dataset, profile: Spec) -> dict[str, Any]:
    """Pool folds into the figures of :func:`evaluate`."""
    held = np.concatenate([t.fold.held for t in done])
    n_classes = len(dataset.classes)
    pooled = recall(dataset.labels[held], np.concatenate([t.predicted for t in done]), n_classes)
    price = load_profile(profile)
    sizes = [len(t.fold.held) for t in done]
    layers = mean_table([t.operations for t in done], sizes)
    network = done[0].network
    result: dict[str, Any] = {
        "wa": pooled.wa,
        "ua": pooled.ua,
        "macro_f1": pooled.macro_f1,
        "loss": float(
            np.average([t.loss for t in done], weights=[len(t.predicted) for t in done])
        ),
        **totals(layers, price),
        "energy_profile": price.name,
        "parameters": done[0].parameters,
        "latency": _latency(network, dataset, held),
        "classes": list(dataset.classes),
        "confusion": pooled.confusion.tolist(),
        "folds": [_fold_row(t, dataset, n_classes) for t in done],
        "layers": layers,
    }
    if done[0].coarse is not None:
        result |= done[0].coarse.describe()
    steps = getattr(network, "latency_steps", None)
    if steps is not None:
        result["latency_steps"] = steps
    if dataset.encoder_macs is not None:
        macs = float(dataset.encoder_macs[held].mean())
        result["encoder_macs"] = macs
        encoder = encoder_energy(macs, price)
        if encoder is not None:
            result["energy_with_encoder"] = result["energy"] + encoder
    return result


def _latency(network: nn.Module, dataset: Dataset, held: Indices) -> float:
    frames = getattr(network, "latency_frames", None)
    if frames is None:  # it waits for the end of the utterance
        return dataset.seconds(held)
    return float(frames) / dataset.frame_rate


def build(
    architecture: Mapping[str, Any],
    family: str,
    shape: int | tuple[int, ...],
    n_classes: int,
    rng: np.random.Generator,
) -> nn.Module:
    """Build a network with weights drawn from ``rng`` alone.

    torch's initialisers read its global generator, so that is seeded here and put back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        return get_family(family).build(architecture, shape, n_classes)


def count_parameters(network: nn.Module) -> int:
    """Count the trainable values."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _fold_row(t: Trained, dataset: Dataset, n_classes: int) -> dict[str, Any]:
    r = recall(dataset.labels[t.fold.held], t.predicted, n_classes)
    return {"held": t.fold.name, "utterances": len(t.fold.held), "wa": r.wa, "ua": r.ua}
