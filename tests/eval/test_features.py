from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from eval import feature_store
from eval.audio import read_audio
from eval.encoder import Encoder, load_encoder
from eval.features import DEFAULT_FRAME_RATE, load_dataset
from eval.pooling import Pooling, pool
from search_spaces.errors import NasError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each utterance that is encoded."""
    calls: list[int] = []
    encode = Encoder.encode_prepared

    def counting(self: Encoder, batch: list[object], layer: int) -> object:
        calls.extend(layer for _ in batch)
        return encode(self, batch, layer)

    monkeypatch.setattr(Encoder, "encode_prepared", counting)
    return calls


def test_pooling_by_hand() -> None:
    frames = np.arange(1, 8, dtype=np.float32)[:, None] * [1, 10]
    np.testing.assert_array_equal(
        pool(frames.astype(np.float32), 3.0), [[2, 20], [5, 50], [7, 70]]
    )
    # windows of 2.5: [0, 3), [3, 5), [5, 7)
    np.testing.assert_array_equal(
        pool(frames.astype(np.float32), 2.5), [[2, 20], [4.5, 45], [6.5, 65]]
    )
    np.testing.assert_array_equal(pool(frames.astype(np.float32), 1.0), frames)
    np.testing.assert_array_equal(pool(frames.astype(np.float32), 99.0), [[4, 40]])


@given(st.integers(1, 300), st.floats(1.0, 400.0))
def test_pooling_loses_no_frame(length: int, ratio: float) -> None:
    frames = np.random.default_rng(length).standard_normal((length, 2)).astype(np.float32)
    pooled = pool(frames, ratio)
    windows: list[list[np.ndarray]] = []
    for k in range(length + 1):
        begin, end = int(k * ratio + 0.5), int((k + 1) * ratio + 0.5)
        if begin < length:
            windows.append(list(frames[begin:end]))
    assert sum(map(len, windows)) == length
    assert abs(len(pooled) - length / ratio) <= 1
    np.testing.assert_allclose(pooled, [np.mean(w, 0) for w in windows], atol=1e-5)


@given(st.integers(1, 200), st.floats(1.0, 60.0), st.lists(st.integers(0, 199), max_size=4))
def test_pooling_as_frames_come_is_pooling_them_together(
    length: int, ratio: float, cuts: list[int]
) -> None:
    frames = np.random.default_rng(length).standard_normal((length, 2)).astype(np.float32)
    pooling = Pooling(ratio)
    parts = [pooling.add(p) for p in np.split(frames, sorted(c for c in cuts if c < length))]
    np.testing.assert_array_equal(np.concatenate([*parts, pooling.rest()]), pool(frames, ratio))


def test_audio(audio_corpus: Path, waveform_encoder: Path) -> None:
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    data = load_dataset(
        audio_corpus,
        encoder=waveform_encoder,
        say=said.append,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert len(data) == 6
    assert data.dim == 16
    assert data.frame_rate == DEFAULT_FRAME_RATE
    assert data.classes == ("anger", "joy")
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.speakers == ("s0", "s0", "s1", "s1", "s2", "s2")
    assert data.sessions == data.splits == (None,) * 6
    assert data.source["layer"] == 1
    assert data.source["encoder"] == str(waveform_encoder)
    assert steps == [(i, 6) for i in range(1, 7)]
    assert said == [f"encoding 6 utterances with {waveform_encoder}, layer 1"]
    assert isinstance(data.frames, np.memmap)
    assert data.frames.dtype == np.float16
    assert data.encoder_macs is not None
    encoder = load_encoder(waveform_encoder)
    for i in range(6):
        audio = read_audio(audio_corpus / f"{i}.wav")
        loud = audio * (0.1 / np.sqrt(np.mean(audio**2)))
        frames, _, macs = encoder.encode(loud, 1)
        windows = [frames[k : k + 4].mean(0) for k in range(0, len(frames), 4)]  # 50 / 12.5 Hz
        np.testing.assert_allclose(data.utterance(i), windows, atol=5e-3)
        assert data.encoder_macs[i] == macs


def test_loudness_does_not_matter(
    audio_corpus: Path, waveform_encoder: Path, tmp_path: Path
) -> None:
    quiet = shutil.copytree(audio_corpus, tmp_path / "quiet")
    for path in quiet.glob("*.wav"):
        samples, rate = soundfile.read(path, dtype="float32")
        soundfile.write(path, samples / 16, rate, subtype="FLOAT")
    a = load_dataset(audio_corpus, encoder=waveform_encoder)
    b = load_dataset(quiet, encoder=waveform_encoder)
    np.testing.assert_allclose(a.frames, b.frames, atol=5e-3)


def test_nothing_is_encoded_twice(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int], tmp_path: Path
) -> None:
    first = load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=25)
    assert len(encoded) == 6
    again = load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=25.0)
    moved = shutil.copytree(audio_corpus, tmp_path / "moved")
    there = load_dataset(moved, encoder=waveform_encoder, frame_rate=25)
    assert len(encoded) == 6
    for other in (again, there):
        np.testing.assert_array_equal(first.frames, other.frames)
        assert first.digest == other.digest


def test_what_changes_frames_is_encoded_again(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int]
) -> None:
    digests = {load_dataset(audio_corpus, encoder=waveform_encoder).digest}
    digests.add(load_dataset(audio_corpus, encoder=waveform_encoder, layer=3).digest)
    digests.add(load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=50).digest)
    shutil.copy(audio_corpus / "1.wav", audio_corpus / "0.wav")
    digests.add(load_dataset(audio_corpus, encoder=waveform_encoder).digest)
    assert len(digests) == 4
    assert len(encoded) == 18  # what was copied over the first file is known already
    assert encoded[6] == 3


def test_a_mended_label_needs_no_encoding_but_changes_the_digest(
    audio_corpus: Path, waveform_encoder: Path, encoded: list[int]
) -> None:
    before = load_dataset(audio_corpus, encoder=waveform_encoder)
    manifest = audio_corpus / "manifest.csv"
    text = manifest.read_text()
    digests = {before.digest}
    for old, new in (("0.wav,anger", "0.wav,joy"), ("1.wav,joy,s0", "1.wav,joy,s1")):
        manifest.write_text(text.replace(old, new))
        digests.add(load_dataset(audio_corpus, encoder=waveform_encoder).digest)
    assert len(digests) == 3
    assert len(encoded) == 6


def test_silence_is_refused(audio_corpus: Path, waveform_encoder: Path) -> None:
    soundfile.write(audio_corpus / "4.wav", np.zeros(8_000), 16_000)
    with pytest.raises(NasError, match="nothing but silence") as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.where == str(audio_corpus / "4.wav")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"frame_rate": 51.0}, "51 frames a second out of an encoder that gives 50"),
        ({"frame_rate": 0.0}, "frame rate 0.0 Hz"),
        ({"frame_rate": float("nan")}, "frame rate nan Hz"),
        ({"layer": 7}, "has no layer 7"),
        ({"precision": "fp8"}, "no precision 'fp8'"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"max_seconds": 0.01}, "0.01 s of a recording"),
    ],
)
def test_impossible_settings(
    options: dict[str, object],
    told: str,
    audio_corpus: Path,
    waveform_encoder: Path,
    own_cache: Path,
) -> None:
    with pytest.raises(NasError, match=told):
        load_dataset(audio_corpus, encoder=waveform_encoder, **options)
    assert not any((own_cache / "features").glob("unfinished-*"))


def test_what_float16_cannot_hold_is_refused(
    audio_corpus: Path, waveform_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def huge(self: Encoder, batch: list[object], layer: int) -> object:
        return [(np.full((4, 16), 7e4, np.float32), 1)]

    monkeypatch.setattr(Encoder, "encode_prepared", huge)
    with pytest.raises(NasError, match="70000 does not fit into float16"):
        load_dataset(audio_corpus, encoder=waveform_encoder)


def test_features_are_taken_as_they_are(feature_corpus: Path) -> None:
    data = load_dataset(feature_corpus)
    assert data.frame_rate == 50.0
    assert data.encoder_macs is None
    assert data.frames.dtype == np.float32
    assert data.offsets.tolist() == [0, 2, 5, 9, 14, 20, 27]
    for i in range(6):
        stored = np.load(feature_corpus / f"{i}.npy").astype(np.float32)
        np.testing.assert_array_equal(data.utterance(i), stored)
    other = load_dataset(feature_corpus, frame_rate=20)
    assert other.frame_rate == 20.0
    assert other.digest != data.digest


def test_features_of_two_widths(feature_corpus: Path) -> None:
    np.save(feature_corpus / "3.npy", np.zeros((2, 4)))
    with pytest.raises(NasError, match="frames of 4 dimensions") as caught:
        load_dataset(feature_corpus)
    assert caught.value.where == str(feature_corpus / "3.npy")
    assert f"{feature_corpus / '0.npy'} has 5" in caught.value.what


def test_a_bad_frame_is_named(feature_corpus: Path) -> None:
    array = np.zeros((3, 5))
    array[2, 1] = np.nan
    np.save(feature_corpus / "3.npy", array)
    with pytest.raises(NasError, match=r"3\.npy: frame 2 holds NaN"):
        load_dataset(feature_corpus)


@pytest.mark.parametrize("options", [{"encoder": "whisper-tiny.en"}, {"layer": 2}])
def test_an_encoder_has_no_say_over_features(
    options: dict[str, object], feature_corpus: Path
) -> None:
    with pytest.raises(NasError, match="no encoder or layer applies"):
        load_dataset(feature_corpus, **options)  # type: ignore[arg-type]


def test_a_new_version_of_the_code_encodes_again(
    audio_corpus: Path,
    waveform_encoder: Path,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = load_dataset(audio_corpus, encoder=waveform_encoder)
    monkeypatch.setattr(feature_store, "VERSION", feature_store.VERSION + 1)
    after = load_dataset(audio_corpus, encoder=waveform_encoder)
    assert len(encoded) == 12
    assert before.digest != after.digest


def test_source_is_plain_data(
    audio_corpus: Path, waveform_encoder: Path, save_encoder: Callable[..., Path]
) -> None:
    import json

    source = load_dataset(audio_corpus, encoder=waveform_encoder).source
    assert json.loads(json.dumps(source)) == source
    assert source.keys() >= {"corpus", "encoder", "revision", "layer", "frame_rate", "licence"}
