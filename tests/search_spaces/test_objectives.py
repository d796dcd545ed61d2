"""Objectives of a space: the short form, the long one, and the cost model of an energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces.errors import NasError
from search_spaces.schema import load_space, packaged_spaces

SPACE: dict[str, Any] = {"name": "s", "parameters": {"a": {"int": [1, 3]}}}


def written(folder: Path, objectives: Any) -> Path:
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump({**SPACE, "objectives": objectives}, sort_keys=False))
    return path


def test_both_forms_mean_the_same(tmp_path: Path) -> None:
    short = load_space(written(tmp_path, {"ua": "maximize", "energy": "minimize"}))
    long = load_space(written(tmp_path, {"ua": {"maximize": True}, "energy": {"minimize": True}}))
    assert short.objectives == long.objectives == {"ua": "maximize", "energy": "minimize"}
    assert short.profile is long.profile is None
    named = load_space(
        written(tmp_path, {"energy": {"minimize": True, "profile": "loihi"}, "ua": "maximize"})
    )
    assert named.profile == "loihi"
    assert list(named.objectives) == ["energy", "ua"]
    assert load_space(named.definition).profile == "loihi"


def test_the_packaged_spaces_name_no_profile_and_keep_their_definition() -> None:
    for path in packaged_spaces().values():
        space = load_space(path)
        assert space.profile is None
        assert space.definition == yaml.safe_load(path.read_text())


def test_a_file_is_found_beside_the_space_and_its_content_kept(tmp_path: Path) -> None:
    content = {"name": "mine", "unit": "pJ"}  # whether it is a good profile is not asked here
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    space = load_space(written(tmp_path, {"energy": {"minimize": True, "profile": "mine.yaml"}}))
    assert space.profile == str(tmp_path / "mine.yaml")
    assert space.definition["objectives"] == {"energy": {"minimize": True, "profile": content}}
    assert load_space(space.definition).profile == content


@pytest.mark.parametrize(
    ("objectives", "where", "what"),
    [
        (
            {"energy": {"minimise": True}},
            "9:objectives.energy.minimise",
            "did you mean 'minimize'",
        ),
        ({"energy": {}}, "8:objectives.energy", "one direction"),
        ({"energy": {"minimize": False}}, "8:objectives.energy", "one direction"),
        ({"energy": {"minimize": True, "maximize": True}}, "8:objectives.energy", "one direction"),
        ({"ua": {"maximize": True, "profile": "loihi"}}, "10:objectives.ua.profile", "no energy"),
        ({"energy": {"minimize": True, "profile": 3}}, "10:objectives.energy.profile", "not 3"),
        ({"energy": {"minimize": True, "profile": "no.yaml"}}, "10:objectives", "no profile 'no"),
        (
            {
                "energy": {"minimize": True, "profile": "loihi"},
                "energy_with_encoder": {"minimize": True, "profile": "seneca"},
            },
            "13:objectives.energy_with_encoder.profile",
            "one profile",
        ),
        ({"energy": "minimise"}, "8:objectives.energy", "did you mean 'minimize'"),
    ],
)
def test_a_mistake_is_refused_with_its_line(
    objectives: Any, where: str, what: str, tmp_path: Path
) -> None:
    with pytest.raises(NasError, match=f"space.yaml:{where}(?s:.)*{what}"):
        load_space(written(tmp_path, objectives))
