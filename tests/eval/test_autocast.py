"""Training in bfloat16: what is asked for, what stays float32, and that every network does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from eval import autocast
from eval.evaluate import build, evaluate
from eval.folds import outer_folds
from eval.training import Recipe, Trainer
from search_spaces.attention import KINDS
from search_spaces.errors import NasError
from search_spaces.schema import load_space

from .synthetic import synthetic

HALF = Recipe(epochs=2, dtype="bfloat16")


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A processor with the flags that are given."""

    def with_flags(line: str) -> None:
        info = tmp_path / "cpuinfo"
        info.write_text(f"processor : 0\n{line}\n", encoding="utf-8")
        monkeypatch.setattr(autocast, "CPUINFO", info)
        autocast.processor_has_bfloat16.cache_clear()

    yield with_flags
    autocast.processor_has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ("flags : fpu sse avx2", "float32"),
        ("flags : fpu avx512f avx512_bf16 amx_tile", "bfloat16"),
        ("Features : fp asimd bf16", "bfloat16"),
        ("model name : bf16", "float32"),
    ],
)
def test_auto_is_what_the_processor_has(processor, line: str, chosen: str):
    processor(line)
    assert autocast.resolve("auto") == autocast.resolve(None) == chosen
    assert autocast.resolve("float32") == "float32"
    assert autocast.resolve("bfloat16") == "bfloat16"


def test_an_unknown_format_is_a_mistake():
    with pytest.raises(NasError, match="float16"):
        autocast.resolve("float16")


def trained(recipe: Recipe, values: dict, seed: int = 0) -> torch.nn.Module:
    data = synthetic()
    network = build(values, "pts_snn", data.shape, 3, np.random.default_rng(seed))
    Trainer(network, data, np.arange(len(data)), recipe, seed).run_to(recipe.epochs)
    return network


def test_products_are_bfloat16_and_weights_float32():
    seen = set()
    data = synthetic()
    values = {"encoder.width": 16, "neuron.type": "plif"}
    network = build(values, "pts_snn", data.shape, 3, np.random.default_rng(0))
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda m, i, o: seen.add(o.dtype))
    Trainer(network, data, np.arange(len(data)), HALF, 0).run_to(1)
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert all(bool(p.isfinite().all()) for p in network.parameters())


@pytest.mark.filterwarnings("error:Mismatch dtype")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_attention_trains(kind: str):
    values = {"encoder.width": 16, "calibration.kind": "dynamic", "attention.kind": kind}
    values |= {"attention.heads": 2} if kind != "none" else {}
    network, exact = (trained(r, values) for r in (HALF, Recipe(epochs=2)))
    pairs = [
        (a, b) for a, b in zip(network.parameters(), exact.parameters(), strict=True) if a.ndim > 1
    ]
    assert all(bool(a.isfinite().all()) for a, _ in pairs)
    assert not all(torch.equal(a, b) for a, b in pairs)
    # two epochs of a peaked learning rate move weights by far more than the formats differ
    moved = [float((a - b).detach().norm() / b.detach().norm()) for a, b in pairs]
    assert np.median(moved) < 0.3


def test_what_a_space_holds_is_measured_in_float32():
    data = synthetic()
    rng = np.random.default_rng(3)
    space = load_space("pts_snn_small")
    kinds = set()
    for _ in range(8):
        a = space.sample(rng)
        kinds.add(a.get("neuron.type"))
        found = evaluate(a, data, outer_folds(data)[:1], family="pts_snn", recipe=HALF)
        assert 0.0 <= found["ua"] <= 1.0
        assert np.isfinite(found["loss"])
    assert len(kinds) > 1
