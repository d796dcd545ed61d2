"""Time-to-first-spike networks on event files, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

SPACE = """
name: small_eyes
family: ttfs_conv
searcher: random
parameters:
  encoder.depth: {int: [1, 2]}
  block.operation: {choice: [conv, double, separable], repeat: encoder.depth}
  block.channels: {choice: [4, 8], repeat: encoder.depth}
  block.skip: {choice: [none, add, concat], repeat: encoder.depth}
  pool.kind: {choice: [max, average]}
  ttfs.steps: {choice: [8, 16]}
objectives: {wa: maximize, ua: maximize, energy: minimize}
constraints: {latency_steps: {max: 200}}
"""


def nas(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def result(*arguments: str | Path) -> Any:
    done = nas(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_events(path: Path, seed: int, angry: bool, **changes: Any) -> None:
    """300 events in 0.7 s on a sensor of 16x12; who is angry brightens, else darkens."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "t": np.sort(rng.integers(0, 700_000, 300)),
        "x": rng.integers(0, 16, 300),
        "y": rng.integers(0, 12, 300),
        "p": np.full(300, angry, np.int64),
        "width": 16,
        "height": 12,
    }
    np.savez(path, **{**fields, **changes})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eyes")
    rows = ["path,label,speaker"]
    for i in range(24):
        write_events(folder / f"{i}.npz", i, angry=bool(i % 2))
        rows.append(f"{i}.npz,{'anger' if i % 2 else 'joy'},s{i // 6}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "events.yaml").write_text("size: {width: 16, height: 12}\nclips: 8\n")
    return folder


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.yaml").write_text(SPACE)
    given = ["--space", folder / "small.yaml", "--data", corpus, "--sampling", "E3-S1"]
    result("search", *given, "--budget", "4", "--out", folder / "run", "--validation-folds", "1")
    return folder / "run"


def test_the_front_shows_accuracy_spikes_and_latency(run: Path) -> None:
    assert yaml.safe_load((run / "run.yaml").read_text())["searcher"] == "random"  # the space's
    shown = nas("pareto", run).stdout
    for column in ("wa %", "ua %", "energy mJ", "spikes", "latency s", "latency_steps"):
        assert column in shown.splitlines()[0]
    front = result("pareto", run)["front"]
    assert max(m["objectives"]["ua"] for m in front) > 0.8  # chance is 0.5
    for m in front:
        metrics = m["metrics"]
        assert metrics["latency"] == pytest.approx(5 / 30)  # E3-S1 spans five frames of 33 ms
        assert metrics["latency_steps"] % m["architecture"]["ttfs.steps"] == 0
        assert metrics["macs"] == 0  # nothing digital in it
        assert metrics["spikes"] > 0
        for row in metrics["layers"]:
            assert row["spikes"] <= row["neurons"], row["layer"]  # at most one a neuron


def test_an_export_is_measured_under_disturbance(run: Path, tmp_path: Path) -> None:
    result("export", run, "--best", "ua", "--out", tmp_path / "best")
    found = result("robustness", tmp_path / "best", "--draws", "2")
    config = json.loads((tmp_path / "best" / "config.json").read_text())
    assert config["held_out"]["validation"] in found["measured_on"]
    metrics = json.loads((tmp_path / "best" / "metrics.json").read_text())
    assert found["rows"][0]["ua"] == pytest.approx(metrics["ua"])  # one validation fold
    assert {r["condition"] for r in found["rows"]} == {
        "as trained",
        "steps",
        "rounding",
        "jitter",
        "deletion",
        "weight bits",
    }
    assert found["measured_on"].startswith("validation")
    test = result("robustness", tmp_path / "best", "--on", "test", "--draws", "1")
    assert config["held_out"]["test"] in test["measured_on"]
    human = nas("robustness", tmp_path / "best", "--draws", "2")
    assert "jitter" in human.stdout
    assert "+-" in human.stdout

    result("train", tmp_path / "best", "--out", tmp_path / "mine")
    refused = nas("robustness", tmp_path / "mine")
    assert refused.returncode == 2
    assert "have seen every utterance" in refused.stderr
    (tmp_path / "best" / "model.safetensors").unlink()
    refused = nas("robustness", tmp_path / "best")
    assert refused.returncode == 2
    assert "no weights" in refused.stderr


def events(t: list[int], x: int) -> dict[str, Any]:
    same = {"x": np.full(len(t), x), "y": np.full(len(t), 3), "p": np.ones(len(t), np.int64)}
    return {"t": np.array(t, np.int64), **same}


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no event": ("check", events([], 0), "there is no event in it"),
    "time goes back": (
        "check",
        events([5, 9, 7], 0),
        "time goes back at event 2: 7 µs after 9 µs",
    ),
    "outside": ("check", events([5], 16), "event 0 at x 16, y 3 lies outside the sensor of 16x12"),
    "search": ("search", events([5, 9, 7], 0), "time goes back at event 2"),
}


@pytest.fixture
def own(corpus: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def make(changes: dict[str, Any]) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir()
        for path in corpus.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        if changes:
            write_events(folder / "7.npz", 7, angry=True, **changes)
        return folder

    return make


@pytest.mark.parametrize(("command", "changes", "says"), BAD.values(), ids=BAD)
def test_a_bad_event_file_is_named(
    own: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    run: Path,
    command: str,
    changes: dict[str, Any],
    says: str,
) -> None:
    folder = own(changes)
    if command == "check":
        done = nas("data", "check", folder)
    else:
        space = run.parent / "small.yaml"
        done = nas("search", "--space", space, "--data", folder, "--out", tmp_path / "run")
        assert not (tmp_path / "run").exists()
    assert done.returncode == 2
    assert says in done.stderr
    assert "7.npz" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_subject_in_two_folds_is_refused(own: Callable[[dict[str, Any]], Path]) -> None:
    folder = own({})
    rows = (folder / "manifest.csv").read_text().splitlines()
    splits = ["train"] * 10 + ["validation"] * 6 + ["test"] * 8  # s2 is cut in two
    split = [f"{row},{part}" for row, part in zip(rows[1:], splits, strict=True)]
    (folder / "manifest.csv").write_text("\n".join([rows[0] + ",split", *split]) + "\n")
    done = nas("data", "check", folder)
    assert done.returncode == 2
    assert "speaker leakage" in done.stderr
    assert "s2" in done.stderr
