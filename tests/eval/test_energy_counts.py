"""Five small nets, every column of their operation tables counted by hand.

Weights are set so that what fires can be followed with a pencil; nothing here is read off the
network that is counted.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval.energy.operations import OperationCounter
from eval.energy.pricing import COLUMNS, Tables, accesses, energy
from eval.energy.profile import load_profile
from search_spaces.attention import AttentionSettings, build_attention
from search_spaces.families import get_family
from search_spaces.ttfs import B1Layer, Readout, TTFSView

from .test_energy_ttfs import Chain, weights

FP32 = load_profile("45nm_fp32")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@torch.no_grad()
def rows(network: nn.Module, *inputs: Tensor) -> dict[str, dict[str, Any]]:
    with OperationCounter(network.eval()).counting() as counter:
        network(*inputs)
    return {row["layer"]: row for row in counter.table()}


def has(row: dict[str, Any], **expected: float) -> None:
    """Every amount that is not named is zero."""
    names = {*COLUMNS, "neuron_steps", "neurons"} - {"digital", "convolution"}
    constant = {"weights", "states", "buffer"}
    found = {n: row[n] for n in names if row[n] and (n not in constant or n in expected)}
    assert found == expected, row["layer"]


def moves(found: dict[str, dict[str, Any]], layer: str) -> dict[str, float]:
    table = Tables.of([list(found.values())], COLUMNS)
    at = list(found).index(layer)
    counts = {name: float(n[at]) for name, (n, _) in accesses(table.columns, 1000).items()}
    return {name: n for name, n in counts.items() if n}


def head(values: dict[str, Any], inputs: int, classes: int) -> nn.Module:
    plain = {"input.saturation": 0.0, "neuron.type": "if", "neuron.threshold": 1.0}
    return get_family("pts_snn").build({**plain, **values}, inputs, classes)


def test_feed_forward():
    """2 inputs, 2 IF neurons (threshold 1), 2 classes; projection = identity; 3 frames.

    Frames (1.5, 0.2), (0.2, 1.5), (0, 0.9). Membranes: first neuron 1.5 fires, 0.2, 0.2; the
    second 0.2, 1.7 fires, 0.9. So 2 spikes of 6 neuron steps.

    project: 3 x 2 x 2 = 12 products of 6 values (5 not zero), 6 outputs; stored 4 weights and 2
    biases. It reads 6 values and 12 weights and writes 6.
    fire: 6 accumulates, 6 comparisons, 2 spikes; 2 membranes, each read and written 3 times.
    readout: 2 spikes counted (the twin adds 6 values), 2 x 2 products, 2 outputs.

    16 MAC, 8 AC, 6 comparisons: (16 x 4.6 + 14 x 0.9) pJ = 86.2 pJ.
    """
    network = head({"encoder.depth": 0, "encoder.width": 2}, 2, 2)
    weights(network.project.linear, [[1.0, 0.0], [0.0, 1.0]])
    found = rows(network, torch.tensor([[[1.5, 0.2], [0.2, 1.5], [0.0, 0.9]]]))
    has(found["pool"])
    has(
        found["project"],
        macs=12,
        dense=12,
        inputs=5,
        values=6,
        outputs=6,
        weights=6,
        states=2,
        buffer=4,
    )
    assert moves(found, "project") == {"input read": 6, "weight read": 12, "output write": 6}
    has(found["fire"], acs=6, compares=6, spikes=2, neuron_steps=6, updates=6, states=2)
    assert moves(found, "fire") == {"membrane read": 6, "membrane write": 6, "output write": 2}
    has(
        found["readout"],
        **{"macs": 4, "dense": 4, "acs": 2, "event_acs": 2, "dense_acs": 6},
        **{"inputs": 2, "values": 6, "outputs": 2, "weights": 6, "states": 2, "buffer": 4},
    )
    assert found["fire"]["rate"] == pytest.approx(2 / 6)
    assert energy(list(found.values()), FP32) == pytest.approx(86.2e-12, rel=1e-12)


def test_shift_block():
    """4 channels, 4 hidden, IF; projection = identity; a quarter shifted in each direction.

    3 frames: (1.5, 1.5, 1.5, 1.5), zeros, (0, 1.5, 1.5, 0): spikes 1111, 0000, 0110, six. Channel
    0 moves a step later (fires at step 2), channel 1 a step earlier (only its second spike, to
    step 2; the first falls off): 1 + 1 + 2 + 1 = 5 spikes reach 4 hidden neurons: 20.
    Hidden neuron 0 reads channel 2 with weight 2 and fires at steps 1 and 3, the others never: 2
    spikes to 4 neurons: 8. Those weights are 0, so the last neurons fire as the first, 6.

    Each of 3 layers of 4 neurons steps 3 times: 12 accumulates and comparisons.
    """
    values = {"encoder.depth": 1, "encoder.width": 4, "encoder.expansion": 1}
    network = head({**values, "encoder.shift": [0.25]}, 4, 2)
    weights(network.project.linear, torch.eye(4).tolist())
    block = network.blocks[0]
    nn.init.zeros_(block.expand.linear.weight)
    nn.init.zeros_(block.reduce.linear.weight)
    with torch.no_grad():
        block.expand.linear.weight[0, 2] = 2.0
    x = torch.tensor([[[1.5] * 4, [0.0] * 4, [0.0, 1.5, 1.5, 0.0]]])
    found = rows(network, x)
    neurons = {"acs": 12, "compares": 12, "neuron_steps": 12, "updates": 12, "states": 4}
    has(found["blocks.0.fire"], spikes=6, **neurons)
    synapses = {"dense": 48, "values": 12, "outputs": 12, "weights": 20, "states": 4, "buffer": 8}
    has(found["blocks.0.expand"], acs=20, synops=20, inputs=5, **synapses)
    assert moves(found, "blocks.0.expand") == {
        "input read": 5,
        "weight read": 20,
        "membrane read": 20,
        "membrane write": 20,
    }
    has(found["blocks.0.inner"], spikes=2, **neurons)
    has(found["blocks.0.reduce"], acs=8, synops=8, inputs=2, **synapses)
    has(found["fire"], spikes=6, **neurons)
    assert found["readout"]["event_acs"] == 6
    # project 3 x 16, readout 4 x 2; 3 x 12 updates, 28 synaptic, 6 counted; 36 comparisons
    expected = (56 * 4.6 + (36 + 28 + 6 + 36) * 0.9) * 1e-12
    assert energy(list(found.values()), FP32) == pytest.approx(expected, rel=1e-12)


class Mixing(nn.Module):
    """An attention and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        settings = AttentionSettings(width=2, heads=1, neuron="if", threshold=1.0)
        self.mix = build_attention("ssla", settings)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, torch.ones(x.shape[:2], dtype=torch.bool))


def test_attention():
    """SSLA of 2 channels, one head, IF; all four maps twice the identity; 3 frames.

    Spikes 10, 11, 00: three, and every map repeats them, so Q = K = V. Three spikes to 3 maps of
    2 outputs: 18. Coincidences of keys and values: 1 x 1 + 2 x 2 = 5. Each query spike reads a
    row of 2 of the context: 6. The context is [[2, 1], [1, 1]] / 3; what the last neurons take in
    is (0.471, 0.236), (0.707, 0.471), 0 with the factor 2^-1/2: the first fires once, at step 2
    (1.18), the second never (0.71). One spike to 2 outputs: 2.

    Synapses 20, other accumulates between spikes 11, updates 4 layers x 2 x 3 = 24, spikes
    3 x 3 + 1 = 10. Twin: 4 maps of 4 products and 4 + 4 for context and reading, 3 frames: 72.
    Stored: 4 x (4 + 2). Membranes 8 and a context of 4.
    """
    network = Mixing()
    for part in (network.mix.query, network.mix.key, network.mix.value, network.mix.output):
        weights(part.linear, [[2.0, 0.0], [0.0, 2.0]])
    found = rows(network, torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]))
    has(
        found["mix"],
        **{"acs": 55, "synops": 20, "event_acs": 11, "updates": 24, "compares": 24},
        **{"spikes": 10, "neuron_steps": 24, "dense": 72, "inputs": 3, "values": 6, "outputs": 6},
        **{"weights": 24, "states": 12, "buffer": 4},
    )
    assert moves(found, "mix") == {
        "input read": 3,
        "weight read": 20,
        "membrane read": 55,
        "membrane write": 55,
        "output write": 10,
    }
    assert energy(list(found.values()), FP32) == pytest.approx(79 * 0.9e-12, rel=1e-12)


def test_time_to_first_spike():
    """3 inputs, 2 neurons, 2 classes; windows of 1 in 4 steps; one sample (1, 0.5, 0).

    Spikes as in ``test_energy_ttfs``: inputs at steps 0 and 2 and silence (1 + 3 + 4 = 8 steps
    of climbing), the first neuron at step 1 and silence (2 + 4 = 6).

    encode: 8 updates, 2 spikes of 3 neurons. layer: 2 spikes x 2 = 4 synaptic of 6 dense, 2 x 4
    steps of a lasting current and 6 of climbing: 14 updates. readout: 1 spike x 2 of 2 x 2, and
    2 x 4 updates that are compared with nothing.
    """
    hidden = weights(nn.Linear(3, 2, bias=False), [[0.5, 0.5, 1.0], [-1.0, 0.0, 1.0]])
    network = Chain(B1Layer(hidden), Readout(nn.Linear(2, 2)))
    network.view = TTFSView(steps=4)
    found = rows(network, torch.tensor([[1.0, 0.5, 0.0]]))
    window = {"acs": 8, "compares": 8, "updates": 8, "neuron_steps": 8}
    has(found["encode"], spikes=2, neurons=3, states=3, **window)
    has(
        found["layers.0"],
        **{"acs": 18, "synops": 4, "updates": 14, "neuron_steps": 14, "compares": 6},
        **{"spikes": 1, "neurons": 2, "dense": 6, "inputs": 2, "values": 3, "outputs": 2},
        **{"weights": 6, "states": 2, "buffer": 5},
    )
    has(
        found["layers.1"],
        **{"acs": 10, "synops": 2, "updates": 8, "dense": 4, "inputs": 1, "values": 2},
        **{"outputs": 2, "weights": 6, "states": 2, "buffer": 4},
    )
    assert moves(found, "layers.0") == {
        "input read": 2,
        "weight read": 4,
        "membrane read": 18,
        "membrane write": 18,
        "output write": 1,
    }
    assert energy(list(found.values()), FP32) == pytest.approx(50 * 0.9e-12, rel=1e-12)


def test_convolution():
    """A 3x3 image, one 3x3 kernel to 2 channels with padding 1; one pixel, in the corner, fires.

    It is seen by 4 places of 2 channels: 8 synaptic operations. Dense: 4 corners x 4, 4 edges x 6
    and the middle x 9, 49 places of 2 channels: 98. With weights 0 nothing fires: 18 neurons
    integrate for 4 steps and climb for 4: 144 updates, 72 comparisons. Stored: 18 weights.
    Addressing, for profiles with memory: 8 steps and 2 products for the one spike.
    """
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    nn.init.zeros_(conv.weight)
    network = Chain(B1Layer(conv), Readout(nn.Linear(18, 2), nn.Flatten()))
    network.view = TTFSView(steps=4)
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 0, 0] = 1.0
    found = rows(network, image)
    has(
        found["layers.0"],
        **{"acs": 152, "synops": 8, "updates": 144, "neuron_steps": 144, "compares": 72},
        **{"neurons": 18, "dense": 98, "inputs": 1, "values": 9, "outputs": 18},
        **{"weights": 18, "states": 18, "buffer": 27},
    )
    assert found["layers.0"]["convolution"]
    assert found["layers.0"]["rate"] == 0
    # nothing enters the readout: 2 membranes of 4 steps; encode: 1 step and 8 silences of 4
    expected = (152 + 72 + 8 + 33 + 33) * 0.9e-12
    assert energy(list(found.values()), FP32) == pytest.approx(expected, rel=1e-12)
