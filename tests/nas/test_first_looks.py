"""First looks of a corpus: one fold of several, in its full length, and what is the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from spaces import HEADS, small_corpus

import nas
from nas.study import Study


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def search(data: Path, out: Path, **asked: Any) -> Study:
    options = {"validation_folds": 2, "proxy": "none", **asked}
    return nas.search(space=HEADS, data=data, out=out, **options)


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return search(corpus, tmp_path_factory.mktemp("looks") / "run", budget=30)


def test_a_guided_search_on_several_folds_looks_at_one_first(run: Study) -> None:
    assert run.config.halving
    looks = [e for e in run.evaluations if e.fidelity < 1.0]
    assert {e.fidelity for e in looks} == {e.cost for e in looks} == {0.5}
    assert run.spent == 30
    assert len({e.architecture.hash for e in run.evaluations}) > 35
    full = {e.architecture.hash: e for e in run.evaluations if e.cost == 0.5 and e.fidelity == 1.0}
    assert len(full) >= 8
    for look in looks:
        [row] = look.metrics["folds"]  # trained to its end: the whole has the same row
        if look.architecture.hash in full:
            rows = full[look.architecture.hash].metrics["folds"]
            assert len(rows) == 2
            assert rows[0] == row
    assert {e.number for e in run.front()} <= {
        e.number for e in run.evaluations if e.fidelity == 1
    }
    assert all(p.stat().st_size > 0 for p in (run.folder / "checkpoints").iterdir())


def test_thirds_of_a_unit_make_whole_ones(
    corpus: Path,
    tmp_path: Path,
) -> None:
    spent: list[float] = []

    class Watch:
        def started(self, study: Study) -> None: ...

        def evaluated(self, study: Study, evaluation: Any) -> None:
            spent.append(study.spent)

    study = search(
        corpus,
        tmp_path / "run",
        budget=12,
        validation_folds=3,
        halving=True,
        searcher="random",
        observer=Watch(),
    )
    assert {e.fidelity for e in study.evaluations} == {1 / 3, 1.0}
    costs = np.cumsum([e.cost for e in study.evaluations])
    assert [s for s in spent if abs(s - round(s)) < 1e-6] == [
        round(c) for c in costs if abs(c - round(c)) < 1e-6
    ]
    assert study.spent == study.committed == 12


@pytest.mark.parametrize(
    "asked",
    [
        {"budget": 4},  # a beginning of looks alone would be a good part of it
        {"budget": 40, "guidance": False},
        {"budget": 40, "searcher": "random"},
        {"budget": 40, "validation_folds": 1},
        {"budget": 40, "halving": False},
    ],
    ids=str,
)
def test_other_searches_train_in_full_unless_told_otherwise(
    corpus: Path,
    tmp_path: Path,
    asked: dict[str, Any],
) -> None:
    class Stop:
        def started(self, study: Study) -> None:
            raise KeyboardInterrupt

        def evaluated(self, study: Study, evaluation: Any) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        nas.search(
            **{"space": HEADS, "data": corpus, "out": tmp_path / "run", "proxy": "none"} | asked,
            observer=Stop(),
        )
    assert not Study.open(tmp_path / "run").config.halving


def test_a_run_of_before_goes_on_with_looks_at_epochs(
    corpus: Path,
    tmp_path: Path,
) -> None:
    search(corpus, tmp_path / "run", budget=2)
    path = tmp_path / "run" / "run.yaml"
    recorded = yaml.safe_load(path.read_text())
    assert recorded["evaluator"].pop("looks") == "folds"
    path.write_text(yaml.safe_dump({**recorded, "halving": True}))
    resumed = nas.search(resume=tmp_path / "run", budget=4)
    looks = [e for e in resumed.evaluations if e.fidelity < 1.0]
    assert looks
    assert {e.fidelity for e in looks} == {0.125}
    assert all(len(e.metrics["folds"]) == 2 for e in looks)
