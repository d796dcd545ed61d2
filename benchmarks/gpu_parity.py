"""On a CUDA machine: do fla's kernels and spikingjelly's agree with our own code?

Outputs and parameter gradients of every attention kind that has an fla kernel, against the
pure PyTorch form, causal and bidirectional; spikes and gradients of the neurons on the GPU
against the CPU kernel. Prints the largest differences and writes JSON.
"""

from __future__ import annotations

import sys

import report
import torch

from search_spaces.attention import AttentionSettings, build_attention
from search_spaces.attention.fla_backend import KINDS_WITH_KERNELS
from search_spaces.neurons import make_neurons


def attention(kind: str, causal: bool) -> dict[str, float]:
    """Return the largest relative differences between the two back ends."""
    torch.manual_seed(0)
    lengths = torch.tensor([256, 192, 64, 1])
    mask = (torch.arange(256) < lengths[:, None]).cuda()
    x = torch.randn(4, 256, 256, device="cuda")
    found = []
    state = None
    for backend in ("torch", "fla"):
        settings = AttentionSettings(width=256, heads=4, causal=causal, backend=backend)  # type: ignore[arg-type]
        module = build_attention(kind, settings).cuda()
        if state is None:
            state = module.state_dict()
        module.load_state_dict(state)
        y = module(x, mask)
        y.square().sum().backward()
        grads = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
        found.append((y.detach(), grads))
    (y0, g0), (y1, g1) = found
    return {
        "output": float((y0 - y1).norm() / y0.norm()),
        "gradient": float((g0 - g1).norm() / g0.norm()),
    }


def neurons(kind: str) -> dict[str, float]:
    """Return the share of differing spikes and the relative difference of the gradients."""
    x = 2 * torch.randn(64, 8, 128, generator=torch.Generator().manual_seed(0))
    found = []
    for device in ("cpu", "cuda"):
        layer = make_neurons(kind, 2.0, 1.0).to(device)
        given = x.to(device).requires_grad_()
        spikes = layer(given)
        (spikes * x.to(device)).sum().backward()
        assert given.grad is not None
        found.append((spikes.detach().cpu(), given.grad.cpu()))
    (s0, g0), (s1, g1) = found
    return {
        "differing_spikes": float((s0 != s1).float().mean()),
        "gradient": float((g0 - g1).norm() / g0.norm()),
    }


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("this comparison needs a CUDA device")
    measured: dict[str, object] = {"gpu": torch.cuda.get_device_name()}
    for kind in KINDS_WITH_KERNELS:
        for causal in (True, False):
            name = f"{kind} {'causal' if causal else 'bidirectional'}"
            try:
                measured[name] = attention(kind, causal)
            except Exception as error:  # a kernel that fails is a finding, not the end
                measured[name] = f"{type(error).__name__}: {str(error)[:300]}"
            print(name, measured[name], flush=True)
    for kind in ("plif", "lif", "if"):
        measured[kind] = neurons(kind)
        print(kind, measured[kind], flush=True)
    report.write("gpu_parity", measured)


if __name__ == "__main__":
    main()
