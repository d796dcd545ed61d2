from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import NasError
from search_spaces.schema import find_space, json_schema, load_space, packaged_spaces, parse_space
from search_spaces.space import Constraint
from search_spaces.yaml_source import parse_yaml

EXAMPLE = """\
name: example
parameters:
  encoder.depth: {int: [1, 4]}
  encoder.width: {choice: [128, 256, 384]}
  encoder.shift: {choice: [0.0, 0.125, 0.25], repeat: encoder.depth}
  neuron.type: {choice: [plif, ttfs]}
  neuron.tau: {float: [1.1, 8.0], log: true, when: {neuron.type: plif}}
objectives: {wa: maximize, ua: maximize, energy: minimize}
constraints: {parameters: {max: 1200000}}
"""


def read(text: str) -> Any:
    return parse_space(*parse_yaml(text, "s.yaml"))


def space(*parameters: str, rest: str = "objectives: {wa: maximize}") -> str:
    """Line 1 is the name, line 2 ``parameters:``, line 3 the first parameter."""
    return "\n".join(("name: s", "parameters:", *(f"  {p}" for p in parameters), rest, ""))


def test_the_example_space_parses():
    s = read(EXAMPLE)
    assert [p.name for p in s.parameters] == [
        "encoder.depth", "encoder.width", "encoder.shift", "neuron.type", "neuron.tau"
    ]  # fmt: skip
    assert list(s.parameter("encoder.depth").values) == [1, 2, 3, 4]
    assert s.parameter("encoder.shift").repeat == "encoder.depth"
    tau = s.parameter("neuron.tau")
    assert (tau.kind, tau.low, tau.high, tau.log, tau.values) == ("float", 1.1, 8.0, True, None)
    assert dict(s.objectives) == {"wa": "maximize", "ua": "maximize", "energy": "minimize"}
    assert s.constraints == (Constraint("parameters", None, 1200000),)
    assert s.constraints[0].violation(1_200_000) == 0
    assert s.constraints[0].violation(1_200_007) == 7


def test_the_example_space_counts_what_brute_force_finds():
    """(3 + 9 + 27 + 81) shifts, 3 widths, 2 neurons; tau is continuous and counts once."""
    found = {
        (depth, width, shift, neuron)
        for depth in range(1, 5)
        for width in (128, 256, 384)
        for shift in itertools.product((0.0, 0.125, 0.25), repeat=depth)
        for neuron in ("plif", "ttfs")
    }
    size = read(EXAMPLE).size()
    assert size.discrete == len(found) == 720
    assert size.continuous == ("neuron.tau",)
    assert not size.finite


A = "a: {int: [1, 4]}"
EXTRA = ("description", "family", "data", "searcher", "constraints")
BOTH = ("a: {choice: [x, y]}", "b: {choice: [1, 2], when: {a: x}}")
MALFORMED = {
    "misspelt top key": (
        "name: s\nparamters: {a: bool}\nobjectives: {wa: maximize}",
        "s.yaml:2:paramters", "did you mean 'parameters'",
    ),
    "misspelt parameter key": (
        space(A, "b: {int: [1, 4], reapeat: a}"), "s.yaml:4:parameters.b.reapeat", "'repeat'?"
    ),
    "float in an int": (space("a: {int: [1, 2.5]}"), "s.yaml:3:parameters.a.int.1", "2.5"),
    "bool in an int": (space("a: {int: [1, true]}"), "s.yaml:3:parameters.a.int.1", "True"),
    "text for a list": (space("a: {choice: x}"), "s.yaml:3:parameters.a.choice", "'x'"),
    "number for a parameter": (space("a: 3"), "s.yaml:3:parameters.a", "3"),
    "log is no bool": (space("a: {int: [1, 2], log: 1}"), "s.yaml:3:parameters.a.log", "1"),
    "no choice": (space("a: {choice: []}"), "s.yaml:3:parameters.a.choice", "1 item"),
    "no kind": (space("a: {}"), "s.yaml:3:parameters.a", "exactly one of"),
    "two kinds": (
        space("a: {int: [1, 2], choice: [1]}"), "s.yaml:3:parameters.a", "not int and choice"
    ),
    "empty range": (space("a: {int: [3, 1]}"), "s.yaml:3:parameters.a.int", "write [1, 3]"),
    "NaN bound": (space("a: {float: [.nan, 1]}"), "s.yaml:3:parameters.a.float", "finite"),
    "infinite bound": (space("a: {float: [0, .inf]}"), "s.yaml:3:parameters.a.float", "finite"),
    "log from 0": (space("a: {float: [0, 1], log: true}"), "s.yaml:3:parameters.a.log", "above 0"),
    "step of 0": (space("a: {int: [0, 4], step: 0}"), "s.yaml:3:parameters.a.step", "positive"),
    "step of a choice": (
        space("a: {choice: [1, 2], step: 1}"), "s.yaml:3:parameters.a.step", "no meaning"
    ),
    "duplicate choice": (space("a: {choice: [x, y, x]}"), "s.yaml:3:parameters.a.choice", "twice"),
    "repeat of a choice": (
        space("a: {choice: [1, 2]}", "b: {int: [1, 2], repeat: a}"),
        "s.yaml:4:parameters.b.repeat", "cannot count",
    ),
    "repeat of a repeated": (
        space(A, "b: {int: [1, 2], repeat: a}", "c: {int: [1, 2], repeat: b}"),
        "s.yaml:5:parameters.c.repeat", "cannot count",
    ),
    "repeat of nothing": (
        space("depth: {int: [1, 2]}", "b: {int: [1, 2], repeat: detph}"),
        "s.yaml:4:parameters.b.repeat", "did you mean 'depth'",
    ),
    "condition on an unknown parameter": (
        space("alpha: {int: [1, 4]}", "b: {choice: [1, 2], when: {alhpa: 1}}"),
        "s.yaml:4:parameters.b.when.alhpa", "did you mean 'alpha'",
    ),
    "condition on a value never had": (
        space("a: {choice: [plif, lif]}", "b: {choice: [1, 2], when: {a: pliff}}"),
        "s.yaml:4:parameters.b.when.a", "did you mean 'plif'",
    ),
    "bounds on a choice": (
        space("a: {choice: [1, 2]}", "b: {choice: [1, 2], when: {a: {min: 1}}}"),
        "s.yaml:4:parameters.b.when.a", "need a number",
    ),
    "condition on a continuous parameter": (
        space("a: {float: [0, 1]}", "b: {choice: [1, 2], when: {a: 0.5}}"),
        "s.yaml:4:parameters.b.when.a", "a continuous parameter",
    ),
    "condition on a repeated parameter": (
        space(A, "b: {int: [1, 2], repeat: a}", "c: {int: [1, 2], when: {b: 1}}"),
        "s.yaml:5:parameters.c.when.b", "a repeated parameter",
    ),
    "condition that needs an inactive parameter": (
        space(*BOTH, "c: {choice: [1, 2], when: {a: y, b: 1}}"),
        "s.yaml:5:parameters.c.when", "two values of 'a'",
    ),
    "objective misspelt": (
        space(A, rest="objectives:\n  wa: maximise"),
        "s.yaml:5:objectives.wa", "did you mean 'maximize'",
    ),
    "no objectives": (space(A, rest=""), "s.yaml:1", "'objectives' is missing"),
    "empty objectives": (space(A, rest="objectives: {}"), "s.yaml:4:objectives", "no objective"),
    "constraint without a bound": (
        space(A, rest="objectives: {wa: maximize}\nconstraints: {energy: {}}"),
        "s.yaml:5:constraints.energy", "min, max or both",
    ),
    "key twice": (space(A, "b: bool", A), "s.yaml:5:parameters.a", "first at line 3"),
    "not YAML": ("name: s\n\tparameters: 1", "s.yaml:2", "not valid YAML"),
    "list": ("- name: s", "s.yaml:1", "a space is a mapping"),
    "empty file": ("", "s.yaml", "a space is a mapping"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "where", "says"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_space_says_file_line_key_and_what_to_do(text: str, where: str, says: str):
    with pytest.raises(NasError) as error:
        read(text)
    assert str(error.value).startswith(where)
    assert str(error.value)[len(where)] in ":0123456789"  # the key ends there
    assert says in str(error.value)


def test_a_cycle_is_named():
    text = space(
        "a: {int: [1, 2], when: {c: 1}}",
        "b: {int: [1, 2], when: {a: 1}}",
        "c: {int: [1, 2], when: {b: 1}}",
    )
    with pytest.raises(NasError, match=r"^s\.yaml:[345]:parameters\.[abc]: cyclic") as error:
        read(text)
    rounds = ("a -> c -> b -> a", "c -> b -> a -> c", "b -> a -> c -> b")
    assert any(r in str(error.value) for r in rounds)


HOSTILE = {
    "date that is none": (space("a: 2020-13-45"), "s.yaml:3"),
    "binary number without digits": (space("a: {int: [0b_, 3]}"), "s.yaml:3"),
    "int that no float can hold": (space(f"a: {{int: [0, {10**400}]}}"), "s.yaml:3"),
    "alias inside its own anchor": (space("a: &x {choice: *x}"), "s.yaml:3"),
    "NaN step": (space("a: {float: [0, 1], step: .nan}"), "s.yaml:3:parameters.a.step"),
    "infinite step": (space("a: {float: [0, 1], step: .inf}"), "s.yaml:3:parameters.a.step"),
    "NaN choice": (space("a: {choice: [.nan, 1]}"), "s.yaml:3:parameters.a.choice"),
    "NaN constraint": (
        space(A, rest="objectives: {wa: maximize}\nconstraints: {energy: {max: .nan}}"),
        "s.yaml:5:constraints.energy",
    ),
    "ints beyond every float": (space(f"a: {{int: [1, {10**26}]}}"), "s.yaml:3:parameters.a.int"),
    "a million steps": (space("a: {float: [0, 1], step: 1.0e-6}"), "s.yaml:3:parameters.a.step"),
    "steps beyond counting": (
        space("a: {float: [0, 1], step: 1.0e-310}"),
        "s.yaml:3:parameters.a.step",
    ),
    "condition on a huge int": (
        space("a: {int: [1, 1000000000000]}", "b: {int: [1, 2], when: {a: {min: 2}}}"),
        "s.yaml:4:parameters.b.when.a",
    ),
    "a billion blocks": (
        space("a: {int: [1, 1000000000]}", "b: {int: [1, 2], repeat: a}"),
        "s.yaml:4:parameters.b.repeat",
    ),
    "bool: 1": (space("a: {bool: 1}"), "s.yaml:3:parameters.a.bool"),
}


@pytest.mark.parametrize(("text", "where"), HOSTILE.values(), ids=HOSTILE)
def test_a_value_that_no_space_can_hold_is_refused_where_it_stands(text: str, where: str):
    with pytest.raises(NasError) as error:
        read(text)
    assert str(error.value).startswith(where)


@pytest.mark.parametrize("value", ["null", "[1, 2]", "2020-01-01", "{x: 1}"])
@pytest.mark.parametrize("key", ["choice", "when"])
def test_what_is_no_value_is_told_so(key: str, value: str):
    texts = {
        "choice": space(f"a: {{choice: [x, {value}]}}"),
        "when": space("b: bool", f"a: {{int: [1, 2], when: {{b: [true, {value}]}}}}"),
    }
    with pytest.raises(NasError) as error:
        read(texts[key])
    where = {"choice": "s.yaml:3:parameters.a.choice.1", "when": "s.yaml:4:parameters.a.when.b.1"}
    assert str(error.value).startswith(f"{where[key]}: ")
    assert "a value is a word, a number, true or false, not " in str(error.value)
    assert "datetime" not in str(error.value)


def test_true_and_1_are_two_choices():
    assert read(space("a: {choice: [1, true]}")).size().discrete == 2


def test_a_condition_may_come_before_its_parameter():
    s = read(space("b: {choice: [1, 2], when: {a: x}}", "a: {choice: [x, y]}"))
    assert [p.name for p in s.parameters] == ["a", "b"]


@pytest.mark.parametrize(
    ("bounds", "active"), [("{min: 3}", {3, 4}), ("{max: 1}", {1}), ("{min: 2, max: 3}", {2, 3})]
)
def test_bounds_in_a_condition_include_their_ends(bounds: str, active: set[int]):
    s = read(space(A, f"b: {{choice: [x], when: {{a: {bounds}}}}}"))
    assert {a["a"] for a in s.enumerate() if "b" in a} == active


@pytest.mark.parametrize("short", ["bool", "{bool: true}", "{bool: }", "{bool: {}}"])
def test_every_way_to_write_a_bool_has_both_values(short: str):
    assert list(read(space(f"a: {short}")).parameter("a").values) == [False, True]


@pytest.mark.parametrize("name", ["pts_snn", "pts_snn.yaml"])
def test_a_packaged_space_is_found_by_name(name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_space(name) == packaged_spaces()["pts_snn"]
    assert load_space(name).name == "pts_snn"


def test_a_file_wins_over_a_packaged_space_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pts_snn.yaml").write_text(space(A), encoding="utf-8")
    assert load_space("pts_snn.yaml").name == "s"


def test_a_packaged_name_in_another_folder_is_not_found(tmp_path):
    with pytest.raises(NasError, match="no space"):
        find_space(tmp_path / "pts_snn.yaml")


def test_an_unknown_space_lists_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NasError, match=r"no space 'pts_sn.yaml'(?s:.)*did you mean 'pts_snn'"):
        find_space("pts_sn.yaml")


def test_the_json_schema_is_json_and_closed_to_unknown_keys():
    schema = json.loads(json.dumps(json_schema()))
    assert set(schema["required"]) == {"name", "parameters", "objectives"}
    assert set(schema["properties"]) == {*schema["required"], *EXTRA}
    one = schema["$defs"]["ParameterModel"]
    assert {"int", "float", "choice", "bool", "step", "log", "repeat", "when"} == {
        *one["properties"]
    }
    assert schema["additionalProperties"] is one["additionalProperties"] is False
    short, long = schema["properties"]["objectives"]["additionalProperties"]["anyOf"]
    assert set(short["enum"]) == {"maximize", "minimize"}
    assert set(long["properties"]) == {"maximize", "minimize", "profile"}


def test_numbers_and_words_are_read_as_people_write_them():
    """1e-4 is a number and `on` a word, as in YAML 1.2; PyYAML follows 1.1."""
    text = (
        "name: s\nparameters:\n  rate: {float: [1e-4, 1], log: true}\n"
        "  gate: {choice: [on, off]}\n  flag: {choice: [true, no]}\nobjectives: {ua: maximize}\n"
    )
    found = read(text)
    assert (found.parameter("rate").low, found.parameter("rate").high) == (1e-4, 1.0)
    assert found.parameter("gate").choices == ("on", "off")
    assert found.parameter("flag").choices == (True, "no")


def test_a_space_may_cut_recordings():
    assert read(EXAMPLE).max_seconds is None
    assert read(EXAMPLE + "data: {max_seconds: 12}\n").max_seconds == 12
    assert read(EXAMPLE + "data: {max_seconds: 0.5}\n").max_seconds == 0.5


@pytest.mark.parametrize(
    ("data", "where", "told"),
    [
        ("{max_second: 12}", "s.yaml:10:data.max_second", "did you mean 'max_seconds'"),
        ("{max_seconds: 0}", "s.yaml:10:data.max_seconds", "greater than or equal to 0.025"),
        ("{max_seconds: .inf}", "s.yaml:10:data.max_seconds", "less than or equal to 1000000"),
        ("{max_seconds: .nan}", "s.yaml:10:data.max_seconds", "greater than or equal to 0.025"),
        ("{max_seconds: long}", "s.yaml:10:data.max_seconds", "not 'long'"),
        ("12", "s.yaml:10:data", "valid dictionary, not 12"),
    ],
)
def test_mistakes_in_what_is_asked_of_the_data(data: str, where: str, told: str):
    with pytest.raises(NasError) as caught:
        read(EXAMPLE + f"data: {data}\n")
    assert caught.value.where == where
    assert told in str(caught.value)
