"""Spike counts of the cochlea as features: cached, refused where options mean nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval.cochlea import cochleagram
from eval.features import load_dataset
from search_spaces.errors import NasError


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tones"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for i in range(6):
        t = np.arange(8000 + 800 * i) / 16_000
        tone = 0.2 * np.sin(2 * np.pi * (200 + 300 * (i % 2)) * t) + 0.01 * rng.normal(size=t.size)
        soundfile.write(folder / f"{i}.wav", tone, 16_000, subtype="FLOAT")
        rows.append(f"{i}.wav,{'high' if i % 2 else 'low'},s{i // 2}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_frames_are_the_counts_of_each_recording(corpus: Path) -> None:
    dataset = load_dataset(corpus, encoder="cochlea")
    assert dataset.frame_rate == 50.0
    assert dataset.dim == 64
    assert dataset.source["encoder"] == "cochlea"
    assert dataset.source["inputs"] == "counts"  # what another frame rate has to know
    assert dataset.encoder_macs is None  # no network whose products could be counted
    for i, path in enumerate(dataset.paths):
        samples, rate = soundfile.read(path, dtype="float32")
        assert np.array_equal(dataset.utterance(i), cochleagram(samples, rate, 50.0))
    assert dataset.frames.sum() > 1000


def test_they_are_kept_by_rate_and_cut(corpus: Path) -> None:
    said: list[str] = []
    first = load_dataset(corpus, encoder="cochlea", say=said.append)
    again = load_dataset(corpus, encoder="cochlea", say=said.append)
    assert sum("cochlea" in line for line in said) == 1  # computed once
    assert again.digest == first.digest
    fine = load_dataset(corpus, encoder="cochlea", frame_rate=100)
    assert fine.digest != first.digest
    # two frames of 10 ms are one of 20 ms
    pairs = fine.utterance(0)[: len(first.utterance(0)) * 2].reshape(-1, 2, 64).sum(1)
    assert np.array_equal(pairs, first.utterance(0)[: len(pairs)])
    cut = load_dataset(corpus, encoder="cochlea", max_seconds=0.2)
    assert len(cut.utterance(0)) == 10


def test_what_means_nothing_is_refused(corpus: Path) -> None:
    with pytest.raises(NasError, match="no layers"):
        load_dataset(corpus, encoder="cochlea", layer=1)
    with pytest.raises(NasError, match="one precision"):
        load_dataset(corpus, encoder="cochlea", precision="fp16")
    soundfile.write(corpus / "3.wav", np.zeros(8000), 16_000)
    with pytest.raises(NasError) as caught:
        load_dataset(corpus, encoder="cochlea")
    assert str(corpus / "3.wav") in str(caught.value)
