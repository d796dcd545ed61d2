"""Corpora of known layouts through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import nas

SPACE = "pts_snn_small.yaml"


def refused(*arguments: str | Path) -> str:
    done = nas(*arguments, code=2)
    assert done.stdout == ""
    return done.stderr


@pytest.fixture
def savee(tmp_path: Path) -> Path:
    """Two takes of three emotions by four speakers, 0.1 s of noise each."""
    folder = tmp_path / "savee"
    folder.mkdir()
    names = [f"{s}_{e}{n:02}" for s in ("DC", "JE", "JK", "KL") for e in "ahn" for n in (1, 2)]
    for i, name in enumerate(names):
        noise = 0.1 * np.random.default_rng(i).standard_normal(4410)
        soundfile.write(folder / f"{name}.wav", noise, 44_100)
    return folder


def test_check_says_what_differs(savee: Path) -> None:
    done = nas("data", "check", f"savee:{savee}")
    assert "savee: 24 utterances of audio, 4 speakers, 3 classes" in done.stdout
    assert "4 outer folds, test on: DC, JE, JK, KL" in done.stdout
    (note,) = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert note.startswith("note: not as published (Haq & Jackson 2009): 24 utterances instead")
    assert "label sa: 0 instead of 60" in note
    assert done.stderr == ""


def test_check_with_a_class_map(savee: Path, tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text("a: aroused\nh: aroused\n")
    done = nas("data", "check", savee, "--classes", path, "--json")
    assert json.loads(done.stdout)["classes"] == ["aroused", "neutral"]
    path.write_text("a: aroused\nhh: aroused\n")
    said = refused("data", "check", savee, "--classes", path)
    assert "names label 'hh', which corpus 'savee' has not" in said
    assert "did you mean 'h'" in said
    assert f"{tmp_path / 'no.yaml'}: cannot read this file" in refused(
        "data", "check", savee, "--classes", tmp_path / "no.yaml"
    )


def test_the_help_names_every_layout() -> None:
    from eval.corpora.layouts import NAMES

    said = nas("data", "--help").stdout.replace("\n", " ")
    assert all(f" {name}," in said for name in NAMES)


def test_search_and_train_with_a_class_map(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = ["path,label,speaker"]
    for i in range(24):
        np.save(folder / f"{i}.npy", np.random.default_rng(i).standard_normal((4, 5)) + i % 3)
        lines.append(f"{i}.npy,{'abc'[i % 3]},s{i // 6}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    space, classes = tmp_path / "tiny.yaml", tmp_path / "classes.yaml"
    space.write_text(
        "name: tiny\nfamily: mean_pool\nparameters: {hidden: {choice: [0, 4]}}\n"
        "objectives: {ua: maximize}\n"
    )
    classes.write_text("a: ends\nc: ends\n")
    given = ["--space", space, "--data", folder, "--classes", classes, "--searcher", "random"]
    run, best = tmp_path / "run", tmp_path / "best"
    nas("search", *given, "--budget", "1", "--validation-folds", "1", "--out", run)
    nas("export", run, "--out", best)
    config = json.loads((best / "config.json").read_text())
    assert config["classes"] == ["b", "ends"]
    assert config["features"]["class_map"] == {"a": "ends", "c": "ends"}
    classes.write_text("b: null\n")
    nas("train", best, "--classes", classes, "--out", tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["classes"] == ["a", "c"]


def test_an_unknown_layout() -> None:
    said = refused("data", "check", "iemocpa:there")
    assert "no layout 'iemocpa'" in said
    assert "did you mean 'iemocap'" in said
    said = refused("search", "--space", SPACE, "--data", "ravdes:there")
    assert "did you mean 'ravdess'" in said


def test_a_wrong_folder(savee: Path, tmp_path: Path) -> None:
    assert "no folder 'nowhere'" in refused("data", "check", "emodb:nowhere")
    said = refused("search", "--space", SPACE, "--data", f"emodb:{savee}")
    assert f"{savee}: this is not laid out as EMODB" in said
    assert "it looks like savee" in said


def test_an_empty_folder(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    said = refused("data", "check", f"casia:{empty}")
    assert f"{empty}: the folder is empty" in said
    assert "SPEAKER/EMOTION/201.wav" in said
    said = refused("search", "--space", SPACE, "--data", empty)
    assert "laid out as no corpus known here" in said
    assert "emodb: wav/03a01Fa.wav" in said
    assert "no folder given" in refused("data", "check", "casia:")


def test_a_missing_label_file(tmp_path: Path) -> None:
    wavs = tmp_path / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    wavs.mkdir(parents=True)
    (wavs / "Ses01F_impro01_F000.wav").touch()
    said = refused("data", "check", tmp_path)
    labels = tmp_path / "Session1" / "dialog" / "EmoEvaluation"
    assert f"{labels}: no label files here" in said
    assert "Session1 needs its dialog/EmoEvaluation/*.txt" in said


def test_one_speaker(savee: Path) -> None:
    for path in savee.glob("[!D]*.wav"):
        path.unlink()
    said = refused("data", "check", savee)
    assert "has 1 speaker(s) or session(s) to split: DC" in said
    assert "speaker-independent evaluation needs at least 3" in said
