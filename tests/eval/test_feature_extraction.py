"""Extraction that is interrupted, repeated, shared between corpora, and cut short."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import feature_batches
from eval.audio import read_audio
from eval.encoder import Encoder, load_encoder
from eval.features import load_dataset, load_features
from eval.pooling import pool

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of recordings of each batch that is encoded."""
    calls: list[int] = []
    encode = Encoder.encode_prepared

    def counting(self: Encoder, batch: list[object], layer: int) -> object:
        calls.append(len(batch))
        return encode(self, batch, layer)

    monkeypatch.setattr(Encoder, "encode_prepared", counting)
    return calls


def content(cache: Path) -> dict[str, bytes]:
    """Every file of the finished features."""
    folders = [f for f in (cache / "features").iterdir() if f.is_dir()]
    assert not [f for f in folders if f.name.startswith("unfinished-")]
    return {str(p.relative_to(cache)): p.read_bytes() for f in folders for p in f.iterdir()}


def test_killed_half_way_it_goes_on_and_the_files_are_the_same(
    audio_corpus: Path,
    waveform_encoder: Path,
    own_cache: Path,
    encoded: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "import os, signal, sys\nfrom eval.features import load_dataset\n"
        "def die(done, total):\n    if done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "load_dataset(sys.argv[1], encoder=sys.argv[2], progress=die, device='cpu')\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", code, str(audio_corpus), str(waveform_encoder)],
        env={**os.environ, "NAS_CACHE": str(own_cache)},
        capture_output=True,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    said: list[str] = []
    load_dataset(audio_corpus, encoder=waveform_encoder, say=said.append)
    assert encoded == [1, 1, 1]
    assert said == [f"encoding 3 utterances with {waveform_encoder}, layer 1; 3 are in the cache"]
    went_on = content(own_cache)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "other"))
    load_dataset(audio_corpus, encoder=waveform_encoder)
    assert went_on == content(tmp_path / "other")
    assert len(went_on) == 5


@pytest.mark.parametrize("stop_at", range(1, 6))
def test_batches_are_the_same_after_an_interruption(
    stop_at: int,
    audio_corpus: Path,
    waveform_encoder: Path,
    own_cache: Path,
    encoded: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(done: int, _total: int) -> None:
        if done >= stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=1.3, progress=stop)
    load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=1.3)
    # 0.3 0.4 | 0.5 0.6 | 0.7 | 0.8, padding counted: a third of 0.5 s would make 1.5
    assert encoded == [2, 2, 1, 1]
    went_on = content(own_cache)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "other"))
    load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=1.3)
    assert went_on == content(tmp_path / "other")


def test_what_is_left_is_not_planned_anew(
    audio_corpus: Path,
    waveform_encoder: Path,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0.3 0.4 0.5 | 0.6 of the first four, 0.7 0.8 of the rest; anew it would be 0.6 0.7 | 0.8."""
    monkeypatch.setattr(feature_batches, "CHUNK", 4)

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=1.65, progress=stop)
    load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=1.65)
    assert encoded == [3, 1, 2]


def test_batched_features_are_those_of_single_recordings(
    audio_corpus: Path, waveform_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=0)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "other"))
    many = load_dataset(audio_corpus, encoder=waveform_encoder, batch_seconds=100)
    assert one.digest == many.digest
    # float16 keeps 11 bits: a rounding of 1e-6 may tip the last one
    np.testing.assert_allclose(one.frames, many.frames, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(one.encoder_macs, many.encoder_macs)


def test_two_at_once_encode_once(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int]
) -> None:
    found: list[np.ndarray] = []

    def run() -> None:
        found.append(np.array(load_dataset(audio_corpus, encoder=waveform_encoder).frames))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(encoded) == 6
    np.testing.assert_array_equal(*found)


def test_what_another_corpus_has_is_not_encoded_again(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int], tmp_path: Path
) -> None:
    whole = load_dataset(audio_corpus, encoder=waveform_encoder)
    assert len(encoded) == 6
    other = tmp_path / "other"
    other.mkdir()
    lines = ["path,label,speaker"]
    for i in (5, 2, 3, 0):  # half of it, in another order, under other names
        shutil.copy(audio_corpus / f"{i}.wav", other / f"take{i}.wav")
        lines.append(f"take{i}.wav,{'glad' if i % 2 else 'cross'},p{i}")
    (other / "manifest.csv").write_text("\n".join(lines))
    loaded = load_features(other, encoder=waveform_encoder)
    assert len(encoded) == 6
    assert loaded.made.encoded == 0
    for at, i in enumerate((5, 2, 3, 0)):
        np.testing.assert_array_equal(loaded.dataset.utterance(at), whole.utterance(i))
        assert loaded.dataset.encoder_macs is not None
        assert whole.encoder_macs is not None
        assert loaded.dataset.encoder_macs[at] == whole.encoder_macs[i]
    # one more recording: only that
    soundfile.write(other / "new.wav", np.random.default_rng(9).normal(0, 0.1, 6000), 16_000)
    (other / "manifest.csv").write_text("\n".join([*lines, "new.wav,glad,p2"]))
    assert load_features(other, encoder=waveform_encoder).made.encoded == 1
    assert len(encoded) == 7


def test_a_recording_that_occurs_twice_is_encoded_once(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int]
) -> None:
    shutil.copy(audio_corpus / "1.wav", audio_corpus / "3.wav")
    data = load_dataset(audio_corpus, encoder=waveform_encoder)
    assert len(encoded) == 5
    np.testing.assert_array_equal(data.utterance(1), data.utterance(3))


def test_a_length_cap_keeps_the_beginning(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int]
) -> None:
    whole = load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=50)
    cut = load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=50, max_seconds=0.55)
    # 0.3, 0.4 and 0.5 s are shorter and serve both
    assert len(encoded) == 6 + 3
    assert cut.digest != whole.digest
    assert cut.source["max_seconds"] == 0.55
    encoder = load_encoder(waveform_encoder)
    for i in range(6):
        audio = read_audio(audio_corpus / f"{i}.wav")[:8800]
        loud = audio * (0.1 / np.sqrt(np.mean(audio**2)))
        frames, _, macs = encoder.encode(loud, 1)
        np.testing.assert_allclose(cut.utterance(i), frames, atol=5e-3)
        assert cut.encoder_macs is not None
        assert cut.encoder_macs[i] == macs


def test_a_length_cap_of_features(feature_corpus: Path) -> None:
    data = load_dataset(feature_corpus, max_seconds=0.08)  # 4 frames at 50 Hz
    assert np.diff(data.offsets).tolist() == [2, 3, 4, 4, 4, 4]
    np.testing.assert_array_equal(
        data.utterance(5), np.load(feature_corpus / "5.npy").astype(np.float32)[:4]
    )


def test_precision_is_part_of_what_is_kept(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int]
) -> None:
    exact = load_dataset(audio_corpus, encoder=waveform_encoder)
    rough = load_dataset(audio_corpus, encoder=waveform_encoder, precision="bf16")
    assert len(encoded) == 12
    assert exact.digest != rough.digest
    assert rough.source["precision"] == "bf16"
    assert "precision" not in exact.source  # runs of before must not look different


def test_an_80_s_recording_is_encoded_in_windows(
    audio_corpus: Path, save_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    soundfile.write(audio_corpus / "2.wav", 0.1 * rng.standard_normal(80 * 8_000), 8_000)
    folder = save_encoder(tmp_path / "encoder")
    # 3 frames of 50 Hz do not make whole windows of 30 s: they go on across their edges
    rate = 50 / 3.7
    data = load_dataset(audio_corpus, encoder=folder, frame_rate=rate)
    audio = read_audio(audio_corpus / "2.wav")
    assert len(audio) == 80 * 16_000
    loud = audio * (0.1 / np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    frames, _, macs = load_encoder(folder).encode(loud.astype(np.float32), 1)
    np.testing.assert_allclose(data.utterance(2), pool(frames, 3.7), atol=5e-3)
    assert data.encoder_macs is not None
    assert data.encoder_macs[2] == macs


@pytest.mark.parametrize("name", ["frames.npy", "offsets.npy", "macs.npy"])
def test_damaged_features_are_made_again(
    name: str, audio_corpus: Path, waveform_encoder: Path, own_cache: Path, encoded: list[int]
) -> None:
    made = load_features(audio_corpus, encoder=waveform_encoder).made
    before = content(own_cache)
    os.truncate(made.folder / name, (made.folder / name).stat().st_size - 8)
    said: list[str] = []
    load_features(audio_corpus, encoder=waveform_encoder, say=said.append)
    assert any(f"{made.folder} are damaged" in line and name in line for line in said)
    assert len(encoded) == 12
    assert content(own_cache) == before


def test_damaged_features_serve_no_other_corpus(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int], tmp_path: Path
) -> None:
    """A folder of which some frames are left must not lend what it lacks."""
    made = load_features(audio_corpus, encoder=waveform_encoder).made
    other = tmp_path / "other"
    shutil.copytree(audio_corpus, other)
    table = (other / "manifest.csv").read_text().splitlines()
    (other / "manifest.csv").write_text("\n".join([table[0], *reversed(table[1:])]))
    os.truncate(made.folder / "frames.npy", (made.folder / "frames.npy").stat().st_size - 40)
    data = load_dataset(other, encoder=waveform_encoder)
    assert len(encoded) == 12
    assert len(data.frames) == data.offsets[-1]
