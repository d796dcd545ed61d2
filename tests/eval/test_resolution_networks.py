"""A whole network at another time step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from eval.resolution import METHODS, change_step, refit
from eval.weights import load_network, save_weights
from search_spaces.errors import NasError
from search_spaces.families import ATTENTION_KINDS, FAMILIES
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons, make_neurons
from search_spaces.temporal_shift import TemporalShift

from .resolution_nets import frames, made
from .synthetic import DIM


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


KINDS = [
    *[{"neuron.type": n} for n in ("plif", "lif", "if", "ttfs", "relu")],
    {"calibration.kind": "static"},
    {"normalization": "lateral_inhibition"},
    {"encoder.residual": "alpha", "neuron.steps_per_frame": 2},
    *[
        {"calibration.kind": "dynamic", "attention.kind": kind, "prompt.length": 2}
        for kind in ATTENTION_KINDS
    ],
]


@pytest.mark.parametrize("values", KINDS, ids=lambda v: "-".join(map(str, v.values())))
@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_head_takes_another_step_or_says_why_not(values, method):
    network, x = made(**values), frames()
    same = copy.deepcopy(network)
    assert change_step(same, 1.0, method, "counts") == []
    assert torch.equal(same(x), network(x))
    before = network.state_dict()
    assert same.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in same.state_dict().items())
    for ratio in (0.5, 1.7):
        changed = copy.deepcopy(network)
        notes = change_step(changed, ratio, method)
        assert torch.isfinite(changed(x)).all()
        if method == "none":
            assert torch.equal(changed(x), network(x))
            assert notes == []
        elif values.get("attention.kind", "none") != "none":
            assert any("runs over the new frames with the weights it has" in n for n in notes)
        elif "normalization" in values:
            assert all("inhibition divides by the spikes of one step" in n for n in notes)
        else:
            assert notes == []


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_takes_another_step(family):
    network = made(family)
    for ratio in (0.5, 2.0):
        changed = copy.deepcopy(network)
        change_step(changed, ratio)
        refit(changed, [(frames(family),)])
        assert torch.isfinite(changed(frames(family))).all()


def test_a_network_of_unknown_make_is_refused_unless_it_knows_how():
    class Own(nn.Module):
        def change_step(self, ratio, method, inputs):
            return [f"{method} {ratio} {inputs}"]

    assert change_step(Own(), 2.0, "decay") == ["decay 2.0 held"]
    assert change_step(Own(), 1.0) == []
    with pytest.raises(NasError, match="a GRU cannot change its time step"):
        change_step(nn.GRU(2, 2), 2.0)
    with pytest.raises(NasError, match="a GRU cannot"):
        change_step(nn.GRU(2, 2), 1.0, "none")


@pytest.mark.parametrize("kind", ["plif", "lif", "if"])
@pytest.mark.parametrize("m", [2, 3])
def test_neurons_without_spikes_do_as_so_many_steps_of_held_input(kind, m):
    """In double precision, to 1e-10: of the membrane, read off as the gradient-free threshold.

    A threshold out of reach leaves the membrane; the last layer of a second copy with the
    membrane's value as threshold fires from it on.
    """
    torch.manual_seed(0)
    neurons = make_neurons(kind, 3.0, 1e9).double()
    x = torch.rand(5, 1, 4, dtype=torch.float64)
    held = x.repeat_interleave(m, 0)
    changed = _inside(copy.deepcopy(neurons), m)
    fine, coarse = _membrane(neurons, held), _membrane(changed, x)
    assert torch.allclose(coarse, fine[m - 1 :: m], rtol=0, atol=1e-10)


def _inside(neurons: nn.Module, ratio: float, method: str = "integral") -> nn.Module:
    network = made(**{"encoder.depth": 0})
    network.fire = neurons
    change_step(network, ratio, method)
    return neurons


def _membrane(neurons: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Step the equation of the class docstring by the layer's own parameters."""
    leak = torch.sigmoid(neurons.w) if isinstance(neurons, SpikingNeurons) else None
    gain = 1.0 if neurons.gain is None else neurons.gain
    v, all_steps = torch.zeros_like(x[0]), []
    for current in x * gain:
        v = v + current if leak is None else v + leak * (current - v)
        all_steps.append(v)
    return torch.stack(all_steps)


def test_the_gain_of_a_layer_multiplies_its_current():
    x = torch.rand(9, 2, 5) * 3
    for kind in ("plif", "if"):
        plain, loud = (make_neurons(kind, 2.0, 1.0) for _ in range(2))
        loud.gain = torch.tensor(1.7)
        assert torch.equal(loud(x), plain(1.7 * x))
        # what makes it free: a hard reset to 0 lets the threshold have it
        assert torch.equal(loud(x), make_neurons(kind, 2.0, 1.0 / 1.7)(x))


def test_tied_and_untied_gains_by_hand():
    """Leak 3/4 at half the step: 1/2 is kept, and a held 1 adds 1/2 (integral) or 3/8 (decay)."""
    for method, leak, gain in (
        ("integral", 0.5, None),
        ("euler", 0.375, None),
        ("decay", 0.5, 0.75),
    ):
        neurons = _inside(SpikingNeurons("plif", 4 / 3, 1.0), 0.5, method)
        assert torch.sigmoid(neurons.w).item() == pytest.approx(leak)
        found = None if neurons.gain is None else neurons.gain.item()
        assert found == (gain if gain is None else pytest.approx(gain))
    assert _inside(IntegrateAndFire(1.0), 0.5, "decay").gain.item() == 0.5
    assert _inside(IntegrateAndFire(1.0), 0.5, "tau").gain is None


def test_what_reads_spikes_reads_events_and_thresholds_stay():
    network = made()
    changed = copy.deepcopy(network)
    change_step(changed, 0.5, "integral")
    new, old = changed.state_dict(), network.state_dict()
    doubled = {
        "readout.linear.weight",
        "blocks.0.expand.linear.weight",
        "blocks.0.reduce.linear.weight",
    }
    for name, tensor in new.items():
        if name in doubled:
            assert torch.equal(tensor, 2 * old[name]), name
        elif name in old and not name.endswith(".w"):
            assert torch.equal(tensor, old[name]), name
    assert set(new) - set(old) == {"blocks.0.shift.delay"}
    assert changed.fire.v_threshold == network.fire.v_threshold
    reads = copy.deepcopy(network)
    change_step(reads, 0.5, "tau")
    assert torch.equal(reads.state_dict()["readout.linear.weight"], old["readout.linear.weight"])


def test_counts_scale_the_first_weights_unless_every_frame_is_normalised():
    for saturation, factor in ((0.0, 0.25), (1.0, 1.0)):
        network = made(**{"input.saturation": saturation})
        changed = copy.deepcopy(network)
        change_step(changed, 4.0, "integral", "counts")
        weight = network.project.linear.weight
        assert torch.allclose(changed.project.linear.weight, factor * weight)
    probe = made("mean_pool")
    probe.norm.running_mean.fill_(0.5)
    x = frames().abs()
    coarse = x.view(4, 6, 2, DIM).sum(2)
    changed = copy.deepcopy(probe)
    change_step(changed, 2.0, "integral", "counts")
    assert torch.allclose(changed(coarse), probe(x), atol=1e-4)


def test_shifts_keep_their_time_and_come_back():
    shift = TemporalShift(0.5, "past", steps=2)
    x = torch.arange(1.0, 9.0).view(8, 1, 1).repeat(1, 1, 2)
    network = made(**{"encoder.depth": 0})
    network.add_module("extra", shift)
    assert change_step(network, 0.5) == []
    assert shift.by == 4
    assert shift(x)[:, 0, 0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4]
    assert shift(x)[:, 0, 1].tolist() == x[:, 0, 1].tolist()
    assert change_step(network, 8.0) == []
    assert shift.by == 1  # half a step, rounded up
    [note] = change_step(network, 2.0)
    assert note == "extra: a shift of 0.5 steps is 0.25 of the new ones and rounds to none"
    assert torch.equal(shift(x), x)
    change_step(network, 1 / 8)
    assert shift.by == 2


def test_the_look_ahead_of_a_shift_follows():
    network = made(**{"input.pooling": 2})
    assert network.latency_frames == 4
    change_step(network, 0.25)
    assert network.latency_frames == 10  # a shift of 4 new frames, pooled by 2


@pytest.mark.parametrize("neuron", ["plif", "if"])
@pytest.mark.parametrize("method", ["integral", "decay"])
def test_an_adapted_network_survives_its_weights_file(tmp_path, neuron, method):
    values = {"neuron.type": neuron, "encoder.width": 8, "encoder.depth": 1, "encoder.shift": 0.25}
    network = made(**values)
    change_step(network, 0.4, method)
    save_weights(network, tmp_path / "w.safetensors")
    again = load_network(tmp_path / "w.safetensors", values, "pts_snn", DIM, 3)
    assert torch.equal(again(frames()), network(frames()))
    old = made(**values)
    assert not any("gain" in k or "delay" in k for k in old.state_dict())  # files of before fit
    again.load_state_dict(old.state_dict())
    assert torch.equal(again(frames()), old(frames()))
