from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eval.batches import collate
from eval.evaluate import build, evaluate
from eval.folds import outer_folds
from eval.mapping import Training
from eval.training import Recipe, predict
from eval.weights import load_network
from search_spaces.errors import NasError
from search_spaces.ttfs import ReLUView, TTFSView

from .synthetic import DIM, synthetic

VALUES: dict[str, Any] = {
    "neuron.type": "ttfs",
    "encoder.width": 16,
    "encoder.depth": 1,
    "ttfs.steps": 8,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def mapped(fidelity: float = 1.0, **values: Any) -> tuple[Any, Any, Any]:
    dataset = synthetic()
    fold = outer_folds(dataset)[0]
    rng = np.random.default_rng(0)
    network = build({**VALUES, **values}, "pts_snn", DIM, 3, rng)
    training = Training(network, dataset, fold.fit, Recipe(batch_size=16), seed=0)
    return training.run(fidelity), dataset, fold


def test_what_is_measured_is_the_discrete_network_and_not_its_twin():
    network, dataset, fold = mapped(**{"ttfs.steps": 2, "ttfs.margin": 0.5})
    assert network.view == TTFSView(steps=2)
    spiking = predict(network, dataset, fold.held)
    with network.viewed(ReLUView()):
        twin = predict(network, dataset, fold.held)
    assert (spiking.argmax(1) != twin.argmax(1)).any()  # two steps cannot say what the twin does
    result = evaluate(
        {**VALUES, "ttfs.steps": 2, "ttfs.margin": 0.5},
        dataset,
        [fold],
        family="pts_snn",
        recipe=Recipe(batch_size=16),
    )
    assert result["latency_steps"] == 2 * 3  # encoder, two layers
    assert result["spikes"] > 0


def test_windows_are_those_of_the_training_speakers():
    network, dataset, fold = mapped(**{"ttfs.margin": 0.0})
    network.eval()
    length = float(network.encode.window.length)  # shared by the whole residual path

    def largest(indices: Any) -> float:
        network.encode.window.start()
        with network.viewed(ReLUView(observe=True)):
            for i in indices:
                network(*collate(dataset, np.array([i]))[:2])
        return network.encode.window._seen

    assert length == pytest.approx(largest(fold.fit), rel=1e-5)
    assert length != pytest.approx(largest(fold.held), rel=1e-5)


@pytest.mark.parametrize(
    ("share", "fidelity", "parts"),
    [
        (0.0, 1.0, [8]),
        (0.25, 1.0, [6, 2]),
        (0.9, 1.0, [1, 7]),
        (0.25, 0.5, [4]),
        (0.25, 0.875, [6, 1]),
        (0.5, 0.1, [1]),
    ],
)
def test_finetuning_takes_its_share_of_the_epochs(monkeypatch, share, fidelity, parts):
    """45 utterances in batches of 16 are 3 steps an epoch; the later ones see rounding."""
    views: list[Any] = []
    step = torch.optim.AdamW.step

    def watched(optimizer: Any) -> None:
        views.append((current.view, optimizer.param_groups[0]["lr"]))
        step(optimizer)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    dataset = synthetic()
    fold = outer_folds(dataset)[0]
    rng = np.random.default_rng(0)
    current: Any = build({**VALUES, "ttfs.finetune": share}, "pts_snn", DIM, 3, rng)
    recipe = Recipe(batch_size=16)
    measured: Any = Training(current, dataset, fold.fit, recipe, seed=0).run(fidelity)
    plain = [v for v, _ in views if v == ReLUView()]
    rounded = [lr for v, lr in views if v == ReLUView(steps=8)]
    assert [n // 3 for n in (len(plain), len(rounded)) if n] == parts
    assert all(lr <= 0.1 * recipe.learning_rate for lr in rounded)
    assert measured.view == TTFSView(steps=8)


def test_the_checkpoint_comes_back_as_the_spiking_network(tmp_path: Path):
    dataset = synthetic()
    fold = outer_folds(dataset)[0]
    path = tmp_path / "w.safetensors"
    result = evaluate(VALUES, dataset, [fold], family="pts_snn", seed=3, checkpoint=path)
    network = load_network(path, VALUES, "pts_snn", DIM, 3)
    predicted = predict(network, dataset, fold.held).argmax(1).numpy()
    assert (predicted == dataset.labels[fold.held]).mean() == result["wa"]
    with pytest.raises(NasError, match="not the network's weights"):
        load_network(path, {**VALUES, "encoder.width": 8}, "pts_snn", DIM, 3)
    path.write_bytes(b"no weights")
    with pytest.raises(NasError, match="not the network's weights"):
        load_network(path, VALUES, "pts_snn", DIM, 3)


def test_neurons_are_compared_by_the_same_columns():
    dataset = synthetic()
    fold = outer_folds(dataset)[0]
    recipe = Recipe(epochs=1, batch_size=16)
    results = {
        neuron: evaluate({"neuron.type": neuron}, dataset, [fold], family="pts_snn", recipe=recipe)
        for neuron in ("plif", "ttfs")
    }
    assert results["plif"].keys() == results["ttfs"].keys()
    for result in results.values():
        priced = result["macs"] * 4.6e-12 + (result["acs"] + result["compares"]) * 0.9e-12
        assert result["energy"] == pytest.approx(priced)
        assert result["compares"] > 0  # no kind's thresholds are free
    keys = [{frozenset(row) for row in r["layers"]} for r in results.values()]
    assert keys[0] == keys[1]
