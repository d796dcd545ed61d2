from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from search_spaces.errors import NasError
from search_spaces.families import FAMILIES, get_family
from search_spaces.schema import load_space, packaged_spaces, parse_space
from search_spaces.yaml_source import Source, parse_yaml

HEAD = get_family("pts_snn")

BAD_SPACES = {
    "unknown parameter": (
        "encoder.dept: {int: [1, 4]}", "", "s.yaml:3:parameters.encoder.dept",
        "did you mean 'encoder.depth'",
    ),
    "value it cannot build": (
        "neuron.type: {choice: [plif, izhikevich]}", "", "s.yaml:3:parameters.neuron.type.choice",
        "'izhikevich'",
    ),
    "number below its least": (
        "neuron.tau: {float: [0.5, 2.0]}", "", "s.yaml:3:parameters.neuron.tau.float",
        "at least 1.0001",
    ),
    "number above its most": (
        "encoder.shift: {choice: [0, 0.75]}", "", "s.yaml:3:parameters.encoder.shift.choice",
        "at most 0.5",
    ),
    "word for a number": (
        "encoder.width: {choice: [16, wide]}", "", "s.yaml:3:parameters.encoder.width.choice",
        "must be a number",
    ),
    "bool for a number": (
        "encoder.width: bool", "", "s.yaml:3:parameters.encoder.width", "must be a number",
    ),
    "half a channel": (
        "encoder.width: {choice: [16, 16.5]}", "", "s.yaml:3:parameters.encoder.width.choice",
        "whole number",
    ),
    "whole bounds, but a continuous range": (
        "encoder.width: {float: [16, 64]}", "", "s.yaml:3:parameters.encoder.width.float",
        "whole number",
    ),
    "repeat of a parameter that is not": (
        "neuron.tau: {choice: [2], repeat: encoder.depth}", "  encoder.depth: {int: [1, 2]}\n",
        "s.yaml:3:parameters.neuron.tau.repeat", "is not repeated",
    ),
    "repeat by another": (
        "encoder.shift: {choice: [0], repeat: encoder.width}",
        "  encoder.width: {int: [1, 2]}\n",
        "s.yaml:3:parameters.encoder.shift.repeat", "is repeated by 'encoder.depth'",
    ),
    "unknown objective": (
        "encoder.depth: {int: [1, 4]}", "objectives:\n  enregy: minimize\n",
        "s.yaml:5:objectives.enregy", "did you mean 'energy'",
    ),
    "unknown constraint": (
        "encoder.depth: {int: [1, 4]}", "constraints: {prameters: {max: 9}}\n",
        "s.yaml:4:constraints.prameters", "did you mean 'parameters'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "rest", "where", "says"), BAD_SPACES.values(), ids=BAD_SPACES
)
def test_a_family_refuses_what_it_would_have_to_ignore(parameter, rest, where, says):
    text = f"name: s\nparameters:\n  {parameter}\n{rest}"
    text += "" if "objectives" in rest else "objectives: {ua: maximize}\n"
    document, source = parse_yaml(text, "s.yaml")
    space = parse_space(document, source)
    with pytest.raises(NasError) as error:
        HEAD.check_space(space, source)
    assert str(error.value).startswith(where)
    assert says in str(error.value)
    with pytest.raises(NasError, match=r"^s:"):  # without the file, by the name of the space
        HEAD.check_space(space)


@pytest.mark.parametrize("name", sorted(packaged_spaces()))
def test_a_packaged_space_can_be_built_by_its_family(name: str):
    space = load_space(name)
    assert space.name == name
    get_family(space.family).check_space(space)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_builds_with_every_default(name: str):
    events = FAMILIES[name].input == "event frames"
    network = FAMILIES[name].build({}, (4, 2, 8, 8) if events else 5, 3).eval()
    frames = torch.rand(2, 4, 128) if events else torch.randn(2, 4, 5)
    assert network(frames).shape == (2, 3)
    for slot in FAMILIES[name].slots.values():
        assert slot.problem(slot.default) is None


@pytest.mark.parametrize(
    ("slot", "value"),
    [
        (name, value)
        for name, slot in HEAD.slots.items()
        for value in (slot.choices or (slot.low, slot.high))
        if name != "encoder.width" or value == slot.low
    ],
)
def test_the_head_builds_at_every_edge_of_a_slot(slot: str, value: Any):
    """Together with what the slot has a meaning with; 64 heads need a channel pair each."""
    values = {"encoder.width": 256 if slot == "attention.heads" else 8, slot: value}
    needed = HEAD.only_when.get(slot)
    while needed is not None:
        parent, allowed = needed
        values[parent] = values.get(parent, allowed[-1])
        needed = HEAD.only_when.get(parent)
    network = HEAD.build(values, 5, 3)
    assert network(torch.randn(2, 4, 5)).isfinite().all()


@pytest.mark.parametrize("slot", HEAD.only_when)
def test_a_parameter_without_what_it_needs_is_refused(slot: str):
    parent, allowed = HEAD.only_when[slot]
    other = next(v for v in HEAD.slots[parent].choices if v not in allowed)
    values = {"calibration.kind": "dynamic", parent: other, slot: HEAD.slots[slot].default}
    with pytest.raises(NasError, match=f"{slot} has no meaning"):
        HEAD.build(values, 5, 3)


def test_a_space_that_would_have_to_be_ignored_in_part_is_refused_where_it_says_so():
    source = Source("s.yaml", {("parameters", "prompt.length"): 7})
    space = load_space(
        {
            "name": "s",
            "family": "pts_snn",
            "parameters": {
                "calibration.kind": {"choice": ["static", "dynamic"]},
                "prompt.length": {"int": [1, 4]},
            },
            "objectives": {"ua": "maximize"},
        }
    )
    with pytest.raises(NasError, match=r"s\.yaml:7:parameters\.prompt\.length") as error:
        HEAD.check_space(space, source)
    assert "when: {calibration.kind: [dynamic]}" in str(error.value)


def test_a_parameter_left_out_takes_the_default_once_per_block():
    full = HEAD.filled({"encoder.depth": 3})
    assert full["encoder.shift"] == [0.125, 0.125, 0.125]
    assert full["encoder.width"] == 128
    assert HEAD.filled({"encoder.depth": 2, "encoder.shift": 0.25})["encoder.shift"] == [0.25] * 2
    assert HEAD.filled({"encoder.depth": 0})["encoder.shift"] == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"encoder.widht": 8}, "did you mean 'encoder.width'"),
        ({"neuron.type": "izhikevich"}, "cannot build neuron.type='izhikevich'"),
        ({"encoder.depth": 1.5}, "whole number"),
        ({"encoder.shift": [0.1, 0.6], "encoder.depth": 2}, "cannot build encoder.shift=0.6"),
        ({"neuron.tau": float("nan")}, "neuron.tau"),
        ({"encoder.width": float("nan")}, "encoder.width"),
        ({"encoder.shift": [0.1], "encoder.depth": 2}, "encoder.shift"),
        ({"encoder.width": [16]}, "encoder.width"),
    ],
)
def test_a_family_refuses_to_build_from_wrong_values(values: dict[str, Any], says: str):
    with pytest.raises(NasError) as error:
        HEAD.build(values, 5, 3)
    assert says in str(error.value)


def test_an_unknown_family_lists_the_nearest():
    with pytest.raises(NasError, match=r"unknown family 'pts_sn'(?s:.)*did you mean 'pts_snn'"):
        get_family("pts_sn")


def test_a_space_without_a_family_is_told_what_to_add():
    with pytest.raises(NasError, match="add `family: pts_snn`"):
        get_family(None)


def test_a_third_party_family_is_found_by_module_and_attribute(tmp_path, monkeypatch):
    (tmp_path / "their_heads.py").write_text(
        "from search_spaces.families import Family\n"
        "HEAD = Family('theirs', 'their_heads:build', {}, ('ua',))\n"
        "build = lambda values, input_dim, n_classes: (input_dim, n_classes)\n"
        "NONE = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert get_family("their_heads:HEAD").build({}, 5, 3) == (5, 3)
    for wrong in ("their_heads:NONE", "their_heads:MISSING", "their_haeds:HEAD"):
        with pytest.raises(NasError, match=wrong):
            get_family(wrong)


def test_every_metric_that_the_head_promises_is_named_once():
    assert all(a != b for a, b in itertools.combinations(HEAD.metrics, 2))
    assert {"wa", "ua", "energy", "parameters", "latency"} <= set(HEAD.metrics)
