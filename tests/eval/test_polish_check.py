"""The real default corpus through its protocol and the check, out of the ordinary cache."""

from __future__ import annotations

import pytest

from eval.check import check_corpus
from eval.corpora import open_corpus
from eval.folding import choose_folding
from eval.folds import Groups, inner_folds, outer_folds


def test_the_default_protocol_has_the_folds_of_runs_on_record() -> None:
    corpus = open_corpus("polish")
    folding, table = choose_folding(corpus), Groups.of(corpus)
    assert folding.name == "leave-one-speaker-out"
    outer = folding.outer(table)
    assert [f.name for f in outer] == ["m1", "m2", "m3", "m4", "m5"]
    assert [len(f.held) for f in outer] == [88, 89, 90, 89, 90]  # 450 less the four twins
    for mine, before in zip(outer, outer_folds(table), strict=True):
        assert mine.held.tolist() == before.held.tolist()
        inner = folding.inner(table, mine.fit)
        assert [f.name for f in inner] == [f.name for f in outer if f.name != mine.name]
        for a, b in zip(inner, inner_folds(table, before.fit), strict=True):
            assert (a.fit.tolist(), a.held.tolist()) == (b.fit.tolist(), b.held.tolist())


def test_the_check_finds_what_its_makers_say() -> None:
    """446 clips of 0.48 to 1.63 s, 374 s together, 16 kHz mono, float samples."""
    report = check_corpus("polish", lambda _: None)
    assert report["length"] == pytest.approx([0.48, 0.82, 1.63], abs=0.01)
    assert report["durations"]["all"]["total"] == pytest.approx(374, abs=1)
    assert report["audio"]["formats"] == [
        {"rate": 16_000, "channels": 1, "format": "WAV FLOAT", "files": 446}
    ]
    assert report["audio"]["silent"] == []
    for nothing in ("duplicates", "leaks", "broken", "notes"):
        assert report[nothing] == []
    assert report["speaker_dependent"] is False


def test_known_voices_in_it_are_told() -> None:
    report = check_corpus("polish", lambda _: None, speaker_dependent=True)
    assert report["protocol"] == "speaker-dependent"
    assert report["speaker_dependent"] is True
    assert report["folds"][0]["shared_speakers"] == ["m1", "m2", "m3", "m4", "m5"]
