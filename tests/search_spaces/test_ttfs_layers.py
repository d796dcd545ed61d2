"""Spike times and clipped ReLU give the same logits and gradients, layer by layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from ttfs_nets import EVERY_LAYER, KINDS, Chain, fitted, gradients, inputs, seen
from ttfs_plain import Clipped, relu

from search_spaces.errors import NasError
from search_spaces.ttfs import B1Layer, Encoder, FirstSpike, Readout, ReLUView, TTFSView
from search_spaces.ttfs.layers import without_bias

every_layer = pytest.mark.parametrize(("dims", "kind"), EVERY_LAYER)
CONTINUOUS = (ReLUView(clip=True), TTFSView())


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a - b).abs() <= 1e-9 * (1 + b.abs())).all())


def assert_twins(net: Chain, x: Tensor) -> Clipped:
    """Compare logits, every signal and every gradient of both views with plain torch."""
    cut = Clipped()
    logits, values = net.plain(x, cut)
    expected = gradients(net, x, lambda leaf: net.plain(leaf, Clipped())[0])
    for view in CONTINUOUS:
        found, signals = seen(net, x, view)
        assert close(found, logits)
        for signal, value in zip(signals, values, strict=True):
            assert close(signal.values(), value)
        with net.viewed(view):
            for mine, theirs in zip(gradients(net, x, net), expected, strict=True):
                assert close(mine, theirs)
    return cut


@every_layer
def test_each_layer_is_a_clipped_relu_layer(dims: int, kind: str):
    for seed in (1, 2):
        net, x = fitted([kind], dims, seed)
        assert assert_twins(net, x).saturated == 0
        assert net.plain(x, relu)[0].abs().max() > 0.01
        for view in (ReLUView(), TTFSView()):  # nothing is cut off, so it is the ReLU network
            assert close(seen(net, x, view)[0], net.plain(x, relu)[0])


@every_layer
def test_silent_and_saturated_neurons_have_the_gradients_of_the_clamp(dims: int, kind: str):
    alive = total = 0
    for seed in (3, 4, 5):
        net, x = fitted(["linear" if dims == 0 else "conv", kind], dims, seed, margin=-0.4)
        cut = assert_twins(net, x)
        assert cut.silent > 0
        assert cut.saturated > 0
        found = gradients(net, x, lambda leaf, net=net: net.plain(leaf, Clipped())[0])
        alive += sum(bool(g.any()) for g in found)
        total += len(found)
    assert alive > 0.8 * total  # of tensors, so that what was compared was not zero


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_random_networks_are_twins(data: st.DataObject):
    dims = data.draw(st.sampled_from([0, 1, 2]), "dims")
    kinds = data.draw(st.lists(st.sampled_from(KINDS[dims]), min_size=1, max_size=4), "kinds")
    size = {
        "batch": data.draw(st.integers(1, 3), "batch"),
        "channels": data.draw(st.integers(1, 4), "channels"),
        "size": data.draw(st.integers(3, 7), "size"),
    }
    margin = data.draw(st.sampled_from([-0.4, 0.1, 0.5]), "margin")
    net, x = fitted(kinds, dims, data.draw(st.integers(0, 10_000), "seed"), margin, **size)
    assume(bool((x == 0).any()))
    cut = assert_twins(net, x)
    assert (cut.saturated > 0) == (margin < 0)


def test_an_unseen_input_is_cut_off_where_the_relu_network_would_go_on():
    net, x = fitted(["conv", "max", "residual"], 2, seed=5)
    assert assert_twins(net, 3 * x).saturated > 0
    assert not close(seen(net, 3 * x, TTFSView())[0], net.plain(3 * x, relu)[0])


def test_inputs_with_gains_and_a_voltage_share_one_membrane():
    """``relu(g W x1 + W x2 + b + v)``, where each input is a layer of another depth."""
    x = inputs((5, 4), 1)
    gain = torch.tensor([0.5, -2.0, 1.5], dtype=torch.float64)
    encoder, first = Encoder().double(), B1Layer(nn.Linear(4, 4)).double()
    first.window = encoder.window
    both = B1Layer(nn.Linear(4, 3)).double()
    encoder.window.length.fill_(1.25)
    both.window.length.fill_(2.0)

    early = x.clamp(max=1.25)
    late = F.linear(early, first.synapses.weight, first.synapses.bias).clamp(0, 1.25)
    w, b = both.synapses.weight, both.synapses.bias
    expected = (gain * F.linear(early, w) + F.linear(late, w) + b + 0.3).clamp(0, 2)
    for view in CONTINUOUS:
        sent = encoder(x, view)
        # the earlier signal waits for the later one, whichever comes first in the call
        signal = both(sent, first(sent), gains=[gain], voltage=0.3)
        assert close(signal.values(), expected)
        if isinstance(view, TTFSView):  # it begins when the last of them is over
            assert signal.end == 1.25 + 1.25 + 2.0
    assert (expected > 0).any()


def test_average_pooling_composes_with_the_readout():
    x = inputs((2, 3, 6, 6), 2)
    encoder = Encoder().double()
    encoder.window.length.fill_(1.0)
    linear = nn.Linear(27, 4).double()
    readout = Readout(linear, nn.Sequential(nn.AvgPool2d(2), nn.Flatten()))
    expected = F.linear(F.avg_pool2d(x, 2).flatten(1), linear.weight, linear.bias)
    for view in CONTINUOUS:
        assert close(readout(encoder(x, view)), expected)
    unbiased = Readout(nn.Linear(108, 4, bias=False).double(), nn.Flatten())
    expected = F.linear(x.flatten(1), unbiased.linear.weight)
    assert close(unbiased(encoder(x, TTFSView())), expected)


def test_padding_is_silence_not_a_spike_at_time_zero():
    """Nothing arrives at an image of zeros, whatever the padding: every neuron shows its bias."""
    layer = B1Layer(nn.Conv2d(2, 1, 3, padding=2)).double()
    nn.init.ones_(layer.synapses.weight)
    nn.init.constant_(layer.synapses.bias, 0.25)
    encoder = Encoder().double()
    encoder.window.length.fill_(1.0)
    layer.window.length.fill_(4.0)
    x = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    assert torch.equal(
        layer(encoder(x, TTFSView())).values(), torch.full((1, 1, 6, 6), 0.25).double()
    )
    x[0, 0, 0, 0] = 0.5  # reaches the nine neurons whose kernel covers it, no other
    values = layer(encoder(x, TTFSView())).values()[0, 0]
    assert torch.equal(values[:3, :3], torch.full((3, 3), 0.75).double())
    assert int((values != 0.25).sum()) == 9


def test_a_delay_keeps_silence():
    """The end of a delayed window is met to the last bit: a silent neuron has not fired then."""
    drawn = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    encoder = Encoder().double()
    nothing = torch.zeros(1, dtype=torch.float64)
    for begin, length, later in drawn.tolist():
        encoder.window.length.fill_(length)
        early = TTFSView().fire(nothing, 0.0, encoder.window, begin)
        late = early.delayed(early.end + length + 9 * later)  # two windows on
        assert not late.fired().any()
        assert torch.equal(late.values(), nothing)


def test_what_has_no_exact_spikes_is_refused():
    encoder = Encoder()
    encoder.window.length.fill_(1.0)
    signal = encoder(torch.rand(1, 2, 4, 4), TTFSView())
    with pytest.raises(NasError, match="padding mode 'reflect'"):
        B1Layer(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))(signal)
    with pytest.raises(NasError, match="MaxPool2d is no linear map"):
        without_bias(nn.MaxPool2d(2))
    with pytest.raises(NasError, match="first spike wins"):
        FirstSpike(nn.AvgPool2d(2))
    with pytest.raises(NasError, match="without synapses for it"):
        B1Layer(nn.Conv2d(2, 2, 1))(signal, skip=signal)
