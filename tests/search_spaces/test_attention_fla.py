"""Our cores against the naive functions of flash-linear-attention, called as its kernels are.

The kernels need a GPU; the naive functions that fla tests them against do not. They stand in
for the kernels here, so that both the arguments our adapters pass and the numbers are checked.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.attention import AttentionSettings, build_attention, fla_backend


def naive(folder: str, name: str) -> Any:
    """Load a function by path: importing the package would ask for a GPU driver."""
    [file] = [
        f for f in metadata.files("fla-core") or () if str(f) == f"fla/ops/{folder}/naive.py"
    ]
    spec = importlib.util.spec_from_file_location(f"fla_naive_{folder}", str(file.locate()))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def retention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, None]:
    heads_first = (x.transpose(1, 2) for x in (q, k, v))
    return naive("retention", "naive_retention")(*heads_first).transpose(1, 2), None


def lightnet(q: Tensor, logits: Tensor, v: Tensor) -> tuple[Tensor, None]:
    """Gated linear attention with keys normalised by logcumsumexp, as fla's layer has it."""
    z = logits.logcumsumexp(1)
    k = (logits - z).exp()
    gate = torch.cat((z[:, :1], z[:, :-1]), 1) - z
    return naive("gla", "naive_recurrent_gla")(q, k, v, gate)[0], None


KERNELS = {
    "chunk_retention": retention,
    "chunk_lightnet": lightnet,
    "chunk_gsa": naive("gsa", "naive_recurrent_gsa"),
    "parallel_forgetting_attn": naive("forgetting_attn", "naive_forgetting_attn"),
    "chunk_kda": naive("kda", "naive_recurrent_kda"),
}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", fla_backend.KINDS_WITH_KERNELS)
def test_the_core_agrees_with_fla_s_naive_function(
    kind: str, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = build_attention(kind, AttentionSettings(width=32, heads=2, causal=causal, chunk=16))
    x = torch.randn(3, 50, 32)
    mask = torch.arange(50) < torch.tensor([50, 33, 1])[:, None]
    ours = module(x, mask)
    calls: list[str] = []

    def kernel(folder: str, name: str) -> Any:
        calls.append(name)
        return KERNELS[name]

    monkeypatch.setattr(fla_backend, "_kernel", kernel)
    monkeypatch.setattr(fla_backend, "use_fla", lambda *_: True)
    torch.testing.assert_close(module(x, mask), ours, rtol=1e-4, atol=1e-4)
    # a bidirectional LightNet is a softmax over time and has no kernel
    assert calls or (kind == "lightnet" and not causal)
