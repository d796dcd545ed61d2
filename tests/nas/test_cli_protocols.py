"""Protocols from the first command to the last, and what each of them says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from command import nas

from nas.cli import cli
from search_spaces.errors import NasError

SPACE = (
    "name: tiny\nfamily: mean_pool\nparameters: {hidden: {choice: [0, 2, 3, 4]}}\n"
    "objectives: {ua: maximize}\n"
)
KNOWN_VOICES = "speaker-dependent: tested on voices known from training"


def run(*arguments: str | Path) -> str:
    """Call a command in this process; its stdout."""
    done = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def document(*arguments: str | Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return data


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return speak(tmp_path / "corpus", speakers=4)


def speak(folder: Path, speakers: int, each: int = 6) -> Path:
    """Features of two classes that are easy to tell apart."""
    folder.mkdir()
    lines = ["path,label,speaker"]
    for i in range(speakers * each):
        np.save(
            folder / f"{i}.npy", np.random.default_rng(i).standard_normal((4, 5)) + 3 * (i % 2)
        )
        lines.append(f"{i}.npy,{'ab'[i % 2]},s{i // each}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE)
    return path


def searched(space: Path, folder: Path, out: Path, *more: str | Path) -> Path:
    given = ["--space", space, "--data", folder, "--searcher", "random", "--budget", "1"]
    run("search", *given, "--validation-folds", "1", "--out", out, *more)
    return out


def record(out: Path) -> dict[str, Any]:
    evaluator: dict[str, Any] = yaml.safe_load((out / "run.yaml").read_text())["evaluator"]
    return evaluator


def test_a_protocol_goes_from_the_search_to_the_export(
    space: Path, folder: Path, tmp_path: Path
) -> None:
    out = searched(space, folder, tmp_path / "run", "--protocol", "3-fold-by-speaker")
    kept = record(out)
    assert kept["protocol"] == "3-fold-by-speaker"
    assert kept["speaker_dependent"] is False
    assert kept["test"] == "s0+s3"  # four speakers of six in three folds
    run("search", "--resume", out, "--budget", "2")
    with pytest.raises(NasError, match="protocol: '3-fold-by-speaker' in the run"):
        run("search", "--resume", out, "--protocol", "leave-one-speaker-out")
    done = document("confirm", out, "--seeds", "1", "--only", "knee")
    assert (done["protocol"], done["speaker_dependent"]) == ("3-fold-by-speaker", False)
    assert done["folds"] == ["s0+s3", "s1", "s2"]
    said = run("confirm", out, "--seeds", "1", "--only", "knee")
    assert "3-fold-by-speaker: 3 outer folds" in said
    assert "validation speakers, 3-fold-by-speaker" in run("pareto", out)
    assert KNOWN_VOICES not in said
    best = tmp_path / "best"
    run("export", out, "--out", best)
    assert json.loads((best / "config.json").read_text())["protocol"] == "3-fold-by-speaker"
    assert [r["fold"] for r in document("train", best)["folds"]] == ["s0+s3", "s1", "s2"]
    other = document("train", best, "--protocol", "leave-one-speaker-out")
    assert [r["fold"] for r in other["folds"]] == ["s0", "s1", "s2", "s3"]


def test_known_voices_are_named_by_whatever_shows_results(
    space: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    given = ["--space", space, "--data", folder, "--searcher", "random", "--budget", "1"]
    said = run("search", *given, "--speaker-dependent", "--out", out)
    assert KNOWN_VOICES in said
    assert "validation utterances, speaker-dependent" in said
    assert record(out)["speaker_dependent"] is True
    for command in (("pareto", out), ("show", out, "knee"), ("confirm", out, "--seeds", "1")):
        assert KNOWN_VOICES in run(*command)
        assert document(*command)["speaker_dependent"] is True
    run("pareto", out, "--csv", tmp_path / "front.csv")
    assert "True" in (tmp_path / "front.csv").read_text().splitlines()[1].split(",")
    best, mine = tmp_path / "best", tmp_path / "mine"
    run("export", out, "--out", best)
    assert KNOWN_VOICES in run("train", best, "--out", mine)
    for made in (best, mine):
        assert KNOWN_VOICES.capitalize() in (made / "README.md").read_text()
        metrics = json.loads((made / "metrics.json").read_text())
        assert metrics["speaker_dependent"] is True
        assert "utterances" in metrics["measured_on"]
        assert "speakers" not in metrics["measured_on"]
        assert json.loads((made / "config.json").read_text())["speaker_dependent"] is True
    assert KNOWN_VOICES in run("robustness", best, "--on", "test")
    assert document("robustness", best)["speaker_dependent"] is True
    given = ["--data", folder, "--seeds", "1", "--only", "linear_probe", "--speaker-dependent"]
    assert KNOWN_VOICES in run("baselines", *given)
    assert document("baselines", *given)["speaker_dependent"] is True


def test_folds_of_a_file_outlive_it(space: Path, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "folds.json"
    run("data", "folds", folder, "--protocol", "2-fold-by-speaker", "--out", file)
    out = searched(space, folder, tmp_path / "run", "--folds", file)
    assert record(out)["protocol"] == "file"
    assert re.fullmatch("[0-9a-f]{64}", record(out)["folds"])
    file.unlink()
    run("search", "--resume", out, "--budget", "2")
    done = document("confirm", out, "--seeds", "1", "--only", "knee")
    assert done["folds"] == ["s0+s2", "s1+s3"]
    best, mine = tmp_path / "best", tmp_path / "mine"
    run("export", out, "--out", best)
    again = document("train", best, "--out", mine)
    assert [r["fold"] for r in again["folds"]] == ["s0+s2", "s1+s3"]
    assert document("robustness", mine / ".." / "best", "--on", "test")["utterances"] == 12
    assert (mine / "folds.json").read_bytes() == (best / "folds.json").read_bytes()
    run("data", "folds", folder, "--protocol", "leave-one-speaker-out", "--out", file)
    with pytest.raises(NasError, match=r"not the run that was started: evaluator\.folds"):
        run("search", "--resume", out, "--folds", file)
    (out / "folds.json").write_bytes(file.read_bytes())
    with pytest.raises(NasError, match="not the folds of the record"):
        run("confirm", out)
    (out / "folds.json").unlink()
    with pytest.raises(NasError, match="cannot read the folds of the run"):
        run("export", out, "--out", tmp_path / "none")


def test_a_run_of_before_protocols_had_names(space: Path, folder: Path, tmp_path: Path) -> None:
    out = searched(space, folder, tmp_path / "run")
    path = out / "run.yaml"
    whole = yaml.safe_load(path.read_text())
    assert whole["evaluator"]["protocol"] == "leave-one-speaker-out"
    for key in ("protocol", "speaker_dependent", "folds"):
        del whole["evaluator"][key]
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    assert document("pareto", out)["protocol"] == "automatic"
    run("search", "--resume", out, "--budget", "2")
    done = document("confirm", out, "--seeds", "1", "--only", "knee")
    assert done["folds"] == ["s0", "s1", "s2", "s3"]
    best = tmp_path / "best"
    run("export", out, "--out", best)
    config = json.loads((best / "config.json").read_text())
    for key in ("protocol", "speaker_dependent", "folds"):
        config.pop(key)
    (best / "config.json").write_text(json.dumps(config))
    assert len(document("train", best)["folds"]) == 4
    assert document("robustness", best, "--on", "test")["measured_on"] == "test fold s0 of corpus"


# -- what is refused, as a person sees it --------------------------------------------------------


def refused(*arguments: str | Path) -> str:
    done = nas(*arguments, code=2)
    assert done.stdout == ""
    return done.stderr


def test_one_speaker_is_refused_and_told_the_way_out(space: Path, tmp_path: Path) -> None:
    one = speak(tmp_path / "one", speakers=1)
    said = refused("search", "--space", space, "--data", one, "--out", tmp_path / "run")
    assert "corpus 'one' has 1 speaker(s) or session(s) to split: s0" in said
    assert "needs at least 3: train, validation, test" in said
    assert "79.58 %" in said
    assert "--speaker-dependent" in said
    assert "reading the features" not in said  # before anything slow
    assert not (tmp_path / "run").exists()
    done = nas("data", "check", one, "--speaker-dependent")
    assert "speaker-dependent: 5 outer folds" in done.stdout
    assert KNOWN_VOICES in done.stdout


def test_the_protocol_alone_is_refused(space: Path, folder: Path) -> None:
    given = ("--data", folder, "--protocol", "speaker-dependent")
    said = refused("search", "--space", space, *given)
    assert "speaker-dependent tests on voices known from training" in said
    assert "79.58 % on IEMOCAP, on unknown voices 73.01 %" in said
    assert "add --speaker-dependent" in said


def test_mistakes_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    hand = tmp_path / "hand.json"
    hand.write_text('{"folds": [{"test": [\n"0.npy",\n"99.npy"]}]}')
    for arguments, said in [
        (("--protocol", "leave-one-speaker"), "did you mean 'leave-one-speaker-out'"),
        (("--folds", hand), f"{hand}:3: corpus 'corpus' has no utterance '99.npy'"),
        (("--protocol", "leave-one-speaker-out", "--speaker-dependent"), "on one side"),
    ]:
        with pytest.raises(NasError) as caught:
            run("data", "folds", folder, *arguments)
        assert said in str(caught.value)


def test_protocols_are_listed() -> None:
    listed = document("data", "protocols")
    assert listed["defaults"]["iemocap"] == "leave-one-session-out"
    assert "K-fold-by-speaker" in listed["protocols"]
    assert "leave-one-session-out" in run("data", "protocols", "-q").split()
