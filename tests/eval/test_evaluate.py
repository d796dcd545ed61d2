from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats
from torch import nn

from eval import confirmation
from eval.baselines import SIMPLE, baselines
from eval.batches import collate, shuffled
from eval.evaluate import build, evaluate, train_fold
from eval.folds import Fold, outer_folds
from eval.recall import recall
from eval.training import Recipe, Trainer, predict
from search_spaces.errors import NasError
from search_spaces.named import NAMED

from .synthetic import DIM, synthetic

HEAD = {"encoder.depth": 1, "encoder.width": 16, "encoder.shift": [0.125]}
QUICK = Recipe(epochs=8, batch_size=16)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset():
    return synthetic()


@pytest.fixture(scope="module")
def folds(dataset) -> list[Fold]:
    return outer_folds(dataset)[:2]


def run(dataset, folds, **options: Any) -> dict[str, Any]:
    result = evaluate(HEAD, dataset, folds, family="pts_snn", recipe=QUICK, **options)
    assert result.pop("train_seconds") > 0
    return result


@pytest.fixture(scope="module")
def result(dataset, folds) -> dict[str, Any]:
    return run(dataset, folds, seed=3)


def test_the_same_seed_gives_the_same_evaluation_and_another_does_not(dataset, folds, result):
    assert run(dataset, folds, seed=3) == result
    assert run(dataset, folds, seed=4)["loss"] != result["loss"]


def test_an_evaluation_neither_reads_nor_moves_global_generators(dataset, folds, result):
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert run(dataset, folds, seed=3) == result
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002


def test_a_head_learns_separable_classes(dataset, folds):
    """Chance is 1/3; guessing 30 utterances reaches 0.8 once in ten million times."""
    recipe = Recipe(epochs=40, batch_size=16)
    assert evaluate(HEAD, dataset, folds, family="pts_snn", recipe=recipe)["ua"] > 0.8


def test_every_figure_is_there_finite_and_consistent(dataset, folds, result):
    r = result
    for name in ("wa", "ua", "macro_f1", "loss", "energy", "macs", "acs", "spikes", "spike_rate"):
        assert math.isfinite(r[name]), name
    assert r["energy"] == pytest.approx(r["macs"] * 4.6e-12 + (r["acs"] + r["compares"]) * 0.9e-12)
    assert 0 < r["spike_rate"] < 1
    confusion = np.array(r["confusion"])
    held = np.concatenate([f.held for f in folds])
    assert confusion.sum(1).tolist() == np.bincount(dataset.labels[held], minlength=3).tolist()
    assert r["wa"] == pytest.approx(np.trace(confusion) / len(held))
    assert r["ua"] == pytest.approx(np.mean(np.diag(confusion) / confusion.sum(1)))
    assert [row["held"] for row in r["folds"]] == ["s0", "s1"]
    assert sum(row["utterances"] * row["wa"] for row in r["folds"]) == np.trace(confusion)
    assert sum(row["acs"] for row in r["layers"]) == pytest.approx(r["acs"])
    # layer norm, 8 > 16, 16 > 32 > 16, 16 > 3, one time constant for each of 3 neuron layers
    assert r["parameters"] == 2 * 8 + (8 * 16 + 32) + (512 + 64 + 512 + 32) + (48 + 3) + 3
    assert r["latency"] == pytest.approx(2 / 12.5)  # one frame and one of look-ahead
    assert r["classes"] == ["anger", "joy", "sadness"]
    assert "energy_with_encoder" not in r


def test_the_encoder_adds_its_mean_energy_over_the_held_utterances(folds, result):
    macs = np.arange(60, dtype=np.int64) * 10**9
    with_macs = run(synthetic(encoder_macs=macs), folds, seed=3)
    added = 4.6e-12 * np.mean([macs[i] for f in folds for i in f.held])
    assert with_macs["energy_with_encoder"] == pytest.approx(result["energy"] + added)
    assert with_macs["energy"] == result["energy"]


@pytest.mark.parametrize(("fidelity", "epochs"), [(1.0, 8), (0.25, 2), (0.01, 1)])
def test_fidelity_is_the_share_of_the_epochs(dataset, folds, monkeypatch, fidelity, epochs):
    """45 utterances in batches of 16 are 3 steps an epoch."""
    steps, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda o: (steps.append(1), step(o))[1])
    run(dataset, folds[:1], fidelity=fidelity)
    assert len(folds[0].fit) == 45
    assert len(steps) == 3 * epochs


@pytest.mark.parametrize("fidelity", [0.0, -0.5, 1.5, math.nan])
def test_a_fidelity_outside_its_range_is_refused(dataset, folds, fidelity):
    with pytest.raises(ValueError, match="fidelity"):
        run(dataset, folds, fidelity=fidelity)


def test_an_architecture_the_family_cannot_build_is_refused(dataset, folds):
    with pytest.raises(NasError, match="izhikevich"):
        evaluate({"neuron.type": "izhikevich"}, dataset, folds, family="pts_snn")


def test_the_checkpoint_of_the_first_fold_predicts_the_same_again(dataset, folds, tmp_path: Path):
    path = tmp_path / "deep" / "weights.safetensors"
    r = run(dataset, folds, seed=3, checkpoint=path)
    network = build(HEAD, "pts_snn", DIM, 3, np.random.default_rng(99))
    network.load_state_dict(load_file(path))
    logits = predict(network, dataset, folds[0].held)
    again = recall(dataset.labels[folds[0].held], logits.argmax(1), 3)
    assert (again.wa, again.ua) == (r["folds"][0]["wa"], r["folds"][0]["ua"])
    trained = train_fold(
        HEAD, dataset, folds[0], family="pts_snn", fidelity=1.0, seed=3, recipe=QUICK
    )
    assert torch.equal(logits, predict(trained.network, dataset, folds[0].held))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_is_held_out_never_reaches_training(folds, result):
    """Other frames in the held utterances of a fold: the same weights."""
    one, fold = synthetic(), folds[0]
    other = synthetic()
    for i in fold.held:
        other.utterance(i)[:] = 1e3
    assert not np.array_equal(one.frames, other.frames)
    options: dict[str, Any] = {"family": "pts_snn", "fidelity": 0.25, "seed": 0, "recipe": QUICK}
    a, b = (train_fold(HEAD, d, fold, **options).network.state_dict() for d in (one, other))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_rare_classes_weigh_by_their_inverse_frequency(monkeypatch):
    """36 and 4 of 40 utterances in 2 classes: 40 / (2 * 36) and 40 / (2 * 4)."""
    weights = []

    class Spy(nn.CrossEntropyLoss):
        def __init__(self, weight: torch.Tensor, **options: Any) -> None:
            weights.append(weight)
            super().__init__(weight, **options)

    monkeypatch.setattr(nn, "CrossEntropyLoss", Spy)
    data, rng = synthetic((36, 4)), np.random.default_rng(0)
    network = build(HEAD, "pts_snn", DIM, 2, rng)
    Trainer(network, data, np.arange(40), Recipe(epochs=1), seed=0)
    assert weights[0].tolist() == pytest.approx([40 / 72, 5.0])


def test_batches_hold_the_utterances_and_every_one_once_an_epoch(dataset):
    features, lengths, labels = collate(dataset, np.array([7, 21, 40]))
    for row, n, i in zip(features, lengths, (7, 21, 40), strict=True):
        assert np.array_equal(row[:n], dataset.utterance(i))
        assert row[n:].abs().sum() == 0
    assert labels.tolist() == dataset.labels[[7, 21, 40]].tolist()
    batches = list(shuffled(np.arange(33), 16, np.random.default_rng(0)))
    assert [len(b) for b in batches] == [16, 17]  # no batch of one
    assert sorted(np.concatenate(batches)) == list(range(33))


def test_the_simple_baselines_are_ordinary_evaluations_that_beat_chance(dataset, folds):
    recipe = replace(QUICK, epochs=30)
    found = baselines(dataset, folds, seed=3, recipe=recipe, profile="45nm_fp32")
    assert set(found) == set(SIMPLE)
    for name, figures in found.items():
        assert figures["ua"] > 2 / 3
        again = evaluate(
            NAMED[name].values, dataset, folds, family=NAMED[name].family, seed=3, recipe=recipe
        )
        assert again["confusion"] == figures["confusion"]


@pytest.mark.parametrize("name", NAMED)
def test_every_named_architecture_can_be_evaluated(dataset, folds, name):
    named = NAMED[name]
    values = dict(named.values)
    if "encoder.width" in values:
        values["encoder.width"] = 16
    figures = evaluate(
        values, dataset, folds[:1], family=named.family, fidelity=0.25, recipe=QUICK
    )
    assert math.isfinite(figures["loss"])
    assert figures["energy"] > 0


@pytest.mark.parametrize("name", SIMPLE)
def test_a_training_never_sees_a_held_out_label(dataset, folds, name):
    fold = folds[0]
    other = dataset.labels.copy()
    other[fold.held] = (other[fold.held] + 1) % 3
    a, b = (
        train_fold(
            NAMED[name].values,
            replace(dataset, labels=labels),
            fold,
            family=NAMED[name].family,
            fidelity=1.0,
            seed=0,
            recipe=QUICK,
        ).predicted
        for labels in (dataset.labels, other)
    )
    assert a.tolist() == b.tolist()


def rows(*values: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"fold": fold, "ua": value} for fold, value in values]


def test_an_interval_is_students_t_over_the_means_of_the_folds():
    """Fold means 0.5, 0.7 and 0.6: mean 0.6, sd 0.1, 2 degrees of freedom."""
    got = confirmation.interval(
        rows(("a", 0.4), ("a", 0.6), ("b", 0.7), ("b", 0.7), ("c", 0.5), ("c", 0.7)), "ua"
    )
    low, high = stats.t.interval(0.95, 2, loc=0.6, scale=0.1 / math.sqrt(3))
    assert (got.low, got.high) == pytest.approx((low, high))
    assert got.mean == pytest.approx(0.6)
    assert got.sd == pytest.approx(math.sqrt((0.04 + 0 + 0.01 + 0.01 + 0.01 + 0.01) / 5))


def test_the_mean_lies_in_the_middle_of_its_interval_when_folds_have_unequal_seeds():
    got = confirmation.interval(rows(("a", 0.1), ("a", 0.1), ("a", 0.1), ("b", 0.9)), "ua")
    assert (got.low + got.high) / 2 == pytest.approx(got.mean)


def test_a_single_fold_has_an_interval_over_its_seeds_and_a_single_row_none():
    """0.5 and 0.7: mean 0.6, sd 0.1414, standard error 0.1, 1 degree of freedom."""
    got = confirmation.interval(rows(("a", 0.5), ("a", 0.7)), "ua")
    assert (got.low, got.high) == pytest.approx(stats.t.interval(0.95, 1, loc=0.6, scale=0.1))
    alone = confirmation.interval(rows(("a", 0.5)), "ua")
    assert (alone.mean, alone.sd) == (0.5, 0.0)
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)


def test_a_test_on_an_outer_fold_reports_what_training_on_it_gave(dataset, folds):
    options: dict[str, Any] = {"family": "pts_snn", "seed": 3, "recipe": QUICK}
    row = confirmation.test_on_fold(HEAD, dataset, folds[0], profile="45nm_fp32", **options)
    want = run(dataset, folds[:1], seed=3)
    assert row == {"fold": "s0", "seed": 3, **{k: want[k] for k in confirmation.REPORTED}}
