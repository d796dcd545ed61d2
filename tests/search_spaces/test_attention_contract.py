"""What holds for every mechanism, causal or not: padding, time, state, types, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from search_spaces.attention import (
    KINDS,
    SPIKING_KINDS,
    Attention,
    AttentionOperations,
    AttentionSettings,
    build_attention,
)

D, H = 8, 2
MIXING = [(kind, 0.0) for kind in KINDS if kind != "none"] + [("ssla", 0.5)]
EVERY = [("none", 0.0), *MIXING]
every_kind = pytest.mark.parametrize(("kind", "sparsity"), EVERY)
mixing_kind = pytest.mark.parametrize(("kind", "sparsity"), MIXING)
both_ways = pytest.mark.parametrize("causal", [True, False])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def built(kind: str, sparsity: float, causal: bool, *, neuron: str = "plif") -> Attention:
    torch.manual_seed(11)
    settings = AttentionSettings(
        D, H, causal, sparsity, neuron=neuron, chunk=4, threshold=0.2, tau=1.5
    )
    return build_attention(kind, settings).double()


def batch(lengths: tuple[int, ...], longest: int | None = None) -> tuple[Tensor, Tensor]:
    """Real frames that depend on utterance and frame alone, NaN on padding."""
    longest = longest or max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    x = torch.full((len(lengths), longest, D), math.nan, dtype=torch.float64)
    for b, n in enumerate(lengths):
        generator = torch.Generator().manual_seed(b)
        x[b, :n] = torch.randn(n, D, dtype=torch.float64, generator=generator)
    return x, mask


def outcome(a: Attention, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Output on real frames, gradient of the input there, gradients of the parameters."""
    x = x.clone().requires_grad_()
    a.zero_grad()
    y = a(x, mask)
    assert (y[~mask] == 0).all()
    generator = torch.Generator().manual_seed(99)
    weights = torch.randn(int(mask.sum()), D, dtype=y.dtype, generator=generator)
    (y[mask] * weights).sum().backward()
    assert (x.grad[~mask] == 0).all()
    return y[mask].detach(), x.grad[mask], {n: p.grad.clone() for n, p in a.named_parameters()}


@every_kind
@both_ways
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(kind: str, sparsity: float, causal: bool, training: bool) -> None:
    a = built(kind, sparsity, causal).train(training)
    check_padding(a)


@both_ways
@pytest.mark.parametrize("kind", SPIKING_KINDS)
@pytest.mark.parametrize("neuron", ["if", "relu"])
def test_padding_changes_nothing_for_other_neurons(kind: str, neuron: str, causal: bool) -> None:
    check_padding(built(kind, 0.0, causal, neuron=neuron))


def check_padding(a: Attention) -> None:
    lengths = (9, 1, 5)
    plain, padded = (outcome(a, *batch(lengths, longest)) for longest in (9, 18))
    torch.testing.assert_close(plain, padded, atol=1e-9, rtol=0)
    alone = outcome(a, *batch((7,)))
    half = outcome(a, *batch((7,), 14))
    torch.testing.assert_close(alone, half, atol=1e-9, rtol=0)
    counts = [a.operations(*batch(lengths, longest)) for longest in (9, 18)]
    assert counts[0] == counts[1]


@every_kind
@both_ways
def test_a_batch_of_one_equals_a_row_of_a_batch(kind: str, sparsity: float, causal: bool) -> None:
    a = built(kind, sparsity, causal).eval()
    x, mask = batch((3, 9, 1))
    together = a(x, mask)
    total = AttentionOperations()
    for b, n in enumerate((3, 9, 1)):
        one = slice(b, b + 1)
        torch.testing.assert_close(
            a(x[one, :n], mask[one, :n])[0], together[b, :n], atol=1e-9, rtol=0
        )
        total += a.operations(x[one, :n].nan_to_num(), mask[one, :n])
    whole = a.operations(x, mask)
    assert (whole.macs, whole.acs, whole.spikes) == (total.macs, total.acs, total.spikes)


@mixing_kind
@both_ways
def test_only_those_that_are_not_causal_look_ahead(
    kind: str, sparsity: float, causal: bool
) -> None:
    a = built(kind, sparsity, causal).eval()
    x, mask = batch((6,) * 12)  # short: a sum over many frames opens every channel of sdsa
    changed = x.clone()
    changed[:, 2:] = 5 * changed[:, 2:] + 1
    before, after = a(x, mask), a(changed, mask)
    assert not torch.equal(before[:, 2:], after[:, 2:])
    earlier = (before[:, :2] - after[:, :2]).abs().max()
    assert earlier <= 1e-12 if causal else earlier > 1e-6


@mixing_kind
@both_ways
def test_a_frame_reads_frames_before_it(kind: str, sparsity: float, causal: bool) -> None:
    a = built(kind, sparsity, causal).eval()
    x, mask = batch((6,) * 12)
    changed = x.clone()
    changed[:, :3] = 5 * changed[:, :3] + 1
    assert not torch.equal(a(x, mask)[:, 3:], a(changed, mask)[:, 3:])


@every_kind
@both_ways
def test_no_state_outlives_a_call(kind: str, sparsity: float, causal: bool) -> None:
    a = built(kind, sparsity, causal).eval()
    x, mask = batch((9, 4))
    first = a(x, mask)
    a(10 * x.flip(1).nan_to_num(), torch.ones_like(mask))
    assert torch.equal(a(x, mask), first)


@every_kind
@both_ways
@pytest.mark.parametrize("longest", [1, 20])
def test_every_parameter_gets_a_finite_gradient(
    kind: str, sparsity: float, causal: bool, longest: int
) -> None:
    for dtype in (torch.float64, torch.float32):
        for size in (1, 3):
            a = built(kind, sparsity, causal).to(dtype)
            x = torch.randn(size, longest, D, dtype=dtype, requires_grad=True)
            y = a(x, torch.ones(size, longest, dtype=torch.bool))
            y.square().sum().backward()
            assert y.isfinite().all()
            for name, p in [*a.named_parameters(), ("x", x)]:
                assert p.grad is not None, name
                assert p.grad.isfinite().all(), name


@every_kind
@both_ways
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_narrow_types_stay_finite(kind: str, sparsity: float, causal: bool, scale: float) -> None:
    x, mask = batch((40, 17))
    x = scale * x
    for weights, inputs in (
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.bfloat16),
    ):
        a = built(kind, sparsity, causal).to(weights)
        moved = x.to(inputs).requires_grad_()
        y = a(moved, mask)
        y.float().square().sum().backward()
        assert y.dtype == inputs
        assert y.isfinite().all()
        assert moved.grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in a.parameters())


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@every_kind
@both_ways
def test_autocast_stays_near_full_precision(kind: str, sparsity: float, causal: bool) -> None:
    x, mask = batch((30, 12))
    a = built(kind, sparsity, causal).float().eval()
    exact = a(x.float(), mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = a(x.float(), mask)
    assert rough.isfinite().all()
    if kind not in SPIKING_KINDS:  # a spike more or less is no small difference
        assert (rough - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("none", 0),
        ("softmax", 4 * 256**2),
        ("retnet", 5 * 256**2 + 64),
        ("lightnet", 4 * 256**2 + 2 * 128 * 256 + 256),
        ("gsa", 5 * 256**2 + 256),
        ("fox", 4 * 256**2 + 4 * 256 + 4),
        # q, k, v, o; decay and gate of rank 64; gate bias; convolutions; dt, beta, A, norm
        ("kda", 4 * 256**2 + 4 * 64 * 256 + 256 + 3 * 4 * 256 + 256 + 4 * 256 + 4 + 64),
        ("ssla", 264_196),
        ("sdsa", 264_196),
    ],
)
def test_parameter_counts(kind: str, count: int, causal: bool) -> None:
    a = build_attention(kind, AttentionSettings(256, 4, causal=causal))
    assert sum(p.numel() for p in a.parameters() if p.requires_grad) == count


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in (*SPIKING_KINDS, "none")])
def test_spikes_into_a_real_valued_kind_cost_accumulates(kind: str) -> None:
    a = built(kind, 0.0, True)
    x, mask = batch((6, 3))
    spikes = (x.nan_to_num(nan=1.0) > 0).double()
    real, binary = a.operations(x, mask), a.operations(spikes, mask)
    maps = ((name, m) for name, m in a.named_modules() if isinstance(m, torch.nn.Linear))
    behind = {"output"} | ({"gate.1", "decay.1"} if kind in ("lightnet", "kda") else set())
    reading = sum(m.out_features for name, m in maps if name not in behind)
    assert binary.acs == float(spikes[mask].sum()) * reading
    assert real.macs - binary.macs == 9 * D * reading
