"""Corpora whose labels are coded in file names: real names, published counts, irregularities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.corpora import open_corpus
from eval.folds import Groups, inner_folds, outer_folds
from search_spaces.errors import NasError

from .corpus_trees import (
    casia_names,
    crema_names,
    emodb_names,
    emovo_names,
    esd_names,
    ravdess_names,
    savee_names,
    tess_names,
    touch,
    urdu_names,
)

Names = Callable[[], list[str]]

# name, file names, utterances, speakers, classes with their published counts, outer folds
WHOLE: list[tuple[str, Names, int, int, dict[str, int], int]] = [
    (
        "emodb",
        emodb_names,
        535,
        10,
        {
            "angry": 127,
            "boredom": 81,
            "neutral": 79,
            "happy": 71,
            "fear": 69,
            "sad": 62,
            "disgust": 46,
        },
        10,
    ),
    (
        "casia",
        casia_names,
        1200,
        4,
        dict.fromkeys(("angry", "fear", "happy", "neutral", "sad", "surprise"), 200),
        4,
    ),
    (
        "emovo",
        emovo_names,
        588,
        6,
        dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), 84),
        6,
    ),
    ("urdu", urdu_names, 400, 29, dict.fromkeys(("angry", "happy", "neutral", "sad"), 100), 5),
    (
        "ravdess",
        ravdess_names,
        1440,
        24,
        {
            "neutral": 96,
            **dict.fromkeys(("angry", "calm", "disgust", "fear", "happy", "sad", "surprise"), 192),
        },
        5,
    ),
    (
        "crema-d",
        crema_names,
        7442,
        91,
        {"neutral": 1087, **dict.fromkeys(("angry", "disgust", "fear", "happy", "sad"), 1271)},
        5,
    ),
    (
        "savee",
        savee_names,
        480,
        4,
        {
            "neutral": 120,
            **dict.fromkeys(("angry", "disgust", "fear", "happy", "sad", "surprise"), 60),
        },
        4,
    ),
    (
        "tess",
        tess_names,
        2800,
        2,
        dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), 400),
        0,
    ),
]


@pytest.mark.parametrize("case", WHOLE, ids=[c[0] for c in WHOLE])
def test_a_whole_corpus(case: tuple[str, Names, int, int, dict[str, int], int], tmp_path: Path):
    name, names, size, speakers, counts, folds = case
    corpus = open_corpus(touch(tmp_path, names()))  # recognised without a word
    assert corpus.name == name
    assert corpus.kind == "audio"
    assert corpus.notes == ()
    assert len(corpus.utterances) == size
    assert len({u.speaker for u in corpus.utterances}) == speakers
    assert Counter(u.label for u in corpus.utterances) == counts
    assert corpus.classes == tuple(sorted(counts))
    assert open_corpus(f"{name}:{tmp_path}") == corpus
    if folds:
        assert len(outer_folds(Groups.of(corpus))) == folds


def test_a_corpus_of_two_voices_refuses_folds_and_says_why(tmp_path: Path) -> None:
    corpus = open_corpus(touch(tmp_path, tess_names()))
    with pytest.raises(NasError, match=r"'tess' has 2 speaker.*: OAF, YAF") as caught:
        outer_folds(Groups.of(corpus))
    assert "needs at least 3: train, validation, test" in str(caught.value.hint)
    assert "voices known from training" in str(caught.value.hint)


def test_one_voice_of_a_corpus_refuses_folds(tmp_path: Path) -> None:
    one = [n for n in savee_names() if n.startswith("JE")]
    corpus = open_corpus(touch(tmp_path, one))
    assert "1 speakers instead of 4; no speaker DC, JK, KL" in corpus.notes[0]
    with pytest.raises(NasError, match=r"has 1 speaker.*: JE"):
        outer_folds(Groups.of(corpus))


def test_a_quarter_of_esd_is_said_and_split(tmp_path: Path) -> None:
    corpus = open_corpus(touch(tmp_path, esd_names(2)))
    assert corpus.classes == ("angry", "happy", "neutral", "sad", "surprise")
    assert len({u.speaker for u in corpus.utterances}) == 20
    assert "200 utterances instead of 35000" in corpus.notes[0]
    assert "label Neutral: 40 instead of 7000" in corpus.notes[0]
    assert "speaker" not in corpus.notes[0]
    outer = outer_folds(Groups.of(corpus))
    assert [len(f.held) for f in outer] == [40] * 5
    assert outer[0].name == "0001+0006+0011+0016"  # as many of either language
    assert inner_folds(Groups.of(corpus), outer[0].fit)


def test_esd_with_parts_below_the_emotions(tmp_path: Path) -> None:
    names = [n.replace("Sad/", "Sad/evaluation/") for n in esd_names(1)]
    corpus = open_corpus(touch(tmp_path, [*names, "0005/0005.txt"]))
    assert Counter(u.label for u in corpus.utterances)["sad"] == 20
    assert len(corpus.notes) == 1


def test_a_file_of_another_speaker_than_its_folder_is_no_esd(tmp_path: Path) -> None:
    corpus = open_corpus(touch(tmp_path, [*esd_names(1), "0001/Sad/0002_000009.wav"]))
    assert "0001/Sad/0002_000009.wav" in corpus.notes[1]
    assert len(corpus.utterances) == 100


# -- irregularities --------------------------------------------------------------------------


def test_differences_are_said_in_one_line(tmp_path: Path) -> None:
    names = [n for n in emodb_names() if not n.startswith("wav/16")]
    corpus = open_corpus(touch(tmp_path, names))
    (note,) = corpus.notes
    gone = 535 - len(names)
    assert note.startswith("not as published (Burkhardt et al. 2005): ")
    assert f"{535 - gone} utterances instead of 535" in note
    assert "9 speakers instead of 10; no speaker 16" in note
    assert "label W:" in note
    assert "instead of 127" in note


def test_an_unknown_speaker_is_said(tmp_path: Path) -> None:
    names = ["wav/07a01Fa.wav" if n == "wav/03a01Fa.wav" else n for n in emodb_names()]
    (note,) = open_corpus(touch(tmp_path, names)).notes
    assert note.endswith(": 11 speakers instead of 10; unknown speaker 07")


def test_hidden_twins_are_no_recordings(tmp_path: Path) -> None:
    names = emodb_names()
    twins = [n.replace("wav/", "wav/._") for n in names[:5]]
    touch(tmp_path, [*names, *twins, ".Trash/03a01Wb.wav"])
    assert open_corpus(tmp_path).notes == ()


def test_what_is_named_otherwise_is_left_out_and_said(tmp_path: Path) -> None:
    touch(tmp_path, [*emodb_names(), "wav/03a01Xa.wav", "test.wav", "silence/s.flac", "erkl.txt"])
    corpus = open_corpus(tmp_path)
    (note,) = corpus.notes
    assert "not named like the rest of EMODB" in note
    assert "silence/s.flac" in note
    assert "test.wav" in note
    assert "wav/03a01Xa.wav" in note
    assert len(corpus.utterances) == 535


def test_a_second_copy_inside_the_first_counts_once(tmp_path: Path) -> None:
    names = ravdess_names()
    touch(tmp_path, [*names, *(f"audio_speech_actors_01-24/{n}" for n in names)])
    corpus = open_corpus(tmp_path)
    assert len(corpus.utterances) == 1440
    (note,) = corpus.notes
    assert "second copy of the same name" in note
    assert "1437 more" in note


def test_song_is_left_out(tmp_path: Path) -> None:
    song = [f"song/{n}" for n in ravdess_names("02")]
    corpus = open_corpus(touch(tmp_path, [*ravdess_names(), *song]))
    assert len(corpus.utterances) == 1440
    assert corpus.notes == ()


def test_the_two_s_of_savee(tmp_path: Path) -> None:
    touch(tmp_path, savee_names())
    labels = {u.path.name: u.label for u in open_corpus(tmp_path).utterances}
    assert labels["KL_sa01.wav"] == "sad"
    assert labels["KL_su01.wav"] == "surprise"
    assert labels["KL_a01.wav"] == "angry"


def test_savee_in_folders_of_speakers(tmp_path: Path) -> None:
    touch(tmp_path, savee_names("AudioData/{speaker}/{code}{number:02}.wav"))
    corpus = open_corpus(tmp_path)
    assert corpus.notes == ()
    assert {u.speaker for u in corpus.utterances} == {"DC", "JE", "JK", "KL"}


def test_the_odd_names_of_tess_and_crema(tmp_path: Path) -> None:
    names = tess_names()
    names[names.index("OAF_neutral/OAF_word7_neutral.wav")] = "OAF_neutral/OA_bite_neutral.wav"
    corpus = open_corpus(touch(tmp_path / "tess", names))
    assert corpus.notes == ()
    assert {u.speaker for u in corpus.utterances} == {"OAF", "YAF"}
    names = [n.replace("1040_ITH_SAD_XX", "1040_ITH_SAD_X") for n in crema_names()]
    assert any(n.endswith("SAD_X.wav") for n in names)
    assert open_corpus(touch(tmp_path / "crema", names)).notes == ()


def test_capital_extensions(tmp_path: Path) -> None:
    touch(tmp_path, [n.replace(".wav", ".WAV") for n in emovo_names()])
    assert open_corpus(tmp_path).notes == ()


def test_any_folders_of_person_emotion_number_are_not_casia(tmp_path: Path) -> None:
    names = [n.replace("wangzhe", "anna") for n in casia_names() if "wangzhe" in n]
    touch(tmp_path, names)
    with pytest.raises(NasError, match="laid out as no corpus known here"):
        open_corpus(tmp_path)
    notes = open_corpus(f"casia:{tmp_path}").notes  # but a person may say that they are
    assert "unknown speaker anna" in notes[0]
