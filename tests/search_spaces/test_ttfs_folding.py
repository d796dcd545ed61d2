"""Batch normalisation in weights, thresholds and borders; weights on a grid."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ttfs_nets import Chain, Neurons, Residual, fitted, inputs, seen
from ttfs_plain import Clipped, Rounded, plain_map

from search_spaces.errors import NasError
from search_spaces.ttfs import (
    B1Layer,
    ClockedView,
    Encoder,
    FirstSpike,
    Readout,
    ReLUView,
    TTFSView,
    View,
    fold_after,
    fold_before,
    quantise_weights,
)

VIEWS = (ReLUView(clip=True), TTFSView())


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_norm(norm: nn.Module, seed: int) -> nn.Module:
    """Statistics, scales of either sign and shifts; float64, at inference."""
    generator = torch.Generator().manual_seed(seed)
    norm.double().eval()
    for tensor in (norm.running_mean, norm.weight, norm.bias):
        if tensor is not None:
            drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.data.copy_(drawn)
    norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.2)
    return norm


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a - b).abs() <= 1e-9 * (1 + b.abs())).all())


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dims", [1, 2])
def test_a_normalisation_before_neurons_is_folded(dims: int, bias: bool, affine: bool):
    """Unfolded, ``plain`` normalises with ``F.batch_norm``; ReLU runs both ways, spikes after."""
    conv = nn.Conv1d if dims == 1 else nn.Conv2d
    batch_norm = nn.BatchNorm1d if dims == 1 else nn.BatchNorm2d
    torch.manual_seed(dims + 2 * bias + 4 * affine)
    norms = [random_norm(batch_norm(4, affine=affine), seed) for seed in range(4)]
    maps = [conv(4, 4, 3, padding=1, bias=bias) for _ in range(3)]
    first = Neurons(conv(2, 4, 3, stride=2, padding=1, bias=bias), norms[3])
    blocks = [first, Residual(maps, nn.Identity(), norms[:3])]
    net = Chain(blocks, 4 * 4**dims, dims, mean=False).double().eval()
    x = inputs((3, 2, *(8,) * dims), 1)
    net.fit_windows([(x,)], -0.2)
    apart = copy.deepcopy(net)
    cut = Clipped()
    expected, values = apart.plain(x, cut)
    assert cut.silent > 0
    assert cut.saturated > 0
    assert close(seen(net, x, ReLUView(clip=True))[0], expected)

    net.fold()
    weight = first.layer.synapses.weight.clone()
    net.fold()  # once is enough
    assert torch.equal(first.layer.synapses.weight, weight)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in net.modules())
    for view in VIEWS:
        logits, signals = seen(net, x, view)
        assert close(logits, expected)
        for signal, value in zip(signals, values, strict=True):
            assert close(signal.values(), value)
    expected, _ = apart.plain(x, Rounded(16, "nearest"))
    for view in (ReLUView(steps=16), TTFSView(16), ClockedView(16)):
        assert close(seen(net, x, view)[0], expected)


def test_a_linear_layer_is_folded_too():
    net, _ = fitted(["linear"], 0, seed=1)
    layer = net.blocks[0].layer
    layer.norm = random_norm(nn.BatchNorm1d(layer.synapses.out_features), 3)
    x = inputs((7, 6), 2)
    expected = plain_map(layer.norm, plain_map(layer.synapses, x)).clamp(0, layer.window.value())
    fold_before(layer)
    for view in VIEWS:
        assert close(layer(net.encoder(x, view)).values(), expected)
    assert expected.any()


def sent(shape: Sequence[int], view: View, length: float = 0.8) -> tuple[Tensor, object]:
    """Values on [0, 0.8], zeros and cut-off ones among them, and their signal."""
    encoder = Encoder().double()
    encoder.window.length.fill_(length)
    x = inputs(shape, 5)
    return x.clamp(max=length), encoder(x, view)


READERS = [
    (nn.Linear(4, 3), (4,)),
    (nn.Linear(4, 3, bias=False), (4,)),
    (nn.Conv1d(4, 3, 3, padding=1), (4, 7)),
    (nn.Conv2d(4, 3, 3, padding=1), (4, 7, 6)),
    (nn.Conv2d(4, 3, 3, padding=1, bias=False), (4, 7, 6)),
    (nn.Conv2d(4, 3, 5, stride=2, padding=2), (4, 7, 6)),
    (nn.Conv2d(4, 3, 3, padding=2, dilation=2), (4, 7, 6)),
    (nn.Conv2d(4, 8, 3, padding=1, groups=4), (4, 7, 6)),
    (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 7, 6)),
    (nn.Conv2d(4, 3, 1), (4, 7, 6)),
]


@pytest.mark.parametrize(("synapses", "shape"), READERS, ids=lambda p: str(p)[:60])
def test_a_normalisation_of_spikes_is_folded_into_the_reader(
    synapses: nn.Module, shape: tuple[int, ...]
):
    """The reference normalises first and then pads with zeros, as the trained network did."""
    synapses = copy.deepcopy(synapses).double()
    synapses.reset_parameters()  # with the seed of this test
    norm = random_norm((nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(4), 1)
    layer = B1Layer(synapses).double()
    layer.window.length.fill_(1.5)
    x, _ = sent((5, *shape), TTFSView())
    expected = plain_map(synapses, plain_map(norm, x)).clamp(0, 1.5)
    unfolded = plain_map(synapses, x).clamp(0, 1.5)
    fold_after(norm, layer, shape, None)
    for view in VIEWS:
        assert close(layer(sent((5, *shape), view)[1]).values(), expected)
    assert not close(unfolded, expected)


def test_a_second_normalisation_adds_to_the_first():
    layer = B1Layer(nn.Conv2d(2, 3, 3, padding=1)).double()
    layer.window.length.fill_(2.0)
    norms = [random_norm(nn.BatchNorm2d(2), seed) for seed in (1, 2)]
    x, signal = sent((2, 2, 5, 5), TTFSView())
    expected = plain_map(layer.synapses, plain_map(norms[1], plain_map(norms[0], x)))
    fold_after(norms[1], layer, (2, 5, 5), None)  # from the reader outwards
    fold_after(norms[0], layer, (2, 5, 5), None)
    assert close(layer(signal).values(), expected.clamp(0, 2))


def test_nine_biases_for_a_padded_three_by_three_kernel():
    """Four corners, four edges, inside; each is what the taps inside the image add up to."""
    layer = B1Layer(nn.Conv2d(4, 3, 3, padding=1)).double()
    weight, own = (p.detach().clone() for p in layer.synapses.parameters())
    norm = random_norm(nn.BatchNorm2d(4), 2)
    fold_after(norm, layer, (4, 7, 8), None)
    bias = layer.bias().detach()
    assert bias.shape == (3, 7, 8)
    shift = norm.bias - norm.weight * norm.running_mean / (norm.running_var + norm.eps) ** 0.5
    for row, column in ((0, 0), (0, 3), (0, 7), (3, 0), (3, 3), (3, 7), (6, 0), (6, 3), (6, 7)):
        total = own.clone()
        for i in range(3):
            for j in range(3):
                if 0 <= row + i - 1 < 7 and 0 <= column + j - 1 < 8:
                    total += weight[:, :, i, j] @ shift.detach()
        assert close(bias[:, row, column], total)
    for channel in bias:
        assert len({round(float(b), 9) for b in channel.flatten()}) == 9
        assert float(channel[1:-1, 1:-1].std()) < 1e-12


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)])
def test_a_negative_scale_turns_maximum_pooling_round(pool: nn.MaxPool2d):
    """``max(s x + c)`` is ``s min(x) + c`` for a negative ``s``: the last spike wins there."""
    norm = random_norm(nn.BatchNorm2d(4), 4)
    assert 0 < int((norm.weight < 0).sum()) < 4
    between = FirstSpike(pool)
    layer = B1Layer(nn.Conv2d(4, 3, 3, padding=1)).double()
    layer.window.length.fill_(1.5)
    x, _ = sent((3, 4, 8, 8), TTFSView())
    pooled = plain_map(pool, plain_map(norm, x))
    expected = plain_map(layer.synapses, pooled).clamp(0, 1.5)
    fold_after(norm, layer, (4, 4, 4), between)
    for view in VIEWS:
        assert close(layer(between(sent((3, 4, 8, 8), view)[1])).values(), expected)
    steps = [layer(between(sent((3, 4, 8, 8), v)[1])) for v in (TTFSView(8), ClockedView(8))]
    assert torch.equal(*((s.values() / 1.5 * 8).round() for s in steps))
    assert ((expected > 0) & (expected < 1.5)).any()


def test_a_normalisation_of_spikes_is_folded_into_the_readout():
    norm = random_norm(nn.BatchNorm2d(4), 1)
    for bias in (True, False):
        linear = nn.Linear(4, 3, bias=bias).double()
        readout = Readout(linear, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        x, _ = sent((3, 4, 5, 5), TTFSView())
        expected = F.linear(plain_map(norm, x).mean((-2, -1)), linear.weight, linear.bias)
        fold_after(norm, readout, (4, 5, 5), None)
        for view in VIEWS:
            assert close(readout(sent((3, 4, 5, 5), view)[1]), expected)
    flat = Readout(nn.Linear(4, 3).double())
    x, signal = sent((6, 4), TTFSView())
    norm = random_norm(nn.BatchNorm1d(4), 2)
    expected = F.linear(plain_map(norm, x), flat.linear.weight, flat.linear.bias)
    fold_after(norm, flat, (4,), None)
    assert close(flat(signal), expected)


def test_what_cannot_be_folded_says_so():
    norm = random_norm(nn.BatchNorm2d(4), 1)
    conv = B1Layer(nn.Conv2d(4, 3, 3)).double()
    shape = (4, 5, 5)
    with pytest.raises(NasError, match="cannot pass AvgPool2d"):
        fold_after(norm, conv, shape, nn.AvgPool2d(2))
    with pytest.raises(NasError, match="AvgPool2d has no weights"):
        fold_after(norm, B1Layer(nn.AvgPool2d(2)), shape, None)
    with pytest.raises(NasError, match="AvgPool2d has no weights"):
        fold_before(B1Layer(nn.AvgPool2d(2), norm))
    with pytest.raises(NasError, match=r"own normalisation first(.|\n)*fold_before"):
        fold_after(norm, B1Layer(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)).double(), shape, None)
    with pytest.raises(NasError, match="does not keep channels apart"):
        fold_after(norm, Readout(nn.Linear(100, 2).double(), nn.Flatten()), shape, None)
    for bad in (nn.LayerNorm(4), nn.BatchNorm2d(4, track_running_stats=False)):
        with pytest.raises(NasError, match="cannot be folded"):
            fold_after(bad, conv, shape, None)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_are_rounded_to_a_grid_of_each_output_channel(bits: int):
    net, x = fitted(["conv", "depthwise", "unpadded"], 2, seed=2, channels=3)
    maps = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(maps) == 4
    maps[0].weight.data[0, 0] = 0.0
    maps[1].weight.data[1] = 0.0  # a channel without weights stays one
    old = copy.deepcopy(net.state_dict())
    quantise_weights(net, bits)
    top = 2 ** (bits - 1) - 1
    new = net.state_dict()
    for name, before in old.items():
        if not name.endswith("weight"):
            assert torch.equal(new[name], before)
            continue
        for w, q in zip(before, new[name], strict=True):
            scale = float(w.abs().max()) / top
            assert len(q.unique()) <= 2 * top + 1
            assert float((q - w).abs().max()) <= scale / 2 + 1e-12
            assert (q[w == 0] == 0).all()
            if scale > 0:
                levels = q / scale
                assert close(levels, levels.round())
                assert float(levels.abs().max()) == pytest.approx(top)
    assert close(seen(net, x, TTFSView())[0], net.plain(x, Clipped())[0])


def test_one_bit_has_no_sign():
    with pytest.raises(NasError, match=r"1 bit(.|\n)*at least 2"):
        quantise_weights(nn.Linear(2, 2), 1)
