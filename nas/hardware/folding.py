"""Batch normalisation moved into the weights in front of it, where a device has it."""

from __future__ import annotations

import copy

import torch
from torch import nn

from search_spaces.frames import Projection
from search_spaces.mean_pool import MeanPool
from search_spaces.ttfs import TTFSNetwork
from search_spaces.ttfs.folding import affine


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """Return a copy of a trained network with every batch normalisation in its weights.

    ``W' = diag(gamma / sqrt(var + eps)) W`` and ``b' = beta - gamma mean / sqrt(var + eps)``,
    computed in float64 and rounded once. Logits change by rounding alone. Layer
    normalisations and lateral inhibition divide by what the input is and stay.

    Args:
        network: In any mode; not changed.

    Returns:
        The copy, in evaluation mode.
    """
    network = copy.deepcopy(network).eval()
    if isinstance(network, TTFSNetwork):
        network.fold()
    for module in list(network.modules()):
        if isinstance(module, Projection) and isinstance(module.norm, nn.BatchNorm1d):
            scale, shift = affine(copy.deepcopy(module.norm).double())
            weight = module.linear.weight
            module.linear.weight = nn.Parameter((scale[:, None] * weight).to(weight.dtype))
            module.linear.bias = nn.Parameter(shift.to(weight.dtype))
            module.add_module("norm", nn.Identity())
        elif isinstance(module, MeanPool) and isinstance(module.norm, nn.BatchNorm1d):
            scale, shift = affine(copy.deepcopy(module.norm).double())
            reader = module.hidden if isinstance(module.hidden, nn.Linear) else module.out
            weight = reader.weight
            reader.bias = nn.Parameter((reader.bias + weight.double() @ shift).to(weight.dtype))
            reader.weight = nn.Parameter((weight * scale).to(weight.dtype))
            module.add_module("norm", nn.Identity())
    return network
