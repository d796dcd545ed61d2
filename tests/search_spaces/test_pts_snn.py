from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from eval.evaluate import count_parameters
from search_spaces.families import get_family
from search_spaces.frames import FramePooling, Frames, Projection
from search_spaces.neurons import SpikingNeurons
from search_spaces.schema import load_space
from search_spaces.temporal_shift import TemporalShift

DIM, CLASSES = 5, 3
QUICK = settings(max_examples=25, deadline=None, derandomize=True)
RAGGED = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@st.composite
def architectures(draw: st.DrawFn) -> dict[str, Any]:
    depth = draw(st.integers(0, 3))
    return {
        "input.pooling": draw(st.sampled_from([1, 2, 3, 4])),
        "encoder.depth": depth,
        "encoder.width": draw(st.sampled_from([3, 8])),
        "encoder.expansion": draw(st.sampled_from([0.5, 1, 2])),
        "encoder.shift": [draw(st.sampled_from([0, 0.125, 0.25, 0.5])) for _ in range(depth)],
        "encoder.direction": draw(st.sampled_from(["past", "both"])),
        "neuron.type": draw(st.sampled_from(["plif", "lif"])),
        "neuron.tau": draw(st.sampled_from([1.5, 2.0, 6.0])),
        "neuron.threshold": draw(st.sampled_from([0.1, 0.5, 1.0])),
    }


def head(architecture: dict[str, Any], seed: int = 0) -> nn.Module:
    """In float64: no rounding between two orders of summing can flip a spike."""
    torch.manual_seed(seed)
    network = get_family("pts_snn").build(architecture, DIM, CLASSES).double()
    network.train()
    with torch.no_grad():  # running statistics unlike the initial ones
        for _ in range(3):
            network(2 * torch.randn(6, 7, DIM, dtype=torch.float64))
    return network


def padded(utterances: list[Tensor], longest: int, filling: float) -> Tensor:
    batch = torch.full((len(utterances), longest, DIM), filling, dtype=torch.float64)
    for row, utterance in zip(batch, utterances, strict=True):
        row[: len(utterance)] = utterance
    return batch


def drawn(lengths: list[int], seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(n, DIM, generator=generator, dtype=torch.float64) for n in lengths]


@given(architectures(), RAGGED, st.integers(0, 5), st.sampled_from([1e6, float("nan")]))
@QUICK
def test_padding_never_changes_a_logit(architecture, lengths, extra, filling):
    network, utterances = head(architecture).eval(), drawn(lengths)
    batch = padded(utterances, max(lengths) + extra, filling)
    together = network(batch, torch.tensor(lengths))
    alone = torch.cat([network(u[None]) for u in utterances])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@given(architectures(), RAGGED, st.sampled_from([0.0, 1e6, float("nan")]))
@QUICK
def test_padding_never_changes_a_statistic_or_a_gradient(architecture, lengths, filling):
    states = []
    for longest in (max(lengths), max(lengths) + -(-max(lengths) // 2)):
        network = head(architecture).train()
        network.zero_grad()
        batch = padded(drawn(lengths), longest, filling)
        logits = network(batch, torch.tensor(lengths))
        logits.square().sum().backward()
        gradients = {n: p.grad for n, p in network.named_parameters() if p.requires_grad}
        states.append({"logits": logits, **network.state_dict(), **gradients})
    assert any("norm.running_mean" in name for name in states[0])
    torch.testing.assert_close(states[0], states[1], rtol=1e-9, atol=1e-9)


def membrane_of(network: nn.Module, features: Tensor) -> Tensor:
    """``[windows, D]``: what the last neurons integrate, of one utterance."""
    seen: list[Tensor] = []
    hook = network.fire.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(features[None])
    hook.remove()
    return seen[0][:, 0]


@pytest.mark.parametrize("pooling", [1, 3])
@pytest.mark.parametrize(
    ("depth", "direction", "ahead"),
    [(0, "both", 0), (2, "past", 0), (1, "both", 1), (3, "both", 3)],
)
def test_a_head_looks_ahead_exactly_as_far_as_its_latency(pooling, depth, direction, ahead):
    """Window ``k`` holds frames up to ``P (k + 1)``; each shift to both sides adds a window.

    The surrogate gradient is nowhere zero, so a frame that is looked at has one.
    """
    network = head(
        {
            "input.pooling": pooling,
            "encoder.depth": depth,
            "encoder.width": 8,
            "encoder.shift": [0.25] * depth,
            "encoder.direction": direction,
        }
    ).eval()
    assert network.latency_frames == pooling * (1 + ahead)
    features = drawn([30])[0].requires_grad_()
    for window in (0, 4):
        (got,) = torch.autograd.grad(membrane_of(network, features)[window].sum(), features)
        looked_at = got.abs().sum(1) > 0
        last = int(looked_at.nonzero().max())
        assert last == pooling * window + network.latency_frames - 1


def test_a_shift_too_small_to_move_a_channel_adds_no_latency():
    """A sixteenth of 8 channels is none: nothing looks ahead."""
    tiny = {"encoder.depth": 1, "encoder.width": 8, "encoder.shift": [0.0625]}
    network = head({**tiny, "encoder.direction": "both"}).eval()
    features = drawn([6])[0].requires_grad_()
    (got,) = torch.autograd.grad(membrane_of(network, features)[0].sum(), features)
    assert got[1:].abs().sum() == 0
    assert network.latency_frames == 1


@given(architectures(), st.integers(1, 11))
@QUICK
def test_no_spike_depends_on_frames_beyond_the_latency(architecture, cut: int):
    network, features = head(architecture).eval(), drawn([12])[0]
    spikes: list[Tensor] = []
    network.fire.register_forward_hook(lambda module, args, output: spikes.append(output))
    network(features[None])
    network(torch.cat((features[:cut], 1 - features[cut:]))[None])
    size = network.pool.size
    settled = (cut - network.latency_frames) // size + 1  # windows whose frames all came
    if settled > 0:
        assert torch.equal(spikes[0][:settled], spikes[1][:settled])


@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from([0, 0.1, 0.25, 0.5]), st.booleans())
@QUICK
def test_a_temporal_shift_is_the_naive_one(length: int, width: int, ratio: float, both: bool):
    x = torch.randn(length, 2, width)
    fold = int(ratio * width)
    want = x.clone()
    for t in range(length):
        for c in range(fold):
            want[t, :, c] = x[t - 1, :, c] if t > 0 else 0
        for c in range(fold, 2 * fold if both else fold):
            want[t, :, c] = x[t + 1, :, c] if t + 1 < length else 0
    got = TemporalShift(ratio, "both" if both else "past")(x)
    assert torch.equal(got, want)


@given(RAGGED, st.integers(1, 5), st.integers(0, 4))
@QUICK
def test_pooling_averages_the_real_frames_of_each_window(lengths, size: int, extra: int):
    utterances, longest = drawn(lengths), max(lengths) + extra
    frames = Frames(torch.tensor(lengths), longest)
    packed = frames.pack(padded(utterances, longest, float("nan")).transpose(0, 1))
    pooled, after = FramePooling(size)(packed, frames)
    got = after.unpack(pooled)
    assert after.lengths.tolist() == [-(-n // size) for n in lengths]
    for b, utterance in enumerate(utterances):
        for k, window in enumerate(utterance.split(size)):
            torch.testing.assert_close(got[k, b], sum(window) / len(window))
    assert got[~after.mask].abs().sum() == 0


@given(RAGGED, st.integers(0, 4))
@QUICK
def test_unpacking_undoes_packing(lengths: list[int], extra: int):
    frames = Frames(torch.tensor(lengths), max(lengths) + extra)
    x = padded(drawn(lengths), frames.longest, 0.0).transpose(0, 1)
    assert frames.pack(x).shape == (sum(lengths), DIM)
    assert torch.equal(frames.unpack(frames.pack(x)), x)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("pooling", [1, 4])
def test_an_utterance_of_one_frame_can_be_trained_on(batch: int, pooling: int):
    network = head({"input.pooling": pooling, "encoder.width": 8}).train()
    network.zero_grad()
    logits = network(torch.randn(batch, 1, DIM, dtype=torch.float64))
    nn.functional.cross_entropy(logits, torch.zeros(batch, dtype=torch.long)).backward()
    assert logits.shape == (batch, CLASSES)
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_a_single_frame_is_normalised_by_the_running_statistics():
    layer = Projection(DIM, 4, spiking=False)
    layer.norm.running_mean.uniform_(-1, 1)
    layer.norm.running_var.uniform_(1, 2)
    before = layer.norm.running_mean.clone()
    x, frame = torch.randn(1, DIM), Frames(torch.tensor([1]), 1)
    assert torch.equal(layer.train()(x, frame), layer.eval()(x, frame))
    assert torch.equal(layer.norm.running_mean, before)


def test_lengths_may_be_left_out_when_nothing_is_padded():
    network, x = head({"encoder.width": 8}).eval(), torch.stack(drawn([6, 6]))
    assert torch.equal(network(x), network(x, torch.tensor([6, 6])))


@pytest.mark.parametrize("name", ["pts_snn", "attention"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_every_architecture_of_a_space_builds_and_trains(name: str, seed: int):
    """200 draws over the two spaces, also of a batch with an utterance of one frame."""
    space = load_space(name)
    a = space.sample(np.random.default_rng(seed))
    network = get_family(space.family).build(a, DIM, CLASSES).train()
    network(torch.randn(3, 9, DIM), torch.tensor([9, 4, 1])).square().sum().backward()
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    for parameter, value in trained.items():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all(), parameter
    assert sum(p.numel() for p in trained.values()) == count_parameters(network)


def test_the_spine_has_the_size_counted_by_hand():
    """Layer norm 2D; a projection in*out + 2 out; two neuron layers a block, one at the end."""
    space, rng = load_space("pts_snn_small"), np.random.default_rng(0)
    family, x = get_family(space.family), torch.randn(3, 9, DIM)
    for _ in range(50):
        a = space.sample(rng)
        network = family.build(a, DIM, CLASSES).train()
        network(x, torch.tensor([9, 4, 1])).square().sum().backward()
        trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.values())
        w, depth = a["encoder.width"], a["encoder.depth"]
        hidden = w * a.get("encoder.expansion", 2)
        taus = (2 * depth + 1) * (a["neuron.type"] == "plif")
        block = w * hidden + 2 * hidden + hidden * w + 2 * w
        size = 2 * DIM + DIM * w + 2 * w + depth * block + w * CLASSES + CLASSES + taus
        assert size == sum(p.numel() for p in trained.values()) == count_parameters(network)
        neurons = [m for m in network.modules() if isinstance(m, SpikingNeurons)]
        assert len(neurons) == 2 * depth + 1
