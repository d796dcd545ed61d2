from __future__ import annotations

import copy
import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.schema import load_space
from search_spaces.space import Space

QUICK = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
BASE: dict[str, Any] = {"name": "s", "objectives": {"ua": "maximize"}}
SCALARS = [False, True, 2, 3, 0.125, -1.5, "x", "on", "", "true", "2"]


@st.composite
def domains(draw: st.DrawFn, finite: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["int", "log int", "choice", "bool", "stepped", "float", "log"]))
    if kind == "int":
        low = draw(st.integers(-3, 3))
        step = draw(st.sampled_from([1, 2]))
        return {"int": [low, low + draw(st.integers(0, 3))], "step": step}
    if kind == "log int":
        return {"int": [draw(st.integers(1, 2)), draw(st.integers(2, 5))], "log": True}
    if kind == "bool":
        return {"bool": True}
    if kind == "stepped" or (finite and kind in ("float", "log")):
        return {"float": [0.5, 0.5 + 0.25 * draw(st.integers(0, 3))], "step": 0.25}
    if kind == "float":
        low = draw(st.sampled_from([-1, -0.33333, 0, 1.1]))
        return {"float": [low, low + draw(st.sampled_from([0, 0.77777, 5]))]}
    if kind == "log":
        return {"float": [0.001, draw(st.sampled_from([0.002, 1, 123.456]))], "log": True}
    chosen = draw(st.lists(st.sampled_from(range(len(SCALARS))), min_size=1, max_size=4))
    return {"choice": [SCALARS[i] for i in dict.fromkeys(chosen)]}


@st.composite
def documents(draw: st.DrawFn, finite: bool = False) -> dict[str, Any]:
    """Up to five parameters, some repeated, some conditional on an earlier one."""
    parameters: dict[str, Any] = {"depth": {"int": [draw(st.integers(0, 1)), 2]}}
    for i in range(draw(st.integers(1, 4))):
        p = draw(domains(finite))
        if draw(st.booleans()):
            p["repeat"] = "depth"
        parents = {
            name: q
            for name, q in parameters.items()
            if "repeat" not in q and "when" not in q and ("choice" in q or "bool" in q)
        }
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(sorted(parents)))
            values = parents[parent].get("choice", [False, True])
            p["when"] = {parent: [draw(st.sampled_from(values))]}
        parameters[f"p{i}"] = p
    return {"name": "drawn", "parameters": parameters, "objectives": {"ua": "maximize"}}


@given(documents(), st.integers(0, 2**32))
@QUICK
def test_whatever_a_space_makes_is_an_architecture_of_it(document: dict[str, Any], seed: int):
    space, rng = load_space(document), np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    made = [a, b, space.cross(a, b, rng), space.mutate(a, rng), *space.neighbours(a, rng)]
    for one in made:
        again = space.architecture(one.as_dict())
        assert again == one
        assert repr(again.as_dict()) == repr(one.as_dict())  # types too


@given(documents(), st.integers(0, 2**32))
@QUICK
def test_a_move_is_what_checking_every_gene_makes_of_it(document: dict[str, Any], seed: int):
    space = load_space(document)
    a = space.sample(np.random.default_rng(seed))
    for p in space.parameters:
        items = a.get(p.name, ())
        for i, item in enumerate(items if isinstance(items, tuple) else (items,)):
            for other in p.moves(item):
                moved = space.moved(a, p, i, other, np.random.default_rng(seed))
                genes = {**a.as_dict(), p.name: other}
                if isinstance(items, tuple):
                    genes[p.name] = [*items[:i], other, *items[i + 1 :]]
                assert moved == space.complete(genes, np.random.default_rng(seed))
                assert moved == space.architecture(moved.as_dict())


@given(documents(), st.integers(0, 2**32))
@QUICK
def test_yaml_json_and_pickle_keep_an_architecture(document: dict[str, Any], seed: int):
    a = load_space(document).sample(np.random.default_rng(seed))
    for again in (
        Architecture(yaml.safe_load(yaml.safe_dump(a.as_dict()))),
        Architecture(json.loads(json.dumps(a.as_dict()))),
        pickle.loads(pickle.dumps(a)),
    ):
        assert again == a
        assert again.hash == a.hash
        assert repr(again.as_dict()) == repr(a.as_dict())


@given(documents(finite=True))
@QUICK
def test_the_size_of_a_finite_space_is_what_enumeration_yields(document: dict[str, Any]):
    space = load_space(document)
    everything = [json.dumps(a.as_dict(), sort_keys=True) for a in space.enumerate()]
    assert space.size().finite
    assert space.size().discrete == len(everything) == len(set(everything))


@st.composite
def tangles(draw: st.DrawFn) -> dict[str, Any]:
    """Chains of conditions and counts, several to a parameter, in any order in the file."""
    domains: dict[str, Any] = {
        "a": {"choice": [1, True, "x"]},
        "b": {"bool": True},
        "c": {"int": [0, 2]},
        "d": {"float": [0, 0.5], "step": 0.25},
        "e": {"int": [1, 2]},
    }
    allowed = {"a": [1, True, [1, "x"]], "b": [True, False], "c": [0, {"min": 1}, {"max": 1}]}
    allowed |= {"d": [{"max": 0.25}, 0], "e": [{"min": 2}, [1, 2]]}
    parameters: dict[str, Any] = {}
    for name, domain in domains.items():
        earlier = [n for n, p in parameters.items() if "repeat" not in p]
        on = draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []
        p = {**domain, "when": {n: draw(st.sampled_from(allowed[n])) for n in on}}
        counts = [n for n in earlier if n in ("c", "e")]
        if counts and draw(st.booleans()):
            p["repeat"] = draw(st.sampled_from(counts))
        parameters[name] = p
    shuffled = draw(st.permutations(list(parameters.items())))
    return {**BASE, "parameters": dict(shuffled)}


@given(tangles())
@QUICK
def test_what_depends_on_each_other_is_counted_as_enumeration_does(document: dict[str, Any]):
    try:
        space = load_space(document)
    except NasError as error:  # conditions that exclude each other
        assume("can never be active" not in error.what)
        raise
    assert space.size().discrete == sum(1 for _ in space.enumerate())


BLOCKS = 30


@pytest.mark.parametrize("first", ["operations", "kernels"])
def test_a_space_of_many_conditions_is_counted_at_once(first: str):
    operations = {f"op{i}": {"choice": ["conv", "dw", "skip"]} for i in range(BLOCKS)}
    kernels = {
        f"k{i}": {"choice": [3, 5, 7], "when": {f"op{i}": ["conv", "dw"]}} for i in range(BLOCKS)
    }
    both = [operations, kernels] if first == "operations" else [kernels, operations]
    began = time.process_time()
    space = load_space({**BASE, "parameters": {**both[0], **both[1]}})
    assert space.size().discrete == 7**BLOCKS
    assert len(list(itertools.islice(space.enumerate(), 3))) == 3
    assert time.process_time() - began < 5


def test_blocks_that_are_there_up_to_a_depth_are_counted_at_once():
    parameters: dict[str, Any] = {"depth": {"int": [1, BLOCKS]}}
    for i in range(1, BLOCKS + 1):
        parameters[f"op{i}"] = {"choice": ["conv", "dw", "skip"], "when": {"depth": {"min": i}}}
    for i in range(1, BLOCKS + 1):
        parameters[f"k{i}"] = {"choice": [3, 5, 7], "when": {f"op{i}": ["conv", "dw"]}}
    began = time.process_time()
    space = load_space({**BASE, "parameters": parameters})
    assert space.size().discrete == sum(7**n for n in range(1, BLOCKS + 1))
    assert time.process_time() - began < 5


def test_conditions_whose_paths_meet_again_are_ordered_at_once():
    ladder: dict[str, Any] = {"p0": {"bool": True}, "p1": {"bool": True}}
    for i in range(2, 60):
        ladder[f"p{i}"] = {"bool": True, "when": {f"p{i - 1}": True, f"p{i - 2}": True}}
    began = time.process_time()
    space = load_space({**BASE, "parameters": ladder})
    # p0 off, p1 on or off; p0 on, and the first that is off is p1 to p59, or none
    assert space.size().discrete == 2 + 60
    assert time.process_time() - began < 5


def test_a_huge_int_is_used_without_a_list_of_its_values():
    most = 2**53
    n = {"int": [1, most], "log": True}
    space = load_space({**BASE, "parameters": {"n": n, "m": {"int": [0, most], "step": 3}}})
    assert space.size().discrete == most * (most // 3 + 1)
    rng = np.random.default_rng(0)
    a = space.mutate(space.sample(rng), rng)
    assert space.neighbours(a, rng)
    assert space.architecture({"n": 5.0, "m": 3}) == space.architecture({"n": 5, "m": 3})
    for wrong in (1.5, -1, float("inf")):
        with pytest.raises(NasError, match=r"cannot be .*\n  it is in \[1, 9007199254740992\]"):
            space.architecture({"n": wrong, "m": 3})


@given(documents(finite=True), st.integers(0, 2**32))
@QUICK
def test_a_finite_space_holds_all_that_is_sampled_and_moved_to(document, seed: int):
    space, rng = load_space(document), np.random.default_rng(seed)
    everything = set(space.enumerate())
    a = space.sample(rng)
    moved = space.mutate(a, rng)
    near = space.neighbours(a, rng)
    assert {a, moved, *near} <= everything
    assert a not in near
    assert len(near) == len(set(near))
    values = {p.name: p.values for p in space.parameters}
    if any(len(values[name]) > 1 for name in a if a[name] != ()):
        assert moved != a
        assert near
    else:
        assert moved == a


def test_a_mutated_float_always_moves_away_from_its_bound():
    space = load_space({**BASE, "parameters": {"tau": {"float": [1.1, 8.0], "log": True}}})
    edge = space.architecture({"tau": 8.0})
    moved = [space.mutate(edge, np.random.default_rng(seed)) for seed in range(20)]
    assert edge not in moved


DOCUMENT: dict[str, Any] = {
    **BASE,
    "parameters": {
        "depth": {"int": [0, 3]},
        "shift": {"choice": [0, 0.125, 0.25], "repeat": "depth"},
        "neuron": {"choice": ["plif", "lif"]},
        "tau": {"float": [1.1, 8.0], "log": True, "when": {"neuron": "plif"}},
    },
}
GOOD = {"depth": 2, "shift": [0, 0.25], "neuron": "plif", "tau": 2.0}


@pytest.fixture
def space() -> Space:
    return load_space(DOCUMENT)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dpeth": 1}, r"unknown parameter 'dpeth'(?s:.)*did you mean 'depth'"),
        ({"tau": None}, "'tau' is missing(?s:.)*neuron in \\['plif'\\]"),
        ({"neuron": "lif"}, "'tau' is set, but inactive"),
        ({"tau": 8.1}, "'tau' cannot be 8.1(?s:.)*1.1, 8.0"),
        ({"tau": float("nan")}, "'tau' cannot be nan"),
        ({"tau": True}, "'tau' cannot be True"),
        ({"depth": True}, "'depth' cannot be True"),
        ({"depth": 1.5}, "'depth' cannot be 1.5"),
        ({"depth": [2]}, "'depth' cannot be"),
        ({"shift": [0]}, "needs a list of 2 values, one per depth"),
        ({"shift": 0}, "needs a list of 2 values"),
        ({"shift": [0, 0.3]}, r"'shift' cannot be 0\.3(?s:.)*0\.125"),
        ({"shift": [0, False]}, "'shift' cannot be False"),
    ],
)
def test_an_assignment_outside_the_space_is_refused(space: Space, change, says: str):
    values = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(NasError, match=says) as error:
        space.architecture(values, where="best/architecture.yaml")
    assert str(error.value).startswith("best/architecture.yaml: ")


def test_a_number_takes_the_form_of_its_domain(space: Space):
    a = space.architecture({**GOOD, "depth": 2.0, "shift": (0.0, 0.25), "tau": 2})
    assert a == space.architecture(GOOD)


def test_no_block_means_an_empty_list(space: Space):
    assert space.architecture({**GOOD, "depth": 0, "shift": []})["shift"] == ()


def test_a_step_reaches_exactly_the_decimals_a_person_would_write():
    tenths = {**BASE, "parameters": {"x": {"float": [-0.3, 0.3], "step": 0.1}}}
    assert list(load_space(tenths).parameter("x").values) == [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]


def test_the_values_of_a_stepped_float_are_distinct_and_within_its_bounds():
    fine = {**BASE, "parameters": {"x": {"float": [1000.1, 1000.5], "step": 0.1}}}
    values = list(load_space(fine).parameter("x").values)
    assert values == sorted(set(values))
    assert 1000.1 <= min(values) <= max(values) <= 1000.5


@pytest.mark.parametrize("log", [False, True])
def test_samples_of_an_int_reach_both_ends_and_nothing_else(log: bool):
    space = load_space({**BASE, "parameters": {"n": {"int": [2, 8], "step": 2, "log": log}}})
    rng = np.random.default_rng(0)
    assert {space.sample(rng)["n"] for _ in range(200)} == {2, 4, 6, 8}


def test_half_of_a_log_float_lies_below_the_geometric_mean():
    """0.01 to 100: half of the draws below 1, not one in a hundred; 4 sigma of 1000 coins."""
    space = load_space({**BASE, "parameters": {"x": {"float": [0.01, 100], "log": True}}})
    rng = np.random.default_rng(0)
    assert abs(sum(space.sample(rng)["x"] < 1 for _ in range(1000)) - 500) < 64


def test_crossing_takes_every_gene_and_every_block_from_a_parent(space: Space):
    a = space.architecture({"depth": 3, "shift": [0, 0, 0], "neuron": "lif"})
    b = space.architecture({"depth": 2, "shift": [0.25, 0.25], "neuron": "plif", "tau": 2.0})
    for seed in range(30):
        child = space.cross(a, b, np.random.default_rng(seed))
        assert child["depth"] in (2, 3)
        assert child.get("tau", 2.0) == 2.0
        assert set(child["shift"]) <= {0, 0.25}
        assert child["shift"][2:] in ((), (0,))  # only one parent has a third block


def test_architectures_are_equal_exactly_when_their_values_are(space: Space):
    everything = [{"n": n, "t": t} for n, t in itertools.product((0, 1, True), ((), (1,), (1, 1)))]
    built = [Architecture(v) for v in everything]
    assert len(set(built)) == len({a.hash for a in built}) == len(everything)
    assert Architecture({"b": 1, "a": [2]}) == Architecture({"a": (2,), "b": 1})


def test_an_architecture_is_frozen(space: Space):
    a = space.architecture(GOOD)
    with pytest.raises(TypeError):
        a["depth"] = 1  # type: ignore[index]
    a.as_dict()["shift"].append(1)
    assert a["shift"] == (0, 0.25)
    with pytest.raises((AttributeError, TypeError)):
        a.hash = "other"


def test_a_hash_is_the_same_in_every_process():
    code = (
        "from search_spaces.architecture import Architecture as A\n"
        f"print(A({dict(reversed(GOOD.items()))!r}).hash)"
    )
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        got = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert got.stdout.strip() == Architecture(GOOD).hash, got.stderr


def test_an_architecture_is_a_dict_to_read_that_nothing_can_change():
    a = Architecture({"depth": 2, "shift": [0, 0.25], "gate": True})
    assert json.loads(json.dumps(a)) == {"depth": 2, "shift": [0, 0.25], "gate": True}
    assert a == {"depth": 2, "shift": [0, 0.25], "gate": True} == a
    assert a != {"depth": 2, "shift": [0, 0.25], "gate": 1}
    assert all(a != other for other in ({"depth": 2}, 3, {3: object()}))
    assert {**a, "depth": 3}["depth"] == 3
    for change in (
        lambda: a.update(depth=3),
        lambda: a.pop("depth"),
        lambda: a.popitem(),
        lambda: a.clear(),
        lambda: a.setdefault("x", 1),
        lambda: a.__setitem__("depth", 3),
        lambda: a.__delitem__("depth"),
        lambda: a.__ior__({"depth": 3}),
        lambda: setattr(a, "_hash", "x"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            change()
    assert a["depth"] == 2
    assert copy.deepcopy(a) == a == pickle.loads(pickle.dumps(a))
