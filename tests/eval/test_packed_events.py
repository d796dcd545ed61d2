"""SHD, SSC and N-MNIST, on files of their layouts that the tests write."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from eval.corpora import open_corpus
from eval.corpora.nmnist import read_bin
from eval.events import read_events
from eval.features import load_dataset
from eval.folds import outer_folds
from search_spaces.errors import NasError

pytestmark = pytest.mark.usefixtures("own_cache")


def write_h5(path: Path, labels: list[int], speakers: list[int] | None) -> None:
    rng = np.random.default_rng(len(path.stem))
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", len(labels), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", len(labels), h5py.vlen_dtype(np.uint16))
        for i in range(len(labels)):
            times[i] = np.sort(rng.uniform(0, 0.5, 30)).astype(np.float16)
            units[i] = rng.integers(0, 700, 30)
        times[0], units[0] = np.array([0.0, 0.25, 0.5], np.float16), np.array([3, 699, 0])
        file["labels"] = np.array(labels)
        file["extra/keys"] = np.array([b"null", b"eins"])
        if speakers is not None:
            file["extra/speaker"] = np.array(speakers)


@pytest.fixture
def shd(tmp_path: Path) -> Path:
    folder = tmp_path / "shd"
    folder.mkdir()
    write_h5(folder / "shd_train.h5", [0, 1, 0, 1, 0, 1], [1, 1, 2, 2, 4, 4])
    write_h5(folder / "shd_test.h5", [1, 0, 1, 0], [1, 1, 5, 5])
    return folder


def test_shd_is_a_corpus_of_events_by_speaker(shd: Path) -> None:
    corpus = open_corpus(f"shd:{shd}")
    assert open_corpus(shd).name == "shd"  # recognised
    assert corpus.kind == "events"
    assert corpus.classes == ("eins", "null")
    assert [(u.label, u.speaker, u.split) for u in corpus.utterances[:3]] == [
        ("null", "s01", None),
        ("eins", "s01", None),
        ("null", "s02", None),
    ]
    assert {u.speaker for u in corpus.utterances} == {"s01", "s02", "s04", "s05"}
    assert "their split is not used" in corpus.notes[0]
    events = read_events(corpus.utterances[0].path, corpus.events.sensor)
    assert events.t.tolist() == [0, 250_000, 500_000]
    assert events.x.tolist() == [3, 699, 0]
    assert events.y.tolist() == [0, 0, 0]
    dataset = load_dataset(f"shd:{shd}", sampling="E26-S0")
    assert dataset.clip == (26, 2, 1, 70)
    first = dataset.utterance(0).reshape(26, 2, 70)
    # at 50 frames a second, ten channels a column
    assert np.argwhere(first).tolist() == [[0, 1, 0], [12, 1, 69], [25, 1, 0]]
    for fold in outer_folds(dataset):
        assert not {dataset.speakers[i] for i in fold.fit} & {
            dataset.speakers[i] for i in fold.held
        }


def test_settings_beside_the_files_win(shd: Path) -> None:
    (shd / "events.yaml").write_text("size: {width: 35, height: 1}\nframe_rate: 100\n")
    corpus = open_corpus(shd)
    assert corpus.events.size == (35, 1)
    assert corpus.events.sensor == (700, 1)
    assert load_dataset(shd, sampling="E4-S0").clip == (4, 2, 1, 35)


def test_ssc_keeps_its_parts(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        write_h5(tmp_path / f"ssc_{part}.h5", [0, 1, 0, 1], None)
    corpus = open_corpus(tmp_path)
    assert corpus.name == "ssc"
    parts = {(u.speaker, u.split) for u in corpus.utterances}
    assert parts == {("train", "train"), ("valid", "validation"), ("test", "test")}
    assert len(corpus.utterances) == 12


def test_broken_and_missing_files(tmp_path: Path, shd: Path) -> None:
    with pytest.raises(NasError, match=r"not laid out as SSC\n.*ssc_valid\.h5"):
        open_corpus(f"ssc:{shd}")
    with h5py.File(shd / "shd_test.h5", "a") as file:
        del file["spikes/units"]
    with pytest.raises(NasError, match=r"shd_test\.h5: cannot read the spikes"):
        open_corpus(shd)
    (shd / "shd_test.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(NasError, match=r"shd_test\.h5: cannot read the spikes"):
        open_corpus(shd)


def packed(t: int, x: int, y: int, p: int) -> bytes:
    """An event by hand: 8 bits x, 8 bits y, 1 bit polarity, 23 bits time."""
    return (x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big")


def test_n_mnist_bytes_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "1.bin"
    known = packed(1, 2, 3, 1) + packed(70_000, 33, 0, 0) + packed(0x7FFFFF, 0, 33, 1)
    path.write_bytes(known)
    t, x, y, p = (a.tolist() for a in read_bin(path))
    assert (t, x, y, p) == ([1, 70_000, 0x7FFFFF], [2, 33, 0], [3, 0, 33], [1, 0, 1])
    path.write_bytes(packed(5, 1, 1, 0) + packed(0, 0, 240, 0) + packed(6, 1, 1, 0))
    assert read_bin(path)[0].tolist() == [5, 6 + 8192]
    path.write_bytes(known[:-1])
    with pytest.raises(NasError, match="14 bytes are no whole number"):
        read_bin(path)
    path.write_bytes(packed(1, 34, 0, 0))
    with pytest.raises(NasError, match="outside the sensor of 34x34"):
        read_bin(path)


def test_n_mnist_against_spikingjelly(tmp_path: Path) -> None:
    from spikingjelly.datasets.utils import load_ATIS_bin

    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 300_000, 200))
    path = tmp_path / "1.bin"
    path.write_bytes(b"".join(packed(int(k), *map(int, rng.integers(0, (34, 34, 2)))) for k in t))
    theirs = load_ATIS_bin(path)
    for ours, name in zip(read_bin(path), "txyp", strict=True):
        assert np.array_equal(ours, theirs[name])


def test_n_mnist_is_a_corpus_with_a_split(tmp_path: Path) -> None:
    for part, count in (("Train", 6), ("Test", 2)):
        for digit in "07":
            folder = tmp_path / part / digit
            folder.mkdir(parents=True)
            for i in range(count):
                events = [packed(1000 * k, k, int(digit), k % 2) for k in range(10)]
                (folder / f"{i:05}.bin").write_bytes(b"".join(events))
    corpus = open_corpus(tmp_path)
    assert corpus.name == "n-mnist"
    assert [u.split for u in corpus.utterances if u.label == "7"] == [
        "validation", *["train"] * 4, "validation", "test", "test",
    ]  # fmt: skip
    assert "both sides" in corpus.notes[0]
    assert load_dataset(tmp_path, sampling="E2-S0").clip == (2, 2, 34, 34)
