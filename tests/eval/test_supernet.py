"""The weight-sharing proxy: slices of one set of tensors, trained once, scored quickly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from eval.batches import collate
from eval.evaluate import evaluate
from eval.folds import outer_folds
from eval.recalibration import recalibrate
from eval.supernet import Supernet
from eval.training import Recipe
from search_spaces.families import get_family
from search_spaces.schema import load_space

from .synthetic import synthetic

SPACE: dict[str, Any] = {
    "name": "small",
    "family": "pts_snn",
    "parameters": {
        "encoder.depth": {"int": [0, 2]},
        "encoder.width": {"choice": [8, 16]},
        "encoder.shift": {"choice": [0, 0.25], "repeat": "encoder.depth"},
        "neuron.type": {"choice": ["plif", "ttfs"]},
        "neuron.tau": {"float": [1.5, 4.0], "when": {"neuron.type": "plif"}},
        "ttfs.steps": {"choice": [4, 16], "when": {"neuron.type": "ttfs"}},
        "calibration.kind": {"choice": ["none", "static", "dynamic"]},
        "prompt.length": {"choice": [1, 4], "when": {"calibration.kind": "dynamic"}},
        "attention.kind": {
            "choice": ["none", "softmax", "ssla"],
            "when": {"calibration.kind": "dynamic"},
        },
    },
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def make(seed: int = 0) -> Supernet:
    dataset = synthetic()
    space = load_space(SPACE)
    return Supernet(space, get_family("pts_snn"), dataset, outer_folds(dataset)[0], seed)


@pytest.fixture(scope="module")
def trained() -> Supernet:
    net = make()
    net.train(Recipe(batch_size=16), epochs=8)
    return net


def candidates(n: int) -> list[Any]:
    rng, space = np.random.default_rng(7), load_space(SPACE)
    return [space.sample(rng) for _ in range(n)]


def test_training_teaches_every_candidate_at_once(trained: Supernet):
    """Chance is 1/3; the untrained scores are there, the trained ones far above."""
    some = candidates(30)
    before = np.mean([s["ua"] for s in make().score(some)])
    after = [s["ua"] for s in trained.score(some)]
    assert before < 0.5
    assert np.mean(after) > before + 0.2
    assert np.median(after) > 0.6


def test_candidates_borrow_the_first_slices_of_the_same_tensors(trained: Supernet):
    values = [
        {"encoder.width": 16, "encoder.depth": 2, "neuron.type": "relu"},
        {"encoder.width": 8, "encoder.depth": 1, "neuron.type": "relu"},
    ]
    wide, narrow = (trained.twin(v) for v in values)
    for network, v in zip((wide, narrow), values, strict=True):
        trained.inherit(network, v)
    for name, own in narrow.named_parameters():
        theirs = dict(wide.named_parameters())[name]
        assert torch.equal(own, theirs[tuple(slice(0, n) for n in own.shape)]), name
    inherited = {n for n, _ in narrow.named_parameters()}
    assert "blocks.0.expand.linear.weight" in inherited


def test_attention_kinds_do_not_share_their_tensors():
    net = make()
    keys = [k for k in net.shared if "context.attention.query" in k]
    assert {k.split()[1] for k in keys} >= {"softmax", "ssla"}


def test_a_score_changes_nothing_and_is_the_same_again(trained: Supernet):
    before = {k: v.detach().clone() for k, v in trained.shared.items()}
    some = candidates(5)
    state = torch.get_rng_state()
    first = trained.score(some)
    assert torch.equal(torch.get_rng_state(), state)
    assert trained.score(some[::-1])[::-1] == first
    assert all(torch.equal(v, before[k]) for k, v in trained.shared.items())


def test_the_held_out_part_is_never_trained_on():
    """Other frames in the held utterances: the same shared weights."""
    nets = [make(), make()]
    held = nets[1].fold.held
    for i in held:
        nets[1].dataset.utterance(int(i))[:] = 1e3
    for net in nets:
        net.train(Recipe(batch_size=16), epochs=1)
    assert all(torch.equal(v, nets[1].shared[k]) for k, v in nets[0].shared.items())


def test_it_comes_back_from_disk(trained: Supernet, tmp_path: Path):
    trained.save(tmp_path / "supernet.safetensors")
    other = make()
    some = candidates(3)
    assert other.score(some) != trained.score(some)
    assert other.load(tmp_path / "supernet.safetensors")
    assert other.score(some) == trained.score(some)
    (tmp_path / "torn.safetensors").write_bytes(b"nothing")
    assert not other.load(tmp_path / "torn.safetensors")
    assert not other.load(tmp_path / "missing.safetensors")


def test_the_twin_of_a_rate_coded_candidate_is_relu_and_of_ttfs_itself():
    family = get_family("pts_snn")
    plif = {"neuron.type": "plif", "neuron.tau": 2.0, "neuron.threshold": 0.5, "encoder.width": 8}
    assert family.twin(plif) == {"neuron.type": "relu", "encoder.width": 8}
    assert family.twin({"encoder.width": 8}) == {"neuron.type": "relu", "encoder.width": 8}
    inhibited = {"neuron.type": "lif", "normalization": "lateral_inhibition"}
    assert family.twin(inhibited)["normalization"] == "lateral_inhibition"
    ttfs = {"neuron.type": "ttfs", "ttfs.steps": 4}
    assert family.twin(ttfs) == ttfs
    assert get_family("mean_pool").twin({"hidden": 4}) == {"hidden": 4}


def test_statistics_are_those_of_the_calibration_data():
    """One batch normalisation behind an identity: the mean of the frames' means over batches."""
    dataset = synthetic()

    class Frames(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(dataset.dim)

        def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.norm(features[:, 0])
            return out

    network = Frames()
    network.norm.running_mean.fill_(100.0)
    recalibrate(network, [collate(dataset, np.arange(60))[:2]])
    first = np.stack([dataset.utterance(i)[0] for i in range(60)])
    assert np.allclose(network.norm.running_mean.numpy(), first.mean(0), atol=1e-5)
    assert network.norm.momentum == 0.1


def test_a_warm_start_is_ahead_after_one_epoch(trained: Supernet):
    """On the part that neither has seen, rate-coded and to-first-spike candidates."""
    fold = trained.fold
    ahead = {"plif": 0.0, "ttfs": 0.2}  # ReLU weights are a spiking neuron's only in the latter
    for neuron, margin in ahead.items():
        losses = {}
        for name, warm in (("cold", None), ("warm", {fold.name: trained})):
            results = [
                evaluate(
                    {"neuron.type": neuron, "encoder.width": 16, "encoder.depth": 1},
                    trained.dataset,
                    [fold],
                    family="pts_snn",
                    fidelity=0.125,
                    seed=seed,
                    recipe=Recipe(batch_size=16),
                    warm=warm,
                )
                for seed in range(4)
            ]
            losses[name] = np.mean([r["loss"] for r in results])
        assert losses["warm"] < losses["cold"] - margin, neuron


def test_operations_are_those_of_the_twin_per_utterance():
    """By hand: a frame through 8 -> 16 costs 128 in `project`, a block 2 * 16 * 32 in `blocks`.

    The block's inner width is twice its own; two utterances are counted, so the mean of their
    lengths multiplies both. The readout costs 16 per frame (its sum) and 16 * 3 an utterance.
    """
    net = make()
    held = net.fold.held
    lengths = np.diff(net.dataset.offsets)[[held[0], held[-1]]]
    values = {"encoder.width": 16, "encoder.depth": 1, "encoder.expansion": 2.0}
    counted = net.operations({**values, "neuron.type": "plif", "calibration.kind": "none"})
    frames = lengths.mean()
    assert counted["project"] == 128 * frames
    assert counted["blocks"] == 2 * 16 * 32 * frames
    assert counted["readout"] == 16 * frames + 16 * 3
    assert net.operations({**values, "neuron.type": "relu"}) == net.operations(
        {**values, "neuron.type": "plif", "neuron.tau": 4.0}
    )
