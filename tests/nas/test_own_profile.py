"""A search under a profile of one's own: every later view knows it, and shows it first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import nas
from eval.energy.profile import profile_names
from nas.cli import cli
from nas.robustness import unseen_utterances
from nas.trusted import read_trained
from search_spaces.errors import NasError

from .trainings import speak

OWN = {
    "name": "mine",
    "title": "a chip of my own",
    "source": "measured by me",
    "node": "28 nm",
    "precision": "int8",
    "unit": "pJ",
    "prices": {"synaptic_operation": 3.0, "neuron_update": 20.0},
    "host": "45nm_int8",
    "excludes": ["memory"],
}
SPACE = {
    "name": "small",
    "family": "pts_snn",
    "parameters": {"encoder.width": {"choice": [4, 8]}},
    "objectives": {"ua": "maximize", "energy": {"minimize": True, "profile": "own.yaml"}},
}


def run(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def best(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.yaml").write_text(yaml.safe_dump(OWN))
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))
    study = nas.search(
        space=folder / "space.yaml",
        data=corpus,
        budget=1,
        searcher="random",
        validation_folds=1,
        out=folder / "run",
    )
    run("export", study.folder, "--out", folder / "best")
    return folder / "best"


def test_an_export_is_priced_under_the_profile_of_its_search_too(best: Path) -> None:
    found = run("energy", best)["profiles"]
    assert list(found) == ["mine", *profile_names()]
    recorded = json.loads((best / "metrics.json").read_text())
    assert found["mine"]["energy"] == pytest.approx(recorded["energy"])
    assert found == json.loads((best / "energy.json").read_text())["profiles"]
    [run_folder] = best.parent.glob("run")
    assert list(run("energy", run_folder, "knee")["profiles"]) == ["mine", *profile_names()]
    assert list(run("energy", best, "--profiles", "loihi")["profiles"]) == ["loihi"]


def test_what_weights_were_trained_on_is_known_by_its_content(
    best: Path, corpus: Path, tmp_path: Path
) -> None:
    """Asked for by name, moved or not, it is no other corpus."""
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in corpus.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    said: list[str] = []
    own = unseen_utterances(read_trained(best, ()), None, None, say=said.append)
    for data in (corpus, moved):
        found = unseen_utterances(read_trained(best, ()), str(data), None, say=said.append)
        assert found[1].tolist() == own[1].tolist()
    assert "only what they have not seen" in said[-1]
    out = tmp_path / "mine"
    trained = run("train", best, "--epochs", "1", "--no-baselines", "--out", out)
    assert len(trained["folds"]) == 3
    assert json.loads((out / "metrics.json").read_text())["energy_profile"] == "mine"
    for again in (None, str(corpus), str(moved)):
        with pytest.raises(NasError, match="have seen every utterance"):
            unseen_utterances(read_trained(out, ()), again, None, say=said.append)
    (moved / "ann0.npy").write_bytes((moved / "ann1.npy").read_bytes())
    other = unseen_utterances(read_trained(out, ()), str(moved), None, say=said.append)
    assert len(other[1]) == 24
