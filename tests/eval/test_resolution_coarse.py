"""Coarser steps: several of the network's own in a frame, and the weight of the spikes it lost."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from eval.resolution import change_step, choose, compare, spikes_by_layer
from eval.resolution.compensation import compensate
from eval.resolution.consistency import Adapted
from eval.resolution.frames import at_frame_rate
from eval.weights import load_network, save_weights
from search_spaces.errors import NasError

from .resolution_nets import frames, made
from .synthetic import DIM, synthetic


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def busy(**values) -> nn.Module:
    """A head whose every layer fires: a fresh one hardly does."""
    quick = {} if values.get("neuron.type") == "if" else {"neuron.tau": 3.0}
    network = made(seed=3, **{"encoder.depth": 2, "neuron.threshold": 0.3} | quick | values)
    for block in network.blocks:
        block.expand.linear.weight.data.mul_(4)
        block.reduce.linear.weight.data.mul_(4)
    return network


KINDS = [
    {"encoder.depth": 2, "encoder.residual": "alpha"},
    {"neuron.type": "if", "neuron.steps_per_frame": 2, "normalization": "lateral_inhibition"},
    {"calibration.kind": "dynamic", "attention.kind": "none"},
    {"calibration.kind": "dynamic", "attention.kind": "ssla"},
]


@pytest.mark.parametrize("values", KINDS, ids=lambda v: "-".join(map(str, v.values())))
def test_held_frames_are_the_source_itself(values):
    """Three steps a frame, and the source on every frame given three times."""
    network = busy(**values)
    x = frames()
    changed = copy.deepcopy(network)
    assert change_step(changed, 3.0, "substeps") == ["every frame is held for 3 steps"]
    assert torch.allclose(changed(x), network(x.repeat_interleave(3, 1)), atol=1e-6)
    assert not torch.allclose(changed(x), network(x), atol=1e-3)
    assert changed.latency_steps == 3 * network.latency_steps
    again = copy.deepcopy(changed)  # coarser still: all of it is the source's step
    change_step(again, 2.0, "substeps")
    assert torch.allclose(again(x), network(x.repeat_interleave(6, 1)), atol=1e-6)


def test_counts_are_spread_over_the_steps_of_a_frame():
    network = busy(**{"input.saturation": 0.0})
    counts = torch.rand(3, 5, DIM) * 8
    changed = copy.deepcopy(network)
    change_step(changed, 2.0, "substeps", "counts")
    assert torch.allclose(changed(counts), network(counts.repeat_interleave(2, 1) / 2), atol=1e-6)


def test_what_is_left_of_a_ratio_is_the_integrals():
    network = busy()
    changed, by_hand = copy.deepcopy(network), copy.deepcopy(network)
    change_step(changed, 2.5, "substeps")
    change_step(by_hand, 2.5 / 3, "integral")
    x = frames()
    assert torch.equal(changed(x), by_hand(x.repeat_interleave(3, 1)))
    fine, integral = copy.deepcopy(network), copy.deepcopy(network)
    change_step(fine, 0.4, "substeps")
    change_step(integral, 0.4, "integral")
    assert torch.equal(fine(x), integral(x))
    assert fine.repeat.held is None


def test_the_look_ahead_of_steps_within_a_frame_is_a_frame():
    network = made(**{"encoder.direction": "both"})
    assert network.latency_frames == 2
    change_step(network, 4.0, "substeps")
    assert network.latency_frames == 2  # the last step of a frame waits for the next one


def test_held_frames_survive_their_weights_file(tmp_path):
    values = {"encoder.width": 8, "encoder.depth": 1, "encoder.shift": 0.25}
    network = made(**values)
    change_step(network, 2.0, "substeps")
    save_weights(network, tmp_path / "w.safetensors")
    again = load_network(tmp_path / "w.safetensors", values, "pts_snn", DIM, 3)
    assert again.repeat.steps == 2
    assert torch.equal(again(frames()), network(frames()))


def test_a_network_without_memory_takes_no_more_steps():
    network = made(**{"neuron.type": "relu"})
    change_step(network, 2.0, "substeps")
    assert network.repeat.steps == 1


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"calibration.kind": "static"},
        {"calibration.kind": "dynamic", "attention.kind": "none"},
        {"normalization": "lateral_inhibition"},
    ],
    ids=lambda v: "-".join(map(str, v.values())),
)
def test_every_layer_says_as_much_as_it_did(values):
    """Recounted by the operation counter: spikes times their gain are those of the source."""
    network, before = busy(**values), synthetic(counts=(4, 4, 4))
    after = at_frame_rate(before, before.frame_rate / 3)
    changed, everything = copy.deepcopy(network), np.arange(12)
    change_step(changed, 3.0)
    plain = copy.deepcopy(changed)
    gains = compensate(changed, network, before, after, everything)
    was = spikes_by_layer(network, before, everything)
    now = spikes_by_layer(changed, after, everything)
    assert set(gains) == set(was)
    for name, gain in gains.items():
        assert now[name] * gain == pytest.approx(was[name])
    assert max(gains.values()) > 1.2  # or there was nothing to see
    first = changed.blocks[0].expand.linear.weight
    assert torch.allclose(first, gains["blocks.0.fire"] * plain.blocks[0].expand.linear.weight)
    last = gains["last" if "calibration.kind" in values else "fire"]
    assert torch.allclose(changed.readout.linear.weight, last * plain.readout.linear.weight)


def test_the_mean_that_prompts_gather_is_compensated_too():
    """``W (P + gain mean)``: a silent context shows that ``W P`` stays."""
    network = busy(**{"calibration.kind": "dynamic", "attention.kind": "none"})
    before = synthetic(counts=(4, 4, 4))
    after = at_frame_rate(before, before.frame_rate / 3)
    changed = copy.deepcopy(network)
    change_step(changed, 3.0)
    plain = copy.deepcopy(changed)
    gain = compensate(changed, network, before, after, np.arange(12))["fire"]
    mean = torch.rand(1, 1, 8)

    def voltage(head, context):
        return head.bias.maps[0](head.context.prompts + context)

    assert torch.allclose(voltage(changed, 0 * mean), voltage(plain, 0 * mean), atol=1e-6)
    assert torch.allclose(voltage(changed, mean), voltage(plain, gain * mean), atol=1e-5)


def test_a_layer_without_spikes_and_a_network_of_unknown_make_are_left_alone():
    network, dataset = made(**{"neuron.threshold": 50.0}), synthetic(counts=(2, 2, 2))
    state = copy.deepcopy(network.state_dict())
    assert compensate(network, network, dataset, dataset, np.arange(6)) == {}
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    with pytest.raises(NasError, match="who reads the spikes of a Linear is not known"):
        compensate(nn.Linear(2, 2), nn.Linear(2, 2), dataset, dataset, np.arange(6))


def test_coarser_steps_keep_what_the_network_says_where_the_integral_does_not():
    network, short = busy(), synthetic(counts=(8, 8, 8))
    before = at_frame_rate(short, 8 * short.frame_rate)  # each frame held for eight
    after = at_frame_rate(before, before.frame_rate / 4)
    found = {a.method: a for a in compare(network, 4.0, before, after, np.arange(24))}
    assert found["compensated"].divergence < 0.5 * found["integral"].divergence
    assert found["substeps"].distance < 0.5 * found["integral"].distance
    assert not any("room for one" in n for n in found["substeps"].notes)
    chosen = choose(list(found.values()))
    assert chosen.divergence <= found["none"].divergence
    same = compare(network, 1.0, before, before, np.arange(24))
    assert all(a.divergence < 1e-12 and a.agreement == 1 for a in same)
    assert choose(same).method == "integral"


def test_more_steps_a_frame_are_taken_only_where_they_are_needed():
    def told(method: str, divergence: float, agreement: float, ratios=None) -> Adapted:
        layers = {"fire": 1.0} if ratios is None else ratios
        return Adapted(method, nn.Identity(), None, (), layers, divergence, agreement)

    held = told("substeps", 0.01, 1.0)
    assert choose([told("integral", 0.2, 0.9), told("none", 0.1, 0.96), held]).method == "none"
    assert choose([told("integral", 0.1, 0.94), told("none", 0.2, 0.99), held]) is held
    worse = told("substeps", 0.3, 1.0)
    assert choose([told("decay", 0.2, 0.5), worse]).method == "decay"
    assert choose([told("tau", 0.0, 1.0), told("euler", 9.0, 0.1)]).method == "euler"
    # neurons without memory: leaving shifts as they are is no adaptation
    assert (
        choose([told("none", 0.0, 1.0, {}), told("integral", 0.1, 1.0, {})]).method == "integral"
    )
    refused = Adapted("integral", None, "no", (), {}, math.inf, 0.0)
    assert choose([refused, told("decay", 0.1, 1.0)]).method == "decay"


def test_the_divergence_by_hand():
    """Even odds against 3 to 1: the mean of ``ln 2/3`` and ``ln 2``, over two recordings."""
    from eval.resolution.consistency import difference

    even, odd = torch.zeros(2, 2), torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    divergence, agreement = difference(even, odd)
    assert divergence == pytest.approx((math.log(2 / 3) + math.log(2)) / 4)
    assert agreement == 1.0
    assert difference(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))[1] == 0.0
