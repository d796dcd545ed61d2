from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.corpora import BUNDLED, open_corpus, synthetic_eyes
from eval.corpora.event_camera import DARK, Camera, record
from eval.corpora.eye_renderer import EMOTIONS, UNITS
from eval.events import read_events
from eval.features import load_dataset
from eval.folds import inner_folds, outer_folds
from search_spaces.errors import NasError

PEOPLE = {"train": 1, "validation": 1, "test": 1}


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects, two sequences of each emotion."""
    folder = tmp_path_factory.mktemp("eyes") / "synthetic_eyes"
    synthetic_eyes.make(folder, subjects=PEOPLE, takes=2)
    return folder


# -- the camera --------------------------------------------------------------------------------

QUIET = Camera(threshold=0.2, mismatch=0.0, noise=0.0, hot=0, hot_rate=0.0)


def test_a_pixel_by_hand() -> None:
    """Log luminance rises by 0.5 in 10 ms, rests, and falls by 0.5: two events, then two back."""
    level = np.array([0.0, 0.5, 0.5, 0.0]) + np.log(1 + DARK)
    film = np.zeros((4, 1, 2), dtype=np.float32)
    film[:, 0, 1] = np.exp(level) - DARK
    t, x, y, p = record(film, 100.0, QUIET, np.random.default_rng(0))
    # up at levels 0.2 and 0.4; down, from the reference 0.4, at 0.2 and 0.0
    np.testing.assert_allclose(t, [4_000, 8_000, 26_000, 30_000], atol=2)
    assert p.tolist() == [1, 1, 0, 0]
    assert x.tolist() == [1, 1, 1, 1]
    assert y.tolist() == [0, 0, 0, 0]


def test_events_add_up_to_the_change() -> None:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(0, 0.15, (80, 4, 5)), axis=0) - 1
    t, x, y, p = record(np.exp(walk).astype(np.float32), 100.0, QUIET, rng)
    assert (np.diff(t) >= 0).all()
    moved = np.zeros((4, 5))
    np.add.at(moved, (y, x), 0.2 * (2.0 * p - 1))
    level = np.log(np.exp(walk) + DARK)
    assert (np.abs(level[-1] - level[0] - moved) < 0.2 + 1e-3).all()


def test_noise_has_the_rate_it_was_given() -> None:
    camera = Camera(threshold=0.2, mismatch=0.1, noise=2.0, hot=3, hot_rate=100.0)
    still = np.full((401, 20, 30), 0.5, dtype=np.float32)
    t, x, y, p = record(still, 100.0, camera, np.random.default_rng(1))
    assert len(t) == pytest.approx(4 * (600 * 2 + 300), rel=0.05)
    assert t.max() < 4_000_000
    counts = np.bincount(y * 30 + x, minlength=600)
    assert (counts > 200).sum() == 3
    assert p.mean() == pytest.approx(0.5, abs=0.03)


# -- the corpus --------------------------------------------------------------------------------


def test_it_is_an_ordinary_folder_of_events(eyes: Path) -> None:
    corpus = open_corpus(eyes)
    assert corpus.kind == "events"
    assert corpus.classes == synthetic_eyes.INFO.classes == tuple(sorted(EMOTIONS))
    assert len(corpus.utterances) == 3 * 7 * 2
    assert {(u.speaker, u.split) for u in corpus.utterances} == {
        ("s01", "train"),
        ("s02", "validation"),
        ("s03", "test"),
    }
    assert "No person was recorded" in (eyes / "SYNTHETIC.txt").read_text()
    for utterance in corpus.utterances:
        events = read_events(utterance.path)
        assert (events.width, events.height) == (64, 48)
        assert 1.1 < events.duration <= 1.5
        assert 1_000 < len(events) < 60_000
        assert 0.2 < events.p.mean() < 0.8


def test_same_seed_same_bytes(eyes: Path, tmp_path: Path) -> None:
    synthetic_eyes.make(tmp_path / "again", subjects={"train": 1}, takes=1)
    files = sorted((tmp_path / "again").glob("*.npz"))
    assert len(files) == 7
    for file in files:  # a subject does not depend on how many there are
        assert file.read_bytes() == (eyes / file.name).read_bytes()
    synthetic_eyes.make(tmp_path / "other", subjects={"train": 1}, takes=1, seed=1)
    for file in files:
        assert file.read_bytes() != (tmp_path / "other" / file.name).read_bytes()


def test_every_unit_is_one_that_is_drawn() -> None:
    assert {unit for units in EMOTIONS.values() for unit in units} == set(UNITS)
    assert EMOTIONS["neutral"] == {}


@pytest.mark.usefixtures("own_cache")
def test_clips_of_it_are_a_dataset(eyes: Path) -> None:
    data = load_dataset(eyes)
    assert data.clip == (4, 2, 24, 32)
    assert len(data) == 84
    assert data.frames.min() == 0.0
    assert data.frames.max() == 1.0
    assert 0.01 < float(np.mean(np.asarray(data.frames) > 0)) < 0.5
    [outer] = outer_folds(data)
    [inner] = inner_folds(data, outer.fit)
    assert (len(inner.fit), len(inner.held), len(outer.held)) == (28, 28, 28)


def test_it_says_that_it_is_synthetic(
    eyes: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = BUNDLED["synthetic_eyes"]
    assert "synthetic" in info.title.lower()
    assert "synthetic" in info.source
    assert "synthetic" in info.licence
    assert info.clips == 420
    assert not info.fetched
    info.folder.parent.mkdir(parents=True)
    info.folder.symlink_to(eyes)
    assert info.fetched
    with pytest.raises(NasError, match="42 sequences of 3 subjects; it should be 420 of 20"):
        open_corpus("synthetic_eyes")
    monkeypatch.setattr(synthetic_eyes, "SUBJECTS", PEOPLE)
    small = {"clips": 42, "speakers": 3}
    monkeypatch.setattr(synthetic_eyes, "INFO", type(info)(**{**vars(info), **small}))
    data = load_dataset("synthetic_eyes")
    assert data.name == "synthetic_eyes"
    assert data.source["synthetic"] is True
    assert "say nothing about people" in data.source["notes"][0]


def test_it_is_listed() -> None:
    command = [sys.executable, "-m", "nas", "data", "list", "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    [row] = [r for r in rows if r["name"] == "synthetic_eyes"]
    assert row["kind"] == "events"
    assert "synthetic" in row["title"].lower()
