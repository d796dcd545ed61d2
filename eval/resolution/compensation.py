"""Give the spikes of a network at another step the weight of those that it lost.

A neuron fires once a step at most and its reset to 0 forgets what was above the threshold: at a
coarser step a layer sends fewer spikes than it did, at a finer one a few more or less, because
thresholds are looked at elsewhere. What it sends on is a current, the weight of a spike times
their number in a time. So the weights that read a layer are multiplied by

    gain = spikes of the layer in the source / spikes of the layer now

counted on the same recordings, and the mean current is the source's again. Layers are taken in
their order, each counted with the gains before it in place. No label enters. The method is ours:
matching mean activity without labels is common where networks are converted to spikes (Diehl et
al., IJCNN 2015, scale weights by activations); the paper that names the other methods is not
known to have it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eval.batches import collate
from eval.folds import Indices
from search_spaces.errors import NasError
from search_spaces.frames import FrameRepeat, Frames, Projection
from search_spaces.inhibition import LateralInhibition
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons
from search_spaces.prompts import PromptContext
from search_spaces.pts_snn import PTSSNN, ShiftBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eval.features import Dataset

MOST = 64  # utterances to count on, in one batch

_Gain = Callable[[float], None]


def compensate(
    network: nn.Module, source: nn.Module, before: Dataset, after: Dataset, indices: Indices
) -> dict[str, float]:
    """Multiply the weights that read each layer by its gain, in place.

    Args:
        network: Adapted to the new step.
        source: At its own.
        before: Recordings at the source's step.
        after: The same recordings, in the same order, at the new one.
        indices: Utterances; at most ``MOST`` of them, evenly spaced, are counted on.

    Returns:
        The gain of each layer. A layer without spikes, in the source or now, has none.

    Raises:
        NasError: A network of another make: who reads its layers is not known.
    """
    if not isinstance(network, PTSSNN) or not isinstance(source, PTSSNN):
        raise NasError(
            f"who reads the spikes of a {type(network).__name__} is not known",
            hint="compensated is for networks of the family pts_snn",
        )
    counts: dict[str, float] = {}
    _pass(source, before, indices, counts.__setitem__)
    readers = _readers(network)
    gains: dict[str, float] = {}

    def scale(name: str, now: float) -> None:
        if now > 0 and counts[name] > 0:
            gains[name] = counts[name] / now
            for reader in readers[name]:
                reader(gains[name])

    _pass(network, after, indices, scale)
    return gains


def _readers(network: PTSSNN) -> dict[str, list[_Gain]]:
    """Return what reads each layer of neurons, in the order they fire in."""
    readers: dict[str, list[_Gain]] = {}
    for i, block in enumerate(network.blocks):
        assert isinstance(block, ShiftBlock)
        readers[f"blocks.{i}.fire"] = [_projection(block.expand)]
        readers[f"blocks.{i}.inner"] = [_projection(block.reduce)]
    if network.bias is None:
        return readers | {"fire": [_weight(network.readout.linear.weight)]}
    readers["fire"] = [_projection(network.calibrated)]
    context = network.context
    if context is not None and context.attention is None:
        readers["fire"].append(_mean_of(context, network.bias.maps[0]))
    return readers | {"last": [_weight(network.readout.linear.weight)]}


def _projection(module: Projection) -> _Gain:
    weights = [module.linear.weight]
    if isinstance(module.norm, LateralInhibition):
        weights.append(module.norm.to_inhibitory.weight)
    return _weight(*weights)


def _weight(*weights: Tensor) -> _Gain:
    def scale(gain: float) -> None:
        for weight in weights:
            weight.mul_(gain)

    return scale


def _mean_of(context: PromptContext, reader: nn.Module) -> _Gain:
    """``W (P + gain mean)`` is ``(gain W) (P / gain + mean)``."""
    assert isinstance(reader, nn.Linear)

    def scale(gain: float) -> None:
        context.prompts.div_(gain)
        reader.weight.mul_(gain)

    return scale


@torch.no_grad()
def _pass(
    network: PTSSNN, dataset: Dataset, indices: Indices, told: Callable[[str, float], None]
) -> None:
    """Run once; tell the spikes of each layer before anything has read them."""
    chosen = np.asarray(indices)[:: max(1, -(-len(indices) // MOST))]
    features, lengths, _ = collate(dataset, chosen)
    network.eval()
    with _watched(network, told):
        network(features, lengths)


@contextmanager
def _watched(network: PTSSNN, told: Callable[[str, float], None]) -> Iterator[None]:
    real: list[Frames] = []

    def repeated(module: nn.Module, inputs: Any, output: Any) -> None:
        real.append(output[1])

    def fired(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            told(name, float(real[-1].clear(output).sum(dtype=torch.float64)))

        return hook

    modules = dict(network.named_modules())
    handles = [
        modules[name].register_forward_hook(fired(name))
        for name in _readers(network)
        if isinstance(modules[name], SpikingNeurons | IntegrateAndFire)
    ]
    handles += [
        m.register_forward_hook(repeated) for m in modules.values() if isinstance(m, FrameRepeat)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
