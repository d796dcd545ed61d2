"""What corpora are split by when nobody says, on trees of their file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.corpora import open_corpus
from eval.folding import choose_folding
from eval.folds import Fold, Groups, outer_folds
from eval.protocols import DEFAULTS
from search_spaces.errors import NasError

from .corpus_trees import (
    casia_names,
    crema_names,
    emodb_names,
    emovo_names,
    esd_names,
    full_iemocap,
    ravdess_names,
    savee_names,
    tess_names,
    touch,
    urdu_names,
)


def members(folds: list[Fold]) -> list[tuple[str, list[int], list[int]]]:
    return [(f.name, f.fit.tolist(), f.held.tolist()) for f in folds]


EMOBOX_RAVDESS = ["01+11+20+21", "04+10+12+14", "08+09+19+23", "03+05+07+24"]
EMOBOX_RAVDESS += ["02+15+16+18", "06+13+17+22"]

WHOLE: list[tuple[str, Callable[[], list[str]], str, list[int] | None]] = [
    ("emodb", emodb_names, "leave-one-speaker-out", None),
    ("casia", casia_names, "leave-one-speaker-out", [300] * 4),
    ("emovo", emovo_names, "leave-one-speaker-out", [98] * 6),
    ("savee", savee_names, "leave-one-speaker-out", [120] * 4),
    ("ravdess", ravdess_names, "published", [240] * 6),
    ("esd", lambda: esd_names(3), "published", [60] * 5),
    ("crema-d", crema_names, "5-fold-by-speaker", None),
    ("urdu", urdu_names, "5-fold-by-speaker", None),
]


@pytest.mark.parametrize(("layout", "names", "protocol", "sizes"), WHOLE)
def test_the_default_of_a_corpus(
    layout: str,
    names: Callable[[], list[str]],
    protocol: str,
    sizes: list[int] | None,
    tmp_path: Path,
) -> None:
    corpus = open_corpus(touch(tmp_path, names()))
    assert corpus.layout == layout
    folding, table = choose_folding(corpus), Groups.of(corpus)
    assert folding.name == protocol == DEFAULTS[layout]
    outer = folding.outer(table)
    assert sum(len(f.held) for f in outer) == len(corpus.utterances)
    if sizes is not None:
        assert [len(f.held) for f in outer] == sizes
    if layout == "ravdess":
        assert [f.name for f in outer] == sorted(EMOBOX_RAVDESS)
        inner = folding.inner(table, outer[0].fit)
        assert [f.name for f in inner] == sorted(EMOBOX_RAVDESS)[1:]
    if layout == "emodb":
        assert [f.name for f in outer] == ["03", *(f"{n:02}" for n in range(8, 17))]
    if layout in ("crema-d", "urdu"):
        assert members(outer) == members(outer_folds(table))  # what they were before


def test_iemocap_leaves_out_its_sessions(tmp_path: Path) -> None:
    corpus = open_corpus(full_iemocap(tmp_path))
    folding, table = choose_folding(corpus), Groups.of(corpus)
    assert folding.name == "leave-one-session-out"
    outer = folding.outer(table)
    assert [len(f.held) for f in outer] == [1085, 1023, 1151, 1031, 1241]
    assert [f.name for f in outer] == [f"Session{k}" for k in range(1, 6)]
    ten = choose_folding(corpus, protocol="leave-one-speaker-out").outer(table)
    each = Counter(table.speakers)
    assert each["1F"] == 528  # as published
    assert {f.name: len(f.held) for f in ten} == each


def test_tess_is_refused_with_the_reason_and_the_way_out(tmp_path: Path) -> None:
    corpus = open_corpus(touch(tmp_path, tess_names()))
    table = Groups.of(corpus)
    with pytest.raises(NasError, match=r"has 2 speaker.*: OAF, YAF") as caught:
        choose_folding(corpus).outer(table)
    assert "--speaker-dependent" in str(caught.value.hint)
    assert "79.58 %" in str(caught.value.hint)
    assert "73.01 %" in str(caught.value.hint)
    folding = choose_folding(corpus, speaker_dependent=True)
    outer = folding.outer(table)
    assert [len(f.held) for f in outer] == [560] * 5
    assert folding.mixed(table, outer)


def test_part_of_a_corpus_falls_back_to_the_automatic_rule(tmp_path: Path) -> None:
    few = [n for n in ravdess_names() if n[6:8] in ("01", "11", "20", "21", "04", "10")]
    corpus = open_corpus(touch(tmp_path / "few", few))
    assert choose_folding(corpus).name == "leave-one-speaker-out"  # two published groups only
    most = [n for n in ravdess_names() if n[6:8] != "11"]
    corpus = open_corpus(touch(tmp_path / "most", most))
    folding = choose_folding(corpus)
    assert folding.name == "published"
    assert [len(f.held) for f in folding.outer(Groups.of(corpus))] == [180, *[240] * 5]
