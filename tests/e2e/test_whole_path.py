"""The whole path on the bundled corpus, through the command line: from a space to a device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import run

import nas

CLASSES = ["anger", "fear", "neutral"]
SPEAKERS = ["m1", "m2", "m3", "m4", "m5"]


@pytest.fixture(scope="module")
def corpus() -> dict[str, tuple[str, str]]:
    """Label and speaker of every recording as their names tell them, and where they lie."""
    folder = Path(run("data", "fetch", "polish")["folder"])
    letters = {"a": "anger", "s": "fear", "n": "neutral"}
    return {
        str(path): (letters[path.name[3]], path.name[:2]) for path in sorted(folder.glob("*.wav"))
    }


def recalls(rows: list[tuple[str, str]]) -> tuple[float, float]:
    """WA and UA of pairs of a true and a predicted label, counted."""
    hits = [true == predicted for true, predicted in rows]
    of_class = [[h for h, (t, _) in zip(hits, rows, strict=True) if t == c] for c in CLASSES]
    return sum(hits) / len(hits), sum(sum(h) / len(h) for h in of_class) / len(of_class)


def test_from_a_space_to_a_device(corpus: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    folder, best, mine = tmp_path / "run", tmp_path / "best", tmp_path / "mine"
    spoken = {s: {p for p, (_, who) in corpus.items() if who == s} for s in SPEAKERS}
    assert sum(map(len, spoken.values())) == 446

    # search: the test speaker is in no evaluation
    given = ["--space", "pts_snn_small", "--budget", 3, "--seed", 1, "--proxy", "none"]
    found = run("search", *given, "--validation-folds", 2, "--out", folder)
    assert found["front"]
    shown = run("show", folder, "knee")
    counts = np.array(shown["metrics"]["confusion"])
    assert counts.sum() == len(spoken["m2"] | spoken["m3"])
    assert shown["metrics"]["ua"] == pytest.approx(np.mean(np.diag(counts) / counts.sum(axis=1)))
    assert shown["metrics"]["energy_with_encoder"] > shown["metrics"]["energy"] > 0
    assert nas.open_run(folder).baselines()["linear_probe"]["ua"] > 0.5
    knee = shown["hash"]

    # confirm: every speaker is tested once, m1 for the first time
    confirmed = run("confirm", folder, "--seeds", 1, "--only", "knee")
    assert (confirmed["held_out"], confirmed["folds"]) == ("m1", SPEAKERS)
    rows = [json.loads(line) for line in (folder / "confirm.jsonl").open()]
    [tested] = [m for m in confirmed["models"] if m["model"] == knee]
    ours = {r["fold"]: r["ua"] for r in rows if r["model"] == knee}
    assert tested["ua"]["mean"] == pytest.approx(np.mean([ours[s] for s in SPEAKERS]))
    assert tested["ua_held_out"] == ours["m1"]

    # report: one page with the chosen network and its test figure
    page = Path(run("report", folder)["report"]).read_text(encoding="utf-8")
    assert knee in page
    assert f"{100 * tested['ua']['mean']:.1f} (" in page

    # export: the folder gives its figures again
    exported = run("export", folder, "--best", "knee", "--out", best, "--verify")
    assert exported["hash"] == knee
    metrics = json.loads((best / "metrics.json").read_text())
    assert metrics["ua"] == shown["metrics"]["ua"]
    assert [r["ua"] for r in metrics["confirmed"]] == [ours[s] for s in SPEAKERS]

    # train: anew on every fold, and once on everything
    trained = run("train", best, "--out", mine)
    assert [r["fold"] for r in trained["folds"]] == SPEAKERS
    assert {r["fold"]: r["ua"] for r in trained["folds"]} == ours  # the same seed and folds

    # predict: recordings that the search never saw, and the speaker it was verified on
    told = json.loads((best / "folds.json").read_text())
    [fold] = [f for f in told["folds"] if f["name"] == "m1"]
    unseen = {Path(p).name for p in spoken["m1"]}
    assert set(fold["test"]) == unseen
    assert {part["name"] for part in fold["inner"]} == {"m2", "m3", "m4", "m5"}
    everyone = {path for path, _, _ in told["utterances"]}
    for part in fold["inner"]:
        validated = set(part["validation"])
        fitted = everyone - set(fold["test"]) - validated
        assert validated == {Path(p).name for p in spoken[part["name"]]}
        assert unseen.isdisjoint(validated | fitted)
    listed = sorted(spoken["m1"] | spoken["m2"])
    command = [sys.executable, "-m", "nas", "predict", str(best), "-", "--json"]
    done = subprocess.run(
        [*command, "--batch-seconds", "0"],
        input="\n".join(listed),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert list(said) == listed
    for row in said.values():
        assert row["label"] in CLASSES
        assert list(row["scores"]) == CLASSES
        assert row["label"] == max(CLASSES, key=row["scores"].__getitem__)
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert {said[p]["label"] for p in spoken["m1"]} != {CLASSES[0]}
    counted = recalls([(corpus[p][0], said[p]["label"]) for p in sorted(spoken["m2"])])
    for value, name in zip(counted, ("wa", "ua"), strict=True):
        assert exported["verified"][name] == [pytest.approx(value), pytest.approx(value)]

    # convert: another runtime says the same of recordings
    device = tmp_path / "mine.onnx"
    made = run("convert", mine, "--to", "onnx", "--frames", 10, "--out", device)
    check_onnx(made, device, mine)


def check_onnx(made: dict[str, Any], device: Path, folder: Path) -> None:
    import onnxruntime
    import torch

    assert made["parity"]["labels_equal"] == 1.0
    frames = np.random.default_rng(5).normal(size=(1, 10, 384)).astype(np.float32)
    session = onnxruntime.InferenceSession(device, providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], {"frames": frames})
    with torch.no_grad():
        ours = nas.load(folder)(torch.from_numpy(frames)).numpy()
    assert logits == pytest.approx(ours, abs=1e-3)
