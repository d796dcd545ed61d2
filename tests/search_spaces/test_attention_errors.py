"""What a person can get wrong, and which back end runs."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from search_spaces import attention
from search_spaces.attention import KINDS, AttentionSettings, build_attention, fla_backend
from search_spaces.errors import NasError

D, H = 8, 2


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        ("retnett", {}, "did you mean 'retnet'"),
        ("softmax", {"heads": 3}, "1, 2, 4, 8"),
        ("softmax", {"heads": 0}, "heads must be at least 1"),
        ("softmax", {"width": 0}, "width must be at least 1"),
        ("kda", {"chunk": 0}, "chunk must be at least 1"),
        ("retnet", {"heads": 8}, "even head dimension, got 8 / 8 = 1"),
        ("ssla", {"sparsity": 1.0}, r"in \[0, 1\), got 1.0"),
        ("ssla", {"sparsity": -0.1}, r"in \[0, 1\)"),
        ("ssla", {"sparsity": float("nan")}, r"in \[0, 1\)"),
        ("sdsa", {"sparsity": 0.5}, "only 'ssla'"),
        ("gsa", {"sparsity": 0.5}, "'gsa' has no sparsity"),
        ("ssla", {"neuron": "if", "threshold": -1.0}, "threshold must be above 0"),
        ("ssla", {"neuron": "plift"}, "did you mean 'plif'"),
        ("ssla", {"tau": 1.0}, "tau must be above 1"),
        ("sdsa", {"threshold": 0.0}, "threshold must be above 0"),
        ("kda", {"backend": "flaa"}, "did you mean 'fla'"),
        ("softmax", {"backend": "fla"}, "no kernel for attention 'softmax'"),
        ("ssla", {"backend": "fla"}, "retnet, lightnet, gsa, fox, kda"),
        ("lightnet", {"backend": "fla"}, "only when causal"),
    ],
)
def test_settings_that_do_not_fit(kind: str, settings: dict[str, object], text: str) -> None:
    with pytest.raises(NasError, match=text):
        build_attention(kind, AttentionSettings(**{"width": D, "heads": H, **settings}))


def test_neurons_need_only_what_they_have() -> None:
    build_attention("ssla", AttentionSettings(D, H, neuron="if", tau=0.0))
    build_attention("sdsa", AttentionSettings(D, H, neuron="relu", tau=0.0, threshold=0.0))


def test_heads_matter_only_where_there_are_heads() -> None:
    for kind in ("none", "sdsa"):
        build_attention(kind, AttentionSettings(7, heads=4))
    for kind in set(KINDS) - {"none", "sdsa"}:
        with pytest.raises(NasError, match="do not divide"):
            build_attention(kind, AttentionSettings(7, heads=4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "rows", "text"),
    [
        ((2, 0, D), [[], []], "no frame"),
        ((0, 3, D), [], "no frame"),
        ((2, 3, D), [[1, 1, 0], [0, 0, 0]], "needs a real frame"),
        ((1, 3, D), [[1, 0, 1]], "must come last"),
        ((1, 3, D), [[0, 1, 1]], "must come last"),
        ((1, 3, D + 1), [[1, 1, 1]], r"expects \[B, L, 8\], got \[1, 3, 9\]"),
        ((1, 4, D), [[1, 1, 1]], "mask must be bool of shape"),
    ],
)
def test_batches_that_do_not_fit(
    kind: str, shape: tuple[int, ...], rows: list[list[int]], text: str
) -> None:
    a = build_attention(kind, AttentionSettings(D, H))
    mask = torch.tensor(rows, dtype=torch.bool)
    mask = mask.view(shape[:2]) if mask.numel() == 0 else mask
    calls = [a, a.operations] + ([a.context] if kind == "ssla" else [])
    for call in calls:
        with pytest.raises(NasError, match=text):
            call(torch.zeros(shape), mask)


def test_a_mask_of_numbers_is_refused() -> None:
    a = build_attention("softmax", AttentionSettings(D, H))
    with pytest.raises(NasError, match=r"got torch\.float32"):
        a(torch.zeros(1, 2, D), torch.ones(1, 2))


@pytest.fixture
def fresh_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    fla_backend._log.cache_clear()
    caplog.set_level(logging.INFO, logger="search_spaces.attention")
    return caplog


def test_the_back_end_is_logged_once_a_kind(fresh_log: pytest.LogCaptureFixture) -> None:
    x, mask = torch.randn(1, 3, D), torch.ones(1, 3, dtype=torch.bool)
    for kind in ("gsa", "kda", "gsa"):
        a = build_attention(kind, AttentionSettings(D, H))
        a(x, mask)
        a(x, mask)
    messages = [record.getMessage() for record in fresh_log.records]
    assert messages == [
        "attention gsa runs on torch: tensors are on cpu, not on cuda",
        "attention kda runs on torch: tensors are on cpu, not on cuda",
    ]


def test_auto_takes_fla_on_cuda_where_it_imports(
    fresh_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cuda = SimpleNamespace(is_cuda=True, device=torch.device("cuda"))
    monkeypatch.setattr(fla_backend, "missing_package", lambda: None)
    assert fla_backend.use_fla("kda", "auto", on_cuda)
    assert not fla_backend.use_fla("gsa", "torch", on_cuda)
    monkeypatch.setattr(fla_backend, "missing_package", lambda: "no module named fla")
    assert not fla_backend.use_fla("fox", "auto", on_cuda)
    with pytest.raises(NasError, match="no module named fla"):
        fla_backend.use_fla("fox", "fla", on_cuda)
    assert [record.getMessage() for record in fresh_log.records] == [
        "attention kda runs on fla: tensors are on cuda",
        "attention gsa runs on torch: asked for",
        "attention fox runs on torch: no module named fla",
    ]


def test_fla_by_name_is_an_error_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AttentionSettings(D, H, backend="fla")
    monkeypatch.setattr(attention, "missing_package", lambda: "fla.ops does not import (why)")
    with pytest.raises(NasError, match=r"fla\.ops does not import \(why\)"):
        build_attention("kda", settings)
    monkeypatch.setattr(attention, "missing_package", lambda: None)
    a = build_attention("kda", settings)
    with pytest.raises(NasError, match="tensors are on cpu"):
        a(torch.zeros(1, 2, D), torch.ones(1, 2, dtype=torch.bool))


def state_passing(q: Tensor, k: Tensor, v: Tensor, gate: Tensor, delta: Tensor | None) -> Tensor:
    """``[B, L, H, d]``: a gated state, written by sums or, with ``delta``, by the delta rule."""
    out = []
    state = torch.zeros(k.shape[0], k.shape[2], k.shape[3], v.shape[3])
    for t in range(q.shape[1]):
        state = state * gate[:, t].exp()[..., None]
        value = v[:, t]
        if delta is not None:
            value = delta[:, t, :, None] * (value - (k[:, t, ..., None] * state).sum(-2))
        state = state + k[:, t, ..., None] * value[..., None, :]
        out.append((q[:, t, ..., None] * state).sum(-2))
    return torch.stack(out, 1)


def fake_retention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, None]:
    gate = torch.log(1 - 2.0 ** (-5 - torch.arange(q.shape[2])))[:, None].expand(q.shape)
    return state_passing(q * q.shape[-1] ** -0.5, k, v, gate, None), None


def fake_lightnet(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, None]:
    z = k.logcumsumexp(1)
    gate = torch.cat((0 * z[:, :1], z[:, :-1] - z[:, 1:]), 1)
    return state_passing(q * q.shape[-1] ** -0.5, (k - z).exp(), v, gate, None), None


def fake_gsa(
    q: Tensor, k: Tensor, v: Tensor, s: Tensor, g: Tensor, *, scale: float
) -> tuple[Tensor, None]:
    queries = torch.eye(s.shape[-1])
    keys = torch.stack([state_passing(row.expand(s.shape), s, k, g, None) for row in queries], -2)
    read = (keys @ q[..., None]).squeeze(-1) * scale
    return state_passing(read.softmax(-1), s, v, g, None), None


def fake_fox(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    c = g.cumsum(1).transpose(1, 2)
    logits = torch.einsum("bihd,bjhd->bhij", q, k) * q.shape[-1] ** -0.5
    logits = logits + c[..., :, None] - c[..., None, :]
    seen = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).tril()
    return torch.einsum("bhij,bjhd->bihd", logits.masked_fill(~seen, -torch.inf).softmax(-1), v)


def fake_kda(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> tuple[Tensor, None]:
    return state_passing(q * q.shape[-1] ** -0.5, k, v, g, beta), None


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("kind", "module", "name", "kernel"),
    [
        ("retnet", "retention", "chunk_retention", fake_retention),
        ("lightnet", "lightnet", "chunk_lightnet", fake_lightnet),
        ("gsa", "gsa", "chunk_gsa", fake_gsa),
        ("fox", "forgetting_attn", "parallel_forgetting_attn", fake_fox),
        ("kda", "kda", "chunk_kda", fake_kda),
    ],
)
def test_kernels_get_what_they_expect(
    kind: str,
    module: str,
    name: str,
    kernel: object,
    causal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stand-ins with fla's signatures and meaning give what the torch back end gives."""
    x = torch.randn(2, 9, D)
    mask = torch.arange(9) < torch.tensor([9, 4])[:, None]
    a = build_attention(kind, AttentionSettings(D, H, causal=causal))
    expected = a(x, mask)
    stand_in = ModuleType(f"fla.ops.{module}")
    setattr(stand_in, name, kernel)
    for parent in ("fla", "fla.ops"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr(fla_backend, "use_fla", lambda *_: True)
    torch.testing.assert_close(a(x, mask), expected, atol=1e-5, rtol=1e-4)
