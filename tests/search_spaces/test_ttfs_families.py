"""The two families that can spike once: the head on features and the network on event frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.schema import load_space
from search_spaces.ttfs import ClockedView, ReLUView, TTFSNetwork, TTFSView, Window

CLIP = (3, 2, 16, 20)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def trained(network: Any, *batch: Tensor) -> tuple[TTFSNetwork, Tensor]:
    """A network with running statistics, and its logits as an ordinary ReLU network."""
    assert isinstance(network, TTFSNetwork)
    network.double().train()
    for _ in range(3):
        network(*batch)
    with torch.no_grad():
        return network, network.eval()(*batch)


def frames_of_a_clip(n: int = 3) -> Tensor:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(n, CLIP[0], CLIP[1] * CLIP[2] * CLIP[3], generator=g, dtype=torch.float64)
    return (x - 0.6).clamp(min=0) / 0.4  # most pixels see nothing


HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "alpha": {"encoder.residual": "alpha", "encoder.shift": 0.25},
    "past": {"encoder.direction": "past", "encoder.depth": 1},
    "no block": {"encoder.depth": 0},
    "static": {"calibration.kind": "static"},
    "prompts": {"calibration.kind": "dynamic", "attention.kind": "none"},
    "softmax": {"calibration.kind": "dynamic", "attention.kind": "softmax"},
    "ssla": {"calibration.kind": "dynamic", "attention.kind": "ssla", "attention.sparsity": 0.5},
    "pooled": {"input.pooling": 2, "input.saturation": 0},
}


def networks() -> Iterator[Any]:
    x = torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lengths = torch.tensor([7, 1, 4])
    for name, values in HEADS.items():
        given = {"neuron.type": "ttfs", "encoder.width": 8, "ttfs.steps": 8, **values}
        yield pytest.param("pts_snn", given, 6, (x, lengths), id=name)
    rng, space = np.random.default_rng(0), load_space("tnas_er.yaml")
    for i in range(12):
        yield pytest.param("ttfs_conv", space.sample(rng), CLIP, (frames_of_a_clip(),), id=str(i))


@pytest.mark.parametrize(("family", "values", "shape", "batch"), list(networks()))
def test_every_view_of_a_family_is_the_same_network(
    family: str, values: Any, shape: Any, batch: tuple[Tensor, ...]
) -> None:
    torch.manual_seed(0)
    network, logits = trained(get_family(family).build(values, shape, 3), *batch)
    network.fold()
    network.fit_windows([batch], 0.1)
    steps = network.discretisation.steps if network.discretisation else 0
    with torch.no_grad():
        for view in (ReLUView(), ReLUView(clip=True), TTFSView()):
            with network.viewed(view):
                assert torch.allclose(network(*batch), logits, rtol=0, atol=1e-9), view
        found = []
        for view in (network.spiking_view(), ReLUView(steps=steps), ClockedView(steps)):
            with network.viewed(view):
                found.append(network(*batch))
    assert not torch.allclose(found[0], logits, rtol=0, atol=1e-9)  # rounding does something
    for other in found[1:]:
        assert torch.allclose(other, found[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_padding_changes_nothing_in_any_view(name: str) -> None:
    given = {"neuron.type": "ttfs", "encoder.width": 8, "ttfs.steps": 8, **HEADS[name]}
    x, lengths = torch.randn(2, 6, 6, dtype=torch.float64), torch.tensor([6, 3])
    network, _ = trained(get_family("pts_snn").build(given, 6, 3), x, lengths)
    network.fold()
    network.fit_windows([(x, lengths)], 0.1)
    other = x.clone()
    other[1, 3:] = float("nan")
    with torch.no_grad():
        for view in (ReLUView(clip=True), TTFSView(), TTFSView(steps=8)):
            with network.viewed(view):
                alone = network(x[1:, :3])
                assert torch.allclose(network(other, lengths)[1:], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("family", "values", "shape", "batch"), list(networks()))
def test_latency_is_the_sum_of_the_windows_in_series(
    family: str, values: Any, shape: Any, batch: tuple[Tensor, ...]
) -> None:
    """The end of the last window in clock steps, as the readout sees it."""
    network, _ = trained(get_family(family).build(values, shape, 3), *batch)
    network.fold()
    network.fit_windows([batch], 0.1)
    network.view = network.spiking_view()
    ends: list[float] = []
    readout: Any = network.readout
    readout.register_forward_hook(lambda m, inputs, out: ends.append(inputs[0].end))
    network(*batch)
    assert ends == [network.latency_steps]


def test_branches_that_meet_share_a_window_and_others_do_not() -> None:
    def windows(skip: str) -> list[int]:
        values = {"encoder.depth": 1, "block.operation": ["double"], "block.skip": [skip]}
        network: Any = get_family("ttfs_conv").build(values, CLIP, 3)
        block = network.blocks[0]
        parts = (network.encode, block.first, block.last)
        return [len({id(p.window) for p in parts[:n]}) for n in (2, 3)]

    assert windows("none") == [2, 3]
    assert windows("add") == [1, 2]  # the skip and the first layer meet in the last
    assert windows("concat") == [2, 2]  # the input and the last layer meet behind it


def test_a_folded_input_normalisation_knows_the_border() -> None:
    values = {"input.normalization": "batch", "encoder.depth": 1, "block.kernel": [3]}
    x = frames_of_a_clip()
    network, logits = trained(get_family("ttfs_conv").build(values, CLIP, 3), x)
    network.fold()
    entry: Any = network.blocks[0].entry  # type: ignore[union-attr, index]
    assert network.normalise is None
    assert {len(channel.unique()) for channel in entry.border.double().round(decimals=12)} == {9}
    with torch.no_grad():
        assert torch.allclose(network(x), logits, rtol=0, atol=1e-9)


def test_the_relu_twin_never_spikes() -> None:
    network: Any = get_family("ttfs_conv").build({"neuron.type": "relu"}, CLIP, 3)
    assert network.discretisation is None
    assert network.latency_steps is None


@pytest.mark.parametrize(
    ("family", "values", "shape", "says"),
    [
        ("ttfs_conv", {"encoder.depth": 5}, CLIP, "nothing is left"),
        ("ttfs_conv", {"neuron.type": "relu", "ttfs.steps": 8}, CLIP, "ttfs.steps has no meaning"),
        ("ttfs_conv", {}, 384, "reads event frames"),
        ("ttfs_conv", {"block.channels": [4]}, CLIP, "1 values"),
        ("pts_snn", {"neuron.type": "plif", "ttfs.steps": 8}, 6, "ttfs.steps has no meaning"),
        ("pts_snn", {"neuron.type": "ttfs", "neuron.tau": 2.0}, 6, "neuron.tau has no meaning"),
        (
            "pts_snn",
            {"neuron.type": "ttfs", "normalization": "lateral_inhibition"},
            6,
            "normalization has no meaning",
        ),
        ("pts_snn", {"neuron.type": "ttfs", "ttfs.steps": 1}, 6, "ttfs.steps=1"),
    ],
)
def test_what_has_no_meaning_is_refused(family: str, values: Any, shape: Any, says: str) -> None:
    with pytest.raises(NasError, match=says):
        get_family(family).build(values, shape, 3)


def test_a_clip_of_another_length_is_refused() -> None:
    network = get_family("ttfs_conv").build({"encoder.depth": 1}, CLIP, 3)
    with pytest.raises(NasError, match="clips of 2 frames, built for 3"):
        network(frames_of_a_clip()[:, :2])


def test_event_frames_are_features_to_the_other_families() -> None:
    probe: Any = get_family("mean_pool").build({}, CLIP, 3)
    assert probe.out.in_features == 2 * 16 * 20


def test_windows_are_saved_with_the_weights() -> None:
    network: Any = get_family("ttfs_conv").build({"encoder.depth": 2}, CLIP, 3)
    names = {n for n, m in network.named_modules() if isinstance(m, Window)}
    assert {f"{n}.length" for n in names} <= set(network.state_dict())
