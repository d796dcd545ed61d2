from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from eval.evaluate import build
from eval.folds import outer_folds
from eval.mapping import Training
from eval.robustness import robustness
from eval.training import Recipe

from .synthetic import DIM, synthetic


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def measured(neuron: str, draws: int = 3, seed: int = 0):
    dataset = synthetic()
    fold = outer_folds(dataset)[0]
    rng = np.random.default_rng(0)
    values = {"neuron.type": neuron, "encoder.width": 16, "encoder.depth": 1}
    network = build(values, "pts_snn", DIM, 3, rng)
    network = Training(network, dataset, fold.fit, Recipe(batch_size=16), seed=0).run(1.0)
    before = copy.deepcopy(network.state_dict())
    rows = robustness(network, dataset, fold.held, draws=draws, seed=seed)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    return {(r["condition"], r["amount"]): r for r in rows}


@pytest.fixture(scope="module")
def ttfs():
    return measured("ttfs")


def test_every_condition_of_a_time_to_first_spike_network_is_measured(ttfs):
    kinds = [kind for kind, _ in ttfs]
    assert [kinds.count(k) for k in ("as trained", "steps", "rounding", "jitter", "deletion")] == [
        1,
        6,
        1,
        5,
        3,
    ]
    assert kinds.count("weight bits") == 4
    reference = ttfs["as trained", "S = 16"]
    assert reference["agreement"] == 1.0
    assert {k: v for k, v in ttfs["steps", "16"].items() if k not in ("condition", "amount")} == {
        k: v for k, v in reference.items() if k not in ("condition", "amount")
    }
    for row in ttfs.values():
        assert row["draws"] == (3 if row["condition"] in ("jitter", "deletion") else 1)
        assert 0 <= row["ua"] <= 1


def test_more_disturbance_moves_more_predictions(ttfs):
    assert ttfs["weight bits", "8"]["agreement"] >= ttfs["weight bits", "3"]["agreement"]
    assert ttfs["steps", "64"]["agreement"] >= ttfs["steps", "4"]["agreement"]
    assert ttfs["jitter", "0.5 %"]["agreement"] >= ttfs["jitter", "10 %"]["agreement"]
    assert min(row["agreement"] for row in ttfs.values()) < 1


def test_the_same_seed_draws_the_same_disturbances(ttfs):
    assert measured("ttfs") == ttfs
    assert measured("ttfs", seed=1) != ttfs


def test_a_rate_coded_network_has_no_window_to_jitter_in(monkeypatch):
    """Without any spike only the readout's bias is left: one class, a third of the clips."""
    monkeypatch.setattr("eval.robustness.DELETION", (1.0,))
    rows = measured("plif")
    assert {kind for kind, _ in rows} == {"as trained", "deletion", "weight bits"}
    assert rows["as trained", "-"]["agreement"] == 1.0
    assert rows["deletion", "100 %"]["ua"] == pytest.approx(1 / 3)


def test_a_network_without_spikes_keeps_its_weight_bits():
    assert {kind for kind, _ in measured("relu")} == {"as trained", "weight bits"}
