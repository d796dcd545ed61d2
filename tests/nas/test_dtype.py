"""The number format of a run's trainings: recorded, kept on resume, and never mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import nas
from eval import training
from eval.training import Recipe
from search_spaces.errors import NasError

from .trainings import speak


def search(folder: Path, corpus: Path, **options: Any) -> Any:
    asked = {"space": "pts_snn_small", "data": str(corpus), "searcher": "random", "budget": 1}
    return nas.search(out=folder, validation_folds=1, **{**asked, **options})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def half(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(search(tmp_path_factory.mktemp("dtype") / "half", corpus, dtype="bfloat16").folder)


def test_it_is_in_the_record_of_run_and_evaluations(half: Path) -> None:
    study = nas.open_run(half)
    assert study.config.evaluator["recipe"]["dtype"] == "bfloat16"
    assert [e.metrics["dtype"] for e in study.evaluations] == ["bfloat16"]
    events = [json.loads(line) for line in (half / "log.jsonl").read_text().splitlines()]
    [told] = [e for e in events if e["event"] == "trainings"]
    assert told["dtype"] == "bfloat16"
    assert told["neurons"]


def test_a_resumed_run_keeps_it_and_takes_no_other(half: Path) -> None:
    with pytest.raises(NasError, match="float32"):
        nas.search(resume=half, budget=2, dtype="float32")
    study = nas.search(resume=half, budget=2)
    assert [e.metrics["dtype"] for e in study.evaluations] == ["bfloat16"] * 2


def test_a_run_of_before_was_in_float32_and_mixed_all_lengths(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(search(tmp_path / "run", corpus, dtype="float32").folder)
    record = folder / "run.yaml"
    document = yaml.safe_load(record.read_text())
    del document["evaluator"]["recipe"]["dtype"], document["evaluator"]["recipe"]["bucket"]
    record.write_text(yaml.safe_dump(document, sort_keys=False))
    buckets: list[int] = []
    plain = training.shuffled

    def watched(*given: Any) -> Any:
        buckets.append(given[-1])
        return plain(*given)

    monkeypatch.setattr(training, "shuffled", watched)
    study = nas.search(resume=folder, budget=2)
    assert [e.metrics["dtype"] for e in study.evaluations] == ["float32"] * 2
    assert set(buckets) == {1}
    search(tmp_path / "new", corpus)
    assert set(buckets) == {1, Recipe().bucket}


def test_an_unknown_one_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="no number format 'half'"):
        search(tmp_path / "run", tmp_path / "nowhere", dtype="half")
    assert not (tmp_path / "run").exists()
