"""A training that ends in the middle goes on from the state that was kept, to the last bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from eval import keeping
from eval.confirmation import test_on_fold as on_fold
from eval.folds import outer_folds
from eval.training import Epoch, Recipe
from eval.weights import load_states

from .synthetic import synthetic

EPOCHS = 6
NETWORKS: dict[str, dict[str, Any]] = {
    "plif": {"calibration.kind": "static"},
    "tuned": {"neuron.type": "ttfs", "ttfs.steps": 8, "ttfs.finetune": 0.5},
}


class Ended(BaseException):
    """As a kill: nothing cleans up after it."""


@pytest.fixture(autouse=True)
def at_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(keeping, "EVERY_SECONDS", 0.0)


def measured(
    values: dict[str, Any], partial: Path | None, end_at: int | None = None
) -> tuple[dict[str, Any], list[Epoch]]:
    told: list[Epoch] = []

    def watch(epoch: Epoch) -> None:
        told.append(epoch)
        if epoch.number == end_at:
            raise Ended

    dataset = synthetic()
    figures = on_fold(
        {"encoder.width": 8, "encoder.depth": 1, **values},
        dataset,
        outer_folds(dataset)[0],
        family="pts_snn",
        seed=3,
        recipe=Recipe(epochs=EPOCHS, batch_size=16),
        profile="45nm_fp32",
        partial=partial,
        watch=watch,
    )
    return figures, told


@pytest.mark.parametrize("values", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("end_at", [2, 4, 5])  # before, at and after the finetuning begins
def test_what_went_on_is_what_never_stopped(
    values: dict[str, Any], end_at: int, tmp_path: Path
) -> None:
    whole, epochs = measured(values, None)
    assert [e.number for e in epochs] == list(range(1, EPOCHS + 1))
    state = tmp_path / "partial" / "state.safetensors"
    with pytest.raises(Ended):
        measured(values, state, end_at)
    again, rest = measured(values, state)
    assert again == whole
    assert rest == epochs[end_at - 1 :]  # the epoch that was not kept, and those after it


def test_nothing_is_told_of_the_firing_rates_that_nothing_pulls_at() -> None:
    _, epochs = measured(NETWORKS["plif"], None)
    assert {e.penalty for e in epochs} == {None}
    pulled = {**NETWORKS["plif"], "regulariser.rate": 0.1, "regulariser.weight": 1.0}
    _, epochs = measured(pulled, None)
    assert all(e.penalty is not None and 0 < e.penalty < 1 for e in epochs)


def test_a_state_is_written_every_few_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, state = [0.0], tmp_path / "state.safetensors"
    monkeypatch.setattr(keeping, "EVERY_SECONDS", 10.0)
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    kept: list[int] = []
    replaced = os.replace  # what Path.replace calls

    monkeypatch.setattr(os, "replace", lambda a, b: (kept.append(1), replaced(a, b))[1])
    original = keeping.Keeper.__call__

    def four_seconds_later(self: Any, training: Any, epoch: Epoch) -> None:
        now[0] += 4.0
        original(self, training, epoch)

    monkeypatch.setattr(keeping.Keeper, "__call__", four_seconds_later)
    measured(NETWORKS["plif"], state)
    [left] = load_states(state).values()
    assert int(left["epoch"]) == EPOCHS
    assert len(kept) == 2  # after 12 and after 24 seconds
