"""Networks with weights and statistics as training leaves them, and export folders of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eval.weights import save_weights
from nas.export import write_folder
from search_spaces.architecture import Architecture
from search_spaces.families import get_family
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons
from search_spaces.ttfs import TTFSNetwork

DIM = 12
CLASSES = ["anger", "joy", "sadness"]
CLIP = (2, 2, 8, 8)

SMALL = {"encoder.width": 16, "encoder.depth": 2, "encoder.expansion": 1}
# what NIR can express whole
ON_DEVICE = {**SMALL, "input.saturation": 0, "encoder.direction": "past"}


def network(
    values: Mapping[str, Any], seed: int = 0, family: str = "pts_snn", shape: Any = DIM
) -> nn.Module:
    """A network whose every parameter and statistic is away from where it is initialised."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = get_family(family).build(values, shape, len(CLASSES))
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim < 2 or name.endswith("prompts"):
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
        for m in net.modules():
            if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
                m.running_mean.copy_(0.3 * torch.randn(m.running_mean.shape, generator=generator))
                if m.affine:
                    m.bias.add_(0.3)  # so that no layer falls silent
                m.running_var.copy_(
                    0.02 + 0.1 * torch.rand(m.running_var.shape, generator=generator)
                )
    net.eval()
    if isinstance(net, TTFSNetwork) and net.discretisation is not None:
        net.fold()
        net.fit_windows([(frames(4, 20, shape, seed),)], net.discretisation.margin)
        net.view = net.spiking_view()
    return net


def frames(batch: int, length: int, shape: Any = DIM, seed: int = 0) -> Tensor:
    """``[B, L, D]``, or clips with values in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(shape, tuple):
        clips = torch.rand(batch, *shape, generator=generator)
        return clips.flatten(2)
    return torch.randn(batch, length, shape, generator=generator)


@torch.no_grad()
def spikes_of(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Logits and the spikes ``[T, B, D]`` of every layer of clocked neurons, by its name."""
    seen: dict[str, Tensor] = {}
    handles = [
        m.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
        for name, m in net.named_modules()
        if isinstance(m, SpikingNeurons | IntegrateAndFire)
    ]
    seen["logits"] = net(x)
    for handle in handles:
        handle.remove()
    return {name.replace(".", "_"): value for name, value in seen.items()}


def export_folder(
    folder: Path,
    values: Mapping[str, Any],
    *,
    family: str = "pts_snn",
    shape: Any = DIM,
    seed: int = 0,
    **config: Any,
) -> nn.Module:
    """Write a folder as ``nas export`` does and return the network in it."""
    net = network(values, seed, family, shape)
    weights = folder.parent / f"{folder.name}.weights.safetensors"
    save_weights(net, weights)
    told = {
        "family": family,
        "space": "small",
        "classes": CLASSES,
        "features": {"data": None},
        "source": {"frame_rate": 12.5, "kind": "features"},
        "run": {"command": "nas search"},
        **config,
    }
    if isinstance(shape, tuple):
        size = {"height": shape[2], "width": shape[3]}
        told["source"] |= {"sampling": f"E{shape[0]}-S0", "size": size}
    write_folder(folder, Architecture(values), told, {"wa": 0.5, "ua": 0.5}, weights)
    return net
