"""Profiles that leave operations without a price: runs, records, reports, and the encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas as package
from eval.energy.pricing import BASIC, COLUMNS
from eval.energy.profile import load_profile
from eval.features import Dataset
from nas.corpus import load as load_corpus
from nas.energy_report import report
from nas.evaluation import Evaluation
from nas.repricing import reprice
from nas.study import Study
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.schema import load_space

from .trainings import speak

FREE_UPDATES: dict[str, Any] = {
    "name": "free_updates",
    "title": "a chip whose neurons cost nothing",
    "source": "measured by me",
    "node": "28 nm",
    "precision": "int8",
    "unit": "pJ",
    "prices": {"mac": 4.6, "ac": 0.9, "compare": 0.9},
    "unpriced": {"neuron_update": "free here"},
    "excludes": ["memory"],
}
FREE_PRODUCTS = {
    **FREE_UPDATES,
    "name": "free_products",
    "prices": {"ac": 0.9, "compare": 0.9},
    "unpriced": {"mac": "made in the sensor"},
}
# 100 products; 10 updates with a comparison each, 5 of them with a leak; 20 synaptic operations
TABLE = [
    {**dict.fromkeys(COLUMNS, 0.0), "neuron_steps": 0.0, "layer": "a", "rate": None, **changes}
    for changes in (
        {"macs": 100.0, "digital": 1.0},
        {
            "acs": 30.0,
            "synops": 20.0,
            "updates": 10.0,
            "compares": 10.0,
            "macs": 5.0,
            "leaks": 5.0,
        },
    )
]
PLAIN = 1e-12 * (105 * 4.6 + 40 * 0.9)


def space(objective: str = "energy", **constraints: Any) -> Any:
    return load_space(
        {
            "name": "few",
            "family": "pts_snn",
            "parameters": {"encoder.width": {"int": [4, 99]}},
            "objectives": {"ua": "maximize", objective: "minimize"},
            "constraints": constraints,
        }
    )


def evaluation(number: int, objective: str = "energy", **metrics: Any) -> Evaluation:
    measured = {
        "ua": 0.5,
        "energy": PLAIN,
        "energy_profile": "45nm_fp32",
        "encoder_macs": 1e6,
        "energy_with_encoder": PLAIN + 4.6e-6,
        "layers": TABLE,
        **metrics,
    }
    return Evaluation(
        number=number,
        architecture=Architecture({"encoder.width": 4 + number}),
        fidelity=1.0,
        cost=1.0,
        seed=0,
        objectives={"ua": 0.5, objective: measured[objective]},
        metrics=measured,
    )


def test_a_run_is_priced_where_updates_are_free() -> None:
    """A record of before updates were counted is left out, and what it lacks is named."""
    names = (*BASIC, "layer", "spikes", "neuron_steps", "rate")
    older = evaluation(1, layers=[{k: row[k] for k in names} for row in TABLE])
    found = reprice([evaluation(0), older], space(), load_profile(FREE_UPDATES))
    assert found.energies == {
        evaluation(0).architecture.hash: pytest.approx(1e-12 * (100 * 4.6 + 20 * 0.9))
    }
    assert (found.unpriced, found.lacking) == (1, ["updates", "leaks"])
    told = report(evaluation(0).metrics, [load_profile(FREE_UPDATES)])
    assert told.comparisons["free_updates"].unpriced == {"neuron_update": 10.0}
    older_told = report(older.metrics, [load_profile(FREE_UPDATES)])
    assert "updates" in older_told.lacking["free_updates"]


def test_a_head_is_priced_where_products_are_free_and_its_encoder_is_left_out() -> None:
    profile = load_profile(FREE_PRODUCTS)
    [priced] = reprice([evaluation(0)], space(), profile).full
    assert priced.objectives["energy"] == pytest.approx(40 * 0.9e-12)
    # that of the other profile is not left beside it
    assert "energy_with_encoder" not in priced.metrics
    told = report(evaluation(0).metrics, [profile, load_profile("45nm_fp32")])
    found = told.comparisons["free_products"]
    assert found.with_encoder is None
    assert found.unpriced == {"mac": 105.0, "encoder mac": 1e6}
    assert told.comparisons["45nm_fp32"].with_encoder == pytest.approx(PLAIN + 4.6e-6)
    assert told.warnings == [
        "free_products has no energy with the encoder, 'mac' is unpriced: made in the sensor"
    ]


@pytest.mark.parametrize("objective", ["energy_with_encoder", "energy"])
def test_a_run_of_heads_with_encoders_needs_its_price(objective: str) -> None:
    limits = {} if objective != "energy" else {"energy_with_encoder": {"max": 1.0}}
    with pytest.raises(NasError, match=r"'free_products' has no price for the encoder's 'mac'"):
        reprice(
            [evaluation(0, objective)], space(objective, **limits), load_profile(FREE_PRODUCTS)
        )


@pytest.fixture
def encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus whose features count as made by an encoder of a million products."""
    folder = speak(tmp_path / "corpus")

    def load(*asked: Any) -> Dataset:
        dataset = load_corpus(*asked)
        return replace(dataset, encoder_macs=np.full(len(dataset), 10**6))

    monkeypatch.setattr("nas.corpus.load", load)
    return folder


def search(objective: str, corpus: Path, out: Path, profile: Any, **limits: Any) -> Study:
    asked = {
        "name": "few",
        "family": "pts_snn",
        "parameters": {"encoder.width": {"int": [4, 9]}},
        "objectives": {"ua": "maximize", objective: {"minimize": True, "profile": profile}},
        "constraints": limits,
    }
    return package.search(space=asked, data=str(corpus), searcher="random", budget=1, out=out)


@pytest.mark.parametrize("profile", [FREE_UPDATES, FREE_PRODUCTS], ids=lambda p: p["name"])
def test_a_search_is_measured_with_operations_that_are_free(
    profile: dict[str, Any], encoded: Path, tmp_path: Path
) -> None:
    [e] = search("energy", encoded, tmp_path / "run", profile).evaluations
    assert e.ok, e.error
    assert e.metrics["encoder_macs"] == 1e6
    told = report(e.metrics, [load_profile(profile)]).comparisons[profile["name"]]
    assert e.metrics["energy"] == pytest.approx(told.energy)
    assert e.metrics.get("energy_with_encoder") == told.with_encoder
    assert (told.with_encoder is None) == (profile is FREE_PRODUCTS)


@pytest.mark.parametrize("where", ["objective", "constraint"])
def test_a_search_for_what_has_no_price_is_refused_before_its_folder_is_made(
    where: str, encoded: Path, tmp_path: Path
) -> None:
    objective = "energy_with_encoder" if where == "objective" else "energy"
    limits = {} if where == "objective" else {"energy_with_encoder": {"max": 1.0}}
    with pytest.raises(NasError, match=r"no energy_with_encoder(?s:.)*host: 45nm_fp32"):
        search(objective, encoded, tmp_path / "run", FREE_PRODUCTS, **limits)
    assert not (tmp_path / "run").exists()
