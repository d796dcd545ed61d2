"""Batch normalisation moved into weights: in front of the neurons, or behind them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.errors import NasError
from search_spaces.ttfs.layers import B1Layer, FirstSpike, Readout, without_bias

_NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return ``scale, shift`` ``[C]`` of a batch normalisation at inference.

    Raises:
        NasError: It is none, or keeps no statistics.
    """
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_var is None:
        raise NasError(f"{type(norm).__name__} cannot be folded into weights")
    assert norm.running_mean is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias


@torch.no_grad()
def fold_before(layer: B1Layer) -> None:
    """Fold the normalisation between a layer's synapses and its neurons, in place.

    ``w' = w gamma / sqrt(var + eps)``, ``b' = beta + gamma (b - mean) / sqrt(var + eps)``.
    """
    if isinstance(layer.norm, nn.Identity):
        return
    synapses = layer.synapses
    if not isinstance(synapses, nn.Linear | nn.Conv1d | nn.Conv2d):
        raise NasError(f"{type(synapses).__name__} has no weights to fold a normalisation into")
    scale, shift = affine(layer.norm)
    bias = shift if synapses.bias is None else shift + scale * synapses.bias
    synapses.weight.mul_(scale.view(-1, *(1,) * (synapses.weight.dim() - 1)))
    synapses.bias = nn.Parameter(bias.clone())
    layer.norm = nn.Identity()


@torch.no_grad()
def fold_after(
    norm: _NORMS, reader: B1Layer | Readout, shape: tuple[int, ...], between: nn.Module | None
) -> None:
    """Fold a normalisation of spikes into the layer that reads them, in place.

    ``w' = w diag(scale)``, and the shift ``c`` adds ``W c`` to the bias. Zero padding stands
    for no spike, not for a normalised zero, so near the border of an image fewer taps see the
    shift: the bias then depends on the place. For a 3x3 kernel it has nine values a channel
    (corners, edges, inside); it is kept as a map, which serves every kernel and stride.
    Maximum pooling in between turns its order round where the scale is negative.

    Args:
        norm: Normalisation of the spikes.
        reader: The layer behind it; not normalised itself any more.
        shape: ``[C, H, W]`` or ``[C]`` of what the reader reads.
        between: The ``FirstSpike`` between the two, if there is one.

    Raises:
        NasError: The reader has no weights of its own, or a normalisation that is not folded.
    """
    scale, shift = affine(norm)
    if isinstance(between, FirstSpike):
        between.last = (scale < 0).view(-1, *(1,) * (len(shape) - 1))
    elif between is not None:
        raise NasError(f"a normalisation cannot pass {type(between).__name__} on its way")
    planes = (1,) * (len(shape) - 1)
    constant = shift.view(-1, *planes).expand(shape)[None]
    if isinstance(reader, Readout):
        linear = reader.linear
        added = nn.functional.linear(reader.pool(constant), linear.weight)[0]
        if len(shape) > 1 and scale.numel() != linear.in_features:
            raise NasError("the readout does not keep channels apart")
        linear.weight.mul_(scale)
        linear.bias = nn.Parameter(added if linear.bias is None else linear.bias + added)
        return
    if not isinstance(reader.norm, nn.Identity):
        raise NasError("fold the reader's own normalisation first", hint="fold_before(reader)")
    synapses = reader.synapses
    if not isinstance(synapses, nn.Linear | nn.Conv1d | nn.Conv2d):
        raise NasError(f"{type(synapses).__name__} has no weights to fold a normalisation into")
    added = without_bias(synapses)(constant)[0]
    if isinstance(synapses, nn.Linear):
        synapses.weight.mul_(scale)
        synapses.bias = nn.Parameter(added if synapses.bias is None else synapses.bias + added)
        return
    group = synapses.in_channels // synapses.groups
    if synapses.groups == 1:
        per_weight = scale[None]
    else:
        each = scale.view(synapses.groups, 1, group)
        outputs = synapses.out_channels // synapses.groups
        per_weight = each.expand(-1, outputs, -1).reshape(synapses.out_channels, group)
    synapses.weight.mul_(per_weight.view(*per_weight.shape, *planes))
    if synapses.bias is None:
        synapses.bias = nn.Parameter(torch.zeros_like(synapses.weight[:, 0].flatten(1)[:, 0]))
    reader.border = added if reader.border is None else reader.border + added
