"""What the export of a full training says of the weights in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nas.retrain import retrain

from .trainings import export_of, speak


def test_it_says_what_its_own_weights_do(tmp_path: Path) -> None:
    corpus = speak(tmp_path / "corpus")
    best, out = export_of(tmp_path / "best", corpus), tmp_path / "mine"
    retrain(best, None, 1, out, baselines=False, say=lambda _: None)
    metrics = json.loads((out / "metrics.json").read_text())
    own = {row["layer"]: row for row in metrics["layers"]}
    # five features to eight channels, for every frame of three times eight utterances
    frames = [len(np.load(p)) for p in corpus.glob("*.npy")]
    assert len(frames) == 3 * 8
    assert own["project"]["macs"] == pytest.approx(5 * 8 * np.mean(frames))
    assert "24 utterances" in metrics["layers_of"]
    assert metrics["layers_of"] in (out / "README.md").read_text()
    assert "45nm_fp32" in json.loads((out / "energy.json").read_text())["profiles"]
