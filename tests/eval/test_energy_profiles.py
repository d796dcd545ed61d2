"""Profiles: their figures are the published ones, and a malformed file is refused to the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from eval.energy.pricing import (
    BASIC,
    COLUMNS,
    READS,
    Tables,
    charges,
    encoder_energy,
    energies,
    energy,
    needed,
    refuse_without_encoder,
)
from eval.energy.profile import DEFAULT_PROFILE, load_profile, profile_names
from search_spaces.errors import NasError

# Typed in from the publications (and where those are closed, from who quotes them), in pJ.
PUBLISHED = {
    "45nm_fp32": {"mac": 3.7 + 0.9, "ac": 0.9, "compare": 0.9},
    "45nm_fp16": {"mac": 1.1 + 0.4, "ac": 0.4, "compare": 0.4},
    "45nm_int8": {"mac": 0.2 + 0.03, "ac": 0.03, "compare": 0.03},
    "lemaire2022": {"mac": 3.1 + 0.1, "ac": 0.1, "compare": 0.1, "reset": 0.1},
    "yan2024": {
        **{"ac": 0.05448, "compare": 0.05448, "reset": 0.05448},
        **{"spike_bit": 3.0, "value_bit": 0.25},
    },
    "loihi": {"synaptic_operation": 23.6, "neuron_update": 81.0},
    "spinnaker2": {"synaptic_operation": 10.0},
    "truenorth": {"synaptic_operation": 2.5},
    "seneca": {"synaptic_operation": 2.8, "spike": 2.0},
}

GOOD: dict[str, Any] = {
    "name": "mine",
    "title": "a chip of my own",
    "source": "measured by me",
    "node": "28 nm",
    "precision": "int8",
    "unit": "pJ",
    "prices": {"mac": 2.0, "ac": 1.0, "compare": 0.5},
    "excludes": ["memory"],
}


def test_every_packaged_profile_has_the_published_figures() -> None:
    assert set(profile_names()) == set(PUBLISHED)
    assert profile_names()[0] == DEFAULT_PROFILE == "45nm_fp32"
    for name, figures in PUBLISHED.items():
        profile = load_profile(name)
        found = {k: 1e12 * p.joules for k, p in profile.prices.items()}
        assert found == pytest.approx(figures, rel=1e-12), name
        assert profile.excludes
        assert all(p.source for p in profile.prices.values())
        assert profile.packaged
        assert profile.spec == name


def test_sram_prices_are_those_of_the_three_published_sizes() -> None:
    memory = load_profile("lemaire2022").memory
    assert memory is not None
    of = dict(zip(memory.sizes, memory.joules, strict=True))
    assert 1e12 * np.array([of[8 * 1024], of[32 * 1024], of[1024 * 1024]]) == pytest.approx(
        [10, 20, 100]
    )


def test_where_sources_differ_both_figures_are_there() -> None:
    truenorth = load_profile("truenorth")
    assert truenorth.extreme(min).prices["synaptic_operation"].joules == pytest.approx(2.5e-12)
    assert truenorth.extreme(max).prices["synaptic_operation"].joules == pytest.approx(26e-12)
    assert "26 pJ" in truenorth.disputed[0]
    assert len(load_profile("loihi").disputed) == 3
    lemaire = load_profile("lemaire2022")
    assert lemaire.memory is not None
    halved = lemaire.extreme(min).memory
    assert halved is not None
    assert halved.joules == pytest.approx([j / 2 for j in lemaire.memory.joules])
    assert lemaire.extreme(max) == lemaire


def row(**changes: float) -> dict[str, Any]:
    return {**dict.fromkeys((*COLUMNS, "neuron_steps"), 0.0), "layer": "a", **changes}


def test_a_chip_prices_synapses_and_neurons_and_leaves_the_rest_to_its_host() -> None:
    """100 synaptic, 10 updates with leak and comparison, 7 + 3 counted; 50 products of values.

    Loihi: 100 x 23.6 + 10 x 81 pJ, and on the host 50 x 4.6 + 10 x 0.9 pJ.
    """
    table = [
        row(synops=100, acs=110 + 7, event_acs=7, updates=10, leaks=10, macs=10, compares=10),
        row(digital=1, macs=50, acs=3),
    ]
    loihi = load_profile("loihi")
    parts: dict[str, float] = {}
    for charge in charges(Tables.of([table], COLUMNS).columns, loihi):
        parts[charge.part] = parts.get(charge.part, 0.0) + 1e12 * float(charge.joules.sum())
    assert parts["compute"] == pytest.approx(100 * 23.6 + 10 * 81)
    assert parts["host"] == pytest.approx(50 * 4.6 + 10 * 0.9)
    assert energy(table, loihi) == pytest.approx(1e-12 * sum(parts.values()))
    # without a price for an update it is counted, shown and free, for a reason that is written
    spinnaker = load_profile("spinnaker2")
    free = [
        c for c in charges(Tables.of([table], COLUMNS).columns, spinnaker) if c.part == "unpriced"
    ]
    assert [(c.operation, c.counts.sum()) for c in free] == [("neuron_update", 10.0)]
    assert energy(table, spinnaker) == pytest.approx(1e-12 * (1000 + 50 * 4.6 + 10 * 0.9))


def test_movement_is_priced_by_the_bit() -> None:
    """4 spikes among 200 neurons: 8 address bits each at 3 pJ; 5 outputs of 8 bits at 0.25 pJ."""
    table = [row(spikes=4, states=200), row(digital=1, outputs=5)]
    moved = 4 * 8 * 3.0 + 5 * 8 * 0.25 + 4 * 0.05448
    assert energy(table, load_profile("yan2024")) == pytest.approx(1e-12 * moved)


def test_what_nobody_prices_is_refused() -> None:
    lone = {k: v for k, v in GOOD.items() if k != "prices"} | {"prices": {"synaptic_operation": 1}}
    profile = load_profile({**lone, "unpriced": {"neuron_update": "not known"}})
    assert energy([row(synops=3, acs=3)], profile) == pytest.approx(3e-12)
    with pytest.raises(NasError, match=r"no price for 'mac'(?s:.)*host: 45nm_fp32"):
        energy([row(synops=3, acs=3), row(macs=1, digital=1)], profile)
    with pytest.raises(NasError, match="no price for 'ac'"):
        energy([row(synops=3, acs=4, event_acs=1)], profile)


def test_an_update_without_a_price_is_counted_and_free() -> None:
    """Of 60 products, 117 accumulates and 12 comparisons, 10, 10 and all are of the updates."""
    profile = load_profile({**GOOD, "unpriced": {"neuron_update": "free here"}})
    table = [row(macs=60, acs=117, compares=12, updates=10, leaks=10)]
    assert energy(table, profile) == pytest.approx(1e-12 * (50 * 2.0 + 107 * 1.0))
    rows = Tables.of([table], needed(profile)).columns
    free = {c.operation: c.counts.sum() for c in charges(rows, profile) if c.part == "unpriced"}
    assert free == {"neuron_update": 10.0}


@pytest.mark.parametrize("operation", READS)
def test_pricing_reads_the_columns_that_it_names(operation: str) -> None:
    """With a price or with a reason to have none: each is counted, one of each everywhere."""
    priced = load_profile({**GOOD, "bits": 8, "prices": {**GOOD["prices"], operation: 3.0}})
    free = load_profile({**GOOD, "bits": 8, "unpriced": {operation: "free here"}})
    assert (
        needed(priced)
        == needed(free)
        == tuple(c for c in COLUMNS if c in (*BASIC, *READS[operation]))
    )
    rows = {name: np.ones(2) for name in needed(free)}
    mine = [c for c in charges(rows, free) if c.operation == operation]
    assert [(c.part, c.joules.sum()) for c in mine] == [("unpriced", 0.0)]
    [same] = [c for c in charges(rows, priced) if c.operation == operation]
    assert same.counts.tolist() == mine[0].counts.tolist()
    assert same.counts.all()
    assert same.joules.sum() > 0


def test_an_encoder_costs_what_its_products_cost_or_says_why_not() -> None:
    own = {**GOOD, "prices": {"ac": 1.0, "compare": 0.5}}
    assert encoder_energy(1e6, load_profile(GOOD)) == pytest.approx(2e-6)
    assert encoder_energy(1e6, load_profile("loihi")) == pytest.approx(4.6e-6)
    free = load_profile({**own, "unpriced": {"mac": "in the sensor"}})
    assert encoder_energy(1e6, free) is None
    chip = load_profile({**GOOD, "prices": {"synaptic_operation": 1.0}})
    with pytest.raises(NasError, match="no price for the encoder's 'mac'"):
        encoder_energy(1e6, chip)
    for profile in (free, chip):
        with pytest.raises(NasError, match=r"no energy_with_encoder(?s:.)*host: 45nm_fp32"):
            refuse_without_encoder(profile)
    refuse_without_encoder(load_profile("loihi"))


def test_many_evaluations_are_priced_as_one_at_a_time() -> None:
    rng = np.random.default_rng(0)

    def drawn() -> dict[str, Any]:
        counts = dict(zip(COLUMNS, rng.integers(1, 99, len(COLUMNS)).tolist(), strict=True))
        return row(**{**counts, "acs": 400.0, "macs": 200.0, "digital": rng.integers(2)})

    tables = [[drawn() for _ in range(rng.integers(1, 9))] for _ in range(20)]
    for name in profile_names():
        profile = load_profile(name)
        together = energies(Tables.of(tables, COLUMNS), profile)
        assert together.tolist() == [energy(t, profile) for t in tables]


def write(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    profile = load_profile(str(path))
    assert energy([row(macs=3, acs=5, compares=2)], profile) == pytest.approx(12e-12)
    assert not profile.packaged
    assert load_profile(profile.spec) == profile  # the record holds the content
    nano = load_profile({**GOOD, "unit": "nJ"})
    assert energy([row(macs=1)], nano) == pytest.approx(2e-9)
    assert load_profile({**GOOD, "name": "45nm_fp32"}).spec != "45nm_fp32"  # a false friend


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"prices": {"mac": -2.0, "ac": 1, "compare": 1}}, "8:prices.mac", "positive.*not -2.0"),
        ({"prices": {"mac": 0, "ac": 1, "compare": 1}}, "8:prices.mac", "positive"),
        ({"prices": {"mac": float("nan"), "ac": 1, "compare": 1}}, "8:prices.mac", "positive"),
        ({"prices": {"mac": "cheap", "ac": 1, "compare": 1}}, "8:prices.mac", "not 'cheap'"),
        ({"prices": {"mac": 1, "add": 1}}, "9:prices.add", "unknown operation 'add'"),
        ({"prices": {"mac": {"value": 1, "sorce": "x"}}}, "10:prices.mac.sorce", "unknown key"),
        ({"prices": {"mac": {"value": -1}, "ac": 1}}, "9:prices.mac.value", "positive"),
        ({"prices": {"mac": {"source": "x"}, "ac": 1}}, "8:prices.mac", "'value' is missing"),
        ({"prices": {"mac": 1, "ac": 1}}, "7:prices", "no price for compare, and no host"),
        ({"prices": {}}, "7:prices", "at least 1"),
        ({"unit": "pj"}, "6:unit", "'pj' is no unit(?s:.)*did you mean 'pJ'"),
        ({"unit": None}, "6:unit", "no unit"),
        ({"source": ""}, "3:source", "at least 1 character"),
        ({"excludes": []}, "11:excludes", "at least 1"),
        ({"host": "45nm_fp31"}, "13:host", "unknown host '45nm_fp31'(?s:.)*45nm_fp32"),
        ({"host": "loihi"}, "13:host", "unknown host 'loihi'"),
        ({"unpriced": {"mac": "why not"}}, "14:unpriced.mac", "has a price as well"),
        ({"memry": {}}, "13:memry", "unknown key 'memry'(?s:.)*did you mean 'memory'"),
    ],
)
def test_a_malformed_profile_is_refused_with_its_line(
    change: dict[str, Any], where: str, what: str, tmp_path: Path
) -> None:
    path = write(tmp_path, {**GOOD, **change})
    with pytest.raises(NasError, match=f"mine.yaml:{where}: (?s:.)*{what}"):
        load_profile(str(path))


@pytest.mark.parametrize("key", ["unit", "source", "prices", "node", "precision", "excludes"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    path = write(tmp_path, {k: v for k, v in GOOD.items() if k != key})
    with pytest.raises(NasError, match=f"mine.yaml:1: {key!r} is missing"):
        load_profile(str(path))
