from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
    assert [s.what for s in shelves()] == ["unknown"]
    assert finished(SETTING).keys() == {"y", "z@2", "z"}
