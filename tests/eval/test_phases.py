"""Seconds of the phases of an evaluation."""

from __future__ import annotations

import threading

import pytest

from eval import phases
from eval.evaluate import evaluate
from eval.folds import inner_folds, outer_folds
from eval.phases import Phase, measuring
from eval.training import Recipe

from .synthetic import synthetic

ONE, OTHER = Phase("one"), Phase("other")


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its hand is moved."""
    now = [100.0]
    monkeypatch.setattr(phases.time, "perf_counter", lambda: now[0])
    return now


def test_times_of_a_phase_add_up(hands: list[float]) -> None:
    with measuring() as seconds:
        for taken in (1.0, 2.0):
            with ONE:
                hands[0] += taken
            hands[0] += 10.0  # of no phase
            with OTHER:
                hands[0] += 0.5
    assert seconds == {"one": 3.0, "other": 1.0}


def test_a_phase_within_another_is_not_counted_twice(hands: list[float]) -> None:
    with measuring() as seconds, ONE:
        hands[0] += 1.0
        with OTHER:
            hands[0] += 2.0
        with ONE:
            hands[0] += 4.0
        hands[0] += 8.0
    assert seconds == {"one": 13.0, "other": 2.0}


def test_nothing_is_added_after_a_measurement_or_by_another_thread(hands: list[float]) -> None:
    def beside() -> None:
        with ONE:
            hands[0] += 5.0

    with measuring() as seconds:
        with ONE:
            hands[0] += 1.0
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
    beside()
    assert seconds == {"one": 1.0}


def test_an_error_ends_the_phase_it_is_in(hands: list[float]) -> None:
    def fails() -> None:
        with ONE:
            hands[0] += 1.0
            raise KeyError

    with measuring() as seconds:
        with pytest.raises(KeyError):
            fails()
        hands[0] += 2.0
        with OTHER:
            hands[0] += 4.0
    assert seconds == {"one": 1.0, "other": 4.0}


def test_an_evaluation_tells_its_phases() -> None:
    """And is the same, measured or not."""
    dataset = synthetic()
    folds = inner_folds(dataset, outer_folds(dataset)[0].fit)[:1]
    how = {"family": "mean_pool", "recipe": Recipe(epochs=1)}
    plain = evaluate({}, dataset, folds, **how)
    with measuring() as seconds:
        measured = evaluate({}, dataset, folds, **how)
    assert set(seconds) == {"build", "batches", "forward", "backward", "step", "measure"}
    assert sum(seconds.values()) <= measured["train_seconds"]
    assert (plain["loss"], plain["confusion"]) == (measured["loss"], measured["confusion"])
