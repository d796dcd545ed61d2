from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval.energy.operations import OperationCounter
from eval.energy.pricing import totals
from eval.energy.profile import load_profile
from eval.energy.ttfs import fan_out
from search_spaces.families import get_family
from search_spaces.ttfs import (
    B1Layer,
    Discretisation,
    Encoder,
    FirstSpike,
    Readout,
    ReLUView,
    TTFSNetwork,
    TTFSView,
    Window,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


class Chain(TTFSNetwork):
    """Layers one after the other, the windows set by hand."""

    def __init__(self, *layers: nn.Module, window: float = 1.0) -> None:
        super().__init__(Discretisation(4))
        self.encode = Encoder()
        self.layers = nn.ModuleList(layers)
        for module in self.modules():
            if isinstance(module, Window):
                module.length.fill_(window)

    def forward(self, x: Tensor) -> Tensor:
        signal = self.encode(x, self.view)
        for layer in self.layers:
            signal = layer(signal)
        return signal


def weights(module: nn.Module, values: Any, bias: Any = None) -> nn.Module:
    with torch.no_grad():
        module.weight.copy_(torch.tensor(values))
        if bias is not None:
            module.bias.copy_(torch.tensor(bias))
    return module


@torch.no_grad()
def rows(network: nn.Module, x: Tensor) -> dict[str, dict[str, Any]]:
    with OperationCounter(network).counting() as counter:
        network(x)
    return {row["layer"]: row for row in counter.table()}


def amounts(row: dict[str, Any]) -> tuple[float, ...]:
    return tuple(row[k] for k in ("macs", "acs", "compares", "spikes", "neurons"))


def test_a_linear_net_counts_as_by_hand():
    """3 inputs, 2 neurons, 2 classes; windows of 1 in S = 4 steps; one sample (1, 0.5, 0).

    Encoder: values 1, 0.5, 0 are levels 4, 2, 0, so it fires at steps 0 and 2 and stays silent:
    1 + 3 + 4 = 8 steps of climbing and as many comparisons; 2 spikes of 3 neurons.

    Neurons: W = [[0.5, 0.5, 1], [-1, 0, 1]], b = 0: potentials 0.75 and -1, so levels 3 and 0:
    a spike at step 1 (2 steps), and silence (4 steps). 2 spikes in x 2 neurons = 4 accumulates,
    2 neurons x 4 steps = 8 for the current that lasts, 6 for the climb: 18; 6 comparisons.

    Readout: 1 spike x 2 classes + 2 x 4 steps = 10 accumulates, no comparison.
    """
    hidden = weights(nn.Linear(3, 2, bias=False), [[0.5, 0.5, 1.0], [-1.0, 0.0, 1.0]])
    network = Chain(B1Layer(hidden), Readout(nn.Linear(2, 2)))
    network.view = TTFSView(steps=4)
    found = rows(network, torch.tensor([[1.0, 0.5, 0.0]]))
    assert amounts(found["encode"]) == (0, 8, 8, 2, 3)
    assert amounts(found["layers.0"]) == (0, 18, 6, 1, 2)
    assert amounts(found["layers.1"]) == (0, 10, 0, 0, 0)
    assert found["encode"]["rate"] == pytest.approx(2 / 3)
    assert found["layers.0"]["rate"] == pytest.approx(1 / 2)
    assert found["layers.1"]["rate"] is None
    assert not any(row["digital"] for row in found.values())

    sums = totals(list(found.values()), load_profile("45nm_fp32"))
    assert sums["energy"] == pytest.approx((8 + 18 + 10 + 8 + 6) * 0.9e-12)

    network.view = ReLUView()
    twin = rows(network, torch.tensor([[1.0, 0.5, 0.0]]))
    assert amounts(twin["layers.0"]) == (6, 0, 0, 0, 0)
    assert amounts(twin["layers.1"]) == (4, 0, 0, 0, 0)
    assert all(row["digital"] for row in twin.values())


def test_a_convolution_counts_fewer_synapses_at_the_border():
    """A 3x3 image, 3x3 kernel, padding 1, one channel to two; every pixel but one is silent.

    A spike in the corner is seen by 4 places, at an edge by 6, in the middle by all 9; times 2
    output channels. The 18 neurons integrate for 4 steps (72) and, with weights 0, climb for 4
    in silence (72 and 72 comparisons).
    """
    for place, seen in (((0, 0), 4), ((0, 1), 6), ((1, 1), 9)):
        conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        nn.init.zeros_(conv.weight)
        network = Chain(B1Layer(conv), Readout(nn.Linear(18, 2), nn.Flatten()))
        network.view = TTFSView(steps=4)
        image = torch.zeros(1, 1, 3, 3)
        image[(0, 0, *place)] = 1.0
        row = rows(network, image)["layers.0"]
        assert amounts(row) == (0, 2 * seen + 72 + 72, 72, 0, 18)


@pytest.mark.parametrize(
    "synapses",
    [
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),
        nn.Conv2d(2, 3, 3, dilation=2),
        nn.Conv1d(2, 3, 5, padding=2),
        nn.AvgPool2d(2),
    ],
    ids=str,
)
def test_fan_out_is_the_number_of_outputs_that_move_with_an_input(synapses: nn.Module):
    """Each input is nudged alone; with weights of 1 an output moves exactly if it reads it."""
    shape = (2, 7) if isinstance(synapses, nn.Conv1d) else (2, 7, 5)
    found = fan_out(synapses, shape)
    if not isinstance(synapses, nn.AvgPool2d):
        nn.init.ones_(synapses.weight)
        nn.init.zeros_(synapses.bias)
    for index in torch.ones(shape).nonzero():
        nudged = torch.zeros(1, *shape)
        nudged[(0, *index.tolist())] = 1.0
        assert int(found[tuple(index.tolist())]) == int((synapses(nudged) != 0).sum())


def test_a_skip_adds_its_own_synapses_and_a_pool_none():
    """All 4 inputs spike at once (level 4): 4 x 4 synapses and 4 of the skip, then pooled."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.zeros_(conv.weight)
    network = Joined(B1Layer(conv, skip=nn.Identity()))
    network.view = TTFSView(steps=4)
    found = rows(network, torch.ones(1, 1, 2, 2))
    assert set(found) == {"encode", "layers.0", "readout"}  # nothing for the pool
    # the skip's value 1 reaches level 4 at once: one step of climbing for each of 4 neurons
    assert amounts(found["layers.0"]) == (0, 4 + 4 + 4 * 4 + 4, 4, 4, 4)
    assert amounts(found["readout"]) == (0, 2 + 2 * 4, 0, 0, 0)  # one pooled spike, 2 classes


class Joined(Chain):
    """An encoder and one layer that share a window, a skip around the layer, a pool."""

    def __init__(self, layer: B1Layer) -> None:
        super().__init__(layer)
        layer.window = self.encode.window
        self.pool = FirstSpike(nn.MaxPool2d(2))
        self.readout = Readout(nn.Linear(1, 2), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        signal = self.encode(x, self.view)
        out: Tensor = self.readout(self.pool(self.layers[0](signal, skip=signal)))
        return out


def test_only_clock_steps_can_be_counted():
    network = Chain(B1Layer(nn.Linear(2, 2)))
    network.view = TTFSView()
    with pytest.raises(RuntimeError, match="clock steps"):
        rows(network, torch.ones(1, 2))


def head(values: dict[str, Any]) -> TTFSNetwork:
    torch.manual_seed(0)
    small = {"neuron.type": "ttfs", "encoder.width": 8, "encoder.depth": 1, "ttfs.steps": 4}
    network = get_family("pts_snn").build({**small, **values}, 6, 3)
    assert isinstance(network, TTFSNetwork)
    batch = (torch.randn(2, 5, 6), torch.tensor([5, 3]))
    for _ in range(3):
        network(*batch)
    network.eval().fold()
    network.fit_windows([batch], 0.0)
    network.view = network.spiking_view()
    return network


def test_the_head_marks_what_is_digital():
    network = head(
        {"calibration.kind": "dynamic", "attention.kind": "softmax", "input.pooling": 2}
    )
    found = rows(network, torch.randn(2, 5, 6))
    digital = {name for name, row in found.items() if row["digital"]}
    assert digital == {"pool", "saturate", "project", "context", "context.attention", "bias"}
    for name, row in found.items():
        assert (row["macs"] > 0) == (name in digital - {"pool", "context"}), name


def test_no_operation_of_the_head_comes_from_padding():
    network = head({"encoder.shift": [0.25], "encoder.residual": "alpha"})
    x = torch.randn(2, 5, 6)
    x[1, 3:] = float("nan")
    with torch.no_grad(), OperationCounter(network).counting() as together:
        network(x, torch.tensor([5, 3]))
    with torch.no_grad(), OperationCounter(network).counting() as alone:
        network(x[:1])
        network(x[1:, :3])
    for a, b in zip(together.table(), alone.table(), strict=True):
        assert a == pytest.approx(b), a["layer"]


def test_shifted_spikes_of_an_alpha_block_are_counted_again():
    """Shift 0: both trains are the same spikes, so the first layer has twice the events."""
    x = torch.randn(2, 5, 6)
    plain, alpha = (
        head({"encoder.shift": [0.0]}),
        head({"encoder.shift": [0.0], "encoder.residual": "alpha"}),
    )
    for network in (plain, alpha):
        found = rows(network, x)
        events = found["encode"]["spikes"] * 16 * (2 if network is alpha else 1)
        layer = found["blocks.0.expand"]
        assert layer["acs"] == pytest.approx(events + layer["neuron_steps"])
