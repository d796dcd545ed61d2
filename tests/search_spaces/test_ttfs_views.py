"""Clock steps, windows and disturbances: what rounds, what is refused, what a device adds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from ttfs_nets import (
    EVERY_LAYER,
    KINDS,
    Chain,
    chain,
    fitted,
    gradients,
    inputs,
    make_dyadic,
    seen,
    shape_of,
)
from ttfs_plain import Clipped, Rounded, relu

from search_spaces.errors import NasError
from search_spaces.ttfs import (
    B1Layer,
    ClockedView,
    Disturbance,
    Encoder,
    ReLUView,
    TTFSNetwork,
    TTFSView,
    View,
    concatenated,
)
from search_spaces.ttfs.signals import Rounding

both_roundings = pytest.mark.parametrize("rounding", ["nearest", "down"])
every_layer = pytest.mark.parametrize(("dims", "kind"), EVERY_LAYER)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def discrete(steps: int, rounding: Rounding) -> tuple[View, ...]:
    return (
        ReLUView(steps=steps, rounding=rounding),
        TTFSView(steps, rounding),
        ClockedView(steps, rounding),
    )


def first_of(dims: int) -> str:
    return "conv" if dims else "linear"


@both_roundings
@every_layer
def test_every_view_rounds_alike_to_the_last_bit(dims: int, kind: str, rounding: Rounding):
    """Weights, windows and steps are dyadic, so float64 is exact and ties are ties."""
    at_encoder = at_neurons = 0
    for seed, steps in ((1, 4), (2, 8), (3, 16)):
        net = chain([first_of(dims), kind], dims, shape_of(dims), seed)
        make_dyadic(net, seed)
        generator = torch.Generator().manual_seed(seed)
        x = torch.randint(0, 5 * steps, shape_of(dims), generator=generator).double()
        x = x * net.encoder.window.value() / (4 * steps)  # up to 5/4 of the window
        cut = Rounded(steps, rounding)
        logits, values = net.plain(x, cut)
        assert logits.abs().max() > 0
        at_encoder += cut.ties[0]
        at_neurons += sum(cut.ties[1:])
        for view in discrete(steps, rounding):
            found, signals = seen(net, x, view)
            assert torch.equal(found, logits)
            for signal, value in zip(signals, values, strict=True):
                assert torch.equal(signal.values(), value)
                assert torch.equal(signal.fired(), value > 0)
    assert at_encoder > 0
    assert at_neurons > 0


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_random_networks_round_alike(data: st.DataObject):
    """Level by level, where no pre-activation is within 1e-9 of a tie."""
    dims = data.draw(st.sampled_from([0, 1, 2]), "dims")
    kinds = data.draw(st.lists(st.sampled_from(KINDS[dims]), min_size=1, max_size=3), "kinds")
    margin = data.draw(st.sampled_from([-0.3, 0.1]), "margin")
    net, x = fitted(kinds, dims, data.draw(st.integers(0, 10_000), "seed"), margin, size=5)
    steps = data.draw(st.sampled_from([2, 4, 7, 16, 50]), "steps")
    rounding: Rounding = data.draw(st.sampled_from(["nearest", "down"]), "rounding")
    cut = Rounded(steps, rounding)
    logits, values = net.plain(x, cut)
    assume(cut.nearest_tie > 1e-9)
    for view in discrete(steps, rounding):
        found, signals = seen(net, x, view)
        for signal, value in zip(signals, values, strict=True):
            unit = signal.window.value() / steps
            assert torch.equal((signal.values() / unit).round(), (value / unit).round())
        assert (found - logits).abs().max() <= 1e-9 * (1 + logits.abs().max())


@both_roundings
def test_a_neuron_that_is_cut_off_is_at_the_top_level(rounding: Rounding):
    """Whatever the steps: dividing by a unit that is not exact must not lose a level."""
    encoder = Encoder().double()
    for length in (0.3, 0.7, 1.1, 2.9):
        encoder.window.length.fill_(length)
        for steps in (3, 4, 7, 22, 27, 49, 50, 64):
            for view in discrete(steps, rounding):
                values = encoder(torch.tensor([3.0], dtype=torch.float64), view).values()
                assert float(values) / length == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("margin", [-0.4, 0.1])
@every_layer
def test_the_gradient_passes_rounding_straight_through(dims: int, kind: str, margin: float):
    """As if every neuron had the derivative of the clamp, 1 inside the window and 0 outside.

    It is taken at the pre-activation that the rounded layers before have given, and weights
    are met by rounded activations: ``Staircase`` does both in plain torch.
    """
    net, x = fitted([first_of(dims), kind], dims, seed=3, margin=margin)
    steps = 8
    expected = gradients(net, x, lambda leaf: net.plain(leaf, Rounded(steps, "nearest"))[0])
    unrounded = gradients(net, x, lambda leaf: net.plain(leaf, Clipped())[0])
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(expected, unrounded, strict=True))
    for view in (ReLUView(steps=steps), TTFSView(steps)):
        with net.viewed(view):
            for mine, theirs in zip(gradients(net, x, net), expected, strict=True):
                assert (mine - theirs).abs().max() <= 1e-9 * (1 + theirs.abs().max())


@every_layer
def test_no_neuron_fires_before_its_window_or_more_than_once(dims: int, kind: str):
    net, x = fitted([first_of(dims), kind], dims, seed=4, margin=-0.5)
    cut = Clipped()
    net.plain(x, cut)
    assert cut.saturated > 0
    for view in (TTFSView(), TTFSView(8)):
        for signal in seen(net, x, view)[1]:
            assert signal.data.min() >= signal.end - signal.span - 1e-12
            assert signal.data.max() <= signal.end
    _, rasters = seen(net, x, ClockedView(8))
    for raster in rasters:
        assert set(raster.data.unique().tolist()) <= {0.0, 1.0}
        assert raster.data.sum(0).max() == 1
    _, values = seen(net, x, ReLUView(clip=True))
    _, times = seen(net, x, TTFSView())
    assert all(torch.equal(t.fired(), v.fired()) for t, v in zip(times, values, strict=True))


def test_zero_is_silence_and_the_top_of_the_window_is_its_start():
    encoder = Encoder().double()
    encoder.window.length.fill_(2.0)
    x = torch.tensor([0.0, 0.25, 2.0, 5.0], dtype=torch.float64)
    times = encoder(x, TTFSView())
    assert times.data.tolist() == [2.0, 1.75, 0.0, 0.0]
    assert (times.end, times.span) == (2.0, 2.0)
    raster = encoder(x, ClockedView(8)).data
    assert raster.sum(0).tolist() == [0, 1, 1, 1]
    assert raster.argmax(0).tolist() == [0, 7, 0, 0]  # the first has no spike to point at
    for view in (ReLUView(clip=True), *discrete(8, "nearest"), TTFSView()):
        assert encoder(x, view).fired().tolist() == [False, True, True, True]


def test_windows_follow_the_weights():
    net, x = fitted(["conv", "residual"], 2, seed=6, margin=0.25)
    with torch.no_grad():
        _, values = net.plain(x, relu)
    first = net.blocks[0].layer
    assert net.encoder.window.value() == pytest.approx(1.25 * float(x.max()), rel=1e-12)
    assert first.window.value() == pytest.approx(1.25 * float(values[1].max()), rel=1e-12)
    shared = net.blocks[1].a.window
    _, signals = seen(net, x, ReLUView())
    with net.viewed(ReLUView()), torch.no_grad():
        a = net.blocks[1].a(signals[1]).values()
        b = net.blocks[1].b(net.blocks[1].a(signals[1])).values()
    assert shared.value() == pytest.approx(1.25 * float(max(a.max(), b.max())), rel=1e-12)

    for p in first.parameters():
        p.data *= 3
    net.train()
    net.fit_windows([(x[:1],), (x[1:],)], 0.0)  # the largest of all batches
    assert net.training
    assert isinstance(net.view, ReLUView)
    assert not net.view.observe
    assert first.window.value() == pytest.approx(3 * float(values[1].max()), rel=1e-12)
    net.fit_windows([(x / 2,)], 0.0)  # and it forgets: windows shrink again
    assert net.encoder.window.value() == pytest.approx(float(x.max()) / 2, rel=1e-12)


def test_a_dead_layer_has_a_window_all_the_same():
    net = chain(["linear"], 0, shape_of(0), seed=1)
    layer = net.blocks[0].layer.synapses
    layer.weight.data.zero_()
    layer.bias.data.fill_(-1.0)
    x = inputs(shape_of(0), 1)
    net.fit_windows([(x,)], 0.5)
    assert net.blocks[0].layer.window.value() == 1.0
    for view in (TTFSView(), *discrete(4, "nearest")):
        logits, signals = seen(net, x, view)
        assert not signals[1].fired().any()
        assert torch.equal(logits, net.readout.linear.bias.expand_as(logits))


def test_what_cannot_spike_says_so():
    x = torch.rand(2, 3)
    for view in (TTFSView(), *discrete(4, "nearest")):
        with pytest.raises(NasError, match="no length yet"):
            Encoder()(x, view)
    encoder = Encoder()
    encoder.window.length.fill_(1.0)
    normalised = B1Layer(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    normalised.window.length.fill_(1.0)
    apart = B1Layer(nn.Linear(3, 3))
    apart.window.length.fill_(1.0)
    skipping = B1Layer(nn.Linear(3, 3), skip=nn.Identity())
    for view in (TTFSView(), TTFSView(4), ClockedView(4)):
        sent = encoder(x, view)
        with pytest.raises(NasError, match=r"still apart from the weights(.|\n)*fold\(\)"):
            normalised(sent)
        with pytest.raises(NasError, match="windows of their own"):
            concatenated([sent, apart(sent)], -1)
        with pytest.raises(NasError, match="windows of their own"):
            skipping(apart(sent), skip=sent)


def test_a_network_takes_another_view_for_a_while():
    net, x = fitted(["linear"], 0, seed=2)
    before = net.view
    with net.viewed(TTFSView()):
        assert net.view == TTFSView()
    with pytest.raises(RuntimeError), net.viewed(TTFSView()):
        net(x[..., :1])  # a wrong width
    assert net.view is before
    assert net.spiking_view() == TTFSView(8)
    assert TTFSNetwork(None).latency_steps is None


def disturbed(
    net: Chain, x: Tensor, view: TTFSView, seed: int = 0, **noise: float
) -> tuple[Tensor, Tensor]:
    """Spike times of the encoder and logits."""
    generator = torch.Generator().manual_seed(seed)
    logits, signals = seen(
        net, x, replace(view, disturbance=Disturbance(**noise, generator=generator))
    )
    return signals[0].data, logits


@pytest.mark.parametrize("view", [TTFSView(), TTFSView(16)])
def test_jitter_moves_spikes_and_only_spikes(view: TTFSView):
    net, _ = fitted(["conv"], 2, seed=7)
    x = inputs((20, 2, 6, 6), 8)
    clean = seen(net, x, view)[1][0]
    times, logits = disturbed(net, x, view, jitter=0.1)
    assert (times[~clean.fired()] == clean.end).all()
    assert times.min() >= clean.end - clean.span
    assert times.max() <= clean.end
    far = clean.fired() & (clean.data > 0.4 * clean.end) & (clean.data < 0.6 * clean.end)
    assert float((times - clean.data)[far].std()) == pytest.approx(0.1 * clean.span, rel=0.2)
    again, same = disturbed(net, x, view, jitter=0.1)
    assert torch.equal(again, times)
    assert torch.equal(same, logits)
    assert not torch.equal(disturbed(net, x, view, seed=1, jitter=0.1)[0], times)


def test_deletion_silences_a_share_of_the_spikes():
    net, _ = fitted(["conv"], 2, seed=7)
    x = inputs((30, 2, 6, 6), 8)
    clean = seen(net, x, TTFSView(16))[1][0]
    times, _ = disturbed(net, x, TTFSView(16), deletion=0.2)
    lost = clean.fired() & (times == clean.end)
    n = int(clean.fired().sum())
    assert abs(int(lost.sum()) - 0.2 * n) < 5 * (0.2 * 0.8 * n) ** 0.5
    assert torch.equal(times[~lost], clean.data[~lost])
    times, logits = disturbed(net, x, TTFSView(16), deletion=1.0)
    assert (times == clean.end).all()
    assert torch.equal(logits, net.readout.linear.bias.expand_as(logits))


@pytest.mark.parametrize("view", [TTFSView(), TTFSView(16)])
def test_no_disturbance_is_none(view: TTFSView):
    net, x = fitted(["conv"], 2, seed=7)
    times, logits = disturbed(net, x, view, jitter=0.0, deletion=0.0)
    clean, signals = seen(net, x, view)
    assert torch.equal(times, signals[0].data)
    assert torch.equal(logits, clean)
