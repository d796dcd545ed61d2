"""From a run to a folder that gives its figures again, and to one that was retrained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from small import SPEAKERS, run


def test_an_export_reproduces_its_figures_and_retrains(
    finished: Path, corpus: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from eval.evaluate import count_parameters
    from eval.features import load_dataset
    from eval.folds import inner_folds, outer_folds
    from eval.recall import recall
    from eval.training import predict
    from search_spaces.families import get_family

    best = tmp_path / "best"
    assert "model.safetensors" in run("export", finished, "--best", "knee", "--out", best)["files"]
    config = json.loads((best / "config.json").read_text())
    metrics = json.loads((best / "metrics.json").read_text())
    values = yaml.safe_load((best / "architecture.yaml").read_text())
    dataset = load_dataset(corpus)
    network = get_family(config["family"]).build(values, dataset.dim, len(config["classes"]))
    network.load_state_dict(load_file(best / "model.safetensors"))
    fold = inner_folds(dataset, outer_folds(dataset)[0].fit)[0]
    predicted = predict(network, dataset, fold.held).argmax(1).numpy()
    measured = recall(dataset.labels[fold.held], predicted, 3)
    assert (measured.wa, measured.ua) == (metrics["folds"][0]["wa"], metrics["folds"][0]["ua"])
    assert count_parameters(network) == metrics["parameters"]
    card = (best / "README.md").read_text()
    assert config["hash"] in card
    assert "memory and data movement" in card  # what the energy leaves out
    assert "nas search" in card
    assert f"| bob | 18 | {metrics['folds'][0]['wa']:.6g} |" in card

    retrained = run("train", best, "--data", corpus, "--out", tmp_path / "mine")
    assert [r["fold"] for r in retrained["folds"]] == sorted(SPEAKERS)
    mean = np.mean([r["ua"] for r in retrained["folds"]])
    assert retrained["ua"]["mean"] == pytest.approx(mean)
    kept = json.loads((tmp_path / "mine" / "metrics.json").read_text())
    assert kept["ua"] == retrained["ua"]["mean"]
    assert (tmp_path / "mine" / "model.safetensors").is_file()
    again = run("train", tmp_path / "mine", "--data", corpus)
    assert again["folds"] == retrained["folds"]


def test_verify_measures_the_folder_again_and_finds_what_was_changed(
    finished: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from nas.verify import verify
    from search_spaces.errors import NasError

    best = tmp_path / "best"
    told = run("export", finished, "--best", "ua", "--out", best, "--verify")["verified"]
    rows = json.loads((best / "metrics.json").read_text())["folds"]
    assert told["ua"] == [rows[0]["ua"], rows[0]["ua"]]
    assert rows[0]["held"] in told["measured_on"]

    other = tmp_path / "other"
    shutil.copytree(best, other)
    weights = load_file(other / "model.safetensors")
    for name in [n for n in weights if "readout" in n]:
        weights[name] = -weights[name]
    save_file(weights, other / "model.safetensors")
    with pytest.raises(NasError, match="was recorded as"):
        verify(other, lambda _: None)

    done = subprocess.run(
        [sys.executable, "-m", "nas", "export", str(finished), "--out", str(best), "--verify"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "exists already" in done.stderr


ALONE = """
import json, os, sys

away = tuple(sys.argv[1:])


def refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(away):
        raise RuntimeError(f"{arguments[0]} is not part of the export")
    if event.startswith("socket.connect"):
        raise RuntimeError("no network is needed")


sys.addaudithook(refuse)
import nas
import numpy as np
import torch

network = nas.load("best")
frames = torch.from_numpy(np.load("frames.npy"))
with torch.no_grad():
    print(json.dumps(network(frames, torch.tensor([9, 5])).tolist()))
"""


def test_an_export_alone_is_enough(finished: Path, corpus: Path, tmp_path: Path) -> None:
    """Copied away from its run and corpus, into an environment that knows neither."""
    import torch

    import nas

    run("export", finished, "--out", tmp_path / "made")
    frames = np.random.default_rng(0).normal(size=(2, 9, 12)).astype(np.float32)
    with torch.no_grad():
        lengths = torch.tensor([9, 5])
        expected = nas.load(tmp_path / "made")(torch.from_numpy(frames), lengths).numpy()
    alone, home = tmp_path / "alone", tmp_path / "home"
    for folder in (alone, home):
        folder.mkdir()
    shutil.copytree(tmp_path / "made", alone / "best")
    np.save(alone / "frames.npy", frames)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NAS_", "XDG_", "HF_"))}
    away = [str(finished), str(corpus), str(tmp_path / "made")]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *away],
        cwd=alone,
        env={
            **kept,
            "HOME": str(home),
            "NAS_CACHE": str(home / "cache"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.array(json.loads(done.stdout)) == pytest.approx(expected, abs=1e-6)
    # nothing was fetched: what may be there is compiled
    assert {p.name for p in (home / "cache").glob("*")} <= {"kernels"}
