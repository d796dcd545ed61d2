"""What an export says: its card has every figure with a command, its files are all there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.export import read_folder, write_folder
from nas.hardware.loading import read_model
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

from .hardware_nets import SMALL, export_folder

METRICS: dict[str, Any] = {
    "measured_on": "validation speakers",
    "measured_by": {
        "command": "nas search --space small",
        "date": "2026-11-21",
        "machine": {"cores": 7, "processor": "abacus"},
    },
    "wa": 0.625,
    "ua": 0.65,
    "spikes": 12,
    "folds": [
        {"held": "ann", "utterances": 3, "wa": 0.5, "ua": 0.25},
        {"held": "bob", "utterances": 5, "wa": 0.75, "ua": 1.0},
    ],
    "confusion": [[3, 1], [2, 2]],
    "confirmed": [
        {"model": "x", "fold": f, "seed": s, "wa": w, "ua": w, "macro_f1": w, "energy": 2e-9}
        for f, s, w in [("ann", 0, 0.5), ("ann", 1, 0.75), ("bob", 0, 0.25), ("bob", 1, 0.5)]
    ],
}


def write(folder: Path, metrics: dict[str, Any], **more: Any) -> str:
    config = {
        "space": "small",
        "classes": ["calm", "loud|shrill"],
        "run": {"folder": "my runs/1", "command": "nas search --space small"},
        "held_out": {"test": "bob"},
        **more,
    }
    write_folder(folder, Architecture({"x": 1}), config, metrics, None)
    return (folder / "README.md").read_text()


def test_every_figure_is_on_the_card_with_the_command_that_made_it(tmp_path: Path) -> None:
    card = write(tmp_path / "best", METRICS)
    assert "By `nas search --space small`, 2026-11-21, 7 cores of abacus." in card
    for row in (
        "| wa | 0.625 |",
        "| spikes | 12 |",
        "| ann | 3 | 0.5 | 0.25 |",
        "| calm | 3 | 1 | 0.75 |",
        "| loud\\|shrill | 2 | 2 | 0.5 |",
        "| ann | 1 | 0.75 | 0.75 | 0.75 | 2e-09 |",
    ):
        assert row in card
    assert "by `nas confirm 'my runs/1' --seeds 2`" in card
    # the folds' means are 0.625 and 0.375: t(1) is 12.706, the standard error 0.125
    sd = np.std([0.5, 0.75, 0.25, 0.5], ddof=1)
    low, high = 0.5 - 12.7062 * 0.125, 0.5 + 12.7062 * 0.125
    assert f"| ua | 0.5 | {sd:.6g} | {low:.6g} to {high:.6g} | 0.375 |" in card
    assert "fold bob alone" in card


def test_a_bar_in_a_name_ends_no_cell_of_a_heading_either(tmp_path: Path) -> None:
    lines = write(tmp_path / "best", METRICS).splitlines()
    [start] = [i for i, line in enumerate(lines) if line.startswith("| true ")]
    assert lines[start] == "| true \\ predicted | calm | loud\\|shrill | recall |"
    assert lines[start + 1] == "| --- | --- | --- | --- |"


def test_figures_without_a_command_of_their_own_are_of_the_one_that_writes(
    tmp_path: Path,
) -> None:
    write(tmp_path / "best", {"measured_on": "-", "ua": 0.5})
    told = json.loads((tmp_path / "best" / "environment.json").read_text())
    metrics = json.loads((tmp_path / "best" / "metrics.json").read_text())
    assert metrics["measured_by"]["command"] == told["command"]
    assert f"By `{told['command']}`" in (tmp_path / "best" / "README.md").read_text()


def test_the_environment_is_told_in_one_place(tmp_path: Path) -> None:
    write(tmp_path / "best", {"ua": 0.5}, environment={"nas": "of the export it was made from"})
    assert "environment" not in json.loads((tmp_path / "best" / "config.json").read_text())
    told = json.loads((tmp_path / "best" / "environment.json").read_text())
    assert set(told) == {"nas", "date", "command", "versions", "machine"}
    assert told["versions"]["torch"]


def test_an_export_of_before_loads_and_names_its_version(tmp_path: Path) -> None:
    """Before the environment had a file, and the corpus its folds."""
    best = tmp_path / "best"
    export_folder(best, SMALL)
    config = json.loads((best / "config.json").read_text())
    (best / "environment.json").unlink()
    config["environment"] = {"nas": "0.0.9"}
    (best / "config.json").write_text(json.dumps(config))
    assert read_folder(best).config["environment"] == {"nas": "0.0.9"}
    assert read_model(best).classes
    (best / "config.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(NasError) as caught:
        read_folder(best)
    assert "written by nas 0.0.9" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [('{"nas": "7.1"}', "nas 7.1"), ("[1]", "nas unknown"), ("{", "nas unknown")],
)
def test_an_export_of_another_format_names_the_version_in_its_file(
    content: str, said: str, tmp_path: Path
) -> None:
    write(tmp_path / "best", {"ua": 0.5})
    config = json.loads((tmp_path / "best" / "config.json").read_text())
    (tmp_path / "best" / "config.json").write_text(json.dumps({**config, "format": 99}))
    (tmp_path / "best" / "environment.json").write_text(content)
    with pytest.raises(NasError) as caught:
        read_folder(tmp_path / "best")
    assert said in str(caught.value)
