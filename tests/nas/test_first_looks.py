"""First looks of a corpus: one fold of several, in its full length, and what is the default."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy.stats import kendalltau
from spaces import HEADS, TINY, small_corpus

import nas
from nas.archive import Archive
from nas.cli import cli
from nas.evaluation import Evaluation
from nas.halving import agreement
from nas.study import Study
from search_spaces.schema import load_space


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


def test_every_view_says_that_a_look_is_one(run: Study) -> None:
    full = {e.architecture.hash for e in run.evaluations if e.fidelity == 1.0}
    look = next(e for e in run.evaluations if e.architecture.hash not in full)
    name = look.architecture.hash

    def said(*command: str | Path) -> str:
        done = CliRunner().invoke(cli, [*map(str, command)], catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    assert "a first look, 1 of 2 folds only" in said("show", run.folder, name)
    assert "first look" not in said("show", run.folder, run.front()[0].architecture.hash)
    others = len({e.architecture.hash for e in run.evaluations} - full)
    shown = said("pareto", run.folder, "--no-plot")
    assert f"of {len(full)} evaluated; {others} others had a first look" in shown
    out = run.folder.parent / "look"
    said("export", run.folder, "--trial", name, "--out", out)
    assert "a first look, 1 of 2 folds only" in (out / "README.md").read_text()
    assert "predictions of all folds" not in (out / "README.md").read_text()


def test_a_look_at_a_fold_is_judged_by_the_other_folds() -> None:
    space = load_space({**TINY, "objectives": {"ua": "maximize"}})
    rng = np.random.default_rng(0)
    done = []
    for i, a in enumerate(space.enumerate()):
        first, rest = rng.random(2)
        for number, (f, ua) in enumerate(((0.5, first), (1.0, (first + rest) / 2))):
            done.append(Evaluation(2 * i + number, a, f, 0.5, 0, {"ua": ua}))
    archive = Archive(space, done)
    firsts, wholes = ([e.objectives["ua"] for e in done if e.fidelity == f] for f in (0.5, 1.0))
    rests = [2 * w - f for f, w in zip(firsts, wholes, strict=True)]
    assert agreement(archive)["ua"]["tau"] == pytest.approx(kendalltau(firsts, wholes)[0])
    own = agreement(archive, of_folds=True)["ua"]["tau"]
    assert own == pytest.approx(kendalltau(firsts, rests)[0])


def test_promotions_that_all_fail_are_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def failing(architecture, fidelity, seed):\n"
        "    if fidelity == 1.0:\n"
        "        raise ValueError('only looks')\n"
        "    return {'ua': architecture['a'] / 3, 'energy': 1.0}\n"
    )
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nas", "search", "--space", "tiny.yaml", "--halving"),
            *("--evaluator", "own.py:failing", "--budget", "4", "--out", "run"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no full evaluation succeeded" in done.stderr
    assert "ValueError: only looks" in done.stderr
