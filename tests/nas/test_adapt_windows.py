"""``nas adapt`` of time-to-first-spike networks, whose windows are fitted anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div

from eval.features import load_dataset
from eval.resolution import Adapted, choose
from eval.resolution.frames import at_frame_rate
from eval.training import predict
from nas.adapt import adapt
from nas.hardware.loading import load

from .hardware_nets import CLASSES, DIM, SMALL, export_folder

RATE = 50.0


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for i in range(24):
        frames = rng.normal(size=DIM) + 2.0 * rng.normal(size=(12, DIM))
        np.save(folder / f"{i}.npy", frames.astype(np.float32))
        rows.append(f"{i}.npy,{CLASSES[i % 3]},s{i % 4}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_what_is_told_and_chosen_is_of_the_network_that_is_written(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heard again from the folder, and compared by torch's own divergence."""
    export_folder(
        tmp_path / "best",
        {**SMALL, "neuron.type": "ttfs"},
        features={"data": str(corpus)},
        source={"frame_rate": RATE, "kind": "features"},
    )
    compared: list[Adapted] = []

    def spied(found: list[Adapted]) -> Adapted:
        compared.extend(found)
        return choose(found)

    monkeypatch.setattr("eval.resolution.choose", spied)
    found = adapt(
        tmp_path / "best",
        RATE / 3,
        folder=tmp_path / "out",
        say=lambda _: None,
        step=lambda *_: None,
    )
    [row] = [r for r in found["rows"] if r["method"] == found["method"]]
    assert {a.method: a.divergence for a in compared} == {
        r["method"]: r["divergence"] for r in found["rows"]
    }
    before = load_dataset(corpus, frame_rate=RATE)
    everyone = np.arange(len(before))
    p = predict(load(tmp_path / "best"), before, everyone)
    q = predict(load(tmp_path / "out"), at_frame_rate(before, RATE / 3), everyone)
    logs = (x.double().log_softmax(1) for x in (q, p))
    divergence = float(kl_div(*logs, reduction="batchmean", log_target=True))
    assert row["divergence"] == pytest.approx(divergence, rel=1e-6)
    assert row["agreement"] == float((p.argmax(1) == q.argmax(1)).double().mean())
