from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.cache import atomic_dir
from eval.feature_damage import damage
from eval.feature_store import Setting, describe, finished, remove, shelves
from eval.frame_file import FrameFile
from search_spaces.errors import NasError

SETTING = Setting("e", "r", 1, 12.5)


@pytest.fixture
def cache(own_cache: Path) -> Path:
    """Features under two keys that begin alike, of 2 and 3 recordings."""
    for key, items in (("abc1", ["x", "y"]), ("abd2", ["y", "z@2", "z"])):
        folder = own_cache / "features" / key
        folder.mkdir(parents=True)
        with FrameFile(folder, np.float16) as file:
            for i, _ in enumerate(items):
                file.append(np.full((i + 1, 4), i, np.float32), Path("a"), i)
        describe(folder, f"corpus {key}", "audio", SETTING, items)
    return own_cache / "features"


def test_what_is_there(cache: Path) -> None:
    found = shelves()
    assert [(s.key, s.utterances, s.frames, s.dim) for s in found] == [
        ("abd2", 3, 6, 4),
        ("abc1", 2, 3, 4),
    ]
    assert {(s.encoder, s.layer, s.frame_rate, s.precision) for s in found} == {
        ("e", 1, 12.5, "fp32")
    }
    assert found[0].size == sum(p.stat().st_size for p in (cache / "abd2").iterdir())


def test_where_recordings_lie(cache: Path) -> None:
    known = finished(SETTING)
    assert known.keys() == {"x", "y", "z@2", "z"}
    assert known["z@2"] == (cache / "abd2", 1)
    assert finished(Setting("e", "r", 2, 12.5)) == {}
    assert finished(Setting("other name", "r", 1, 12.5)).keys() == known.keys()


def test_a_beginning_must_say_which(cache: Path) -> None:
    with pytest.raises(NasError, match="'ab' is the beginning of 2 keys"):
        remove("ab")
    with pytest.raises(NasError, match="no features ''"):
        remove("")
    with pytest.raises(NasError, match="no features 'abe'"):
        remove("abe")
    assert remove("abc").key == "abc1"
    assert [p.name for p in cache.iterdir()] == ["abd2"]


def test_half_a_folder_is_passed_over(cache: Path) -> None:
    (cache / "abc1" / "about.json").write_text("{")
    (cache / "abd2" / "frames.npy").write_bytes(b"")
    assert [s.what for s in shelves()] == ["damaged", "unknown"]
    assert finished(SETTING) == {}


Harm = Callable[[Path], object]

# name of what is done to a folder, and what is said of it
HARM: dict[str, tuple[Harm, str]] = {
    "frames cut short": (lambda f: os.truncate(f / "frames.npy", 150), "frames.npy is cut short"),
    "frames gone": (lambda f: (f / "frames.npy").unlink(), "frames.npy is missing"),
    "no lengths": (lambda f: (f / "offsets.npy").write_bytes(b""), "offsets.npy is cut short"),
    "other lengths": (lambda f: np.save(f / "offsets.npy", [0, 1, 3]), "do not belong together"),
    "no costs": (lambda f: (f / "macs.npy").unlink(), "macs.npy is missing"),
    "no array": (lambda f: (f / "macs.npy").write_bytes(b"PK" * 99), "macs.npy is cut short"),
}


@pytest.mark.parametrize("kind", HARM)
def test_damaged_features_are_shown_and_can_be_removed(kind: str, cache: Path) -> None:
    harm, told = HARM[kind]
    assert damage(cache / "abd2") is None
    harm(cache / "abd2")
    assert told in str(damage(cache / "abd2"))
    [shelf] = [s for s in shelves() if s.what == "damaged"]
    assert (shelf.key, shelf.corpus) == ("abd2", "corpus abd2")
    assert {folder for folder, _ in finished(SETTING).values()} == {cache / "abc1"}
    assert remove("abd") == shelf
    assert [p.name for p in cache.iterdir()] == ["abc1"]


def test_what_another_process_is_making_is_no_damage(cache: Path) -> None:
    with atomic_dir(cache / "new"):
        assert {s.key for s in shelves()} == {"abc1", "abd2"}
