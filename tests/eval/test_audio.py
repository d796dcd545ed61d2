from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval.audio import audio_seconds, read_audio, read_features
from eval.audio_quality import audio_quality
from eval.cache import file_sha256
from eval.file_digests import file_digest
from search_spaces.errors import NasError


def tone(rate: int, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)).astype("f4")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_any_rate_becomes_16_khz(rate: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate), rate, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav")
    assert audio.dtype == np.float32
    assert len(audio) == 8_000
    middle = slice(500, -500)  # the filter rings at the ends
    np.testing.assert_allclose(audio[middle], tone(16_000)[middle], atol=2e-3)


@pytest.mark.parametrize(("name", "tolerance"), [("a.flac", 1e-4), ("a.ogg", 0.1)])
def test_formats(name: str, tolerance: float, tmp_path: Path) -> None:
    soundfile.write(tmp_path / name, tone(16_000), 16_000)
    np.testing.assert_allclose(read_audio(tmp_path / name), tone(16_000), atol=tolerance)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_stream_whose_header_gives_no_length(rate: int, tmp_path: Path) -> None:
    whole, stream = tmp_path / "whole.flac", tmp_path / "stream.flac"
    soundfile.write(whole, tone(rate, 62.0), rate)
    content = bytearray(whole.read_bytes())
    content[21] &= 0xF0  # the total of samples: 36 bits of the first block of metadata
    content[22:26] = bytes(4)
    stream.write_bytes(content)
    np.testing.assert_array_equal(read_audio(stream), read_audio(whole))
    np.testing.assert_array_equal(read_audio(stream, 31.0), read_audio(whole, 31.0))
    assert audio_seconds(stream) == audio_seconds(whole) == 62.0
    assert audio_quality(stream) == audio_quality(whole)


def test_channels_are_averaged(tmp_path: Path) -> None:
    x = tone(16_000)
    both = np.stack([x, -0.5 * x], axis=1)
    soundfile.write(tmp_path / "a.wav", both, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), 0.25 * x, atol=1e-6)


def test_what_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"not a recording")
    with pytest.raises(NasError, match="cannot read the audio") as caught:
        read_audio(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("read", [read_audio, read_features])
def test_what_is_not_there_is_not_called_unreadable(
    read: Callable[[Path], np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(NasError, match="no such file") as caught:
        read(tmp_path / "absent")
    assert caught.value.where == str(tmp_path / "absent")
    with pytest.raises(NasError, match="Is a directory"):  # not libsndfile's "System error"
        read(tmp_path)


def test_a_name_that_is_no_text_in_utf_8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xe4rger.wav")
    soundfile.write(os.fsencode(path), tone(16_000), 16_000)
    assert len(read_audio(path)) == 8_000
    assert audio_quality(path).seconds == 0.5
    assert file_digest(path) == file_sha256(path)
    os.truncate(path, 30)
    for read in (read_audio, audio_quality):
        with pytest.raises(NasError, match="cannot read the audio") as caught:
            read(path)
        assert caught.value.where == str(path)
        assert "rger" not in caught.value.what  # once is enough


@pytest.mark.parametrize(("samples", "told"), [(0, "0.0 ms"), (399, "24.9 ms")])
def test_too_short(samples: int, told: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(samples, np.float32), 16_000)
    with pytest.raises(NasError, match=f"{told} of audio"):
        read_audio(tmp_path / "a.wav")


def test_just_long_enough(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(400, np.float32), 16_000)
    assert len(read_audio(tmp_path / "a.wav")) == 400


def test_audio_that_is_not_a_number(tmp_path: Path) -> None:
    x = tone(16_000)
    x[77] = np.nan
    soundfile.write(tmp_path / "a.wav", x, 16_000, subtype="FLOAT")
    with pytest.raises(NasError, match="sample 77 is nan"):
        read_audio(tmp_path / "a.wav")


def test_features(tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3)
    np.save(tmp_path / "a.npy", array)
    features = read_features(tmp_path / "a.npy")
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, array)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros(3), "shape [3]"),
        (np.zeros((0, 3)), "shape [0, 3]"),
        (np.zeros((3, 0)), "shape [3, 0]"),
        (np.zeros((2, 2), complex), "complex128 instead of real numbers"),
        (np.array([[0.0, 1.0], [np.nan, 0.0]]), "frame 1 holds NaN or infinity"),
        (np.array([[1e300]]), "frame 0 holds NaN or infinity"),
        (np.array([[{}]], dtype=object), "cannot read the features"),
    ],
)
def test_what_are_no_features(array: np.ndarray, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(NasError) as caught:
        read_features(path)
    assert told in caught.value.what
    assert caught.value.where == str(path)


def test_a_file_that_is_no_npy(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(NasError, match="cannot read the features"):
        read_features(tmp_path / "a.npy")
