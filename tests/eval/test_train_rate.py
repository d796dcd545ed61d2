"""Training at a coarser rate than a network is measured at."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from eval.evaluate import build, evaluate
from eval.folds import Fold
from eval.mapping import Training
from eval.resolution import change_step
from eval.resolution.compensation import compensate
from eval.resolution.frames import at_frame_rate
from eval.resolution.train_rate import TrainRate
from eval.seeds import derived_seed
from eval.training import Recipe, predict
from search_spaces.errors import NasError

from .resolution_nets import made
from .synthetic import DIM, synthetic

VALUES = {"encoder.width": 8, "encoder.depth": 1, "neuron.tau": 3.0, "neuron.threshold": 0.5}
RECIPE = Recipe(epochs=2, batch_size=16)
EVERYTHING = np.arange(60)
FOLD = Fold("last", EVERYTHING[:40], EVERYTHING[40:])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset():
    """Frames of 25 a second, two of each 12.5 alike."""
    rng = np.random.default_rng(0)
    shuffled = synthetic(counts=(20, 20, 20))
    order = rng.permutation(60)
    parts = [shuffled.utterance(i) for i in order]
    mixed = replace(
        shuffled,
        frames=np.concatenate(parts),
        offsets=np.cumsum([0, *(len(p) for p in parts)]).astype(np.int64),
        labels=shuffled.labels[order],
    )
    return at_frame_rate(mixed, 25.0)


def measured(dataset, tmp_path, train_rate=None, **options):
    checkpoint = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
    values = options.pop("values", VALUES)
    found = evaluate(
        values, dataset, [FOLD], family="pts_snn", seed=3, recipe=RECIPE,
        checkpoint=checkpoint, train_rate=train_rate, **options,
    )  # fmt: skip
    found.pop("train_seconds")
    return found, load_file(checkpoint)


def test_the_rate_of_the_deployment_changes_nothing(dataset, tmp_path):
    plain, weights = measured(dataset, tmp_path)
    same, again = measured(dataset, tmp_path, TrainRate(dataset, 25.0))
    assert same == plain
    assert weights.keys() == again.keys()
    assert all(torch.equal(v, again[k]) for k, v in weights.items())
    # one that pools two frames into one runs at 12.5 a second by itself
    pooled = {**VALUES, "input.pooling": 2}
    plain, weights = measured(dataset, tmp_path, values=pooled)
    same, again = measured(dataset, tmp_path, TrainRate(dataset, 12.5), values=pooled)
    assert same == plain
    assert all(torch.equal(v, again[k]) for k, v in weights.items())


def test_a_coarse_training_is_what_it_says_by_hand(dataset, tmp_path):
    found, weights = measured(dataset, tmp_path, TrainRate(dataset, 12.5))
    assert (found["train_rate"], found["adapted_by"]) == (12.5, "compensated")
    coarse, own = at_frame_rate(dataset, 12.5), derived_seed(3, "last")
    network = build(VALUES, "pts_snn", DIM, 3, np.random.default_rng(own))
    Training(network, coarse, FOLD.fit, RECIPE, own).run(1.0)
    source = copy.deepcopy(network)
    change_step(network, 0.5, "integral")
    compensate(network, source, coarse, dataset, FOLD.fit)
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())
    says = predict(network, dataset, FOLD.held).argmax(1).numpy()
    assert found["wa"] == pytest.approx(float((says == dataset.labels[FOLD.held]).mean()))
    # frames of the deployment are counted: twice as many membranes as at the coarse rate
    steps = {r["layer"]: r["neuron_steps"] for r in found["layers"]}["fire"]
    lengths = np.diff(dataset.offsets)[FOLD.held]
    assert steps == pytest.approx(8 * lengths.mean())


def test_a_first_look_goes_on_as_if_it_had_never_been_adapted(dataset, tmp_path):
    rate, partial = TrainRate(dataset, 12.5), tmp_path / "partial"
    whole, weights = measured(dataset, tmp_path, rate)
    look, _ = measured(dataset, tmp_path, rate, fidelity=0.5, partial=partial)
    assert look["adapted_by"] == "compensated"
    rest, again = measured(dataset, tmp_path, rate, partial=partial)
    assert rest == whole
    assert all(torch.equal(v, again[k]) for k, v in weights.items())


def test_a_rate_is_meant_after_pooling(dataset):
    rate = TrainRate(dataset, 5.0)
    single, double = (rate.of(made(**{"input.pooling": p})) for p in (1, 2))
    assert single.ratio == 0.2
    assert single.dataset.frame_rate == 5.0
    assert double.ratio == 0.4
    assert double.dataset.frame_rate == 10.0  # two of them are one step of 5 a second
    assert rate.of(made(**{"input.pooling": 5})) is None
    assert rate.of(made()).dataset is single.dataset  # put together once
    assert pickle.loads(pickle.dumps(rate)).of(made()).ratio == 0.2
    assert len(pickle.dumps(rate)) < 2 * len(pickle.dumps(dataset))


def test_counts_are_added_up_and_first_spikes_get_new_windows(dataset, tmp_path):
    counts = replace(dataset, source={**dataset.source, "inputs": "counts"})
    coarse = TrainRate(counts, 12.5).of(made())
    assert coarse.dataset.frames.sum() == pytest.approx(dataset.frames.sum(), rel=1e-4)
    values = {"encoder.width": 8, "encoder.depth": 1, "neuron.type": "ttfs"}
    found, weights = measured(dataset, tmp_path, TrainRate(dataset, 12.5), values=values)
    assert found["adapted_by"] == "integral"
    assert weights["blocks.0.shift.delay"].item() == 2.0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(dataset, rate):
    with pytest.raises(NasError, match=r"--train-rate .* is no frame rate"):
        TrainRate(dataset, rate)


def test_what_cannot_be_adapted_is_refused(dataset):
    with pytest.raises(NasError, match="--train-rate 50 is above the 25 frames a second"):
        TrainRate(dataset, 50.0)
    with pytest.raises(NasError, match="clips of event frames"):
        TrainRate(replace(dataset, clip=(2, 2, 1, 2)), 12.5)
    for network in (made("mean_pool"), nn.GRU(2, 2)):
        with pytest.raises(NasError, match="has no time step to be changed"):
            TrainRate(dataset, 12.5).of(network)


def test_a_network_of_ones_own_is_asked_to_change(dataset):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.told: list[object] = []

        def change_step(self, ratio, method, inputs):
            self.told = [ratio, method, inputs]
            return []

    network = Own()
    coarse = TrainRate(dataset, 12.5).of(network)
    assert coarse.adapted(network, dataset, FOLD.fit).told == [0.5, "integral", "held"]
    assert network.told == []
