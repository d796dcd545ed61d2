"""Our kernel against spikingjelly's own neuron and against plain autograd."""

from __future__ import annotations

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor

from search_spaces.neurons import SURROGATE_ALPHA, SpikingNeurons

CASES = [(1.1, 1.0), (2.0, 1.0), (2.0, 0.5), (4.7, 0.3), (8.0, 0.75), (100.0, 0.05)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def currents(length: int = 30) -> tuple[Tensor, Tensor]:
    """``[L, B, D]`` currents strong enough to fire often, and weights for the spikes."""
    generator = torch.Generator().manual_seed(length)
    x = 3 * torch.randn(length, 4, 7, generator=generator, dtype=torch.float64)
    return x, torch.randn(x.shape, generator=generator, dtype=torch.float64)


def gradients(layer: torch.nn.Module, x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """Spikes, and the gradients of their weighted sum for the input and for ``w``."""
    x = x.clone().requires_grad_()
    spikes = layer(x)
    (spikes * weight).sum().backward()
    return spikes.detach(), x.grad, layer.w.grad


def reference(tau: float, threshold: float) -> neuron.ParametricLIFNode:
    return neuron.ParametricLIFNode(
        init_tau=tau,
        v_threshold=threshold,
        surrogate_function=surrogate.ATan(SURROGATE_ALPHA),
        detach_reset=True,
        step_mode="m",
    ).double()


@pytest.mark.parametrize("length", [1, 2, 30])
@pytest.mark.parametrize(("tau", "threshold"), CASES)
def test_spikes_and_gradients_are_those_of_spikingjelly(tau, threshold, length):
    x, weight = currents(length)
    spikes, of_x, of_w = gradients(SpikingNeurons("plif", tau, threshold).double(), x, weight)
    theirs, their_x, their_w = gradients(reference(tau, threshold), x, weight)
    if length == 30:
        assert 0 < theirs.mean() < 1
    assert torch.equal(spikes, theirs)
    torch.testing.assert_close(of_x, their_x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(of_w, their_w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("tau", "threshold"), CASES)
def test_gradients_are_those_of_a_plain_loop(tau: float, threshold: float):
    """Fang et al. 2021, eq. 4-7, step by step; the reset does not pass gradients."""
    x, weight = currents()
    layer = SpikingNeurons("plif", tau, threshold).double()
    spikes, of_x, of_w = gradients(layer, x, weight)
    fire = surrogate.ATan(SURROGATE_ALPHA)
    x, w = x.clone().requires_grad_(), layer.w.detach().clone().requires_grad_()
    v, loss = torch.zeros(4, 7, dtype=torch.float64), 0.0
    for t in range(len(x)):
        h = v + torch.sigmoid(w) * (x[t] - v)
        s = fire(h - threshold)
        assert torch.equal(s, spikes[t])
        v = h * (1 - s.detach())
        loss = loss + (s * weight[t]).sum()
    loss.backward()
    torch.testing.assert_close(of_x, x.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(of_w, w.grad, rtol=1e-9, atol=1e-9)


def test_four_steps_by_hand():
    """tau 2, so k = 1/2; threshold 1; H = (V + X) / 2, reset to 0 on a spike.

    ====  =====  ===========  =====  =====
    X     V old  H            spike  V new
    ====  =====  ===========  =====  =====
    1     0      1/2          0      1/2
    3/2   1/2    1            1      0       (reaching the threshold fires)
    7/4   0      7/8          0      7/8
    5/4   7/8    17/16        1      0
    ====  =====  ===========  =====  =====

    Gradient of the second spike: with u = H - 1 = 0 the surrogate's slope is alpha / 2 = 1.
    dS/dX2 = k = 1/2. dS/dX1 = dH2/dV1 * dV1/dH1 * k = 1/2 * 1 * 1/2 = 1/4 (step 1 kept V).
    dS/dk = (X2 - V1) + (1 - k) (X1 - V0) = 1 + 1/2, times dk/dw = k (1 - k) = 1/4: 3/8.
    """
    layer = SpikingNeurons("plif", 2.0, 1.0).double()
    x = torch.tensor([1, 1.5, 1.75, 1.25], dtype=torch.float64).view(4, 1, 1).requires_grad_()
    spikes = layer(x)
    assert spikes.flatten().tolist() == [0, 1, 0, 1]
    spikes[1].sum().backward()
    torch.testing.assert_close(x.grad.flatten().tolist(), [0.25, 0.5, 0.0, 0.0])
    torch.testing.assert_close(layer.w.grad.item(), 0.375)


def test_no_gradient_passes_through_a_reset():
    """A neuron that fires at step 1 forgets X1: the second spike does not depend on it."""
    layer = SpikingNeurons("plif", 2.0, 1.0).double()
    x = torch.tensor([4.0, 1.5], dtype=torch.float64).view(2, 1, 1).requires_grad_()
    layer(x)[1].sum().backward()
    assert x.grad.flatten()[0] == 0
    assert x.grad.flatten()[1] > 0


def test_every_call_starts_from_rest():
    x, _ = currents()
    layer = SpikingNeurons("plif", 8.0, 0.5).double()
    first = layer(x)
    layer(10 * x)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer(x[:, :2]), first[:, :2])  # another batch size


def test_the_input_is_left_as_it_was():
    x, weight = currents()
    before = x.clone()
    gradients(SpikingNeurons("plif", 2.0, 1.0).double(), x, weight)
    assert torch.equal(x, before)


def test_plif_trains_its_time_constant_and_lif_does_not():
    x, weight = currents()
    plif, lif = (SpikingNeurons(kind, 3.0, 1.0).double() for kind in ("plif", "lif"))
    assert [p.shape for p in plif.parameters() if p.requires_grad] == [torch.Size([])]
    assert [p for p in lif.parameters() if p.requires_grad] == []
    assert 1 / torch.sigmoid(plif.w).item() == pytest.approx(3.0)
    spikes, of_x, of_w = gradients(plif, x, weight)
    fixed, fixed_x, none = gradients(lif, x, weight)
    assert torch.equal(spikes, fixed)
    assert torch.equal(of_x, fixed_x)
    assert of_w.abs() > 0
    assert none is None


@pytest.mark.parametrize(("tau", "threshold"), CASES)
def test_no_current_gives_no_spike(tau: float, threshold: float):
    x, _ = currents(10)
    quiet = torch.cat((x, torch.zeros(50, 4, 7, dtype=torch.float64)))
    spikes = SpikingNeurons("plif", tau, threshold).double()(quiet)
    assert spikes[:10].sum() > 0
    assert spikes[10:].sum() == 0


def test_spikes_are_zeros_and_ones_of_the_input_type():
    x = currents()[0].float()
    spikes = SpikingNeurons("lif", 2.0, 1.0)(x)
    assert spikes.dtype == torch.float32
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
