"""What a trained network loses on an imperfect device: clock, jitter, lost spikes, weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eval.folds import Indices
from eval.recall import recall
from eval.seeds import derived_seed
from eval.training import predict
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons
from search_spaces.ttfs import Disturbance, TTFSNetwork, TTFSView, quantise_weights

if TYPE_CHECKING:
    from eval.features import Dataset

STEPS = (4, 8, 16, 32, 64)
JITTER = (0.005, 0.01, 0.02, 0.05, 0.1)  # of a window
DELETION = (0.01, 0.05, 0.1)
BITS = (8, 6, 4, 3)


@dataclass(frozen=True)
class Condition:
    """One way a device can be imperfect.

    Args:
        kind: ``as trained``, ``steps``, ``rounding``, ``jitter``, ``deletion`` or
            ``weight bits``.
        amount: How much, for people and tables.
        random: Whether it differs from draw to draw.
    """

    kind: str
    amount: str
    random: bool = False


def robustness(
    network: nn.Module,
    dataset: Dataset,
    indices: Indices,
    *,
    draws: int = 5,
    seed: int = 0,
    step: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure a trained network under every condition that its kind of neuron knows.

    Steps and jitter are of time-to-first-spike networks alone: the clock of another network is
    its frame. A network without spikes keeps its weight bits only.

    Args:
        network: Trained; not changed.
        dataset: Frames and labels.
        indices: Utterances that training did not see.
        draws: Repetitions of a random condition.
        seed: Of the draws.
        step: Told (done, all) after every condition.

    Returns:
        Rows with ``condition``, ``amount``, ``draws``, the mean ``wa`` and ``ua`` over the
        draws, their standard deviations ``wa_sd`` and ``ua_sd``, and ``agreement``, the share
        of predictions that stayed those of the undisturbed network.
    """
    cases = list(_cases(network))
    rows, reference = [], None
    for i, (condition, run) in enumerate(cases):
        results = []
        for draw in range(draws if condition.random else 1):
            drawn = derived_seed(seed, f"{condition.kind} {condition.amount} {draw}")
            generator = torch.Generator().manual_seed(drawn)
            with run(generator) as disturbed:
                predicted = predict(disturbed, dataset, indices).argmax(1).numpy()
            if reference is None:
                reference = predicted
            figures = recall(dataset.labels[indices], predicted, len(dataset.classes))
            results.append((figures.wa, figures.ua, float((predicted == reference).mean())))
        rows.append(_row(condition, np.array(results)))
        if step is not None:
            step(i + 1, len(cases))
    return rows


def _row(condition: Condition, results: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    mean = results.mean(0)
    sd = results.std(0, ddof=1) if len(results) > 1 else np.zeros(3)
    return {
        "condition": condition.kind,
        "amount": condition.amount,
        "draws": len(results),
        "wa": float(mean[0]),
        "ua": float(mean[1]),
        "wa_sd": float(sd[0]),
        "ua_sd": float(sd[1]),
        "agreement": float(mean[2]),
    }


_Run = Callable[[torch.Generator], Any]


def _cases(network: nn.Module) -> Iterator[tuple[Condition, _Run]]:
    spiking = network if isinstance(network, TTFSNetwork) and network.discretisation else None
    neurons = [m for m in network.modules() if isinstance(m, SpikingNeurons | IntegrateAndFire)]
    if spiking is not None:
        view = spiking.spiking_view()
        yield Condition("as trained", f"S = {view.steps}"), _viewed(spiking, view)
        yield Condition("steps", "continuous"), _viewed(spiking, TTFSView())
        for steps in STEPS:
            yield Condition("steps", str(steps)), _viewed(spiking, replace(view, steps=steps))
        yield Condition("rounding", "down"), _viewed(spiking, replace(view, rounding="down"))
        for share in JITTER:
            condition = Condition("jitter", f"{100 * share:g} %", random=True)
            yield condition, _disturbed(spiking, view, jitter=share)
    else:
        yield Condition("as trained", "-"), _deleting((), 0.0, network)
    for share in DELETION:
        condition = Condition("deletion", f"{100 * share:g} %", random=True)
        if spiking is not None:
            yield condition, _disturbed(spiking, spiking.spiking_view(), deletion=share)
        elif neurons:
            yield condition, _deleting(neurons, share, network)
    for bits in BITS:
        yield Condition("weight bits", str(bits)), _rounded(network, bits)


def _viewed(network: TTFSNetwork, view: TTFSView) -> _Run:
    @contextmanager
    def run(_: torch.Generator) -> Iterator[nn.Module]:
        with network.viewed(view):
            yield network

    return run


def _disturbed(network: TTFSNetwork, view: TTFSView, **noise: float) -> _Run:
    @contextmanager
    def run(generator: torch.Generator) -> Iterator[nn.Module]:
        disturbance = Disturbance(**noise, generator=generator)
        with network.viewed(replace(view, disturbance=disturbance)):
            yield network

    return run


def _deleting(neurons: Sequence[nn.Module], share: float, network: nn.Module) -> _Run:
    @contextmanager
    def run(generator: torch.Generator) -> Iterator[nn.Module]:
        def lose(module: nn.Module, inputs: Any, spikes: Tensor) -> Tensor:
            kept = torch.rand(spikes.shape, generator=generator) >= share
            return spikes * kept.to(spikes)

        handles = [m.register_forward_hook(lose) for m in neurons]
        try:
            yield network
        finally:
            for handle in handles:
                handle.remove()

    return run


def _rounded(network: nn.Module, bits: int) -> _Run:
    @contextmanager
    def run(_: torch.Generator) -> Iterator[nn.Module]:
        rounded = copy.deepcopy(network)
        quantise_weights(rounded, bits)
        yield rounded

    return run
