"""A training that stops and goes on ends as one that never stopped, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from eval.evaluate import Looks, evaluate
from eval.folds import outer_folds
from eval.training import Recipe
from eval.weights import load_states

from .synthetic import synthetic

RECIPE = Recipe(batch_size=16)
NETWORKS: dict[str, dict[str, Any]] = {
    "plif": {"calibration.kind": "static"},
    "inhibition": {"normalization": "lateral_inhibition"},
    "attention": {"calibration.kind": "dynamic", "attention.kind": "ssla"},
    "ttfs": {"neuron.type": "ttfs", "ttfs.steps": 8},
    "tuned": {"neuron.type": "ttfs", "ttfs.steps": 8, "ttfs.finetune": 0.5},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def measured(
    values: dict[str, Any],
    fidelity: float,
    folder: Path,
    partial: Path | None,
    looks: Looks = "epochs",
) -> Any:
    dataset = synthetic()
    weights = folder / "weights.safetensors"
    result = evaluate(
        {"encoder.width": 8, "encoder.depth": 1, **values},
        dataset,
        outer_folds(dataset)[:2],
        family="pts_snn",
        fidelity=fidelity,
        seed=5,
        recipe=RECIPE,
        checkpoint=weights,
        partial=partial,
        looks=looks,
    )
    result.pop("train_seconds")
    return result, load_file(weights)


@pytest.mark.parametrize("values", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("stops", [(0.125,), (0.25, 0.75), (0.5,)], ids=str)
def test_going_on_is_never_having_stopped(
    values: dict[str, Any], stops: tuple[float, ...], tmp_path: Path
) -> None:
    whole, weights = measured(values, 1.0, tmp_path, None)
    partial = tmp_path / "partial" / "state.safetensors"
    for fidelity in stops:
        part, _ = measured(values, fidelity, tmp_path, partial)
        assert partial.is_file()
        alone, _ = measured(values, fidelity, tmp_path, None)
        assert part == alone  # a point of the curve, however it was reached
    resumed, again = measured(values, 1.0, tmp_path, partial)
    assert resumed == whole
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[k], again[k]) for k in weights)


def test_going_on_makes_the_remaining_epochs_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda o: (steps.append(1), step(o))[1])
    partial = tmp_path / "state.safetensors"
    measured({}, 0.25, tmp_path, partial)
    assert len(steps) == 2 * 2 * 3  # folds, epochs, batches of 16 out of 45
    measured({}, 1.0, tmp_path, partial)
    assert len(steps) == 2 * 8 * 3


@pytest.mark.parametrize("values", NETWORKS.values(), ids=NETWORKS)
def test_a_look_at_one_fold_is_that_fold_and_the_rest_follows(
    values: dict[str, Any], tmp_path: Path
) -> None:
    whole, weights = measured(values, 1.0, tmp_path, None)
    partial = tmp_path / "state.safetensors"
    look, own = measured(values, 0.5, tmp_path, partial, "folds")
    assert look["folds"] == whole["folds"][:1]
    assert look["ua"] == whole["folds"][0]["ua"]
    resumed, again = measured(values, 1.0, tmp_path, partial, "folds")
    assert resumed == whole
    for kept in (own, again):
        assert weights.keys() == kept.keys()
        assert all(torch.equal(weights[k], kept[k]) for k in weights)


def test_the_fold_of_a_look_is_never_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda o: (steps.append(1), step(o))[1])
    partial = tmp_path / "state.safetensors"
    measured(NETWORKS["tuned"], 0.5, tmp_path, partial, "folds")
    assert len(steps) == 8 * 3  # epochs, batches of 16 out of 45
    measured(NETWORKS["tuned"], 1.0, tmp_path, partial, "folds")
    assert len(steps) == 2 * 8 * 3


def test_a_damaged_state_costs_time_and_changes_nothing(tmp_path: Path) -> None:
    whole, _ = measured({}, 1.0, tmp_path, None)
    partial = tmp_path / "state.safetensors"
    measured({}, 0.25, tmp_path, partial)
    assert set(load_states(partial)) == {"s0", "s1"}
    partial.write_bytes(partial.read_bytes()[:1000])
    assert load_states(partial) == {}
    assert measured({}, 1.0, tmp_path, partial)[0] == whole
