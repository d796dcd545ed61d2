from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from eval.feature_journal import Journal
from eval.frame_file import Stored


def frames(length: int, seed: int) -> Stored:
    return np.random.default_rng(seed).standard_normal((length, 3)).astype(np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal of two batches: a, b and then c."""
    with Journal(tmp_path / "j") as journal:
        journal.commit([("a", frames(2, 0), 10), ("b", frames(5, 1), 20)])
        journal.commit([("c", frames(1, 2), 30)])
    return tmp_path / "j"


def names(folder: Path) -> set[str]:
    with Journal(folder) as journal:
        return {n for n in "abcd" if n in journal}


def test_what_was_committed_is_there_again(folder: Path) -> None:
    with Journal(folder) as journal:
        for name, length, seed, macs in (("a", 2, 0, 10), ("b", 5, 1, 20), ("c", 1, 2, 30)):
            stored, told = journal.read(name)
            np.testing.assert_array_equal(stored, frames(length, seed))
            assert told == macs
        assert "d" not in journal


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_index_line_is_forgotten_with_its_frames(cut: int, folder: Path) -> None:
    content = (folder / "index.jsonl").read_bytes()
    (folder / "index.jsonl").write_bytes(content[:-cut])
    assert names(folder) == {"a", "b"}
    assert (folder / "frames.bin").stat().st_size == (2 + 5) * 3 * 2
    with Journal(folder) as journal:  # and it goes on from there
        journal.commit([("d", frames(4, 3), 40)])
        np.testing.assert_array_equal(journal.read("d")[0], frames(4, 3))
    assert names(folder) == {"a", "b", "d"}


def test_frames_without_their_line_are_forgotten(folder: Path) -> None:
    with (folder / "frames.bin").open("ab") as file:
        file.write(b"half of a batch")
    with Journal(folder) as journal:
        journal.commit([("d", frames(4, 3), 40)])
    with Journal(folder) as journal:
        np.testing.assert_array_equal(journal.read("d")[0], frames(4, 3))
        np.testing.assert_array_equal(journal.read("c")[0], frames(1, 2))


def test_frames_that_did_not_reach_the_disk_are_forgotten(folder: Path) -> None:
    content = bytearray((folder / "frames.bin").read_bytes())
    content[-1] ^= 255
    (folder / "frames.bin").write_bytes(content)
    assert names(folder) == {"a", "b"}
    content[0] ^= 255
    (folder / "frames.bin").write_bytes(content)
    assert names(folder) == set()


def test_it_goes_when_all_of_it_is_kept_elsewhere(folder: Path) -> None:
    with Journal(folder) as journal:
        journal.forget(["a", "b", "other"])
    assert names(folder) == {"a", "b", "c"}
    with Journal(folder) as journal:
        journal.forget(["a", "b", "c", "other"])
    assert not folder.exists()


def test_a_second_process_waits_and_finds_what_the_first_did(tmp_path: Path) -> None:
    said: list[str] = []
    waiting = threading.Event()
    seen: list[set[str]] = []

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    def second() -> None:
        with Journal(tmp_path / "j", say) as journal:
            seen.append({n for n in "ab" if n in journal})
            journal.commit([("b", frames(1, 1), 0)])

    with Journal(tmp_path / "j") as journal:
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        journal.commit([("a", frames(2, 0), 0)])
    thread.join(10)
    assert seen == [{"a"}]
    assert "another process" in said[0]
    assert names(tmp_path / "j") == {"a", "b"}


def test_who_waited_for_a_journal_that_was_removed_has_a_lock_all_the_same(
    tmp_path: Path,
) -> None:
    waiting, inside, leave = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        with Journal(tmp_path / "j", lambda _: waiting.set()) as journal:
            journal.commit([("a", frames(1, 1), 0)])
            inside.set()
            leave.wait(10)

    with Journal(tmp_path / "j") as journal:
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        journal.forget([])
    assert inside.wait(10)
    third_waits = threading.Event()
    third = threading.Thread(target=lambda: Journal(tmp_path / "j", lambda _: third_waits.set()))
    third.start()
    assert third_waits.wait(10)
    leave.set()
    thread.join(10)
    third.join(10)
