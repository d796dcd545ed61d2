"""The clocked simulator against hands, a loop of its own and the closed form."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from ttfs_nets import Chain, Neurons, fitted, seen
from ttfs_plain import Clipped

from search_spaces.ttfs import ClockedView, ReLUView, Signal, TTFSView
from search_spaces.ttfs.signals import Rounding


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def small_net() -> Chain:
    """Two inputs, two neurons, one output; windows of 1 and 2."""
    net = Chain([Neurons(nn.Linear(2, 2))], 2, 0, mean=False).double()
    layer, readout = net.blocks[0].layer, net.readout.linear
    net.readout.linear = readout = nn.Linear(2, 1).double()
    for linear, weight, bias in (
        (layer.synapses, [[1.0, 2.0], [1.0, -4.0]], [-0.25, 0.0]),
        (readout, [[3.0, -5.0]], [0.5]),
    ):
        linear.weight.data = torch.tensor(weight).double()
        linear.bias.data = torch.tensor(bias).double()
    net.encoder.window.length.fill_(1.0)
    layer.window.length.fill_(2.0)
    return net.requires_grad_(False)


def times_and_logits(x: list[float], view: TTFSView) -> tuple[list[float], list[float], float]:
    logits, (inputs, hidden) = seen(small_net(), torch.tensor([x]).double(), view)
    return inputs.data[0].tolist(), hidden.data[0].tolist(), float(logits)


def test_hand_computed_spike_times():
    """Thresholds are ``2 - b`` = 2.25 and 2; the hidden window is [1, 3].

    x = (0.75, 0.25): input spikes at 1 - x = 0.25 and 0.75. At t = 1 the membranes stand at
    1*0.75 + 2*0.25 = 1.25 and 1*0.75 - 4*0.25 = -0.25. They climb by 1: the first meets 2.25 at
    1 + 1.00 = 2, the second would meet 2 at 1 + 2.25 = 3.25, after the window: silent, t = 3.
    Values 3 - t = (1, 0), readout 3*1 + 0.5 = 3.5.

    x = (0.5, 0): the second input is silent, t = 1. Membranes 0.5 and 0.5, spikes at
    1 + 1.75 = 2.75 and 1 + 1.5 = 2.5, values (0.25, 0.5), readout 0.75 - 2.5 + 0.5 = -1.25.

    x = (1, 1): both fire at 0. Membranes 3 and -3: the first is above 2.25 when its window
    opens and fires at once, t = 1, value 2 (an unclipped ReLU has 2.75); readout 6.5.
    """
    assert times_and_logits([0.75, 0.25], TTFSView()) == ([0.25, 0.75], [2.0, 3.0], 3.5)
    assert times_and_logits([0.5, 0.0], TTFSView()) == ([0.5, 1.0], [2.75, 2.5], -1.25)
    assert times_and_logits([1.0, 1.0], TTFSView()) == ([0.0, 0.0], [1.0, 3.0], 6.5)
    for x, clipped, unclipped in (([0.75, 0.25], 3.5, 3.5), ([1.0, 1.0], 6.5, 8.75)):
        for view, expected in ((ReLUView(clip=True), clipped), (ReLUView(), unclipped)):
            assert float(seen(small_net(), torch.tensor([x]).double(), view)[0]) == expected


def test_hand_computed_clock_steps():
    """Four steps: of 0.25 in the first window, of 0.5 in the second, which is steps 4 to 8.

    x = (0.5, 0): inputs at steps 2 and 4 (silent). The first hidden value, 0.25, lies half-way
    between 0 and 0.5: ``nearest`` takes it up (last step, 7), ``down`` to silence (8). The
    second, 0.5, is one step: 7. Readouts 1.5 - 2.5 + 0.5 = -0.5 and -2.5 + 0.5 = -2.

    x = (0.625, 0.125) ties at the encoder. ``nearest``: 0.75 and 0.25, steps 1 and 3, and then
    the values (1, 0) above: steps 6 and 8, 3.5. ``down``: 0.5 and 0, the inputs of before: -2.
    """
    nearest, down = TTFSView(4), TTFSView(4, "down")
    assert times_and_logits([0.5, 0.0], nearest) == ([2.0, 4.0], [7.0, 7.0], -0.5)
    assert times_and_logits([0.5, 0.0], down) == ([2.0, 4.0], [8.0, 7.0], -2.0)
    assert times_and_logits([0.625, 0.125], nearest) == ([1.0, 3.0], [6.0, 8.0], 3.5)
    assert times_and_logits([0.625, 0.125], down) == ([2.0, 4.0], [8.0, 7.0], -2.0)
    _, (inputs, hidden) = seen(small_net(), torch.tensor([[0.5, 0.0]]).double(), ClockedView(4))
    assert inputs.data[:, 0].tolist() == [[0, 0], [0, 0], [1, 0], [0, 0]]
    assert hidden.data[:, 0].tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]


def integrated(x: list[float], steps: int, rounding: Rounding) -> tuple[list[list[int]], float]:
    """Integrate ``dV/dt = sum_j W_j H(t - t_j)``, then ``dV/dt = 1``, neuron by neuron.

    Returns:
        The step in which each neuron of a layer fires (``steps`` if none), and the readout.
    """
    net = small_net()
    hidden, output = net.blocks[0].layer.synapses, net.readout.linear
    early = 0.5 if rounding == "nearest" else 0.0
    fired: list[list[int]] = []

    def fire(membranes: list[float], thresholds: list[float], dt: float) -> None:
        spikes = []
        for v, theta in zip(membranes, thresholds, strict=True):
            spike = steps
            for k in range(steps):
                if spike == steps and v + early * dt >= theta:
                    spike = k
                v += dt
            spikes.append(spike)
        fired.append(spikes)

    def integrate(weights: list[list[float]], dt: float) -> list[float]:
        membranes = [0.0] * len(weights)
        for k, (i, row) in itertools.product(range(steps), enumerate(weights)):
            for w, spike in zip(row, fired[-1], strict=True):
                if k >= spike:
                    membranes[i] += w * dt
        return membranes

    fire(x, [1.0, 1.0], 1.0 / steps)
    membranes = integrate(hidden.weight.tolist(), 1.0 / steps)
    fire(membranes, [2.0 - b for b in hidden.bias.tolist()], 2.0 / steps)
    return fired, integrate(output.weight.tolist(), 2.0 / steps)[0] + float(output.bias)


@pytest.mark.parametrize("rounding", ["nearest", "down"])
def test_a_loop_over_steps_and_neurons_agrees(rounding: Rounding):
    """Its inputs and steps are dyadic, so that both integrate without rounding errors."""
    net = small_net()
    for a, b in itertools.product([0.0, 0.125, 0.40625, 0.9375, 1.25], repeat=2):
        x = torch.tensor([[a, b]]).double()
        exact, _ = net.plain(x, Clipped())
        for steps in (4, 64):
            fired, logit = integrated([a, b], steps, rounding)
            found, signals = seen(net, x, ClockedView(steps, rounding))
            for spikes, signal in zip(fired, signals, strict=True):
                assert first_steps(signal) == spikes
            assert float(found) == logit
            # each input is off by a step of 1/S, each hidden neuron by 3 or 5 of those and its own
            assert abs(logit - float(exact)) <= (3 * (3 + 2) + 5 * (5 + 2)) / steps


def first_steps(signal: Signal) -> list[int]:
    steps = signal.data.shape[0]
    return [r.index(1.0) if 1.0 in r else steps for r in signal.data[:, 0].T.tolist()]


@pytest.mark.parametrize(("rounding", "margin"), [("nearest", 0.1), ("down", -0.2)])
def test_the_simulator_converges_to_the_closed_form(rounding: Rounding, margin: float):
    kinds = ["conv", "max", "projected", "concat", "average"]
    net, x = fitted(kinds, 2, seed=8, margin=margin, batch=16, size=6)
    exact, _ = net.plain(x, Clipped())
    assert exact.std() > 0.05
    with torch.no_grad():
        error = [
            float((seen(net, x, ClockedView(steps, rounding))[0] - exact).abs().mean())
            for steps in (16, 64, 256, 1024)
        ]
    assert all(finer <= 0.5 * coarser for coarser, finer in itertools.pairwise(error))
    assert 1 / 150 < error[-1] / error[0] < 1 / 25  # about linear: 64 times finer
