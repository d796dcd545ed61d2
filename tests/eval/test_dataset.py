"""A corpus as frame features: reading without growing."""

from __future__ import annotations

import mmap
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eval.dataset
from eval.batches import MAPPED, collate
from eval.dataset import Dataset

from .synthetic import DIM, synthetic

LENGTH, COUNT = 1024, 512  # 8 MB of float16


def mapped(folder: Path, mode: Any = "r") -> Dataset:
    path = folder / "frames.npy"
    if not path.is_file():
        rng = np.random.default_rng(0)
        np.save(path, rng.standard_normal((LENGTH * COUNT, DIM)).astype(np.float16))
    offsets = np.arange(COUNT + 1, dtype=np.int64) * LENGTH
    frames = np.load(path, mmap_mode=mode)
    return synthetic((COUNT,), frames=frames, offsets=offsets)


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.dataset, "SMALL", 0)


def resident(path: Path) -> int:
    """Return what of a file is mapped and in this process's memory [bytes]."""
    own, size = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            own = words[-1] == str(path)
        elif own and words[0] == "Rss:":
            size += 1024 * int(words[1])
    return size


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_batches_leave_no_pages_of_the_file_behind(tmp_path: Path) -> None:
    dataset, path = mapped(tmp_path), tmp_path / "frames.npy"
    for i in range(COUNT):
        np.array(dataset.utterance(i))
    assert resident(path) >= dataset.frames.nbytes
    first, _, _ = collate(dataset, np.arange(32))
    assert resident(path) < dataset.frames.nbytes / 100
    again, _, _ = collate(dataset, np.arange(32))
    expected = np.load(path)[: 32 * LENGTH].reshape(32, LENGTH, DIM)
    for batch in (first, again):
        np.testing.assert_array_equal(batch.numpy(), expected.astype(np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_small_features_stay_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = mapped(tmp_path)
    monkeypatch.setattr(eval.dataset, "SMALL", dataset.frames.nbytes)
    collate(dataset, np.arange(COUNT))
    assert resident(tmp_path / "frames.npy") >= dataset.frames.nbytes


def test_no_more_than_a_few_utterances_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a batch: around each of them a system may map megabytes."""
    held, most = set(), 0
    read = Dataset.utterance

    def reading(self: Dataset, i: int) -> Any:
        nonlocal most
        held.add(i)
        most = max(most, len(held))
        return read(self, i)

    monkeypatch.setattr(Dataset, "utterance", reading)
    monkeypatch.setattr(Dataset, "hand_back", lambda self: held.clear())
    collate(synthetic(), np.arange(60))
    assert most == MAPPED
    assert not held


def test_a_view_stays_right_when_its_pages_are_handed_back(tmp_path: Path) -> None:
    dataset = mapped(tmp_path)
    view = dataset.utterance(3)
    before = np.array(view)
    dataset.hand_back()
    np.testing.assert_array_equal(view, before)


def test_what_is_in_no_file_stays(tmp_path: Path) -> None:
    """Changes to a copy-on-write map exist in its pages alone, and arrays nowhere else."""
    dataset, plain = mapped(tmp_path, "c"), synthetic()
    for d in (dataset, plain):
        d.utterance(1)[:] = 7.0
        d.hand_back()
        assert (d.utterance(1) == 7.0).all()


@pytest.mark.parametrize("advice", [None, 10_000])
def test_a_system_that_cannot_reads_as_well(
    advice: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no such advice, or refuses it."""
    dataset = mapped(tmp_path)
    expected, _, _ = collate(dataset, np.arange(4))
    monkeypatch.setattr(eval.dataset, "_UNNEEDED", advice)
    found, _, _ = collate(dataset, np.arange(4))
    assert (found == expected).all()


def test_a_dataset_can_be_sent_after_reading(tmp_path: Path) -> None:
    dataset = mapped(tmp_path)
    collate(dataset, np.arange(4))
    sent = pickle.loads(pickle.dumps(dataset))
    assert not isinstance(sent.frames.base, mmap.mmap)
    sent.hand_back()
    np.testing.assert_array_equal(sent.utterance(9), dataset.utterance(9))
