from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small import CLASSES, SPEAKERS, run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers, three classes, frames of 12 dimensions around a mean per class."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    means = rng.normal(size=(len(CLASSES), 12))
    rows = ["path,label,speaker"]
    for speaker in SPEAKERS:
        offset = 0.3 * rng.normal(size=12)
        for label, mean in zip(CLASSES, means, strict=True):
            for i in range(6):
                frames = mean + offset + rng.normal(size=(int(rng.integers(4, 15)), 12))
                np.save(folder / f"{speaker}-{label}-{i}.npy", frames.astype(np.float32))
                rows.append(f"{speaker}-{label}-{i}.npy,{label},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    document = run(
        "search", "--space", "pts_snn_small", "--data", corpus, "--budget", 8, "--out", folder
    )
    assert document["front"]
    return folder
