"""IEMOCAP: every trap of its layout by itself, and the whole of it by its counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from eval.corpora import open_corpus
from eval.folds import Groups, inner_folds, outer_folds
from search_spaces.errors import NasError

from .corpus_trees import HEADER, dialogue, full_iemocap, label_lines, small_iemocap, touch


@pytest.fixture
def iemocap(tmp_path: Path) -> Path:
    return small_iemocap(tmp_path)


def labels_of(folder: Path) -> dict[str, str]:
    return {u.path.stem: u.label for u in open_corpus(folder).utterances}


def evaluation(folder: Path, session: int = 1) -> Path:
    return folder / f"Session{session}" / "dialog" / "EmoEvaluation"


def test_the_whole_corpus(tmp_path: Path) -> None:
    corpus = open_corpus(full_iemocap(tmp_path))  # recognised without a word
    assert corpus.name == "iemocap"
    assert corpus.notes == ()
    assert len(corpus.utterances) == 5531
    counts = Counter(u.label for u in corpus.utterances)
    assert counts == {"neutral": 1708, "happy": 1636, "angry": 1103, "sad": 1084}
    sessions = Counter(u.session for u in corpus.utterances)
    assert [sessions[f"Session{k}"] for k in range(1, 6)] == [1085, 1023, 1151, 1031, 1241]
    table = Groups.of(corpus)
    outer = outer_folds(table)
    assert [f.name for f in outer] == [f"Session{k}" for k in range(1, 6)]
    for fold in outer:
        fit = {table.speakers[i] for i in fold.fit}
        assert fit & {table.speakers[i] for i in fold.held} == set()
        assert [len(f.held) > 0 for f in inner_folds(table, fold.fit)] == [True] * 4


def test_excited_is_happy_and_what_is_no_class_is_left_out(iemocap: Path) -> None:
    corpus = open_corpus(f"iemocap:{iemocap}")
    assert corpus.classes == ("angry", "happy", "neutral", "sad")
    assert len(corpus.utterances) == 5 * 3 * 5  # five of seven labels
    labels = labels_of(iemocap)
    assert labels["Ses01F_impro01_F001"] == "happy"  # hap
    assert labels["Ses01F_impro01_F004"] == "happy"  # exc
    assert "Ses01F_impro01_F005" not in labels  # xxx
    assert "Ses01F_impro01_F006" not in labels  # fru


def test_the_speaker_is_who_speaks_and_not_the_dialogue_s(iemocap: Path) -> None:
    speakers = {u.path.stem: u.speaker for u in open_corpus(iemocap).utterances}
    assert speakers["Ses03F_script02_2_M000"] == "3M"
    assert speakers["Ses03M_script01_1_F000"] == "3F"
    assert speakers["Ses03F_impro01_F000"] == "3F"
    assert set(speakers.values()) == {f"{k}{sex}" for k in range(1, 6) for sex in "FM"}


@pytest.mark.parametrize(
    "name", ["Ses03M_impro05a", "Ses03M_impro08b", "Ses05M_script01_1b", "Ses02F_script03_2"]
)
def test_dialogues_of_irregular_names(name: str, iemocap: Path) -> None:
    dialogue(iemocap, name, [("F000", "ang"), ("M012", "sad")])
    found = {u.path.stem: u for u in open_corpus(iemocap).utterances}
    assert found[f"{name}_F000"].speaker == f"{name[4]}F"
    assert found[f"{name}_M012"].speaker == f"{name[4]}M"
    assert found[f"{name}_M012"].label == "sad"
    assert found[f"{name}_M012"].session == f"Session{name[4]}"
    assert found[f"{name}_M012"].path.parent.name == name


def test_both_improvised_and_scripted_are_read(iemocap: Path) -> None:
    kinds = Counter("script" in name for name in labels_of(iemocap))
    assert kinds == {False: 25, True: 50}


def test_lines_of_single_annotators_are_no_labels(iemocap: Path) -> None:
    file = evaluation(iemocap) / "Ses01F_impro01.txt"
    text = file.read_text(encoding="latin-1")
    assert "C-E2:\tNeutral;" in text  # the tree does have them
    assert text.startswith(HEADER)
    assert labels_of(iemocap)["Ses01F_impro01_F002"] == "angry"


def test_folders_of_single_annotators_are_passed_over(iemocap: Path) -> None:
    before = labels_of(iemocap)
    for part in ("Attribute", "Categorical", "Self-evaluation"):
        folder = evaluation(iemocap) / part
        folder.mkdir()
        # worse than the real ones, which have no line that begins with a bracket
        (folder / "Ses01F_impro01_e2_cat.txt").write_text(
            label_lines([("Ses01F_impro01_F002", "neu")])
        )
    assert labels_of(iemocap) == before


def test_files_of_another_extension_are_passed_over(iemocap: Path) -> None:
    before = labels_of(iemocap)
    other = label_lines([("Ses01F_impro01_F002", "neu")])
    (evaluation(iemocap) / "Ses01F_impro01.cat").write_text(other)
    (evaluation(iemocap) / "Ses01F_impro01.anvil").write_text(other)
    assert labels_of(iemocap) == before


def test_hidden_twins_of_label_files_are_passed_over(iemocap: Path) -> None:
    before = labels_of(iemocap)
    (evaluation(iemocap) / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07[\xff\xfe")
    touch(iemocap, ["Session1/sentences/wav/Ses01F_impro01/._Ses01F_impro01_F002.wav"])
    touch(iemocap, [".DS_Store", "Session1/.DS_Store"])
    assert labels_of(iemocap) == before


def test_windows_line_ends_and_letters_that_are_not_utf_8(iemocap: Path) -> None:
    before = labels_of(iemocap)
    for file in evaluation(iemocap).glob("*.txt"):
        content = file.read_bytes()
        assert b"\xe9" in content
        file.write_bytes(content.replace(b"\n", b"\r\n"))
    assert labels_of(iemocap) == before


def test_recordings_of_whole_dialogues_are_no_utterances(iemocap: Path) -> None:
    before = labels_of(iemocap)
    touch(iemocap, ["Session1/dialog/wav/Ses01F_impro01.wav"])
    assert labels_of(iemocap) == before


def test_the_folder_it_unpacks_into(
    iemocap: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    above = tmp_path_factory.mktemp("above")
    iemocap.rename(above / "IEMOCAP_full_release")
    assert len(open_corpus(above).utterances) == 75


def test_differences_are_said(iemocap: Path) -> None:
    (note,) = open_corpus(iemocap).notes
    assert note.startswith("not as published (Busso et al. 2008): 75 utterances instead of 5531")
    assert "label hap: 15 instead of 595" in note
    assert "speaker 3M: 5 instead of 629" in note
    assert "sessions" not in note


def test_a_missing_session_is_said(iemocap: Path) -> None:
    (iemocap / "Session4").rename(iemocap / "elsewhere")
    note = open_corpus(iemocap).notes[0]
    assert "8 speakers instead of 10" in note
    assert "4 sessions instead of 5" in note


def test_labels_without_a_recording_are_said(iemocap: Path) -> None:
    (iemocap / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F002.wav").unlink()
    corpus = open_corpus(iemocap)
    assert corpus.notes[1] == "left out, labelled but without a recording: Ses01F_impro01_F002"
    assert len(corpus.utterances) == 74


def test_labels_that_are_not_in_the_table_are_said(iemocap: Path) -> None:
    dialogue(iemocap, "Ses02F_impro09", [("F000", "joy"), ("F001", "ang")])
    corpus = open_corpus(iemocap)
    assert corpus.notes[1] == "left out, of unknown labels: {'joy': 1}"
    assert len(corpus.utterances) == 76


def test_a_class_map_opens_the_other_labels(iemocap: Path) -> None:
    corpus = open_corpus(iemocap, class_map={"fru": "frustrated", "exc": None, "sad": "low"})
    assert corpus.classes == ("angry", "frustrated", "happy", "low", "neutral")
    assert Counter(u.label for u in corpus.utterances)["happy"] == 15
    assert "label exc: 15 instead of 1041" in corpus.notes[0]  # own labels are compared


# -- errors ----------------------------------------------------------------------------------


def test_a_session_without_labels(iemocap: Path) -> None:
    for file in evaluation(iemocap, 2).glob("*.txt"):
        file.unlink()
    with pytest.raises(NasError, match="no label files here") as caught:
        open_corpus(iemocap)
    assert caught.value.where == str(evaluation(iemocap, 2))


def test_no_recordings(iemocap: Path) -> None:
    for k in range(1, 6):
        (iemocap / f"Session{k}" / "sentences").rename(iemocap / f"away{k}")
    with pytest.raises(NasError, match="none of the 105 labelled utterances has a recording"):
        open_corpus(iemocap)


def test_a_damaged_line(iemocap: Path) -> None:
    file = evaluation(iemocap) / "Ses01F_impro01.txt"
    file.write_text(HEADER + "[6.2901 - 8.2357]\tSes01F_impro01_F000\n")
    with pytest.raises(NasError, match="cannot read") as caught:
        open_corpus(iemocap)
    assert caught.value.where == f"{file}:3"


def test_a_name_that_does_not_say_who_speaks(iemocap: Path) -> None:
    dialogue(iemocap, "Ses02F_impro09", [("X000", "ang")])
    with pytest.raises(NasError, match="cannot tell who speaks in 'Ses02F_impro09_X000'"):
        open_corpus(iemocap)


def test_two_labels_for_one_utterance(iemocap: Path) -> None:
    again = evaluation(iemocap) / "Ses01F_impro01 (1).txt"
    again.write_text(label_lines([("Ses01F_impro01_F002", "ang")]))
    assert len(open_corpus(iemocap).utterances) == 75  # a copy that agrees does no harm
    again.write_text(label_lines([("Ses01F_impro01_F002", "neu")]))
    with pytest.raises(NasError, match="Ses01F_impro01_F002 is neu in one label file and ang in"):
        open_corpus(iemocap)
