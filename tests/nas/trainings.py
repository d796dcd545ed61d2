"""A small corpus, and an export without weights, for the tests of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eval.training import Recipe
from nas.export import write_folder
from search_spaces.architecture import Architecture

SPEAKERS = ("ann", "bob", "cat")
EPOCHS = 3
HEAD = {"encoder.width": 8, "encoder.depth": 1, "calibration.kind": "static"}


def speak(folder: Path, each: int = 8) -> Path:
    """Two classes of features that are not easy to tell apart."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["path,label,speaker"]
    for speaker in SPEAKERS:
        for i in range(each):
            frames = rng.standard_normal((int(rng.integers(3, 7)), 5)) + 0.3 * (i % 2)
            np.save(folder / f"{speaker}{i}.npy", frames.astype(np.float32))
            lines.append(f"{speaker}{i}.npy,{'ab'[i % 2]},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


def tell_apart(folder: Path, count: int, frames: int) -> Path:
    """Two classes of six features round a mean of the class; eight utterances a speaker."""
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for i in range(count):
        mean = (1.0 if i % 2 else -1.0) * np.arange(1, 7) / 2
        np.save(folder / f"{i}.npy", (mean + rng.normal(size=(frames, 6))).astype(np.float32))
        rows.append(f"{i}.npy,{'joy' if i % 2 else 'anger'},s{i // 8}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def export_of(folder: Path, corpus: Path) -> Path:
    """An export as a search on the corpus would make it, trained for few epochs."""
    config: dict[str, Any] = {
        "family": "pts_snn",
        "space": "small",
        "hash": Architecture(HEAD).hash,
        "classes": ["a", "b"],
        "input_shape": 5,
        "features": {"data": str(corpus)},
        "protocol": "leave-one-speaker-out",
        "speaker_dependent": False,
        "folds": None,
        "source": {"kind": "features"},
        "recipe": Recipe(epochs=EPOCHS, batch_size=8).as_dict(),
        "profile": "45nm_fp32",
        "run": {"folder": "runs/small", "command": "nas search --space small"},
    }
    return write_folder(folder, Architecture(HEAD), config, {"measured_on": "nothing"}, None)
