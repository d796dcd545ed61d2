"""NIR files run by other simulators: snnTorch and spikingjelly, through nirtorch."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import nir
import nirtorch
import torch
from torch import Tensor, nn


class DelayLine(nn.Module):
    """``nir.Delay`` for simulators that call a module once a step and know no delay."""

    def __init__(self, node: Any, dt: float) -> None:
        super().__init__()
        self.steps = torch.from_numpy(node.delay / dt).round().long()
        self.past: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.past.append(x)
        out = torch.zeros_like(x)
        for late in set(self.steps.tolist()):
            if late < len(self.past):
                moved = self.steps == late
                out[:, moved] = self.past[-1 - late][:, moved]
        return out


def _run(module: nn.Module, names: set[str], x: Tensor) -> dict[str, Tensor]:
    """Call once a step with ``[T, B, D]``; outputs of every node, states carried over."""
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str, out: Any) -> None:
        seen.setdefault(name, []).append(out[0] if isinstance(out, tuple) else out)

    for name, child in module.named_children():
        if name in names - {"output"}:
            child.register_forward_hook(lambda _, __, out, name=name: keep(name, out))
    state = None
    with torch.no_grad():
        for step in x:
            out, state = module(step, state)
            keep("output", out)
    return {name: torch.stack(each) for name, each in seen.items()}


def with_snntorch(graph: Any, x: Tensor) -> dict[str, Tensor]:
    """Its own importer where it knows every node, else nirtorch with its map and a delay."""
    from snntorch import import_nir

    graph = copy.deepcopy(graph)  # it changes what it is given
    with contextlib.redirect_stdout(io.StringIO()):  # it prints every rescaled threshold
        if any(isinstance(n, nir.Delay) for n in graph.nodes.values()):
            known = {
                kind: lambda n: import_nir._nir_to_snntorch_module(n, init_hidden=True)
                for kind in (nir.Affine, nir.Linear, nir.LIF)
            }
            known[nir.Delay] = lambda n: DelayLine(n, 1e-4)
            module = nirtorch.nir_to_torch(graph, known)
        else:
            module = import_nir.import_from_nir(graph)
    return _run(module, set(graph.nodes), x)


def with_spikingjelly(graph: Any, x: Tensor, dt: float = 1e-4) -> dict[str, Tensor]:
    from spikingjelly.activation_based.nir_exchange import from_nir

    if any(isinstance(n, nir.Delay) for n in graph.nodes.values()):
        known = {**from_nir._NodeMapper(dt).map_dict, nir.Delay: lambda n: DelayLine(n, dt)}
        module = nirtorch.nir_to_torch(graph, known)
    else:
        module = from_nir.import_from_nir(graph, dt=dt)
    return _run(module, set(graph.nodes), x)


def with_norse(graph: Any, x: Tensor, dt: float = 1e-4) -> dict[str, Tensor]:
    """For whoever has norse installed; the tests do not need it."""
    import norse.torch
    from norse.torch.utils import import_nir

    if any(isinstance(n, nir.Delay) for n in graph.nodes.values()):
        known = {
            kind: lambda n: import_nir._import_norse_module(n, dt=dt)
            for kind in (nir.Affine, nir.Linear, nir.LIF)
        }
        module = nirtorch.nir_to_torch(graph, {**known, nir.Delay: lambda n: DelayLine(n, dt)})
    else:
        module = norse.torch.from_nir(graph, dt=dt)
    return _run(module, set(graph.nodes), x)
