"""Spike counts that choose a method, and the clock of time-to-first-spike networks."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from eval.resolution import at_clock, change_step, choose, compare, refit
from eval.resolution.consistency import Adapted, spike_ratio
from eval.resolution.frames import at_frame_rate, rebin
from search_spaces.errors import NasError
from search_spaces.frames import Frames

from .resolution_nets import frames, made
from .synthetic import synthetic


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def test_a_finer_head_keeps_its_spikes_by_every_method_but_the_reference():
    """Held frames, each given four times: what a device at four times the rate would see."""
    network = made(seed=3, **{"encoder.depth": 2, "neuron.tau": 6.0, "neuron.threshold": 0.3})
    for block in network.blocks:  # so that every layer fires
        block.expand.linear.weight.data.mul_(4)
        block.reduce.linear.weight.data.mul_(4)
    before = synthetic(counts=(6, 6, 6))
    after = _finer(before, 4)
    found = {a.method: a for a in compare(network, 0.25, before, after, np.arange(18))}
    assert set(found["integral"].ratios) == {
        "blocks.0.fire", "blocks.0.inner", "blocks.1.fire", "blocks.1.inner", "fire",
    }  # fmt: skip
    for method in ("integral", "euler", "decay"):
        assert found[method].distance < 0.5 * min(found["tau"].distance, found["none"].distance)
    assert choose(list(found.values())).method not in ("tau", "none")
    same = compare(network, 1.0, before, before, np.arange(18))
    assert all(set(a.ratios.values()) == {1.0} and a.distance == 0 for a in same)


def test_layers_too_busy_for_a_coarser_step_are_named():
    network = made(**{"neuron.threshold": 0.01, "encoder.depth": 0})
    network.project.norm.bias.data.fill_(5.0)  # every neuron fires in every step
    dataset = synthetic(counts=(3, 3, 3))
    [coarse] = compare(network, 2.0, dataset, dataset, np.arange(9), methods=("integral",))
    assert coarse.notes == (
        "fire fires 2.00 spikes in 2 steps, the mean of its neurons: a step of that length has"
        " room for one",
    )
    [fine] = compare(network, 0.5, dataset, dataset, np.arange(9), methods=("integral",))
    assert fine.notes == ()


def _finer(dataset, m: int):
    lengths = np.diff(dataset.offsets) * m
    return replace(
        dataset,
        frames=np.repeat(dataset.frames, m, axis=0),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        frame_rate=dataset.frame_rate * m,
    )


def test_a_method_that_refuses_is_told_and_never_chosen():
    network = made(**{"neuron.tau": 1.2})
    dataset = synthetic(counts=(3, 3, 3))
    found = compare(network, 4.0, dataset, dataset, np.arange(9))
    euler = next(a for a in found if a.method == "euler")
    assert euler.network is None
    assert "neurons 'blocks.0.fire': the Euler step I + 4 (A - I) is unstable" in euler.refusal
    assert choose(found).method != "euler"
    with pytest.raises(NasError, match="no method can change"):
        choose([euler])
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(NasError):
        change_step(network, 4.0, "euler")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_the_distance_counts_halving_and_doubling_alike_and_a_dead_layer_as_lost():
    assert spike_ratio(0, 0) == 1.0
    assert spike_ratio(3, 0) == math.inf
    half = Adapted("decay", nn.Identity(), None, (), {"a": 0.5, "b": 2.0})
    assert half.distance == pytest.approx(math.log(2))
    assert Adapted("decay", nn.Identity(), None, (), {"a": 0.0, "b": 1.0}).distance == math.inf
    assert Adapted("decay", nn.Identity(), None, (), {}).distance == 0.0


def test_the_clock_of_first_spikes_changes_their_steps_and_nothing_else():
    network, x = made("ttfs_conv"), frames("ttfs_conv")
    exact = network(x)
    same = copy.deepcopy(network)
    at_clock(same, 1.0)
    assert torch.equal(same(x), exact)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    at_clock(network, 1 / 64)
    assert network.discretisation.steps == 1024
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    with network.viewed(replace(network.view, steps=None)):
        continuous = network(x)
    assert torch.allclose(network(x), continuous, atol=1e-2)
    with pytest.raises(NasError, match="1024 clock steps over 2000 leave 1 of a window"):
        at_clock(network, 2000)
    with pytest.raises(NasError, match="a ratio of time steps"):
        at_clock(network, 0)


def test_windows_are_fitted_to_the_new_frames():
    network, x = made(**{"neuron.type": "ttfs"}), 5 * frames()
    before = network.encode.window.value()
    refit(network, [(x,)])
    real = Frames.of(x, None)
    with torch.no_grad():
        drive = network.project(network.saturate(real.pack(x.transpose(0, 1))), real)
    assert network.encode.window.value() != before
    assert network.encode.window.value() >= 1.1 * float(drive.max()) * 0.999
    spiking = made()
    state = copy.deepcopy(spiking.state_dict())
    refit(spiking, [(x,)])  # has no windows
    assert all(torch.equal(v, state[k]) for k, v in spiking.state_dict().items())


def test_frames_put_together_and_held_by_hand():
    x = np.array([[1.0], [3.0], [5.0], [7.0], [9.0]], np.float32)
    assert rebin(x, 2)[:, 0].tolist() == [2, 6, 9]
    assert rebin(x, 2, "counts")[:, 0].tolist() == [4, 12, 9]
    assert rebin(x, 0.5)[:, 0].tolist() == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert rebin(x, 0.5, "counts").sum() == x.sum()
    # 2.5 frames each: from frame 0, from frame 3 (2.5 rounded up)
    assert rebin(x, 2.5, "counts")[:, 0].tolist() == [9, 16]
    assert rebin(x, 0.4)[:, 0].tolist() == [1, 1, 3, 3, 3, 5, 5, 7, 7, 7, 9, 9]
    assert rebin(x, 1) is x
    assert rebin(x[:1], 7).tolist() == [[1.0]]
    with pytest.raises(NasError, match="a ratio of time steps"):
        rebin(x, 0)


def test_a_data_set_at_another_rate_keeps_its_utterances_apart():
    dataset = synthetic(counts=(3, 3, 3))
    coarse = at_frame_rate(dataset, 6.25)
    assert coarse.frame_rate == 6.25
    assert coarse.digest != dataset.digest
    for i in range(9):
        assert np.allclose(coarse.utterance(i), rebin(dataset.utterance(i), 2))
    assert at_frame_rate(dataset, 12.5) is dataset
