"""Sound into spikes."""

from __future__ import annotations

import numpy as np
import pytest

from eval.cochlea import Cochlea, centres, cochleagram, counted, spikes
from search_spaces.errors import NasError

RATE = 16_000


def tone(frequency: float, seconds: float = 0.4, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def test_places_follow_the_erb_scale():
    """At 1 kHz an ERB is 132.6 Hz (Glasberg & Moore 1990, 24.7 (4.37 f / kHz + 1))."""
    places = centres(80, 7000, 64)
    assert places[0] == pytest.approx(80)
    assert places[-1] == pytest.approx(7000)
    k = int(np.argmin(np.abs(places - 1000)))
    steps_of_scale = 21.4 * np.log10((1 + 0.00437 * 7000) / (1 + 0.00437 * 80)) / 63
    erb = 24.7 * (4.37 * places[k] / 1000 + 1)
    assert (places[k + 1] - places[k - 1]) / 2 == pytest.approx(erb * steps_of_scale, rel=0.01)


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 4000.0])
def test_a_tone_fires_most_where_its_frequency_is_placed(frequency):
    counts = spikes(tone(frequency), RATE).sum(0)
    places = centres(80, 7000, 64)
    assert abs(places[counts.argmax()] - frequency) < 0.2 * frequency
    assert counts[np.abs(np.log2(places / frequency)) > 2].max() < counts.max() / 2


def test_frames_of_any_length_count_the_same_spikes():
    sound = np.random.default_rng(0).standard_normal(RATE // 2)
    trains = spikes(sound, RATE)
    assert trains.shape == (500, 64)
    assert trains.sum() > 100
    fine, coarse = cochleagram(sound, RATE, 100), cochleagram(sound, RATE, 25)
    assert fine.shape == (50, 64)
    assert np.array_equal(coarse, np.add.reduceat(fine, np.arange(0, 50, 4)))
    for rate in (1000, 333, 60, 12.5):
        assert cochleagram(sound, RATE, rate).sum() == trains.sum()
    by_hand = counted(np.array([[1], [0], [1], [1], [1]], bool), 2.5)
    assert by_hand.tolist() == [[2.0], [2.0]]  # steps 0 to 2, 3 and 4


def test_loudness_does_not_matter_and_silence_is_silent():
    sound = np.random.default_rng(0).standard_normal(4000)
    assert np.array_equal(spikes(sound, RATE), spikes(64 * sound, RATE))
    assert not spikes(np.zeros(4000), RATE).any()


def test_no_nerve_fires_within_its_refractory_time():
    cochlea = Cochlea(gain=200.0, refractory=0.003)
    trains = spikes(np.random.default_rng(0).standard_normal(8000), RATE, cochlea)
    gaps = [np.diff(np.flatnonzero(train)) for train in trains.T]
    shortest = min(gap.min() for gap in gaps if len(gap))
    assert shortest > 3


def test_other_rates_and_channels():
    assert cochleagram(tone(500, rate=8000), 8000, 50, channels=16).shape == (20, 16)
    assert cochleagram(tone(500, rate=44_100), 44_100, 50).shape == (20, 64)


def test_what_is_no_sound_is_refused():
    for sound, said in (
        (np.zeros((5, 2)), "a sound of shape"),
        (np.zeros(0), "a sound of shape"),
        (np.array([0.0, np.nan]), "not finite"),
    ):
        with pytest.raises(NasError, match=said):
            spikes(sound, RATE)
    for rate in (100.0, float("nan"), -RATE):
        with pytest.raises(NasError, match="a sampling rate of"):
            spikes(np.zeros(100), rate)
    for rate in (0.0, 2000.0, float("nan")):
        with pytest.raises(NasError, match="frames a second out of spikes"):
            cochleagram(np.zeros(100), RATE, rate)
