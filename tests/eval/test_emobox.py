"""Folds as the EmoBox benchmark lays them out: read, and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.corpora import Corpus, open_corpus
from eval.emobox import write_emobox
from eval.folding import choose_folding, members_of
from eval.folds import Fold, Groups
from search_spaces.errors import NasError

from .corpus_trees import casia_names, savee_names, small_iemocap, touch


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Four speakers, three takes of two emotions each."""
    folder = tmp_path / "mine"
    names = [f"s{s}/{e}{i}.wav" for s in range(4) for e in "aj" for i in range(3)]
    touch(folder, names)
    rows = [f"{n},{'anger' if '/a' in n else 'joy'},{n[:2]}" for n in names]
    (folder / "manifest.csv").write_text("\n".join(["path,label,speaker", *rows]))
    return open_corpus(folder)


def plain(folds: list[Fold]) -> list[tuple[str, list[int], list[int]]]:
    return [(f.name, f.fit.tolist(), f.held.tolist()) for f in folds]


def emobox(folder: Path, name: str, folds: list[dict[str, list[dict[str, Any]]]]) -> Path:
    for k, parts in enumerate(folds, 1):
        place = folder / f"fold_{k}"
        place.mkdir(parents=True)
        for part, rows in parts.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (place / f"{name}_{part}_fold_{k}.jsonl").write_text(text)
    return folder


def row(dataset: str, wav: str, key: str, emo: str) -> dict[str, Any]:
    """The fields of a line of EmoBox's, in its order."""
    return {
        "key": f"{dataset}-{key}",
        "dataset": dataset,
        "wav": f"downloads/{dataset}/{wav}",
        "type": "raw",
        "sample_rate": 16000,
        "num_frame": 70312.0,
        "task": "category",
        "length": 4.3945,
        "emo": emo,
        "channel": 1,
    }


def test_emobox_of_iemocap(tmp_path: Path) -> None:
    """Paths are relative to another folder, and labels are of before the classes."""
    small_iemocap(tmp_path / "IEMOCAP")
    corpus = open_corpus(tmp_path / "IEMOCAP")
    rows: dict[str, list[dict[str, Any]]] = {}
    for u in corpus.utterances:
        wav = u.path.relative_to(corpus.root).as_posix()
        rows.setdefault(wav[:8], []).append(row("iemocap", wav, u.path.stem, "neu"))
    every = [r for part in rows.values() for r in part]
    folds = [
        {"train": [r for r in every if r not in test], "test": test} for test in rows.values()
    ]
    folder = emobox(tmp_path / "data", "iemocap", folds)
    mine = [(fit, held) for _, fit, held in plain(choose_folding(corpus).outer(Groups.of(corpus)))]
    table = Groups.of(corpus)
    folding = choose_folding(corpus, folds=folder)
    assert [(fit, held) for _, fit, held in plain(folding.outer(table))] == mine
    assert folding.outer(table)[0].name == "fold_1"
    assert len(folding.inner(table, folding.outer(table)[0].fit)) == 4  # the sessions left


def test_emobox_keys_and_ambiguous_names(tmp_path: Path) -> None:
    """Numbers alone name many files of CASIA; SAVEE has two layouts and one key."""
    casia = open_corpus(touch(tmp_path / "casia", casia_names()))
    every = []
    for u in casia.utterances:
        wav = u.path.relative_to(casia.root).as_posix()
        every.append(row("casia", wav, f"{u.path.stem}-{u.speaker}-{u.label}", u.label))
    test = [r for r in every if "wangzhe" in r["wav"]]
    rest = [r for r in every if "wangzhe" not in r["wav"]]
    folder = emobox(tmp_path / "a", "casia", [{"train": rest, "test": test}])
    [outer] = choose_folding(casia, folds=folder).outer(Groups.of(casia))
    assert {casia.utterances[i].speaker for i in outer.held} == {"wangzhe"}
    assert len(outer.held) == 300

    names = savee_names("AudioData/{speaker}/{code}{number:02}.wav")
    savee = open_corpus(touch(tmp_path / "savee", names))
    every = [row("savee", f"{n[:-4]}.wav", n[:-4].replace("_", "-"), "n") for n in savee_names()]
    parts = {"train": every[240:], "valid": every[120:240], "test": every[:120]}
    folder = emobox(tmp_path / "b", "savee", [parts])
    folding, table = choose_folding(savee, folds=folder), Groups.of(savee)
    [outer] = folding.outer(table)
    [inner] = folding.inner(table, outer.fit)
    assert {savee.utterances[i].speaker for i in outer.held} == {"DC"}
    assert {savee.utterances[i].speaker for i in inner.held} == {"JE"}

    every[5]["wav"] = every[5]["key"] = "casia-201"
    folder = emobox(tmp_path / "c", "savee", [{"train": every[120:], "test": every[:120]}])
    with pytest.raises(NasError, match="no utterance 'casia-201'") as caught:
        choose_folding(savee, folds=folder)
    assert caught.value.where == f"{folder}/fold_1/savee_test_fold_1.jsonl:6"


def test_what_we_write_like_emobox_comes_back(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_emobox(folder, corpus, members_of(choose_folding(corpus), corpus))
    again = choose_folding(corpus, folds=folder).outer(Groups.of(corpus))
    mine = choose_folding(corpus).outer(Groups.of(corpus))
    assert [p[1:] for p in plain(again)] == [p[1:] for p in plain(mine)]
    file = folder / "fold_2" / "mine_test_fold_2.jsonl"
    first = json.loads(file.read_text().splitlines()[0])
    assert first["key"] == "mine-s1-a0"
    assert (first["wav"], first["emo"], first["speaker"]) == ("s1/a0.wav", "anger", "s1")
    with pytest.raises(NasError, match="exists already"):
        write_emobox(folder, corpus, ())


def test_a_wrong_emobox_folder(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(NasError, match="no folder fold_1 in it"):
        choose_folding(corpus, folds=folder)
    (folder / "fold_1").mkdir()
    with pytest.raises(NasError, match="no files of the train part"):
        choose_folding(corpus, folds=folder)
    for part in ("train", "test"):
        (folder / "fold_1" / f"x_{part}_fold_1.jsonl").write_text('{"key": "x"\n')
    with pytest.raises(NasError, match="not JSON") as caught:
        choose_folding(corpus, folds=folder)
    assert str(caught.value.where).endswith("_fold_1.jsonl:1")
    (folder / "fold_1" / "x_test_fold_1.jsonl").write_text('\n{"emo": "x"}\n')
    (folder / "fold_1" / "x_train_fold_1.jsonl").write_text("")
    with pytest.raises(NasError, match="neither a wav nor a key") as caught:
        choose_folding(corpus, folds=folder)
    assert str(caught.value.where).endswith("x_test_fold_1.jsonl:2")
