"""The pull to a firing rate: its value, its effect, and that it is nothing when it is off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from eval.evaluate import build
from eval.firing_rates import FiringRates
from eval.training import Recipe, Trainer
from search_spaces.errors import NasError
from search_spaces.families import get_family

from .synthetic import DIM, synthetic

SMALL = {"encoder.depth": 1, "encoder.width": 16, "neuron.threshold": 0.5}
ON = {**SMALL, "regulariser.weight": 2.0, "regulariser.rate": 0.25}
DYNAMIC = {"calibration.kind": "dynamic", "prompt.length": 3, "attention.heads": 2}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def head(values: dict[str, Any]) -> nn.Module:
    return build(values, "pts_snn", DIM, 3, np.random.default_rng(0))


def trained(values: dict[str, Any], epochs: int = 4) -> nn.Module:
    network, dataset = head(values), synthetic()
    recipe = Recipe(epochs=epochs)
    Trainer(network, dataset, np.arange(len(dataset)), recipe, 0).run_to(epochs)
    return network


@pytest.mark.parametrize("kind", ["none", "ssla", "sdsa"])
def test_the_penalty_is_the_mean_squared_distance_over_real_steps(kind: str) -> None:
    """Two steps a frame, utterances of 5 and 3 frames, pooled by 2: 3 + 2 frames, 10 steps.

    Every utterance alone has no padding, so its rates are plain sums: spikes of both over the
    neurons and 10 steps; inside an attention 2 x 3 prompts are steps too. SDSA's last neurons
    step once an utterance.
    """
    values = {**ON, "neuron.threshold": 0.1, "input.pooling": 2, "neuron.steps_per_frame": 2}
    if kind != "none":
        values |= {**DYNAMIC, "attention.kind": kind}
    network = head(values)
    network.train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.eval()  # else the statistics of one utterance differ from those of two
    watching = FiringRates.of(network)
    assert watching is not None
    x = 3 * torch.randn(2, 5, DIM, generator=torch.Generator().manual_seed(1))
    x[1, 3:] = float("nan")
    network(x, torch.tensor([5, 3]))
    penalty = float(watching.penalty().detach())

    seen: dict[str, list[torch.Tensor]] = {}
    for name, part in network.named_modules():
        if "fire" in name.rpartition(".")[2] or name.endswith(("inner", "last")):
            part.register_forward_hook(
                lambda m, i, o, name=name: seen.setdefault(name, []).append(o)
            )
    network(x[:1])
    network(x[1:, :3])
    assert len(seen) == {"none": 3, "ssla": 8, "sdsa": 8}[kind]
    rates = [
        sum(float(o.detach().sum()) for o in two) / sum(o.numel() for o in two)
        for two in seen.values()
    ]
    assert max(rates) > 0.05
    assert penalty == pytest.approx(2.0 * np.mean([(r - 0.25) ** 2 for r in rates]), rel=1e-5)


def test_rates_move_to_the_target_and_stay_elsewhere_without_it() -> None:
    def rate(network: nn.Module) -> float:
        spikes: list[torch.Tensor] = []
        network.get_submodule("fire").register_forward_hook(lambda m, i, o: spikes.append(o))
        dataset = synthetic()
        with torch.no_grad():
            network.eval()(torch.from_numpy(dataset.frames)[None])
        return float(spikes[0].mean())

    low = rate(trained({**SMALL, "regulariser.weight": 100.0, "regulariser.rate": 0.02}, 8))
    free = rate(trained(SMALL, 8))
    high = rate(trained({**SMALL, "regulariser.weight": 100.0, "regulariser.rate": 0.5}, 8))
    assert low < 0.7 * free
    assert high > 1.3 * free


@pytest.mark.parametrize("off", [{"regulariser.weight": 0.0}, {"regulariser.rate": 0.3}])
def test_off_is_the_same_training_to_the_last_bit(off: dict[str, Any]) -> None:
    plain, without = trained(SMALL, 2).state_dict(), trained({**SMALL, **off}, 2).state_dict()
    assert plain.keys() == without.keys()
    assert all(torch.equal(plain[k], without[k]) for k in plain)
    assert not any(module._forward_hooks for module in head({**SMALL, **off}).modules())


def test_what_has_no_rate_has_no_regulariser() -> None:
    family = get_family("pts_snn")
    for neuron in ("ttfs", "relu"):
        with pytest.raises(NasError, match=r"regulariser\.weight has no meaning"):
            family.build({"neuron.type": neuron, "regulariser.weight": 1.0}, DIM, 3)
    assert "regulariser.weight" not in family.twin(ON)
    with pytest.raises(NasError, match="at most"):
        family.build({**ON, "regulariser.rate": 1.5}, DIM, 3)
