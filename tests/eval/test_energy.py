from __future__ import annotations

from typing import Any

import pytest
import torch
from spikingjelly.activation_based.op_counter import (
    DispatchCounterMode,
    MACCounter,
    SynOpCounter,
)
from torch import Tensor, nn

from eval.energy.operations import OperationCounter
from eval.energy.pricing import totals
from eval.energy.profile import load_profile
from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.frames import Frames, Projection

DIM, CLASSES = 3, 2
SMALL = {
    "input.pooling": 2,
    "encoder.depth": 1,
    "encoder.width": 4,
    "encoder.expansion": 2,
    "encoder.shift": [0.25],
    "neuron.threshold": 0.1,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def head(architecture: dict[str, Any], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return get_family("pts_snn").build(architecture, DIM, CLASSES).eval()


def padded(lengths: list[int], longest: int) -> Tensor:
    """Utterance ``b`` is the same whatever the others are; NaN beyond its length."""
    x = torch.full((len(lengths), longest, DIM), float("nan"))
    for row, n in zip(x, lengths, strict=True):
        row[:n] = 2 * torch.randn(n, DIM, generator=torch.Generator().manual_seed(n))
    return x


@torch.no_grad()
def counted(network: nn.Module, *batches: tuple[Tensor, Tensor | None]) -> list[dict[str, Any]]:
    with OperationCounter(network).counting() as counter:
        for batch in batches:
            network(*batch)
    return counter.table()


@torch.no_grad()
def spikes_of(network: nn.Module, name: str, x: Tensor, lengths: list[int]) -> list[Tensor]:
    """``[L, D]`` spikes of a layer for each utterance alone, read off by our own hook."""
    seen: list[Tensor] = []
    hook = network.get_submodule(name).register_forward_hook(lambda m, a, out: seen.append(out))
    for row, n in zip(x, lengths, strict=True):
        network(row[None, :n])
    hook.remove()
    return [s[:, 0] for s in seen]


def shifted(spikes: Tensor) -> Tensor:
    """One of 4 channels comes from the step before, one from the step after."""
    out = spikes.clone()
    for t in range(len(spikes)):
        out[t, 0] = spikes[t - 1, 0] if t > 0 else 0
        out[t, 1] = spikes[t + 1, 1] if t + 1 < len(spikes) else 0
    return out


def test_a_head_of_one_block_counts_as_by_hand():
    """Utterances of 3 and 5 frames, 3 inputs; pooled by 2: 2 + 3 = 5 steps.

    ==============  =======================  ==========================
    layer           multiply-accumulates     accumulates
    ==============  =======================  ==========================
    pool                                     8 frames x 3 = 24
    saturate        3 x 5 x 3 = 45           5 x 3 = 15
    project 3 > 4   5 x 3 x 4 = 60
    fire 4          5 x 4 = 20               20
    expand 4 > 8                             shifted spikes of fire x 8
    inner 8         5 x 8 = 40               40
    reduce 8 > 4                             spikes of inner x 4
    fire 4          20                       20
    readout 4 > 2   2 samples x 4 x 2 = 16   spikes of fire, one each
    ==============  =======================  ==========================

    201 MAC and 119 AC and those of spikes, over 2 samples; and a comparison for each of the
    5 x 4 + 5 x 8 + 5 x 4 = 80 neuron steps.
    """
    network, lengths = head(SMALL), [3, 5]
    x = padded(lengths, 5)
    first = spikes_of(network, "blocks.0.fire", x, lengths)
    inner = spikes_of(network, "blocks.0.inner", x, lengths)
    last = spikes_of(network, "fire", x, lengths)
    expanded = sum(float(shifted(s).sum()) for s in first)
    n_first, n_inner, n_last = (sum(float(s.sum()) for s in part) for part in (first, inner, last))
    assert min(expanded, n_inner, n_last) > 0
    assert expanded != n_first  # a spike is shifted out: the test can tell

    macs = 201
    acs = 119 + expanded * 8 + n_inner * 4 + n_last
    rows = counted(network, (x, torch.tensor(lengths)))
    by_name = {r["layer"]: (2 * r["macs"], 2 * r["acs"], 2 * r["spikes"]) for r in rows}
    assert by_name == {
        "pool": (0, 24, 0),
        "saturate": (45, 15, 0),
        "project": (60, 0, 0),
        "blocks.0.fire": (20, 20, n_first),
        "blocks.0.expand": (0, expanded * 8, 0),
        "blocks.0.inner": (40, 40, n_inner),
        "blocks.0.reduce": (0, n_inner * 4, 0),
        "fire": (20, 20, n_last),
        "readout": (16, n_last, 0),
    }
    sums = totals(rows, load_profile("45nm_fp32"))
    assert (sums["macs"], sums["acs"]) == (macs / 2, acs / 2)
    assert sums["spikes"] == (n_first + n_inner + n_last) / 2
    assert sums["spike_rate"] == pytest.approx((n_first + n_inner + n_last) / 80)
    assert sums["energy"] == pytest.approx((macs * 4.6 + (acs + 80) * 0.9) / 2e12, rel=1e-12)


@pytest.mark.parametrize("kind", ["none", "dynamic"])
def test_parameters_of_each_layer_add_up_to_the_network(kind: str):
    network = head({**SMALL, "calibration.kind": kind})
    rows = counted(network, (torch.randn(1, 4, DIM), None))
    assert sum(r["parameters"] for r in rows) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("pooling", [1, 3])
@pytest.mark.parametrize("direction", ["past", "both"])
def test_counts_depend_neither_on_padding_nor_on_the_batch(pooling: int, direction: str):
    network = head(
        {
            **SMALL,
            "encoder.depth": 2,
            "encoder.shift": [0.25, 0.5],
            "input.pooling": pooling,
            "encoder.direction": direction,
        }
    ).double()
    lengths = [1, 2, 7, 9]

    def batch(of: list[int], longest: int) -> tuple[Tensor, Tensor]:
        return padded(of, longest).double(), torch.tensor(of)

    alone = counted(network, *(batch([n], n) for n in lengths))
    for together in (
        counted(network, batch(lengths, 9)),
        counted(network, batch(lengths, 20)),
        counted(network, batch([9, 1], 12), batch([7, 2], 7)),
    ):
        assert together == alone


def test_projections_agree_with_the_operation_counter_of_spikingjelly():
    network = head({**SMALL, "encoder.depth": 2, "encoder.shift": 0.25, "encoder.width": 16})
    x = 2 * torch.randn(4, 9, DIM, generator=torch.Generator().manual_seed(0))
    synops, macs = SynOpCounter(), MACCounter()
    with torch.no_grad(), DispatchCounterMode([synops, macs]):
        network(x)
    rows = [r for r in counted(network, (x, None)) if r["kind"] == "Projection"]
    assert len(rows) == 5

    def theirs(counter: Any, layer: str) -> int:
        return sum(counter.get_counts()[f"PTSSNN.{layer}.linear"].values())

    for row in rows:
        assert 4 * row["acs"] == theirs(synops, row["layer"])
        assert 4 * row["macs"] == theirs(macs, row["layer"])
        assert row["acs"] + row["macs"] > 0


class Alone(nn.Module):
    """One projection, declared to be fed spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Projection(DIM, 2, spiking=True)

    def forward(self, x: Tensor) -> Tensor:
        frames = Frames(torch.tensor([len(x)]), len(x))
        return self.layer(x, frames).transpose(0, 1)


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, float("nan")])
def test_a_layer_declared_spiking_refuses_other_values(value: float):
    x = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    network = Alone().eval()
    (row,) = counted(network, (x,))
    assert (row["macs"], row["acs"]) == (0, 3 * 2)
    x[1, 1] = value
    with pytest.raises(RuntimeError, match="layer is declared spiking"):
        counted(network, (x,))


def test_no_hook_stays_behind():
    network = head(SMALL)
    counted(network, (torch.randn(1, 4, DIM), None))
    assert not any(m._forward_hooks for m in network.modules())


def test_the_default_profile_is_horowitz_in_joules():
    profile = load_profile()
    assert profile.name == "45nm_fp32"
    row = {"macs": 10, "acs": 100, "compares": 20, "spikes": 0, "synops": 0, "neuron_steps": 0}
    assert totals([row], profile)["energy"] == pytest.approx(154e-12)
    assert "Horowitz" in profile.source


def test_an_unknown_profile_lists_the_nearest():
    with pytest.raises(NasError, match=r"'45nm_fp23'(?s:.)*did you mean '45nm_fp32'"):
        load_profile("45nm_fp23")
