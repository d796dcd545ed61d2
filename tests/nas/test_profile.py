"""Where the time of an evaluation goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from eval.phases import Phase
from eval.training import Recipe
from nas.profile import OTHER, Profile, kind_of, mean, profile
from search_spaces.architecture import Architecture

from .command import nas
from .trainings import speak

PHASES = {"build", "batches", "forward", "backward", "step", "measure", "rest"}


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::addmm", "matrix products"),
        ("aten::bmm", "matrix products"),
        ("_SpikeFunctionBackward", "neurons"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("Optimizer.step#AdamW.step", "optimiser"),
        ("aten::index_select", "copies"),
        ("aten::scatter_add_", "copies"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "matrix products"),
        ("aten::mul", OTHER),
    ],
)
def test_operations_have_kinds(operation: str, kind: str) -> None:
    assert kind_of(operation) == kind


def test_means_are_weighted_by_time() -> None:
    one = Profile(Architecture({"a": 1}), 1.0, {"forward": 1.0}, {"neurons": 0.5, OTHER: 0.5}, 1)
    other = Profile(Architecture({"a": 2}), 3.0, {"rest": 1.0}, {"neurons": 0.1, OTHER: 0.9}, 1)
    found = mean([one, other])
    assert found["seconds"] == 2.0
    assert found["phases"] == {"forward": 0.25, "rest": 0.75}
    assert found["kinds"]["neurons"] == pytest.approx((0.5 + 0.3) / 4)


class Recorded:
    """Notes how it is evaluated; every evaluation is one product and one phase."""

    folds = ("first", "second", "third")
    recipe = Recipe(epochs=8)

    def __init__(self) -> None:
        self.asked: list[tuple[Any, float, int]] = []

    def __call__(self, architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        self.asked.append((self.folds, fidelity, seed))
        with Phase("forward"):
            torch.ones(3, 3) @ torch.ones(3, 3)
        return {}


def test_only_an_epoch_on_one_fold_runs_under_the_profiler() -> None:
    """And the evaluator keeps its folds."""
    recorded = Recorded()
    found = profile(cast("Any", recorded), Architecture({"a": 1}), 5)
    short, whole = (("first",), 1 / 8, 5), (("first", "second", "third"), 1.0, 5)
    assert recorded.asked == [short, short, whole]  # the first of them takes what comes once
    assert set(found.phases) == {"forward", "rest"}
    assert sum(found.phases.values()) == pytest.approx(1.0)
    assert found.kinds["matrix products"] > 0.0
    # two of ones, with what they fill, and a product with what it calls
    assert 4 <= found.calls <= 12


def test_the_command_tells_phases_and_operations(tmp_path: Path) -> None:
    data = speak(tmp_path / "corpus")
    asked = ("profile", "--space", "pts_snn_small", "--data", data, "--candidates", "2")
    told = json.loads(nas(*asked, "--validation-folds", "1", "--json").stdout)
    assert len(told["candidates"]) == 2
    for found in (told["mean"], *told["candidates"]):
        for shares in (found["phases"], found["kinds"]):
            assert sum(shares.values()) == pytest.approx(1.0, abs=0.01)
        assert set(found["phases"]) == PHASES
        assert min(found["phases"].values()) > 0.0
        assert found["kinds"]["matrix products"] > 0.0
    assert told["dtype"] in ("float32", "bfloat16")
    assert told["neurons"]
    assert told["kinds_of"] == {"folds": 1, "epochs": 1}
    more = json.loads(nas(*asked, "--validation-folds", "2", "--json").stdout)
    for one, two in zip(told["candidates"], more["candidates"], strict=True):
        assert two["calls"] == pytest.approx(one["calls"], rel=0.2)
    text = nas(*asked, "--candidates", "1", "--validation-folds", "1").stdout
    assert "candidates a minute" in text
    assert "matrix products" in text
    assert "% of an epoch on one fold" in text


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    data = speak(tmp_path / "corpus")
    done = nas("profile", "--data", data, "--dtype", "float8", code=2)
    assert "float8" in done.stderr
