"""Level, silence and clipping against counts by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.audio_quality import Runs, audio_quality
from search_spaces.errors import NasError

RATE = 8000


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def tone(seconds: float, peak: float = 0.5, rate: int = RATE) -> np.ndarray:
    return peak * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)


def test_a_tone_between_silences(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(2000), tone(1.0), np.zeros(800)])
    q = audio_quality(write(tmp_path / "a.wav", samples))
    assert (q.rate, q.channels, q.form) == (8000, 1, "WAV PCM_16")
    assert q.seconds == pytest.approx(1.35)
    assert q.lead == pytest.approx(0.25)
    assert q.tail == pytest.approx(0.1)
    assert q.rms == pytest.approx(0.5 / np.sqrt(2) * np.sqrt(1 / 1.35), rel=1e-3)
    assert not q.silent
    assert q.clipped == 0


def test_silence_is_below_minus_60_decibels(tmp_path: Path) -> None:
    # the root mean square of a sine is its peak over the root of two
    for level, silent in ((-59.5, False), (-60.5, True)):
        peak = np.sqrt(2) * 10 ** (level / 20)
        q = audio_quality(write(tmp_path / "a.wav", tone(0.5, peak), subtype="FLOAT"))
        assert q.silent is silent
        assert q.lead == (pytest.approx(0.5) if silent else 0.0)
    with pytest.raises(NasError, match="nothing but silence"):
        audio_quality(write(tmp_path / "zero.wav", np.zeros(4000)))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_clipping_is_counted_in_runs(subtype: str, tmp_path: Path) -> None:
    samples = tone(1.0, 0.5)
    samples[100:102] = 1.0  # two in a row are not clipping yet
    samples[200:205] = 1.0
    samples[300:307] = -1.0
    q = audio_quality(write(tmp_path / "a.wav", np.clip(samples, -1, 1), subtype=subtype))
    assert q.clipped == pytest.approx(12 / 8000)


def test_a_loud_sine_is_not_clipped_and_a_cut_one_is(tmp_path: Path) -> None:
    assert audio_quality(write(tmp_path / "a.wav", tone(1.0, 0.9999))).clipped == 0
    cut = np.clip(tone(1.0, 1.5), -1, 1)
    # 40 samples a period; beyond 2/3 of the peak for 1 - 2/pi asin(2/3) of the time
    share = 1 - 2 / np.pi * np.arcsin(2 / 3)
    assert audio_quality(write(tmp_path / "b.wav", cut)).clipped == pytest.approx(share, abs=0.03)


@given(st.lists(st.lists(st.booleans(), max_size=7), max_size=6))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_runs_over_blocks(blocks: list[list[bool]]) -> None:
    runs = Runs(3)
    for block in blocks:
        runs.add(np.array(block, bool))
    text = "".join("x" if v else " " for block in blocks for v in block)
    assert runs.count() == sum(len(run) for run in text.split() if len(run) >= 3)


def test_length_and_level_over_many_blocks(tmp_path: Path) -> None:
    """Blocks are five seconds: 12.3 s and a clipped run across the first border."""
    samples = tone(12.3)
    samples[39_998:40_003] = 1.0
    q = audio_quality(write(tmp_path / "a.flac", samples))
    assert q.seconds == pytest.approx(12.3)
    assert q.clipped == pytest.approx(5 / len(samples))
    whole = soundfile.read(tmp_path / "a.flac", dtype="float32")[0]
    assert q.digest == hashlib.sha256(whole.tobytes()).hexdigest()


def test_the_same_sound_has_one_digest_in_any_wrapping(tmp_path: Path) -> None:
    samples = np.round(tone(0.5) * 2**15) / 2**15
    one = audio_quality(write(tmp_path / "a.wav", samples)).digest
    assert audio_quality(write(tmp_path / "a.flac", samples)).digest == one
    assert audio_quality(write(tmp_path / "b.wav", samples, subtype="PCM_24")).digest == one
    both = audio_quality(write(tmp_path / "c.wav", np.stack([samples, samples], 1)))
    assert (both.digest, both.channels) == (one, 2)
    assert audio_quality(write(tmp_path / "d.wav", 0.5 * samples)).digest != one


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.write_bytes(b"rubbish"), "cannot read the audio"),
        (lambda p: p.write_bytes(b""), "cannot read the audio"),
        (lambda p: write(p, np.zeros(0)), "0.0 ms of audio"),
        (lambda p: write(p, tone(0.02)), "20.0 ms of audio; an encoder needs 25 ms"),
        (lambda p: write(p, np.array([0.1] * 300 + [np.nan]), subtype="FLOAT"), "sample 300"),
        (lambda p: write(p, np.array([0.1] * 45_000 + [np.inf]), subtype="FLOAT"), "sample 45000"),
    ],
)
def test_what_cannot_be_used(make: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert callable(make)
    make(path)
    with pytest.raises(NasError, match=said) as caught:
        audio_quality(path)
    assert caught.value.where == str(path)
