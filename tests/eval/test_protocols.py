"""What every named protocol promises, and what corpora are split by when nobody says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eval.folds import Fold, Groups, inner_folds, outer_folds
from eval.protocols import DEFAULTS, NAMES, Folding, default_for, named
from search_spaces.errors import NasError

QUICK = settings(max_examples=40, deadline=None, derandomize=True)

# name, whether it is used with leave to share voices, whether the outer folds hold each once
CASES = [
    ("leave-one-session-out", False, True),
    ("leave-one-speaker-out", False, True),
    ("3-fold-by-speaker", False, True),
    ("5-fold-by-speaker", False, True),
    ("published", False, True),
    ("official", False, False),
    ("automatic", False, False),
    ("speaker-dependent", True, True),
    ("3-fold-speaker-dependent-seed-4", True, True),
]


@st.composite
def tables(draw: st.DrawFn) -> Groups:
    """Speakers of RAVDESS, each in one session and one split, with two to nine utterances."""
    n = draw(st.integers(3, 24))
    sizes = [draw(st.integers(2, 9)) for _ in range(n)]
    rows = [(s, i) for s, size in enumerate(sizes) for i in range(size)]
    order = draw(st.permutations(range(len(rows))))
    rows = [rows[i] for i in order]
    offset = draw(st.integers(0, 2))
    sessions = draw(st.integers(2, 6))
    official = draw(st.booleans())
    return Groups(
        name="toy",
        labels=np.array([(s + i) % 2 for s, i in rows], np.int64),
        classes=("anger", "joy"),
        speakers=tuple(f"{s + 1:02}" for s, _ in rows),
        sessions=tuple(f"Ses{s % sessions}" for s, _ in rows),
        splits=tuple(
            ("train", "validation", "test")[(s + offset) % 3] if official else None
            for s, _ in rows
        ),
    )


def members(folds: list[Fold]) -> list[tuple[str, list[int], list[int]]]:
    return [(f.name, f.fit.tolist(), f.held.tolist()) for f in folds]


@pytest.mark.parametrize(("name", "share", "once"), CASES)
@given(t=tables())
@QUICK
def test_the_contract_of_every_protocol(name: str, share: bool, once: bool, t: Groups) -> None:
    folding = Folding(named(name, "ravdess"), share)
    try:
        outer = folding.outer(t)
        inner = [folding.inner(t, f.fit) for f in outer]
    except NasError:
        assume(False)
    everything = set(range(len(t.speakers)))
    if once:
        assert sorted(i for f in outer for i in f.held.tolist()) == sorted(everything)
    for fold, parts in zip(outer, inner, strict=True):
        for f, of in [(fold, everything), *((p, set(fold.fit.tolist())) for p in parts)]:
            fit, held = set(f.fit.tolist()), set(f.held.tolist())
            assert fit | held == of
            assert fit
            assert held
            assert not fit & held
            assert set(t.labels[f.fit]) == {0, 1}
            for groups in [] if share else [t.speakers, t.sessions][: 1 + ("session" in name)]:
                assert not {groups[i] for i in fit} & {groups[i] for i in held}
        assert parts
        assert not {i for p in parts for i in (*p.fit, *p.held)} & set(fold.held.tolist())
    again = Folding(named(name, "ravdess"), share)
    assert members(again.outer(t)) == members(outer)
    assert [members(again.inner(t, f.fit)) for f in outer] == [members(p) for p in inner]


@pytest.mark.parametrize(("name", "share", "_once"), CASES)
def test_the_contract_is_not_met_by_refusing_everything(
    name: str, share: bool, _once: bool
) -> None:
    t = spoken(24, each=4)
    folding = Folding(named(name, "ravdess"), share)
    assert all(folding.inner(t, f.fit) for f in folding.outer(t))


def spoken(n: int, each: int) -> Groups:
    rows = [(s, i) for s in range(n) for i in range(each)]
    return Groups(
        name="toy",
        labels=np.array([i % 2 for _, i in rows], np.int64),
        classes=("anger", "joy"),
        speakers=tuple(f"{s + 1:02}" for s, _ in rows),
        sessions=tuple(f"Ses{s % 4}" for s, _ in rows),
        splits=tuple(("train", "validation", "test")[s % 3] for s, _ in rows),
    )


@given(t=tables(), k=st.integers(2, 6), seed=st.integers(0, 3))
@QUICK
def test_random_parts_are_stratified(t: Groups, k: int, seed: int) -> None:
    """No part has two more utterances of a class than another, nor two more in all."""
    splitter = named(f"{k}-fold-speaker-dependent-seed-{seed}")
    assume(np.bincount(t.labels).max() >= k)
    held = [np.bincount(t.labels[f.held], minlength=2) for f in splitter.outer(t)]
    assume(len(held) == k)
    for counts in (*np.array(held).T, np.array(held).sum(axis=1)):
        assert counts.max() - counts.min() <= 1


def test_a_seed_is_another_draw_and_part_of_the_name() -> None:
    t = spoken(4, 10)
    names = ["speaker-dependent", "speaker-dependent-seed-1", "10-fold-speaker-dependent"]
    assert [named(n).name for n in names] == names
    a, b = (members(named(n).outer(t)) for n in names[:2])
    assert a != b


def test_clips_of_one_recording_stay_on_one_side() -> None:
    t = spoken(3, 12)
    clips = Groups(**{**vars(t), "paths": tuple(f"/c/{i // 3}.npz#{i % 3}" for i in range(36))})
    clips = Groups(**{**vars(clips), "labels": np.array([i // 3 % 2 for i in range(36)])})
    for fold in named("4-fold-speaker-dependent").outer(clips):
        assert not {i // 3 for i in fold.fit} & {i // 3 for i in fold.held}


def test_k_folds_by_speaker_are_even() -> None:
    """91 actors of 82 or 81 utterances in five: 18 or 19 each."""
    rows = [s for s in range(91) for _ in range(82 - s % 2)]
    t = Groups(
        "toy",
        np.array([i % 2 for i in range(len(rows))]),
        ("a", "b"),
        tuple(f"{s:03}" for s in rows),
        (None,) * len(rows),
        (None,) * len(rows),
    )
    sizes = [len(f.held) for f in named("5-fold-by-speaker").outer(t)]
    assert sum(sizes) == len(rows)
    assert max(sizes) - min(sizes) <= 82


@given(t=tables())
@QUICK
def test_the_name_of_the_automatic_rule_makes_the_folds_of_today(t: Groups) -> None:
    """A run that records a plain name has the folds it had when nothing had a name."""
    try:
        outer = outer_folds(t)
        inner = [inner_folds(t, f.fit) for f in outer]
    except NasError:
        return
    folding = Folding(named(default_for(t)))
    assert members(folding.outer(t)) == members(outer)
    assert [members(folding.inner(t, f.fit)) for f in outer] == [members(p) for p in inner]


@pytest.mark.parametrize("n", range(3, 18))
def test_so_it_does_for_any_number_of_speakers(n: int) -> None:
    """From 11 to 13 speakers the rest of a fold is ten or fewer, left out one at a time."""
    t = spoken(n, 4)
    t = Groups(**{**vars(t), "sessions": (None,) * 4 * n, "splits": (None,) * 4 * n})
    folding = Folding(named(default_for(t)))
    outer = outer_folds(t)
    assert members(folding.outer(t)) == members(outer)
    for f in outer:
        assert members(folding.inner(t, f.fit)) == members(inner_folds(t, f.fit))
    assert folding.name == (
        "leave-one-speaker-out" if n <= 10 else "automatic" if n <= 13 else "5-fold-by-speaker"
    )


def test_as_many_random_folds_as_a_class_has_utterances() -> None:
    """And the usual five of any corpus; inner folds are as many as there can be."""
    for each, name, k in [(12, "18-fold-speaker-dependent", 18), (2, "speaker-dependent", 5)]:
        t = spoken(3, each)
        folding = Folding(named(name), share=True)
        outer = folding.outer(t)
        assert len(outer) == k
        assert all(folding.inner(t, f.fit) for f in outer)


# -- what is refused ---------------------------------------------------------------------------


def test_voices_on_both_sides_need_the_flag_and_the_flag_needs_them() -> None:
    with pytest.raises(NasError, match="voices known from training") as caught:
        Folding(named("speaker-dependent"))
    assert "--speaker-dependent" in str(caught.value.hint)
    assert "arXiv 2111.02735" in str(caught.value.hint)
    with pytest.raises(NasError, match="keeps every speaker on one side"):
        Folding(named("leave-one-speaker-out"), share=True)


def test_a_speaker_of_two_sessions_needs_the_flag() -> None:
    t = spoken(6, 4)
    mixed = Groups(**{**vars(t), "sessions": tuple(f"Ses{i % 3}" for i in range(24))})
    with pytest.raises(NasError, match="speaker leakage in fold 'Ses0'"):
        Folding(named("leave-one-session-out")).outer(mixed)
    folding = Folding(named("leave-one-session-out"), share=True)
    assert folding.mixed(mixed, folding.outer(mixed))
    assert not folding.mixed(t, [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leave-one-speeker-out", "did you mean 'leave-one-speaker-out'"),
        ("1-fold-by-speaker", "no split"),
        ("13-fold-speaker-dependent", "give 12-fold-speaker-dependent or fewer folds"),
        ("99-fold-speaker-dependent-seed-3", "too few utterances for 99-fold"),
        ("7-fold-by-speaker", "6 speakers, too few for 7-fold-by-speaker"),
        ("leave-one-session-out", "has no sessions"),
        ("official", "prescribes no split"),
        ("published", "no folds are published for a corpus of your own"),
    ],
)
def test_a_protocol_that_does_not_fit(name: str, said: str) -> None:
    t = spoken(6, 4)
    plain = Groups(**{**vars(t), "sessions": (None,) * 24, "splits": (None,) * 24})
    with pytest.raises(NasError) as caught:
        Folding(named(name), share="dependent" in name).outer(plain)
    assert said in str(caught.value)


def test_the_list_of_names_has_every_kind() -> None:
    assert {n.replace("K", "5") for n in NAMES} >= set(DEFAULTS.values())
