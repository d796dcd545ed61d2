"""Folds out of files: what goes out comes back, and every mistake is shown with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.corpora import Corpus, open_corpus
from eval.emobox import write_emobox
from eval.fold_files import FromFile
from eval.fold_json import render, write_text
from eval.folding import choose_folding, members_of
from eval.folds import Fold, Groups
from search_spaces.errors import NasError

from .corpus_trees import touch


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Four speakers, three takes of two emotions each."""
    folder = tmp_path / "mine"
    names = [f"s{s}/{e}{i}.wav" for s in range(4) for e in "aj" for i in range(3)]
    touch(folder, names)
    rows = [f"{n},{'anger' if '/a' in n else 'joy'},{n[:2]}" for n in names]
    (folder / "manifest.csv").write_text("\n".join(["path,label,speaker", *rows]))
    return open_corpus(folder)


def exported(corpus: Corpus, path: Path, **asked: Any) -> Path:
    folding = choose_folding(corpus, **asked)
    text = render(
        corpus,
        members_of(folding, corpus),
        protocol=folding.name,
        speaker_dependent=folding.share,
    )
    write_text(path, text)
    return path


def plain(folds: list[Fold]) -> list[tuple[str, list[int], list[int]]]:
    return [(f.name, f.fit.tolist(), f.held.tolist()) for f in folds]


def nested(corpus: Corpus, **asked: Any) -> list[Any]:
    folding, table = choose_folding(corpus, **asked), Groups.of(corpus)
    return [(plain([f]), plain(folding.inner(table, f.fit))) for f in folding.outer(table)]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"protocol": "3-fold-by-speaker"},
        {"protocol": "3-fold-speaker-dependent-seed-2", "speaker_dependent": True},
    ],
)
def test_what_goes_out_comes_back(asked: dict[str, Any], corpus: Corpus, tmp_path: Path) -> None:
    path = exported(corpus, tmp_path / "folds.json", **asked)
    share = bool(asked.get("speaker_dependent"))
    assert nested(corpus, folds=path, speaker_dependent=share) == nested(corpus, **asked)
    document = json.loads(path.read_text())
    assert document["corpus"]["utterances"] == 24
    assert document["utterances"][0] == ["s0/a0.wav", "anger", "s0"]
    assert document["speaker_dependent"] is share


def test_a_moved_corpus_has_the_same_folds(corpus: Corpus, tmp_path: Path) -> None:
    path = exported(corpus, tmp_path / "folds.json")
    before = choose_folding(corpus, folds=path).splitter
    corpus.root.rename(tmp_path / "elsewhere")
    moved = open_corpus(tmp_path / "elsewhere")
    after = choose_folding(moved, folds=path).splitter
    assert isinstance(before, FromFile)
    assert isinstance(after, FromFile)
    assert after.digest() == before.digest()
    assert nested(moved, folds=path) == nested(moved)


def test_the_digest_is_of_the_members(corpus: Corpus, tmp_path: Path) -> None:
    digests = set()
    for name in ("leave-one-speaker-out", "2-fold-by-speaker"):
        path = exported(corpus, tmp_path / f"{name}.json", protocol=name)
        splitter = choose_folding(corpus, folds=path).splitter
        assert isinstance(splitter, FromFile)
        digests.add(splitter.digest())
    assert len(digests) == 2


def test_a_file_written_by_hand(corpus: Corpus, tmp_path: Path) -> None:
    """Only test parts: the rest is trained on, and validated on by speaker."""
    test = [f"s0/{e}{i}.wav" for e in "aj" for i in range(3)]
    path = tmp_path / "hand.json"
    path.write_text(json.dumps({"folds": [{"test": test}]}))
    [(outer, inner)] = nested(corpus, folds=path)
    assert outer == [("fold_1", list(range(6, 24)), list(range(6)))]
    assert [name for name, _, _ in inner] == ["s1", "s2", "s3"]


def test_utterances_missing_from_a_table_are_in_no_part(corpus: Corpus, tmp_path: Path) -> None:
    """Damaged files may be left out after the folds were read."""
    path = exported(corpus, tmp_path / "folds.json")
    table = Groups.of(corpus)
    keep = [i for i in range(24) if i not in (0, 7)]
    less = Groups(
        name=table.name,
        labels=table.labels[keep],
        classes=table.classes,
        speakers=tuple(table.speakers[i] for i in keep),
        sessions=(None,) * 22,
        splits=(None,) * 22,
        paths=tuple(table.paths[i] for i in keep),
    )
    folding = choose_folding(corpus, folds=path)
    assert [len(f.held) for f in folding.outer(less)] == [5, 5, 6, 6]
    assert len(folding.inner(less, folding.outer(less)[0].fit)) == 3


# -- mistakes ----------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def line_of(path: Path, text: str, nth: int = 0) -> int:
    lines = path.read_text().splitlines()
    return [i for i, line in enumerate(lines, 1) if text in line][nth]


@pytest.mark.parametrize(
    ("change", "said", "at"),
    [
        (lambda d: d["folds"][0]["test"].append("s9/a0.wav"), "has no utterance 's9/a0.wav'", 0),
        (lambda d: d["folds"][0]["test"].append("a0.wav"), "may be s0/a0.wav or s1/a0.wav", None),
        (lambda d: d["folds"][0]["test"].append("s0/a0.wav"), "'s0' a second time", 2),
        (lambda d: d["utterances"].pop(), "no place for s3/j2.wav", None),
        (lambda d: d["utterances"][2].__setitem__(1, "joy"), "label of s0/a2.wav is 'joy'", 0),
        (lambda d: d["utterances"][2].__setitem__(2, "s1"), "speaker of s0/a2.wav is 's1'", 0),
        (lambda d: d["folds"][0]["test"].pop(), "tests on voices known from training: s0", None),
        (
            lambda d: d["folds"][0]["inner"][0]["validation"].pop(),
            "fold 's1' tests on voices known from training: s1",
            None,
        ),
        (lambda d: d["folds"][1].update(name="s0"), "two folds are called 's0'", None),
        (
            lambda d: d["folds"][0]["inner"].append(d["folds"][0]["inner"][0]),
            "two parts that validate in fold 's0' are called 's1'",
            None,
        ),
        (
            lambda d: d["folds"][0]["inner"].append({**d["folds"][0]["inner"][0], "name": "x"}),
            "s1/a0.wav validates in 's1' and in 'x' of fold 's0'",
            None,
        ),
        (lambda d: d["folds"][0].update(test=[]), "empty part", None),
        (lambda d: d["folds"][0].update(tset=[]), "did you mean 'test'", None),
        (lambda d: d["folds"][0].update(test="s0"), "must be a list of paths", None),
        (
            lambda d: d["folds"][0]["inner"][0]["validation"].append("s0/j1.wav"),
            "s0/j1.wav validates in 's1' and is in the test part",
            None,
        ),
        (lambda d: d.update(folds=[]), "no folds in it", None),
        (lambda d: d.pop("folds"), 'a list "folds"', None),
        (lambda d: d.update(format="nas folds 9"), "this nas reads 'nas folds 1'", None),
    ],
)
def test_a_mistake_in_a_file(
    change: Change, said: str, at: int | None, corpus: Corpus, tmp_path: Path
) -> None:
    path = exported(corpus, tmp_path / "folds.json")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=1))
    with pytest.raises(NasError) as caught:
        choose_folding(corpus, folds=path)
    assert said in str(caught.value)
    where = str(caught.value.where)
    assert where.startswith(str(path))
    if at is not None:
        wanted = said.split("'")[1] if "no utterance" in said else "s0/a0.wav"
        wanted = "s0/a2.wav" if "s0/a2.wav" in said else wanted
        assert where == f"{path}:{line_of(path, wanted, at)}"


def test_the_line_of_a_known_voice(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "hand.json"
    path.write_text('{"folds": [{"test": [\n"s1/a0.wav",\n"s0/a0.wav"]}]}')
    with pytest.raises(NasError, match="voices known from training: s0, s1") as caught:
        choose_folding(corpus, folds=path)
    assert caught.value.where == f"{path}:3"
    folding = choose_folding(corpus, folds=path, speaker_dependent=True)
    table = Groups.of(corpus)
    [outer] = folding.outer(table)
    assert folding.mixed(table, [outer])
    assert len(folding.inner(table, outer.fit)) == 5  # by utterance, like the test part


def test_a_class_that_is_never_trained_on_names_the_file(corpus: Corpus, tmp_path: Path) -> None:
    anger = [f"s{s}/a{i}.wav" for s in range(4) for i in range(3)]
    path = tmp_path / "hand.json"
    path.write_text(json.dumps({"folds": [{"test": anger}]}))
    folding = choose_folding(corpus, folds=path, speaker_dependent=True)
    with pytest.raises(NasError, match="trains without any utterance of anger") as caught:
        folding.outer(Groups.of(corpus))
    assert caught.value.where == str(path)


def test_nothing_is_overwritten(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("recorded once")
    with pytest.raises(NasError, match="the output exists already\\n  choose another --out"):
        write_text(path, "folds")
    assert path.read_text() == "recorded once"
    with pytest.raises(NasError, match=r"cannot write there: .*\n  choose a folder that you can"):
        write_emobox(path / "below", corpus, ())


def test_no_json_and_no_file(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    with pytest.raises(NasError, match="no such file or folder of folds"):
        choose_folding(corpus, folds=path)
    path.write_text('{"folds": [\n{"test": [}]}')
    with pytest.raises(NasError, match="not JSON") as caught:
        choose_folding(corpus, folds=path)
    assert caught.value.where == f"{path}:2"
    with pytest.raises(NasError, match="exclude each other"):
        choose_folding(corpus, folds=path, protocol="official")
