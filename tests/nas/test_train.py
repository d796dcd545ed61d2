"""Full trainings: killed, interrupted, failing, on several workers; and what is left of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import EPOCHS, SPEAKERS, export_of, speak

from eval import confirmation
from nas.cli import cli
from nas.executors.workers import Workers
from nas.outer import TrainingsFailed
from nas.retrain import retrain
from nas.training_folder import beside
from search_spaces.errors import NasError

# ends the process without a word, in the middle of a training
KILLED = """
import os, signal, sys
import eval.keeping, nas.event_log
from nas.cli import main
eval.keeping.EVERY_SECONDS = 0.0
told, tell = [], nas.event_log.EventLog.epoch
def epoch(self, e):
    tell(self, e)
    told.append(e)
    if len(told) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
nas.event_log.EventLog.epoch = epoch
sys.argv = ["nas", *{arguments!r}]
main()
"""


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    return export_of(folder / "best", speak(folder / "corpus"))


@pytest.fixture(scope="module")
def unbroken(best: Path) -> Path:
    command(best, "--out", best.parent / "unbroken")
    return best.parent / "unbroken"


def command(best: Path, *arguments: str | Path, code: int = 0) -> Any:
    given = ["train", str(best), *map(str, arguments), "--json"]
    done = CliRunner().invoke(cli, given, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.stderr


def trained(best: Path, out: Path | None = None, **options: Any) -> dict[str, Any]:
    return retrain(best, None, 1, out, **{"say": lambda _: None, **options})


def interrupt_after(n: int) -> Callable[[int, int], None]:
    def step(done: int, total: int) -> None:
        if done == n:
            raise KeyboardInterrupt

    return step


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read events with TensorBoard's own reader."""
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {t: [(s.step, s.value) for s in accumulator.Scalars(t)] for t in tags}


def curves(export: Path) -> dict[str, Any]:
    top = export / "training" / "tensorboard"
    places = {p.parent for p in top.rglob("events.*")}
    return {str(p.relative_to(top)): scalars(p) for p in sorted(places)}


# -- kill -9 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [EPOCHS + 2, 9 * EPOCHS + 2], ids=["fold", "whole corpus"])
def test_a_killed_training_goes_on_in_its_epoch(
    best: Path, unbroken: Path, tmp_path: Path, after: int
) -> None:
    """The epoch that was told, but not kept, is made again; nothing before it."""
    out = tmp_path / "out"
    script = KILLED.format(after=after, arguments=["train", str(best), "--out", str(out)])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    work = beside(out)
    assert not out.exists()
    assert len(rows(work)) == after // EPOCHS
    assert len(list((work / "partial").glob("*.safetensors"))) == 1
    command(best, "--out", out)
    assert rows(out / "training") == rows(unbroken / "training")
    mine, theirs = load_file(out / "model.safetensors"), load_file(unbroken / "model.safetensors")
    assert mine.keys() == theirs.keys()
    assert all((mine[k] == theirs[k]).all() for k in mine)
    assert not work.exists()
    assert curves(out) == curves(unbroken)
    second = {p.name.split(".")[-1].partition("-")[0] for p in out.rglob("events.*")}
    assert second == {"1", "2"}  # no event file begins anywhere but at epoch 1, or at 2 again


def test_an_export_that_was_whole_when_the_process_died(
    best: Path, unbroken: Path, tmp_path: Path
) -> None:
    work = beside(unbroken)
    work.mkdir()
    (work / "train.yaml").write_bytes((unbroken / "training" / "train.yaml").read_bytes())
    with pytest.raises(NasError, match="exists already"):
        trained(best, unbroken)
    assert not work.exists()


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(
    best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(NasError, match="cannot write there: Not a directory"):
        trained(best)
    monkeypatch.setattr("nas.retrain.load", None)  # no corpus is read
    with pytest.raises(NasError, match="cannot write there: Not a directory"):
        trained(best, tmp_path / "file" / "out")


# -- interrupted ----------------------------------------------------------------------------------


def test_the_same_request_goes_on_and_another_is_refused(
    best: Path, unbroken: Path, tmp_path: Path
) -> None:
    out, calls = tmp_path / "out", []
    with pytest.raises(KeyboardInterrupt):
        trained(best, out, step=interrupt_after(4))
    with pytest.raises(NasError, match="seeds: 1 in the folder, 2 asked") as refused:
        retrain(best, None, 2, out, say=lambda _: None)
    assert str(beside(out)) in str(refused.value)
    with pytest.raises(NasError, match=r"recipe\.epochs: 3 in the folder, 5 asked"):
        trained(best, out, epochs=5)
    trained(best, out, step=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 9) for n in range(5, 10)]
    assert rows(out / "training") == rows(unbroken / "training")


def test_without_a_folder_to_write_the_work_stays_among_the_runs(best: Path, runs: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(best, step=interrupt_after(2))
    [begun] = runs.iterdir()
    assert begun.name.startswith("train-")
    assert begun.name.endswith("-corpus-1")
    other = trained(best, baselines=False)  # another request, with a folder of its own
    assert other["training"] == str(begun)[:-1] + "2"
    done = trained(best)
    assert done["training"] == str(begun)
    assert json.loads((begun / "result.json").read_text())["ua"] == done["ua"]
    assert not (begun / "partial").exists()
    assert trained(best)["training"] == str(begun)[:-1] + "3"


def test_one_process_at_a_time(best: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def another(done: int, total: int) -> None:
        with pytest.raises(NasError, match="another process"):
            trained(best, out)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(best, out, step=another)


# -- what comes out -------------------------------------------------------------------------------


def test_the_simple_baselines_stand_beside_it(best: Path, unbroken: Path) -> None:
    metrics = json.loads((unbroken / "metrics.json").read_text())
    names = [m["model"] for m in metrics["baselines"]]
    assert names == ["linear_probe", "mean_pool_mlp"]
    kept = rows(unbroken / "training")
    for entry in metrics["baselines"]:
        mine = [r["ua"] for r in kept if r["model"] == entry["model"]]
        assert len(mine) == entry["trainings"] == len(SPEAKERS)
        assert entry["ua"]["mean"] == pytest.approx(sum(mine) / len(mine))
    assert [r["fold"] for r in metrics["folds"]] == list(SPEAKERS)
    alone = trained(best, baselines=False)
    assert alone["baselines"] == []
    assert alone["folds"] == metrics["folds"]


def test_the_table_has_a_line_for_each_model(best: Path) -> None:
    done = CliRunner().invoke(cli, ["train", str(best)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for name in ("linear_probe", "mean_pool_mlp", json.loads(config(best))["hash"]):
        assert any(line.split()[:1] == [name] for line in done.stdout.splitlines())
    assert "3 outer folds x 1 seeds, 3 epochs" in done.stdout


def config(folder: Path) -> str:
    return (folder / "config.json").read_text()


def test_more_epochs_are_made_and_recorded(best: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = command(best, "--epochs", "5", "--no-baselines", "--out", out)
    assert result["recipe"]["epochs"] == json.loads(config(out))["recipe"]["epochs"] == 5
    request = yaml.safe_load((out / "training" / "train.yaml").read_text())["request"]
    assert request["recipe"]["epochs"] == 5
    for curve in curves(out).values():
        assert [step for step, _ in curve["train/loss"]] == [1, 2, 3, 4, 5]


def test_events_are_of_training_and_the_test_comes_at_the_end(unbroken: Path) -> None:
    found = curves(unbroken)
    assert len(found) == 3 * len(SPEAKERS) + 1
    for place, curve in found.items():
        assert [step for step, _ in curve["train/loss"]] == [1, 2, 3]
        rates = [rate for _, rate in curve["train/learning_rate"]]
        assert rates[0] > rates[1] > rates[2] > 0  # after the warm-up of a tenth, cosine to 0
        whole = place.endswith("all")
        assert [t for t in curve if "test" in t] == ([] if whole else ["test/wa", "test/ua"])
    for row in rows(unbroken / "training"):
        place = f"{row['model']}/{SPEAKERS.index(row['fold'])}-{row['fold']}/seed-0"
        [(step, ua)] = found[place]["test/ua"]
        assert step == EPOCHS
        assert ua == pytest.approx(row["ua"])


# -- failures -------------------------------------------------------------------------------------


def test_a_fold_that_fails_ends_nothing_else(
    best: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, train_fold = tmp_path / "out", confirmation.train_fold

    def failing(values: Any, dataset: Any, fold: Any, **options: Any) -> Any:
        if fold.name == "bob" and options["family"] == "pts_snn":
            raise RuntimeError("no luck with bob")
        return train_fold(values, dataset, fold, **options)

    with monkeypatch.context() as patched:
        patched.setattr(confirmation, "train_fold", failing)
        said = command(best, "--out", out, code=1)
        with pytest.raises(TrainingsFailed) as failed:
            trained(best, out)
    assert "1 of 9 trainings failed" in said
    assert "fold bob, seed 0: RuntimeError: no luck with bob" in said
    assert "Traceback" not in said
    path = beside(out) / "failures.txt"
    assert str(path) in said
    assert "in failing" in path.read_text()
    assert len(failed.value.rows) == len(rows(beside(out))) == 8
    assert not out.exists()
    calls: list[int] = []
    trained(best, out, step=lambda done, _: calls.append(done))
    assert calls == [9]  # the one that failed, and no other
    order = json.loads((unbroken / "metrics.json").read_text())
    assert json.loads((out / "metrics.json").read_text())["folds"] == order["folds"]


def test_what_cannot_be_built_is_said_at_once(best: Path, tmp_path: Path, runs: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text(config(best))
    values = {"encoder.width": 9, "attention.kind": "softmax", "calibration.kind": "dynamic"}
    (bad / "architecture.yaml").write_text(yaml.safe_dump({**values, "attention.heads": 2}))
    with pytest.raises(NasError, match="heads"):
        trained(bad)
    assert not runs.exists()


# -- workers --------------------------------------------------------------------------------------


def test_two_workers_give_what_one_gives(
    own_ray: Path, best: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    trained(best, out, workers=Workers(2))
    key = json.dumps
    assert sorted(map(key, rows(out / "training"))) == sorted(
        map(key, rows(unbroken / "training"))
    )
    for name in ("folds", "baselines"):
        mine, theirs = (json.loads((p / "metrics.json").read_text()) for p in (out, unbroken))
        assert mine[name] == theirs[name]  # in their order, not in that of completion
    assert curves(out) == curves(unbroken)
