"""MSP-Podcast: its label file and its official split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from eval.corpora import open_corpus
from eval.folds import Groups, inner_folds, outer_folds
from search_spaces.errors import NasError

from .corpus_trees import touch

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
Row = tuple[str, str, str, str]  # file, label, speaker, part


def rows() -> list[Row]:
    """Three speakers a part, all ten labels of each."""
    parts = ("Train", "Development", "Test1", "Test2", "Test3")
    return [
        (f"MSP-PODCAST_{s:04}_{i:04}.wav", label, str(s), part)
        for p, part in enumerate(parts)
        for s in range(3 * p + 1, 3 * p + 4)
        for i, label in enumerate("ASHUFDCNOX")
    ]


def write(folder: Path, table: list[Row], *, audio: str = "Audios") -> Path:
    touch(folder / audio, [name for name, *_ in table])
    lines = [f"{n},{e},4.2,3.0,4.4,{s},Female,{p}" for n, e, s, p in table]
    (folder / "Labels").mkdir(exist_ok=True)
    (folder / "Labels" / "labels_consensus.csv").write_text("\n".join([HEADER, *lines, ""]))
    return folder


def test_the_official_split_is_used(tmp_path: Path) -> None:
    corpus = open_corpus(write(tmp_path, rows()))  # recognised without a word
    assert corpus.name == "msp-podcast"
    assert corpus.classes == (
        "angry",
        "contempt",
        "disgust",
        "fear",
        "happy",
        "neutral",
        "sad",
        "surprise",
    )
    assert Counter(u.split for u in corpus.utterances) == dict.fromkeys(
        ("train", "validation", "test"), 24
    )
    assert {u.speaker for u in corpus.utterances} == {str(s) for s in range(1, 10)}
    table = Groups.of(corpus)
    (outer,) = outer_folds(table)
    assert {table.splits[i] for i in outer.held} == {"test"}
    (inner,) = inner_folds(table, outer.fit)
    assert {table.splits[i] for i in inner.held} == {"validation"}


def test_what_differs_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    corpus = open_corpus(write(tmp_path, rows()))
    assert corpus.notes == (
        "not as published (releases 1.11 and 1.12), segments: test1 30 instead of 30647;"
        " test2 30 instead of 14815; test3 30 instead of 2347",
        "the official test set is Test1; left out: test2, test3",
    )


def test_a_copy_with_other_names(tmp_path: Path) -> None:
    """As EmoBox has it: the folder Audio, a part called Validation, no second test set."""
    table = [
        (n, e, s, "Validation" if p == "Development" else p)
        for n, e, s, p in rows()
        if p not in ("Test2", "Test3")
    ]
    corpus = open_corpus(write(tmp_path, table, audio="Audio"))
    assert len(corpus.utterances) == 72
    assert len(corpus.notes) == 1


def test_the_labels_as_json(tmp_path: Path) -> None:
    corpus = open_corpus(write(tmp_path, rows()))
    data = {n: {"EmoClass": e, "SpkrID": s, "Split_Set": p} for n, e, s, p in rows()}
    (tmp_path / "Labels" / "labels_consensus.csv").unlink()
    path = tmp_path / "Labels" / "labels_consensus.json"
    path.write_text(json.dumps(data))
    assert open_corpus(tmp_path) == corpus
    path.write_text("[]")
    with pytest.raises(NasError, match="must map file names to their labels"):
        open_corpus(tmp_path)


def test_voices_without_a_name_are_told_apart_by_part_and_said(tmp_path: Path) -> None:
    table = [(n, e, "Unknown" if s in "147" else s, p) for n, e, s, p in rows()]
    corpus = open_corpus(write(tmp_path, table))
    assert outer_folds(Groups.of(corpus))
    assert "unknown (train)" in {u.speaker for u in corpus.utterances}
    assert corpus.notes[2].startswith("24 utterances of the classes have no speaker's name")


def test_a_voice_on_both_sides_is_an_error(tmp_path: Path) -> None:
    table = [(n, e, "1" if s == "7" else s, p) for n, e, s, p in rows()]
    corpus = open_corpus(write(tmp_path, table))
    with pytest.raises(NasError, match="speaker leakage in fold 'test': 1 on both sides"):
        outer_folds(Groups.of(corpus))


def test_labels_without_a_recording_are_said(tmp_path: Path) -> None:
    write(tmp_path, rows())
    (tmp_path / "Audios" / "MSP-PODCAST_0001_0002.wav").unlink()
    corpus = open_corpus(tmp_path)
    assert len(corpus.utterances) == 71
    assert corpus.notes[2].endswith("without a recording: MSP-PODCAST_0001_0002.wav")


@pytest.mark.parametrize(
    ("row", "what", "hint"),
    [
        (("a.wav", "Q", "1", "Train"), "unknown EmoClass 'Q'", "valid: 'A'"),
        (("a.wav", "A", "1", "Tran"), "unknown Split_Set 'Tran'", "did you mean 'Train'"),
        (("a.wav", "A", "", "Train"), "no SpkrID here", "every row needs FileName"),
    ],
)
def test_mistakes_in_the_labels(row: Row, what: str, hint: str, tmp_path: Path) -> None:
    write(tmp_path, [*rows(), row])
    with pytest.raises(NasError) as caught:
        open_corpus(tmp_path)
    assert what in caught.value.what
    assert hint in str(caught.value.hint)
    assert caught.value.where == f"{tmp_path / 'Labels' / 'labels_consensus.csv'}:152"


def test_no_label_file(tmp_path: Path) -> None:
    touch(tmp_path / "Audios", ["MSP-PODCAST_0001_0001.wav"])
    with pytest.raises(NasError, match="no label file here"):
        open_corpus(tmp_path)


def test_no_recordings(tmp_path: Path) -> None:
    write(tmp_path, rows())
    (tmp_path / "Audios").rename(tmp_path / "elsewhere")
    with pytest.raises(NasError, match="none of the 150 labelled files has a recording"):
        open_corpus(tmp_path)


def test_another_encoding(tmp_path: Path) -> None:
    write(tmp_path, rows())
    path = tmp_path / "Labels" / "labels_consensus.csv"
    path.write_bytes(path.read_bytes() + b"\xe9\n")
    with pytest.raises(NasError, match="cannot read the labels") as caught:
        open_corpus(tmp_path)
    assert caught.value.where == str(path)
