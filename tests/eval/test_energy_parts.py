"""Operations of the parts a head may add, each counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from eval.energy.operations import OperationCounter
from search_spaces.attention import Attention
from search_spaces.families import get_family

B, L, D, C = 2, 5, 6, 3
LENGTHS = torch.tensor([5, 3])
REAL = 8  # frames


def counted(
    values: dict[str, Any],
) -> tuple[torch.nn.Module, dict[str, dict[str, Any]], dict[str, Any]]:
    """Run a head once; return it, its rows (times the two samples) and what hooks saw."""
    torch.manual_seed(0)
    small = {"encoder.width": 8, "encoder.depth": 1}
    if values.get("neuron.type") != "relu":
        small["neuron.threshold"] = 0.2  # so that something fires
    head = get_family("pts_snn").build({**small, **values}, D, C)
    seen: dict[str, Any] = {}
    for name, module in head.named_modules():
        module.register_forward_hook(
            lambda m, i, o, name=name: seen.update({name: (i, o)}), always_call=True
        )
    features = 3 * torch.randn(B, L, D, generator=torch.Generator().manual_seed(2))
    head.train()(features, LENGTHS)
    head.eval()
    with torch.no_grad(), OperationCounter(head).counting() as counter:
        head(features, LENGTHS)
    rows = {r["layer"]: r for r in counter.table()}
    for row in rows.values():
        for key in ("macs", "acs", "spikes", "neuron_steps"):
            row[key] *= B
    return head, rows, seen


def spikes_on_real_frames(x: torch.Tensor) -> float:
    return float(sum(x[:n, b].sum() for b, n in enumerate(LENGTHS)))


def test_a_static_bias_costs_an_accumulate_per_neuron_and_step() -> None:
    _, rows, _ = counted({"calibration.kind": "static"})
    assert (rows["bias"]["macs"], rows["bias"]["acs"]) == (0, REAL * 8)


def test_a_dynamic_bias_costs_its_two_maps_once_per_utterance() -> None:
    _, rows, _ = counted({"calibration.kind": "dynamic", "prompt.length": 3})
    assert (rows["bias"]["macs"], rows["bias"]["acs"]) == (2 * 8 * 8 * B, REAL * 8)


def test_prompts_without_attention_add_up_every_spike_once() -> None:
    """The mean of the frames, one accumulate a spike, and 3 prompts of 8 per utterance."""
    values = {"calibration.kind": "dynamic", "prompt.length": 3, "attention.kind": "none"}
    _, rows, seen = counted(values)
    spikes = spikes_on_real_frames(seen["fire"][1])
    assert spikes > 0
    assert rows["context"]["acs"] == spikes + 3 * 8 * B


@pytest.mark.parametrize("neuron", ["plif", "if"])
def test_an_attention_is_charged_with_its_own_count_and_its_neurons(neuron: str) -> None:
    """One multiply-accumulate a leaky step, one accumulate a step; nothing counted twice."""
    values = {"calibration.kind": "dynamic", "prompt.length": 3, "neuron.type": neuron}
    head, rows, seen = counted(values)
    tokens, mask = seen["context.attention"][0]
    attention = head.context.attention
    assert isinstance(attention, Attention)
    own = attention.operations(tokens, mask)
    row = rows["context.attention"]
    assert own.neuron_steps == 4 * 8 * (REAL + 3 * B)
    assert row["acs"] == own.acs + own.neuron_steps
    assert row["macs"] == own.macs + (own.neuron_steps if neuron == "plif" else 0)
    assert not [name for name in rows if name.startswith("context.attention.")]


def test_both_trains_of_a_residual_shift_are_accumulates() -> None:
    _, rows, seen = counted({"encoder.residual": "alpha", "encoder.shift": [0.25]})
    stayed, moved = seen["blocks.0.expand"][0][2]
    assert rows["blocks.0.expand"]["acs"] == float(stayed.sum() + moved.sum()) * 16
    assert rows["blocks.0.expand"]["macs"] == 0


def test_lateral_inhibition_is_charged_in_full() -> None:
    """Input 6 -> 8 with 2 inhibitory units, n real frames: n (6 (8 + 2) + 2 * 2 * 8 + 8)."""
    _, rows, seen = counted({"normalization": "lateral_inhibition"})
    assert rows["project"]["macs"] == REAL * (6 * 10 + 2 * 2 * 8 + 8)
    spikes = float(seen["blocks.0.expand"][0][0].sum())
    assert rows["blocks.0.expand"]["acs"] == spikes * (16 + 4)
    assert rows["blocks.0.expand"]["macs"] == REAL * (2 * 4 * 16 + 16)


def test_two_steps_per_frame_double_the_neuron_steps_but_not_the_projection() -> None:
    _, one, _ = counted({})
    _, two, _ = counted({"neuron.steps_per_frame": 2})
    assert two["project"] == one["project"]
    assert two["fire"]["neuron_steps"] == 2 * one["fire"]["neuron_steps"] == 2 * REAL * 8


def test_neurons_without_a_leak_multiply_nothing_and_the_twin_has_none() -> None:
    _, rows, _ = counted({"neuron.type": "if"})
    assert (rows["fire"]["macs"], rows["fire"]["acs"]) == (0, REAL * 8)
    _, twin, _ = counted({"neuron.type": "relu"})
    assert "fire" not in twin
    assert twin["blocks.0.expand"]["macs"] == REAL * 8 * 16
    assert twin["blocks.0.expand"]["acs"] == 0


def test_the_linear_probe_costs_the_mean_and_one_product_per_utterance() -> None:
    probe = get_family("mean_pool").build({"hidden": 0}, D, C).eval()
    with torch.no_grad(), OperationCounter(probe).counting() as counter:
        probe(torch.randn(B, L, D), LENGTHS)
    [row] = counter.table()
    assert (row["macs"] * B, row["acs"] * B) == (D * C * B, REAL * D)
