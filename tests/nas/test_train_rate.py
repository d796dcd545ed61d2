"""``nas search --train-rate``: candidates trained on fewer frames than they are measured on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from command import nas

from eval.features import load_dataset
from nas.driver import search
from nas.export import choose, export, read_folder
from nas.run_config import RunConfig
from nas.study import Study
from search_spaces.errors import NasError

from .trainings import tell_apart

SPACE = {
    "name": "small",
    "family": "pts_snn",
    "parameters": {
        "input.pooling": {"choice": [1, 2]},
        "encoder.width": {"choice": [8, 12, 16]},
        "encoder.depth": {"choice": [1]},
    },
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of 50 a second: three speakers, two classes."""
    return tell_apart(tmp_path_factory.mktemp("features"), 24, 20)


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "coarse"
    search(space=SPACE, data=corpus, budget=4, searcher="random", train_rate=25, out=folder)
    return folder


def test_candidates_are_trained_coarsely_and_measured_at_the_rate_of_the_run(run: Path) -> None:
    study = Study.open(run)
    assert study.config.evaluator["train_rate"] == 25.0
    assert study.spent == 4
    pooled = {e.architecture["input.pooling"]: e for e in study.evaluations}
    assert set(pooled) == {1, 2}  # or the seed shows nothing
    assert pooled[1].metrics["train_rate"] == 25.0
    assert pooled[1].metrics["adapted_by"] == "compensated"
    assert "train_rate" not in pooled[2].metrics  # its own rate
    [fire] = [r for r in pooled[1].metrics["layers"] if r["layer"] == "fire"]
    width = pooled[1].architecture["encoder.width"]
    assert fire["neuron_steps"] == 20 * width  # all the frames of a recording


def test_a_run_goes_on_as_it_was_and_not_otherwise(run: Path, corpus: Path) -> None:
    for asked in (None, 25.0):
        study = search(resume=run, train_rate=asked)
        assert study.spent == 4
    with pytest.raises(NasError, match=r"train_rate: 25\.0 in the run, 12\.5 asked"):
        search(resume=run, train_rate=12.5)
    plain = run.with_name("plain")
    search(space=SPACE, data=corpus, budget=1, searcher="random", out=plain)
    assert "train_rate" not in RunConfig.read(plain).evaluator
    with pytest.raises(NasError, match=r"train_rate: 'not set' in the run, 25\.0 asked"):
        search(resume=plain, train_rate=25.0)


def test_exports_and_reports_say_so(corpus: Path, tmp_path: Path) -> None:
    widths = {"encoder.depth": {"choice": [1]}, "encoder.width": {"choice": [8, 12]}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**SPACE, "parameters": widths}))
    run = tmp_path / "run"
    nas(
        "search", "--space", tmp_path / "s.yaml", "--data", corpus, "--budget", "1",
        "--searcher", "random", "--train-rate", "25", "--out", run,
    )  # fmt: skip
    study = Study.open(run)
    [e] = study.front()
    folder = export(study, choose(study, None, e.architecture.hash), tmp_path / "best")
    model = read_folder(folder)
    told = "; trained at 25 steps a second, then adapted by compensated without training"
    assert model.config["weights"].endswith(told)
    assert told in (folder / "README.md").read_text()
    # the weights are those that were measured: adapted ones, for 50 frames a second
    from eval.folds import inner_folds, outer_folds
    from eval.training import predict
    from eval.weights import load_network

    dataset = load_dataset(corpus)
    network = load_network(
        folder / "model.safetensors", e.architecture, "pts_snn", dataset.shape, 2
    )
    [fold] = inner_folds(dataset, outer_folds(dataset)[0].fit)[:1]
    says = predict(network, dataset, fold.held).argmax(1).numpy()
    right = float((says == dataset.labels[fold.held]).mean())
    assert right == pytest.approx(e.metrics["folds"][0]["wa"])
    nas("export", run, "--out", tmp_path / "again", "--verify")
    nas("report", run, "--out", tmp_path / "report.html")
    assert "25 steps a second, then adapted" in (tmp_path / "report.html").read_text()


def test_what_makes_no_sense_is_refused(corpus: Path, tmp_path: Path) -> None:
    def asked(space: dict, rate: float, **options: object) -> None:
        search(space=space, data=corpus, budget=1, train_rate=rate, out=tmp_path / "no", **options)

    with pytest.raises(NasError, match="--train-rate 100 is above the 50 frames a second"):
        asked(SPACE, 100)
    probe = {**SPACE, "family": "mean_pool", "parameters": {"hidden": {"choice": [0, 4]}}}
    with pytest.raises(NasError, match="a MeanPool has no time step to be changed"):
        asked(probe, 25)
    relu = {**SPACE["parameters"], "neuron.type": {"choice": ["relu", "ttfs"]}}
    with pytest.raises(NasError, match="no network of space 'small' remembers one frame"):
        asked({**SPACE, "parameters": relu}, 25)
    with pytest.raises(NasError, match="train_rate and an evaluator exclude each other"):
        search(space=SPACE, evaluator=lambda a, f, s: {}, budget=1, train_rate=25.0)
    assert not (tmp_path / "no").exists()
