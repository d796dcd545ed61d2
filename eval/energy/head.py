"""Operations of the layers that work on frames; the rules stand in ``operations.py``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eval.energy.table import LayerOperations
from search_spaces.attention import Attention
from search_spaces.frames import FramePooling, Frames, Projection, RateReadout, SoftSaturation
from search_spaces.inhibition import LateralInhibition
from search_spaces.mean_pool import MeanPool
from search_spaces.prompts import BiasVoltage, PromptContext


def count_projection(
    row: LayerOperations, x: Tensor, module: Projection, trains: tuple[Tensor, ...] | None
) -> None:
    """Count a linear map of ``[n, in]`` with its normalisation.

    Raises:
        RuntimeError: It is declared to be fed spikes and is not.
    """
    units, frames = module.linear.out_features, x.shape[0]
    row.weights, row.states = stored(module), units
    row.buffer = module.linear.in_features + units
    row.outputs += float(frames * units)
    if isinstance(module.norm, LateralInhibition):
        inner = module.norm.inhibitory
        own = float(frames * (2 * inner + 1) * units)
        row.macs += own
        row.dense += own
        units += inner
    row.dense += float(x.numel() * units)
    if not module.spiking:
        row.macs += float(x.numel() * units)
        row.inputs += _nonzero(x)
        row.values += float(x.numel())
        return
    for train in trains or (x,):
        if not _binary(train):
            # an accumulate for a product that is none would make the energy a lie
            raise RuntimeError(f"layer {row.layer} is declared spiking but got other values")
        spikes = _total(train)
        row.inputs += spikes
        row.values += float(train.numel())
        row.synops += spikes * units
        row.acs += spikes * units


def count_neurons(
    row: LayerOperations, x: Tensor, spikes: Tensor, frames: Frames, *, leaky: bool
) -> None:
    """Count a layer of neurons: ``[L, B, D]`` currents and spikes."""
    steps = float(frames.valid * x.shape[-1])
    row.neuron_steps += steps
    row.updates += steps
    row.leaks += steps if leaky else 0.0
    row.macs += steps if leaky else 0.0
    row.acs += steps
    row.compares += steps
    row.spikes += _total(frames.clear(spikes))
    row.weights, row.states = int(leaky), x.shape[-1]


def count_attention(row: LayerOperations, module: Attention, x: Tensor, mask: Tensor) -> None:
    """Count a mechanism by its own ``operations``, and its neurons: ``[B, L, D]``."""
    counted = module.operations(x, mask)
    leaks = counted.neuron_steps if module.settings.neuron != "if" else 0.0
    row.macs += counted.macs + leaks
    row.leaks += leaks
    row.dense += counted.macs + counted.dense
    row.acs += counted.acs + counted.neuron_steps
    row.synops += counted.synops
    row.event_acs += counted.acs - counted.synops
    row.compares += counted.neuron_steps
    row.spikes += counted.spikes
    row.neuron_steps += counted.neuron_steps
    row.updates += counted.neuron_steps
    values = float(mask.sum()) * x.shape[2]
    row.inputs += _nonzero(x * mask[..., None])
    row.values += values
    row.outputs += values
    row.weights, row.buffer = stored(module), 2 * x.shape[2]
    row.states = module.states


def count_prompts(
    row: LayerOperations, module: PromptContext, x: Tensor, frames: Frames, output: Tensor
) -> None:
    """Count prompts that add what they gathered; without attention also the gathering."""
    row.acs += float(output.numel())
    row.dense_acs += float(output.numel())
    row.outputs += float(output.numel())
    row.weights = module.prompts.numel()
    row.states, row.buffer = x.shape[-1], x.shape[-1] + module.prompts.numel()
    if module.attention is None:
        _count_sum(row, x, frames)


def count_rates(row: LayerOperations, module: RateReadout, x: Tensor, frames: Frames) -> None:
    """Count the spikes of each channel, and a product per sample."""
    _count_sum(row, x, frames)
    products = float(x.shape[1] * module.linear.weight.numel())
    row.macs += products
    row.dense += products
    row.outputs += float(x.shape[1] * module.linear.out_features)
    row.weights, row.states = stored(module), x.shape[-1]
    row.buffer = x.shape[-1] + module.linear.out_features


def count_bias(
    row: LayerOperations,
    module: BiasVoltage,
    prompts: Tensor | None,
    voltage: Tensor,
    frames: Frames,
) -> None:
    """Count the maps from prompts to a voltage, and its addition at every step."""
    maps = [m for m in module.maps if isinstance(m, nn.Linear)]
    products = float(sum(m.weight.numel() for m in maps) * voltage.shape[0])
    added = float(frames.valid * voltage.shape[-1])
    row.macs += products
    row.dense += products
    row.acs += added
    row.dense_acs += added
    if prompts is not None:
        row.inputs += _nonzero(prompts)
        row.values += float(prompts.numel())
    row.outputs += float(voltage.numel())
    row.weights, row.buffer = stored(module), 2 * voltage.shape[-1]


def count_saturation(row: LayerOperations, module: SoftSaturation, x: Tensor) -> None:
    """Count square, scale, gain and one addition of every value of ``[n, D]``."""
    row.macs += 3.0 * x.numel()
    row.dense += 3.0 * x.numel()
    _count_values(row, x)
    row.outputs += float(x.numel())
    row.weights, row.buffer = stored(module), 2 * x.shape[-1]


def count_pooling(row: LayerOperations, module: FramePooling, x: Tensor, pooled: Tensor) -> None:
    """Count the sum over windows of frames ``[n, D]``; nothing for windows of one."""
    if module.size > 1:
        _count_values(row, x)
        row.outputs += float(pooled.numel())
        row.buffer = 2 * x.shape[-1]


def count_mean(row: LayerOperations, module: MeanPool, x: Tensor, lengths: Tensor | None) -> None:
    """Count the mean over the real frames of ``[B, L, D]``, and its maps per sample."""
    maps = [m for m in module.modules() if isinstance(m, nn.Linear)]
    products = float(sum(m.weight.numel() for m in maps) * x.shape[0])
    frames = float(x.shape[0] * x.shape[1]) if lengths is None else float(lengths.sum())
    added = frames * x.shape[2]
    row.macs += products
    row.dense += products
    row.acs += added
    row.dense_acs += added
    row.inputs += added
    row.values += added
    row.outputs += float(x.shape[0] * maps[-1].out_features)
    row.weights, row.buffer = stored(module), x.shape[2] + maps[-1].out_features


def stored(module: nn.Module) -> int:
    """Count the values that inference needs: of a batch normalisation one bias a channel."""
    total = 0
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            total += part.num_features
        else:
            total += sum(p.numel() for p in part.parameters(recurse=False))
    return total


def _count_values(row: LayerOperations, x: Tensor) -> None:
    row.acs += float(x.numel())
    row.dense_acs += float(x.numel())
    row.inputs += _nonzero(x)
    row.values += float(x.numel())


def _count_sum(row: LayerOperations, x: Tensor, frames: Frames) -> None:
    """Count a sum over time: an accumulate a spike, or one a real value of the ReLU twin."""
    clean = frames.clear(x)
    values = float(frames.valid * x.shape[-1])
    row.inputs += _nonzero(clean)
    row.values += values
    row.dense_acs += values
    if _binary(clean):
        row.acs += _total(clean)
        row.event_acs += _total(clean)
    else:
        row.acs += values


def _binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all())


def _total(x: Tensor) -> float:
    return float(x.sum(dtype=torch.float64))


def _nonzero(x: Tensor) -> float:
    return float(x.count_nonzero())
