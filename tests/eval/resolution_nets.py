"""Networks and input for the tests of the change of resolution."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from eval.evaluate import build
from eval.resolution import refit
from search_spaces.ttfs import TTFSNetwork

from .synthetic import DIM

CLIP = (2, 2, 8, 8)


def made(family: str = "pts_snn", seed: int = 0, **values) -> nn.Module:
    if family == "pts_snn":
        values = {"encoder.width": 8, "encoder.depth": 1, "encoder.shift": 0.25} | values
    shape = CLIP if family == "ttfs_conv" else DIM
    network = build(values, family, shape, 3, np.random.default_rng(seed))
    # statistics and affine parts that are not those of a fresh layer
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d) and module.affine:
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    if isinstance(network, TTFSNetwork) and network.discretisation is not None:
        network.eval().fold()
        refit(network, [(frames(family),)])
        network.view = network.spiking_view()
    return network.eval()


def frames(family: str = "pts_snn", length: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    if family == "ttfs_conv":
        return torch.rand(4, CLIP[0], math.prod(CLIP[1:]), generator=generator)
    return 2 * torch.randn(4, length, DIM, generator=generator)
