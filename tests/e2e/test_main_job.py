"""From a corpus to a retrained export, through the command line, on a small corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small import SPEAKERS, run

import nas
from eval.features import Dataset
from search_spaces.errors import NasError


def test_the_record_holds_everything_a_result_needs(finished: Path, corpus: Path) -> None:
    config = yaml.safe_load((finished / "run.yaml").read_text())
    assert config["budget"] == 8
    assert config["space"]["name"] == "pts_snn_small"
    assert config["evaluator"]["test"] == "ann"
    assert config["evaluator"]["validation"] == ["bob", "cat", "dan"]
    assert config["evaluator"]["data"] == str(corpus)
    assert config["created"]["versions"]["torch"]
    for e in nas.open_run(finished).evaluations:
        assert e.ok
        assert e.metrics["energy_profile"] == "45nm_fp32"
        assert sum(map(sum, e.metrics["confusion"])) == 54  # three validation speakers of 18
        assert [row["held"] for row in e.metrics["folds"]] == ["bob", "cat", "dan"]


def test_checkpoints_are_those_of_the_front_and_of_what_may_return_to_it(finished: Path) -> None:
    kept = {p.stem for p in (finished / "checkpoints").iterdir()}
    study = nas.open_run(finished)
    archive = study.archive()
    values = archive.losses(archive.full).tolist()
    left = {e.architecture.hash: row for e, row in zip(archive.full, values, strict=True)}
    allowed: set[str] = set()
    for _ in range(3):  # a corpus search measures again: the first three ranks
        rank = {
            name
            for name, mine in left.items()
            if not any(
                other != mine and all(o <= m for o, m in zip(other, mine, strict=True))
                for other in left.values()
            )
        }
        allowed |= rank
        left = {name: values for name, values in left.items() if name not in rank}
    assert {e.architecture.hash for e in study.front()} <= kept <= allowed


def test_baselines_stand_beside_the_front_and_beat_chance(finished: Path) -> None:
    figures = nas.open_run(finished).baselines()
    assert set(figures) == {"linear_probe", "mean_pool_mlp"}
    assert all(row["ua"] > 0.6 for row in figures.values())


def test_the_best_of_the_search_beats_chance(finished: Path) -> None:
    assert max(e.objectives["ua"] for e in nas.open_run(finished).front()) > 0.5


def test_a_search_never_reads_the_test_speaker(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[str] = set()
    original = Dataset.utterance

    def watched(self: Dataset, i: int) -> Any:
        read.add(self.speakers[i])
        return original(self, i)

    monkeypatch.setattr(Dataset, "utterance", watched)
    nas.search(space="pts_snn_small", data=corpus, budget=1, test_fold=1, out=tmp_path / "run")
    assert read == {"ann", "cat", "dan"}


def test_real_training_interrupted_and_resumed_equals_the_unbroken_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: objectives, losses and spike counts."""

    def figures(study: Any) -> list[Any]:
        return [
            (e.architecture.hash, dict(e.objectives), e.metrics["loss"], e.metrics["spikes"])
            for e in study.evaluations
        ]

    options: dict[str, Any] = {"space": "pts_snn_small", "data": corpus, "searcher": "local"}
    whole = nas.search(**options, budget=5, out=tmp_path / "whole")

    import eval.evaluate

    original, calls = eval.evaluate.measure, []

    def breaking(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(eval.evaluate, "measure", breaking)
    with pytest.raises(KeyboardInterrupt):
        nas.search(**options, budget=5, out=tmp_path / "broken")
    assert figures(nas.search(resume=tmp_path / "broken")) == figures(whole)


def test_fewer_validation_folds_train_less_and_are_kept_on_resume(
    corpus: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"space": "pts_snn_small", "data": corpus, "validation_folds": 1}
    nas.search(**options, budget=1, out=tmp_path / "run")
    study = nas.search(resume=tmp_path / "run", budget=2)
    assert [[f["held"] for f in e.metrics["folds"]] for e in study.evaluations] == [["bob"]] * 2


def test_resuming_on_a_changed_corpus_is_refused(corpus: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    nas.search(space="pts_snn_small", data=copy, budget=1, out=tmp_path / "run")
    file = copy / "ann-sad-0.npy"
    np.save(file, np.load(file) + 1)
    with pytest.raises(NasError, match="digest"):
        nas.search(resume=tmp_path / "run", budget=2)
    with pytest.raises(NasError, match="not the run that was started"):
        nas.search(resume=tmp_path / "run", data=corpus, budget=2)


def test_a_run_resumes_with_another_cache(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nas.search(space="pts_snn_small", data=corpus, budget=1, out=tmp_path / "run")
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "elsewhere"))
    assert nas.search(resume=tmp_path / "run", budget=2).spent == 2


def test_confirm_measures_every_outer_fold_and_goes_on_after_a_kill(finished: Path) -> None:
    first = run("confirm", finished, "--seeds", 2, "--only", "knee")
    assert first["folds"] == sorted(SPEAKERS)
    assert first["held_out"] == "ann"
    [knee] = [m for m in first["models"] if m["model"] not in ("linear_probe", "mean_pool_mlp")]
    assert knee["trainings"] == 8
    assert 0.0 <= knee["ua"]["low"] <= knee["ua"]["mean"] <= 1.2
    rows = (finished / "confirm.jsonl").read_text().splitlines(keepends=True)
    assert len(rows) == 3 * 4 * 2
    # a kill after 20 trainings, in the middle of a line
    (finished / "confirm.jsonl").write_text("".join(rows[:20]) + rows[20][:30])
    assert run("confirm", finished, "--seeds", 2, "--only", "knee") == first
    assert (finished / "confirm.jsonl").read_text().splitlines(keepends=True) == rows
    assert not (finished / "confirm").exists()  # nothing of trainings that are over


def test_baselines_are_measured_on_every_outer_fold(corpus: Path) -> None:
    only = ["--only", "linear_probe", "--only", "static_bias"]
    document = run("baselines", "--data", corpus, "--seeds", 1, *only)
    assert [m["model"] for m in document["models"]] == ["linear_probe", "static_bias"]
    for m in document["models"]:
        assert [r["fold"] for r in document["rows"] if r["model"] == m["model"]] == sorted(
            SPEAKERS
        )
        assert m["energy"]["mean"] > 0
    done = subprocess.run(
        [sys.executable, "-m", "nas", "baselines", "--only", "linear_prob"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "did you mean 'linear_probe'" in done.stderr


def test_a_space_of_attention_kinds_trains_only_what_fits_its_bounds(
    corpus: Path, tmp_path: Path
) -> None:
    """Outside the parameter bounds nothing is trained and nothing charged."""
    space = tmp_path / "small_attention.yaml"
    space.write_text(
        "name: small_attention\nfamily: pts_snn\nparameters:\n"
        "  encoder.depth: {int: [1, 1]}\n  encoder.width: {int: [8, 24], step: 4}\n"
        "  calibration.kind: {choice: [dynamic]}\n  prompt.length: {choice: [2]}\n"
        "  attention.kind: {choice: [ssla, retnet, kda]}\n  attention.heads: {choice: [2]}\n"
        "objectives: {ua: maximize, energy: minimize}\n"
        "constraints: {parameters: {min: 2500, max: 4500}}\n"
    )
    run("search", "--space", space, "--data", corpus, "--budget", 3, "--out", tmp_path / "run")
    done = nas.open_run(tmp_path / "run").evaluations
    assert len(done) == 3
    assert all(2500 <= e.metrics["parameters"] <= 4500 for e in done)
    # which back end an attention ran on is in the run's log, never silent
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    said = " ".join(event.get("text", "") for event in log)
    for kind in {e.architecture["attention.kind"] for e in done} & {"retnet", "kda"}:
        assert f"attention {kind} runs on torch: tensors are on cpu" in said


def test_a_space_without_anything_to_train_says_so(corpus: Path, tmp_path: Path) -> None:
    """Three heads never divide 8 or 16 channels: nothing is trained, nothing charged."""
    space = tmp_path / "impossible.yaml"
    space.write_text(
        "name: impossible\nfamily: pts_snn\nparameters:\n"
        "  encoder.width: {choice: [8, 16]}\n  calibration.kind: {choice: [dynamic]}\n"
        "  attention.kind: {choice: [softmax]}\n  attention.heads: {choice: [3]}\n"
        "objectives: {ua: maximize}\n"
    )
    given = ["--space", str(space), "--data", str(corpus), "--budget", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "nas", "search", *given, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no architecture of the space can be built" in done.stderr
    assert nas.open_run(tmp_path / "run").spent == 0
