"""Class maps: which class a label belongs to, as part of what a run records and compares."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from eval.check import check_corpus
from eval.corpora import open_corpus, read_class_map
from eval.features import load_dataset
from nas.confirm import confirm
from nas.driver import search
from nas.export import export, read_folder
from nas.retrain import retrain
from nas.robustness import measure_robustness
from search_spaces.errors import NasError

from .corpus_trees import savee_names, touch

pytestmark = pytest.mark.usefixtures("own_cache")

LABELS = ("anger", "joy", "rage", "rest")


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Features of four labels by four speakers, two of each; the label shifts the mean."""
    folder = tmp_path / "four"
    folder.mkdir()
    lines = ["path,label,speaker"]
    for i in range(32):
        label = i // 2 % 4
        rng = np.random.default_rng(i)
        np.save(folder / f"{i}.npy", rng.standard_normal((4, 5)) + 4 * label)
        lines.append(f"{i}.npy,{LABELS[label]},s{i // 8}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.yaml"
    path.write_text("rage: anger\nrest: null\n")
    return path


def test_labels_are_merged_dropped_and_kept(four: Path, classes: Path) -> None:
    class_map = read_class_map(classes)
    assert class_map == {"rage": "anger", "rest": None}
    corpus = open_corpus(four, class_map=class_map)
    assert Counter(u.label for u in corpus.utterances) == {"anger": 16, "joy": 8}
    assert corpus.classes == ("anger", "joy")
    assert check_corpus(four, lambda _: None, class_map)["classes"] == ["anger", "joy"]


def test_a_label_too_rare_to_use_can_be_dropped(four: Path) -> None:
    path = four / "manifest.csv"
    path.write_text(path.read_text().replace("31.npy,rest", "31.npy,odd"))
    with pytest.raises(NasError, match="label 'odd' has 1 utterance"):
        open_corpus(four)
    assert len(open_corpus(four, class_map={"odd": None}).utterances) == 31


def test_a_known_layout(tmp_path: Path) -> None:
    touch(tmp_path, savee_names())
    corpus = open_corpus(f"savee:{tmp_path}", class_map={"su": None, "f": "scared"})
    assert corpus.classes == ("angry", "disgust", "happy", "neutral", "sad", "scared")
    assert len(corpus.utterances) == 420
    assert corpus.notes == ()  # the corpus itself is as published


def test_the_digest_depends_on_it(four: Path) -> None:
    plain = load_dataset(four)
    renamed = load_dataset(four, class_map={"rage": "fury"})
    assert plain.digest != renamed.digest
    assert renamed.classes == ("anger", "fury", "joy", "rest")
    np.testing.assert_array_equal(plain.frames, renamed.frames)


@pytest.mark.parametrize(
    ("class_map", "what", "hint"),
    [
        ({"rgae": "anger"}, "names label 'rgae', which corpus 'four' has not", "mean 'rage'"),
        (dict.fromkeys(LABELS), "leaves no utterance", "at least two labels"),
        ({**dict.fromkeys(LABELS), "joy": "x"}, "only one label, 'x'", "nothing to tell apart"),
    ],
)
def test_maps_that_do_not_fit(
    class_map: dict[str, str | None], what: str, hint: str, four: Path
) -> None:
    with pytest.raises(NasError) as caught:
        open_corpus(four, class_map=class_map)
    assert what in caught.value.what
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("- a\n", ":1", "must map labels"),
        ("", "", "must map labels"),
        ("anger: x\n5: y\n", ":2:5", "label 5 is no text"),
        ("anger: x\njoy: 5\n", ":2:joy", "class 5 is no text"),
        ("anger: x\njoy: ''\n", ":2:joy", "class '' is no text"),
        ("anger: x\nanger: y\n", ":2:anger", "given twice"),
    ],
)
def test_files_that_are_no_maps(text: str, where: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(NasError, match=what) as caught:
        read_class_map(path)
    assert caught.value.where == f"{path}{where}"


def test_a_run_records_its_content(four: Path, classes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    space: dict[str, Any] = {
        "name": "tiny",
        "family": "mean_pool",
        "parameters": {"hidden": {"choice": [0, 4, 8]}},
        "objectives": {"ua": "maximize"},
    }
    asked: dict[str, Any] = {"space": space, "data": four, "class_map": classes}
    study = search(**asked, searcher="random", budget=1, out=run, validation_folds=1)
    recorded = yaml.safe_load((run / "run.yaml").read_text())["evaluator"]
    assert recorded["class_map"] == {"rage": "anger", "rest": None}
    assert recorded["classes"] == ["anger", "joy"]
    study = search(resume=run, budget=2, class_map={"rest": None, "rage": "anger"})

    classes.write_text("rage: joy\nrest: null\n")  # the run has its own copy
    assert len(search(resume=run, budget=3).evaluations) == 3
    with pytest.raises(NasError, match=r"class_map\.rage: 'anger' in the run, 'joy' asked"):
        search(resume=run, class_map=classes)
    with pytest.raises(NasError, match=r"evaluator\.digest"):
        search(resume=run, class_map={"rage": "anger"})

    study = search(resume=run, budget=3)
    figures = confirm(study, study.front()[:1], 1, say=lambda _: None, step=lambda *_: None)
    assert figures["folds"] == ["s0", "s1", "s2", "s3"]
    ua = {m["model"]: m["ua"]["mean"] for m in figures["models"]}
    assert ua["mean_pool_mlp"] > 0.9  # two classes, one of them on both sides of the other

    folder = export(study, study.front()[0], tmp_path / "best")
    assert read_folder(folder).config["features"]["class_map"] == recorded["class_map"]
    said: list[str] = []
    retrain(folder, None, 1, tmp_path / "again", say=said.append)
    assert read_folder(tmp_path / "again").config["classes"] == ["anger", "joy"]
    other = four.rename(tmp_path / "moved")
    retrain(folder, str(other), 1, tmp_path / "other", say=said.append)
    assert read_folder(tmp_path / "other").config["classes"] == list(LABELS)
    assert "the class map of the search is for another corpus" in "".join(said)
    retrain(folder, str(other), 1, tmp_path / "mapped", class_map=classes, say=said.append)
    config = read_folder(tmp_path / "mapped").config
    assert config["classes"] == ["anger", "joy"]
    assert config["features"]["class_map"] == {"rage": "joy", "rest": None}

    with pytest.raises(NasError, match="corpus 'moved' has the classes anger, joy, rage, rest"):
        robustness(folder, str(other))
    classes.write_text("rage: anger\nrest: null\n")
    assert robustness(folder, str(other), classes)["utterances"] == 6  # by content the search's
    changed = next(p for p in sorted(other.iterdir()) if p.suffix == ".npy")
    np.save(changed, np.load(changed) + 0.5)
    assert robustness(folder, str(other), classes)["utterances"] == 24


def robustness(folder: Path, data: str, class_map: Path | None = None) -> dict[str, Any]:
    return measure_robustness(
        folder, data, None, 1, 0, class_map=class_map, say=lambda _: None, step=lambda *_: None
    )
