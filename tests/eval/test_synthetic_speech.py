from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.audio import SAMPLE_RATE, read_audio
from eval.corpora import BUNDLED, espeak, open_corpus, synthetic_speech
from eval.corpora.espeak import Request, SpeechFailed, speaking
from eval.corpora.synthetic_speech import ACCENTS, RULES, SENTENCES, SPEAKERS, Voice
from eval.folds import Groups, inner_folds, outer_folds
from search_spaces.errors import NasError

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec(espeak.PACKAGE) is None,
    reason="espeakng-loader is not installed: pip install 'nas[speech]'",
)

VOICES = {"train": 1, "validation": 1, "test": 1}


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three voices, two sentences in each emotion."""
    folder = tmp_path_factory.mktemp("speech") / "synthetic_speech"
    synthetic_speech.make(folder, speakers=VOICES, sentences=2)
    return folder


# -- the engine --------------------------------------------------------------------------------

PLAIN = "language variant\nname nas\ngender male\npitch 90 130\nbreath 1 3 4 4 3 3 2 2\n"


@needs_espeak
def test_an_utterance_does_not_depend_on_what_was_said_before() -> None:
    tea = Request(SENTENCES[0], "gmw/en-US", PLAIN, 160, 7)
    other = Request(SENTENCES[1], "gmw/en", PLAIN.replace("90 130", "150 220"), 200, 8)
    with speaking() as engine:
        first = engine.say(tea)
        engine.say(other)
        assert engine.say(tea) == first
        assert engine.rate == 22_050
        faster = engine.say(Request(tea.text, tea.voice, tea.variant, 320, 7))
    assert 0.4 < len(faster) / len(first) < 0.8
    samples = np.frombuffer(first, np.int16)
    assert 0.8 < len(samples) / 22_050 < 2.5
    assert np.abs(samples.astype(int)).max() > 2_000


@needs_espeak
def test_a_voice_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpeechFailed, match="'Hm' in the voice gmw/xx"), speaking() as engine:
        engine.say(Request("Hm", "gmw/xx", PLAIN, 160, 1))
    assert "espeak-ng has no voice 'gmw/xx'" in capfd.readouterr().err


def test_without_the_package_it_says_what_to_install(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(espeak, "PACKAGE", "no_such_package_of_voices")
    with pytest.raises(NasError, match=r"cannot be made.*not installed") as error:
        open_corpus("synthetic_speech")
    assert "pip install 'nas[speech]'" in str(error.value.hint)
    assert not synthetic_speech.INFO.fetched
    assert not list(own_cache.rglob("*.wav"))


# -- the corpus --------------------------------------------------------------------------------


@needs_espeak
def test_it_is_an_ordinary_folder_of_recordings(speech: Path) -> None:
    corpus = open_corpus(speech)
    assert corpus.kind == "audio"
    assert corpus.classes == ("anger", "happiness", "neutral", "sadness")
    assert len(corpus.utterances) == 3 * 4 * 2
    assert {(u.speaker, u.split) for u in corpus.utterances} == {
        ("s01", "train"),
        ("s02", "validation"),
        ("s03", "test"),
    }
    for utterance in corpus.utterances:
        audio = read_audio(utterance.path)
        assert 0.7 < len(audio) / SAMPLE_RATE < 2.6
        assert 0.005 < np.sqrt(np.mean(audio**2)) < 0.4
    assert "No person was recorded" in (speech / "SYNTHETIC.txt").read_text()
    groups = Groups.of(corpus)
    [outer] = outer_folds(groups)
    [inner] = inner_folds(groups, outer.fit)
    assert (len(inner.fit), len(inner.held), len(outer.held)) == (8, 8, 8)


@needs_espeak
def test_same_seed_same_bytes(speech: Path, tmp_path: Path) -> None:
    two = {"train": 1, "validation": 1}
    synthetic_speech.make(tmp_path / "again", speakers=two, sentences=1)
    files = sorted((tmp_path / "again").glob("*.wav"))
    assert len(files) == 2 * 4
    for file in files:  # a clip does not depend on how many there are
        assert file.read_bytes() == (speech / file.name).read_bytes()
    synthetic_speech.make(tmp_path / "other", speakers={"train": 1}, sentences=1, seed=1)
    for file in sorted((tmp_path / "other").glob("*.wav")):
        assert file.read_bytes() != (speech / file.name).read_bytes()


@needs_espeak
def test_emotions_sound_as_the_literature_says() -> None:
    """Pitch by autocorrelation, tempo and level; sad is low, slow and soft, angry the contrary."""
    heard: dict[str, list[tuple[float, float, float]]] = {e: [] for e in RULES}
    with speaking() as engine:
        for number in range(2):
            for emotion, rows in heard.items():
                for sentence in range(4):
                    audio = Voice(number).utter(engine, emotion, sentence)
                    level = 20 * np.log10(np.sqrt(np.mean(audio**2)))
                    rows.append((np.log(pitch(audio)), np.log(len(audio)), level))
    mean = {emotion: np.mean(rows, axis=0) for emotion, rows in heard.items()}
    for high, low in (("anger", "neutral"), ("happiness", "neutral"), ("neutral", "sadness")):
        assert mean[high][0] > mean[low][0] + 0.05
    assert mean["anger"][1] < mean["neutral"][1] < mean["sadness"][1] - 0.05
    assert mean["anger"][2] > mean["neutral"][2] + 1 > mean["sadness"][2] + 2


def pitch(audio: np.ndarray) -> float:
    """Median fundamental frequency of voiced windows of 40 ms [Hz]."""
    found = []
    for start in range(0, len(audio) - 640, 320):
        window = audio[start : start + 640] - audio[start : start + 640].mean()
        correlation = np.correlate(window, window, "full")[639:]
        lags = correlation[40:230]  # 400 to 70 Hz
        if lags.max() > 0.5 * correlation[0]:
            found.append(SAMPLE_RATE / (40 + int(lags.argmax())))
    return float(np.median(found))


def test_the_rules_are_balanced_and_split_by_sex() -> None:
    assert tuple(sorted(RULES)) == synthetic_speech.INFO.classes
    assert vars(RULES["neutral"]) == vars(synthetic_speech.Rule())
    assert len(set(SENTENCES)) == len(SENTENCES) == 12
    voices = [Voice(i) for i in range(sum(SPEAKERS.values()))]
    assert len({v.low for v in voices}) == len(voices)
    assert {v.accent for v in voices} <= set(ACCENTS)
    bounds = np.cumsum([0, *SPEAKERS.values()])
    for first, last in itertools.pairwise(bounds):
        assert {v.female for v in voices[first:last]} == {False, True}


@needs_espeak
def test_it_says_that_it_is_synthetic(
    speech: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = BUNDLED["synthetic_speech"]
    assert "synthetic" in info.title.lower()
    assert "synthetic" in info.source
    assert "pip install 'nas[speech]'" in info.source
    assert info.clips == 480
    info.folder.parent.mkdir(parents=True)
    info.folder.symlink_to(speech)
    with pytest.raises(NasError, match="24 clips of 3 voices; it should be 480 of 10"):
        open_corpus("synthetic_speech")
    small = {"clips": 24, "speakers": 3}
    monkeypatch.setattr(synthetic_speech, "INFO", type(info)(**{**vars(info), **small}))
    corpus = open_corpus("synthetic_speech")
    assert corpus.name == "synthetic_speech"
    assert corpus.synthetic
    assert "say nothing about people" in corpus.notes[0]


def test_it_is_listed() -> None:
    command = [sys.executable, "-m", "nas", "data", "list", "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    [row] = [r for r in rows if r["name"] == "synthetic_speech"]
    assert row["kind"] == "audio"
    assert "synthetic" in row["title"].lower()


@needs_espeak
def test_its_manifest_has_the_usual_columns(speech: Path) -> None:
    with (speech / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "speaker", "split"]
    assert rows[0] == {
        "path": "s01_anger_00.wav",
        "label": "anger",
        "speaker": "s01",
        "split": "train",
    }
