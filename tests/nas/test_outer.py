"""Trainings on outer folds as jobs: what is kept, in which order, and what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import speak

from eval import confirmation
from eval.training import Recipe
from nas.cli import cli
from nas.cli.confirm import Ticker
from nas.cli.output import Out
from nas.corpus import load
from nas.outer import measure_outer
from nas.outer_evaluator import Model, OuterEvaluator
from search_spaces.errors import NasError

PROBE = Model("probe", "mean_pool", {"hidden": 0})
OTHER = Model("other", "mean_pool", {"hidden": 3})
RECIPE = Recipe(epochs=2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak(tmp_path_factory.mktemp("outer") / "corpus")


@pytest.fixture(scope="module")
def dataset(corpus: Path) -> Any:
    return load({"data": str(corpus)}, lambda _: None)


def measured(dataset: Any, models: list[Model], seeds: int = 1, **options: Any) -> Any:
    given: dict[str, Any] = {"recipe": RECIPE, "profile": "45nm_fp32", "record": None}
    return measure_outer(dataset, models, seeds, step=lambda *_: None, **{**given, **options})


def test_rows_come_in_the_order_asked_for_whatever_is_kept(dataset: Any, tmp_path: Path) -> None:
    record = tmp_path / "rows.jsonl"
    later = measured(dataset, [OTHER], record=record)
    both = measured(dataset, [PROBE, OTHER, PROBE], seeds=2, record=record)
    assert [(r["model"], r["fold"], r["seed"]) for r in both] == [
        (m, f, s) for m in ("probe", "other") for f in ("ann", "bob", "cat") for s in (0, 1)
    ]
    assert len(record.read_text().splitlines()) == 12  # each once
    assert [r for r in both if r["model"] == "other" and r["seed"] == 0] == later
    assert list(tmp_path.iterdir()) == [record]


def test_a_row_that_cannot_be_written_says_how_to_go_on(dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="cannot be written") as error:
        measured(dataset, [PROBE], record=tmp_path, again="nas this")
    assert "make room, then go on with: nas this" in str(error.value)


def test_events_of_a_worker_that_does_not_see_the_folder(dataset: Any, tmp_path: Path) -> None:
    """It sends the epochs, and the driver writes what a worker beside it would have."""

    def curve(folder: Path) -> dict[str, Any]:
        [events] = folder.rglob("events.*")
        accumulator = EventAccumulator(str(events.parent))
        accumulator.Reload()
        tags = accumulator.Tags()["scalars"]
        return {t: [(s.step, s.value) for s in accumulator.Scalars(t)] for t in tags}

    from eval.folds import outer_folds

    folds, far, near = outer_folds(dataset), tmp_path / "far", tmp_path / "near"
    near.mkdir()
    there = OuterEvaluator(dataset, [PROBE], folds, RECIPE, "45nm_fp32", far)
    figures = there({"model": "probe", "fold": "bob"}, 1.0, 1)
    assert len(figures["epochs"]) == RECIPE.epochs
    assert not far.exists()
    there.write_epochs("probe", json.loads(json.dumps(figures)))
    here = OuterEvaluator(dataset, [PROBE], folds, RECIPE, "45nm_fp32", near)
    assert "epochs" not in here({"model": "probe", "fold": "bob"}, 1.0, 1)
    assert curve(far) == curve(near)
    assert sorted(curve(far)) == ["test/ua", "test/wa", "train/learning_rate", "train/loss"]


def test_baselines_show_what_was_made_when_a_fold_fails(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_fold = confirmation.train_fold

    def failing(values: Any, dataset: Any, fold: Any, **options: Any) -> Any:
        if fold.name == "cat":
            raise RuntimeError("no luck with cat")
        return train_fold(values, dataset, fold, **options)

    monkeypatch.setattr(confirmation, "train_fold", failing)
    given = ["baselines", "--data", str(corpus), "--only", "linear_probe", "--seeds", "2"]
    done = CliRunner().invoke(cli, [*given, "--json"])
    assert done.exit_code == 1
    rows = json.loads(done.stdout)["rows"]
    assert [(r["fold"], r["seed"]) for r in rows] == [
        ("ann", 0),
        ("ann", 1),
        ("bob", 0),
        ("bob", 1),
    ]
    assert "error: 2 of 6 trainings failed" in done.stderr
    assert "linear_probe, fold cat, seed 1: RuntimeError: no luck with cat" in done.stderr
    assert "in failing" in done.stderr  # nothing is kept, so that the traceback is here


def test_the_time_left_is_that_of_the_pace_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("nas.cli.confirm.time.monotonic", lambda: now[0])
    ticker = Ticker(Out("human"))
    # ten were made by an earlier process; the workers came up in 100 s; 30 s each since
    for seconds, done in ((100, 11), (130, 12), (160, 13)):
        now[0] = seconds
        ticker(done, 15)
    said = capsys.readouterr().err.splitlines()
    assert said == ["11/15 trainings", "12/15 trainings, 90 s left", "13/15 trainings, 60 s left"]
