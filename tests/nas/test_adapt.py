"""``nas adapt``: from an export to one at another frame rate."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command import nas

from eval.evaluate import build
from eval.features import load_dataset
from eval.folds import inner_folds, outer_folds
from eval.mapping import Training
from eval.training import Recipe
from eval.weights import load_network, save_weights
from nas.adapt import adapt
from nas.export import read_folder, write_folder
from nas.folding import open_split
from nas.robustness import measure_robustness
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

from .trainings import tell_apart

SPIKING = {"encoder.width": 12, "encoder.depth": 1, "neuron.type": "plif", "neuron.tau": 4.0}
EVENTS = {"encoder.depth": 1, "block.channels": 4, "ttfs.steps": 8}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers, two classes, 40 frames of 6 dimensions round a mean of the class."""
    return tell_apart(tmp_path_factory.mktemp("features"), 32, 40)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects, two classes: many events on the left, or on the right."""
    folder = tmp_path_factory.mktemp("events")
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for i in range(12):
        t = np.sort(rng.integers(0, 500_000, 400))
        x = np.where(rng.random(400) < 0.8, 0, 8) + rng.integers(0, 8, 400)
        x = 15 - x if i % 2 else x
        fields = {"t": t, "x": x, "y": rng.integers(0, 12, 400), "p": rng.integers(0, 2, 400)}
        np.savez(folder / f"{i}.npz", width=16, height=12, **fields)
        rows.append(f"{i}.npz,{'joy' if i % 2 else 'anger'},s{i // 4}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "events.yaml").write_text("size: {width: 8, height: 6}\nclips: 2\n")
    return folder


def export(corpus: Path, folder: Path, family: str, values: dict, **asked) -> Path:
    """Train on the first inner fold and write what ``nas export`` writes of a front member."""
    torch.set_num_threads(1)
    dataset = load_dataset(corpus, **asked)
    outer = outer_folds(dataset)[0]
    fold = inner_folds(dataset, outer.fit)[0]
    network = build(values, family, dataset.shape, 2, np.random.default_rng(0))
    network = Training(network, dataset, fold.fit, Recipe(epochs=15, batch_size=8), 0).run(1.0)
    weights = folder.with_suffix(".safetensors")
    save_weights(network, weights)
    config = {
        "family": family,
        "space": "test",
        "hash": Architecture(values).hash,
        "classes": list(dataset.classes),
        "features": {"data": str(corpus), **asked},
        "source": dataset.source,
        "profile": "45nm_fp32",
        "run": {"folder": "-", "command": "-"},
        "weights": "trained by a test",
        "held_out": {"digest": dataset.digest, "test_fold": 0, "test": outer.name,
                     "validation": fold.name},
    }  # fmt: skip
    folds = folder.with_suffix(".json")
    folds.write_text(open_split({"data": str(corpus)}, print).file())
    told = {"measured_on": "-"}
    return write_folder(folder, Architecture(values), config, told, weights, folds)


@pytest.fixture(scope="module")
def spiking(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(features, tmp_path_factory.mktemp("spiking") / "best", "pts_snn", SPIKING)


@pytest.fixture(scope="module")
def clips(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "best"
    return export(events, folder, "ttfs_conv", EVENTS, sampling="E2-S1", frame_rate=30.0)


def changed(exported: Path, to: float, **options):
    return adapt(exported, to, say=lambda _: None, step=lambda *_: None, **options)


def test_an_export_is_adapted_compared_and_written(spiking: Path, tmp_path: Path) -> None:
    out = tmp_path / "coarse"
    done = nas("adapt", spiking, "--from", "50", "--to", "25", "--out", out, "--json")
    found = json.loads(done.stdout)
    assert (found["from"], found["to"], found["ratio"]) == (50.0, 25.0, 2.0)
    rows = {r["method"]: r for r in found["rows"]}
    assert list(rows) == [
        "integral", "compensated", "euler", "decay", "substeps", "tau", "none",
    ]  # fmt: skip
    assert set(rows["decay"]["layers"]) == {"blocks.0.fire", "blocks.0.inner", "fire"}
    once = ("integral", "compensated", "euler", "decay", "none")
    best = min(once, key=lambda m: rows[m]["divergence"])
    assert rows[best]["agreement"] >= 0.95  # of two classes far apart
    assert found["method"] == best
    assert found["measured_on"].startswith("validation fold s1")
    assert found["source"]["ua"] > 0.7  # the classes are far apart
    assert rows[best]["metrics"]["ua"] > 0.7
    # half the frames, half the membrane updates: the energy says so
    assert rows[best]["metrics"]["energy"] < 0.7 * found["source"]["energy"]

    config = json.loads((out / "config.json").read_text())
    assert config["features"]["frame_rate"] == 25.0
    assert config["source"]["frame_rate"] == 25.0
    assert config["adapted"]["from"] == str(spiking)
    assert config["adapted"]["method"] == best
    assert "without training" in config["weights"]
    assert "held_out" not in config  # the corpus's own files are still at 50 frames a second
    assert (out / "folds.json").read_bytes() == (spiking / "folds.json").read_bytes()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["ua"] == rows[best]["metrics"]["ua"]
    assert [r["method"] for r in metrics["adaptation"]] == list(rows)
    assert "25 frames a second" in (out / "README.md").read_text()
    assert yaml.safe_load((out / "architecture.yaml").read_text()) == SPIKING


def test_the_same_rate_gives_the_same_network_bit_for_bit(spiking: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    found = changed(spiking, 50.0, folder=tmp_path / "same")
    before, after = (load_file(f / "model.safetensors") for f in (spiking, tmp_path / "same"))
    assert before.keys() == after.keys()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert {r["metrics"]["loss"] for r in found["rows"]} == {found["source"]["loss"]}


def test_what_was_written_is_the_network_that_was_measured(spiking: Path, tmp_path: Path) -> None:
    from eval.resolution.frames import at_frame_rate
    from eval.training import predict

    found = changed(spiking, 20.0, method="decay", folder=tmp_path / "out")
    model = read_folder(tmp_path / "out")
    dataset = at_frame_rate(load_dataset(model.config["features"]["data"]), 20.0)
    network = load_network(
        tmp_path / "out" / "model.safetensors", SPIKING, "pts_snn", dataset.shape, 2
    )
    held = inner_folds(dataset, outer_folds(dataset)[0].fit)[0].held
    logits = predict(network, dataset, held)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(dataset.labels[held]))
    [row] = [r for r in found["rows"] if r["method"] == "decay"]
    assert row["metrics"]["loss"] == pytest.approx(float(loss), abs=1e-6)


def test_an_adapted_export_can_be_adapted_again(spiking: Path, tmp_path: Path) -> None:
    """There and back by the integral: the parameters of before, but for rounding."""
    from safetensors.torch import load_file

    changed(spiking, 20.0, method="integral", folder=tmp_path / "there")
    changed(tmp_path / "there", 50.0, method="integral", folder=tmp_path / "back")
    before, after = (load_file(f / "model.safetensors") for f in (spiking, tmp_path / "back"))
    for name, tensor in before.items():
        assert torch.allclose(tensor, after[name], rtol=1e-4, atol=1e-6), name
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["adapted"]["before"]["to_rate"] == 20.0
    # the files are those of 50 frames a second still: what is measured there is the source again
    first = changed(spiking, 20.0, method="integral")["rows"][0]
    again = changed(tmp_path / "there", 50.0, method="integral")["rows"][0]
    assert again["distance"] == pytest.approx(first["distance"], abs=0.02)


def test_clips_keep_their_moments_and_the_folder_serves_the_other_commands(
    clips: Path, tmp_path: Path
) -> None:
    found = changed(clips, 60.0, folder=tmp_path / "fine")
    assert found["ratio"] == 1.0
    assert [r["method"] for r in found["rows"]] == ["integral", "none"]
    assert all(r["layers"] == {} for r in found["rows"])
    config = json.loads((tmp_path / "fine" / "config.json").read_text())
    assert config["features"]["sampling"] == "E2-S3"  # 2 frames apart of 30, 4 of 60
    robust = measure_robustness(
        tmp_path / "fine", None, None, 1, 0, say=lambda _: None, step=lambda *_: None
    )
    [row] = [r for r in found["rows"] if r["method"] == "integral"]
    assert robust["rows"][0]["ua"] == pytest.approx(row["metrics"]["ua"])
    with pytest.raises(NasError, match=r"every 2 of 30 a second cannot begin every 0\.5 of 7\.5"):
        changed(clips, 7.5)


def test_weights_that_have_seen_everything_are_compared_by_their_spikes(
    spiking: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(spiking, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["held_out"]
    (folder / "config.json").write_text(json.dumps(config))
    found = changed(folder, 100.0, method="tau", folder=tmp_path / "out")
    assert found["measured_on"] is None
    assert all(r["metrics"] is None and r["layers"] for r in found["rows"])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["measured_on"] == "nothing at 100 frames a second"


def test_a_person_sees_every_method(spiking: Path) -> None:
    done = nas("adapt", spiking, "--to", "12.5")
    for word in (
        "as it was",
        "same %",
        "compensated",
        "substeps",
        "integral",
        "euler",
        "decay",
        "tau",
        "none",
        "spikes x",
        "ua %",
    ):
        assert word in done.stdout
    assert "validation fold s1" in done.stdout


@pytest.mark.parametrize("rate", ["0", "-5", "nan", "inf"])
def test_what_is_no_rate_is_refused(spiking: Path, rate: str) -> None:
    with pytest.raises(NasError, match=r"--to .* is no frame rate"):
        changed(spiking, float(rate))
    with pytest.raises(NasError, match=r"--from .* is no frame rate"):
        changed(spiking, 25.0, rate=float(rate))


def test_mistakes_are_told_before_anything_is_computed(spiking: Path, tmp_path: Path) -> None:
    assert "--to nan is no frame rate" in nas("adapt", spiking, "--to", "nan", code=2).stderr
    with pytest.raises(NasError, match="trained at 50 frames a second, not at 100"):
        changed(spiking, 25.0, rate=100.0)
    with pytest.raises(NasError, match="did you mean 'euler'"):
        changed(spiking, 25.0, method="eular")
    with pytest.raises(NasError, match="exists already"):
        changed(spiking, 25.0, folder=tmp_path)
    with pytest.raises(NasError, match="--on chooses speakers"):
        changed(spiking, 25.0, data="polish", part="test")
    bare = tmp_path / "bare"
    shutil.copytree(spiking, bare)
    (bare / "model.safetensors").unlink()
    with pytest.raises(NasError, match="no weights"):
        changed(bare, 25.0)


def test_a_method_the_network_cannot_take_is_refused(spiking: Path, tmp_path: Path) -> None:
    """A leak of a quarter a frame cannot lose eight quarters."""
    with pytest.raises(NasError, match=r"euler: neurons '.*': the Euler step I \+ 8 \(A - I\)"):
        changed(spiking, 6.25, method="euler", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = changed(spiking, 6.25)
    [euler] = [r for r in found["rows"] if r["method"] == "euler"]
    assert euler["metrics"] is None
    assert math.isinf(euler["distance"])
    assert math.isinf(euler["divergence"])
    assert found["method"] != "euler"


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(
    spiking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.adapt.at_both_rates", None)
    (tmp_path / "file").touch()
    with pytest.raises(NasError, match="cannot write there: Not a directory"):
        changed(spiking, 25.0, folder=tmp_path / "file" / "out")


def test_held_frames_can_be_written_and_measured_again(spiking: Path, tmp_path: Path) -> None:
    """The folder's network is the one that was measured: three steps in each of its frames."""
    from eval.resolution.frames import at_frame_rate
    from eval.training import predict

    found = changed(spiking, 50 / 3, method="substeps", folder=tmp_path / "held")
    model = read_folder(tmp_path / "held")
    assert model.config["adapted"]["method"] == "substeps"
    dataset = at_frame_rate(load_dataset(model.config["features"]["data"]), 50 / 3)
    network = load_network(
        tmp_path / "held" / "model.safetensors", SPIKING, "pts_snn", dataset.shape, 2
    )
    assert network.latency_steps == 3
    # three steps tell four counts apart, so the quantised network beside it has two bits
    told = nas("energy", tmp_path / "held", "--json").stdout
    assert json.loads(told)["profiles"]["45nm_fp32"]["bits"] == 2
    held = inner_folds(dataset, outer_folds(dataset)[0].fit)[0].held
    says = predict(network, dataset, held).argmax(1).numpy()
    rows = {r["method"]: r for r in found["rows"]}
    assert (says == dataset.labels[held]).mean() == pytest.approx(
        rows["substeps"]["metrics"]["wa"]
    )
    assert rows["substeps"]["metrics"]["energy"] > 1.5 * rows["none"]["metrics"]["energy"]
