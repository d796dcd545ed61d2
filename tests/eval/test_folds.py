from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.folds import Fold, Groups, groups_of, inner_folds, outer_folds
from search_spaces.errors import NasError

QUICK = settings(max_examples=150, deadline=None, derandomize=True)


def table(
    speakers: Sequence[str],
    labels: Sequence[int] | None = None,
    sessions: Sequence[str | None] | None = None,
    splits: Sequence[str | None] | None = None,
    classes: tuple[str, ...] = ("anger", "joy"),
) -> Groups:
    n = len(speakers)
    given_labels = labels if labels is not None else [i % len(classes) for i in range(n)]
    return Groups(
        name="toy",
        labels=np.array(given_labels, np.int64),
        classes=classes,
        speakers=tuple(speakers),
        sessions=tuple(sessions or [None] * n),
        splits=tuple(splits or [None] * n),
    )


def spoken(n_speakers: int, each: int = 4) -> list[str]:
    return [f"s{i:02}" for i in range(n_speakers) for _ in range(each)]


def held_once(folds: Sequence[Fold]) -> list[int]:
    return sorted(int(i) for f in folds for i in f.held)


@pytest.mark.parametrize("n", [3, 4, 10])
def test_up_to_ten_speakers_are_left_out_one_at_a_time(n: int):
    t = table(spoken(n))
    folds = outer_folds(t)
    assert [f.name for f in folds] == sorted(set(t.speakers))
    for f in folds:
        assert {t.speakers[i] for i in f.held} == {f.name}
        assert sorted([*f.fit, *f.held]) == list(range(4 * n))


@pytest.mark.parametrize("n", [11, 24])
def test_more_speakers_make_five_folds_that_hold_each_utterance_once(n: int):
    t = table(spoken(n))
    folds = outer_folds(t)
    assert len(folds) == 5
    assert held_once(folds) == list(range(4 * n))
    assert max(len(f.held) for f in folds) - min(len(f.held) for f in folds) <= 4  # one speaker


def test_grouped_folds_are_even_when_speakers_are_not():
    """Sizes 20, 16, 12, 8 and 8 times 4, in all 88: the largest alone is over a fifth, 17.6."""
    sizes = (20, 16, 12, 8, *[4] * 8)
    t = table([f"s{i:02}" for i, n in enumerate(sizes) for _ in range(n)])
    assert sorted(len(f.held) for f in outer_folds(t)) == [16, 16, 16, 20, 20]


@st.composite
def tables(draw: st.DrawFn) -> Groups:
    n = draw(st.integers(1, 40))
    ints = st.integers(0, draw(st.integers(1, 14)))
    speakers = [f"s{draw(ints)}" for _ in range(n)]
    labels = [draw(st.integers(0, 1)) for _ in range(n)]
    kind = draw(st.sampled_from(["speakers", "own session", "any session", "split", "any split"]))
    sessions: list[str | None] | None = None
    splits: list[str | None] | None = None
    names = ["train", "validation", "test"]
    if kind == "own session":
        sessions = [f"Ses{int(s[1:]) // 2}" for s in speakers]
    elif kind == "any session":
        sessions = [draw(st.sampled_from(["a", "b", "c", None])) for _ in speakers]
    elif kind == "split":
        splits = [names[int(s[1:]) % 3] for s in speakers]
    elif kind == "any split":
        splits = [draw(st.sampled_from(names)) for _ in speakers]
    return table(speakers, labels, sessions, splits)


@given(tables())
@QUICK
def test_no_speaker_is_ever_on_both_sides_and_no_training_part_lacks_a_class(t: Groups):
    def sound(folds: Sequence[Fold], of: set[int]) -> None:
        assert folds
        for f in folds:
            fit, held = set(f.fit.tolist()), set(f.held.tolist())
            assert fit and held  # noqa: PT018
            assert fit | held == of
            assert not {t.speakers[i] for i in fit} & {t.speakers[i] for i in held}
            assert set(t.labels[f.fit]) == {0, 1}

    try:
        outer = outer_folds(t)
    except NasError:
        return
    sound(outer, set(range(len(t.speakers))))
    for f in outer:
        try:
            inner = inner_folds(t, f.fit)
        except NasError:
            continue
        sound(inner, set(f.fit.tolist()))
        tested = {t.speakers[i] for i in f.held}
        assert not tested & {t.speakers[i] for g in inner for i in (*g.fit, *g.held)}


def test_most_corpora_of_enough_speakers_do_have_folds():
    """The property above is not met by refusing everything."""
    for n in range(3, 20):
        t = table(spoken(n))
        for f in outer_folds(t):
            assert held_once(inner_folds(t, f.fit)) == sorted(f.fit.tolist())


def test_an_inner_fold_limit_keeps_the_first_ones():
    t = table(spoken(6))
    outer = outer_folds(t)[0]
    every, first = inner_folds(t, outer.fit), inner_folds(t, outer.fit, limit=2)
    assert len(every) == 5
    assert [f.name for f in first] == [f.name for f in every[:2]]


def test_sessions_are_left_out_when_every_utterance_has_one():
    sessions = [f"Ses{i // 8}" for i in range(24)]
    t = table(spoken(6), sessions=sessions)
    assert groups_of(t) == tuple(sessions)
    assert [f.name for f in outer_folds(t)] == ["Ses0", "Ses1", "Ses2"]
    with pytest.raises(NasError, match="23 of 24 utterances"):
        groups_of(table(spoken(6), sessions=[None, *sessions[1:]]))
    two = table(spoken(6), sessions=[f"Ses{i // 12}" for i in range(24)])
    assert groups_of(two) == two.speakers


def test_a_speaker_of_two_sessions_is_leakage_and_named():
    sessions = [f"Ses{i // 8}" for i in range(24)]
    sessions[0] = "Ses2"
    with pytest.raises(NasError, match="speaker leakage in fold 'Ses0': s00 on both sides"):
        outer_folds(table(spoken(6), sessions=sessions))


def test_an_official_split_is_taken_as_it_is():
    splits = [("train", "train", "validation", "test")[i // 4] for i in range(16)]
    t = table(spoken(4), splits=splits)
    (outer,) = outer_folds(t)
    (inner,) = inner_folds(t, outer.fit)
    assert outer.held.tolist() == list(range(12, 16))
    assert inner.fit.tolist() == list(range(8))
    assert inner.held.tolist() == list(range(8, 12))


def test_a_speaker_of_two_splits_is_leakage():
    splits = [("train", "validation", "test")[i % 3] for i in range(12)]
    with pytest.raises(NasError, match="leakage"):
        outer_folds(table(spoken(3), splits=splits))


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_split_without_both_sides_is_refused(only: str):
    with pytest.raises(NasError, match="not both test and other"):
        outer_folds(table(spoken(3), splits=[only] * 12))


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_speakers_are_refused(n: int):
    with pytest.raises(NasError, match=f"has {n} speaker(?s:.)*at least 3"):
        outer_folds(table(spoken(n)))


def test_a_class_that_training_never_sees_is_named():
    labels = [1 if i < 4 else 0 for i in range(12)]  # only the first speaker is ever joyful
    with pytest.raises(NasError, match=r"fold 's00'.*without any utterance of joy"):
        outer_folds(table(spoken(3), labels=labels))
