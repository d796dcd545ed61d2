from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest
import torch

from nas.hardware.describe import describe
from nas.hardware.graph import hosted
from nas.hardware.nir_file import DT, write_nir
from search_spaces.errors import NasError
from search_spaces.schema import load_space

from .hardware_nets import CLIP, DIM, ON_DEVICE, SMALL, frames, network, spikes_of
from .nir_euler import Euler
from .nir_importers import with_snntorch, with_spikingjelly

SPACE = load_space("hardware")
# small and with a known number, so that the three simulators stay quick
DRAWN = [
    {**values, "encoder.width": 32, "encoder.expansion": 1}
    for values in (SPACE.sample(np.random.default_rng(seed)) for seed in range(12))
]
KINDS = [{**ON_DEVICE, "neuron.type": kind} for kind in ("plif", "lif", "if")]
KINDS += [{**ON_DEVICE, "encoder.depth": 0}, {**ON_DEVICE, "encoder.residual": "alpha"}]

# nirtorch adds up what enters a node in the order of a set, another in every process: rarely a
# membrane then lands on the other side of its threshold
SAME = 0.99


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def steps(x: torch.Tensor, held: int) -> torch.Tensor:
    """``[B, L, D]`` frames -> ``[T, B, D]``, each held for the steps of a frame."""
    return x.transpose(0, 1).repeat_interleave(held, 0)


@pytest.mark.parametrize("seed", range(len(DRAWN) + len(KINDS)))
def test_every_spike_is_that_of_three_other_simulators(seed: int, tmp_path: Path):
    """An interpreter of the paper's equations, snnTorch and spikingjelly; all of one file."""
    values = (DRAWN + KINDS)[seed]
    net, x = network(values, seed), frames(2, 15, seed=seed)
    told = write_nir(net, DIM, tmp_path / "net.nir")
    assert told["host"] == []
    graph = nir.read(tmp_path / "net.nir")
    ours = spikes_of(net, x)
    logits = ours.pop("logits")
    assert set(ours) == {n for n, node in graph.nodes.items() if isinstance(node, nir.LIF)}
    assert sum(float(s.sum()) for s in ours.values()) > 20
    currents = steps(x, told["steps_per_frame"])
    by_equations = Euler(graph, DT).run({"input": currents.numpy()})
    others = {
        "equations": {k: torch.from_numpy(v) for k, v in by_equations.items()},
        "snntorch": with_snntorch(graph, currents),
        "spikingjelly": with_spikingjelly(graph, currents),
    }
    for simulator, theirs in others.items():
        least = 1.0 if simulator == "equations" else SAME
        for layer, spikes in ours.items():
            equal = float((theirs[layer].float() == spikes).float().mean())
            assert equal >= least, (simulator, layer)
        close = {"rtol": 0, "atol": 1e-6 if least == 1.0 else 0.05}
        torch.testing.assert_close(theirs["output"].mean(0).float(), logits, **close)


def test_all_of_the_packaged_space_exports_whole():
    rng = np.random.default_rng(1)
    for i in range(40):
        values = SPACE.sample(rng)
        assert hosted(describe(network(values, i), DIM)) == [], values


def test_a_shift_is_a_delay_of_a_frame_on_the_channels_that_move(tmp_path: Path):
    values = {**ON_DEVICE, "encoder.shift": [0.25, 0], "neuron.steps_per_frame": 3}
    write_nir(network(values), DIM, tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    delays = {n: node for n, node in graph.nodes.items() if isinstance(node, nir.Delay)}
    assert list(delays) == ["blocks_0_shift"]  # the second block moves nothing
    late = delays["blocks_0_shift"].delay
    np.testing.assert_allclose(late, [3 * DT] * 4 + [0.0] * 12)


def test_the_residual_is_one_more_edge_a_block(tmp_path: Path):
    write_nir(network(ON_DEVICE), DIM, tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    into = [source for source, target in graph.edges if target == "fire"]
    assert sorted(into) == ["blocks_0_reduce", "blocks_1_reduce", "project"]


def test_a_time_constant_becomes_seconds(tmp_path: Path):
    """tau = 4 steps, dt = 0.1 ms."""
    net = network({**ON_DEVICE, "neuron.type": "lif", "neuron.tau": 4.0, "neuron.threshold": 0.75})
    for m in net.modules():
        if hasattr(m, "w"):
            torch.nn.init.constant_(m.w, -np.log(3.0))  # sigmoid(w) = 1 / 4
    write_nir(net, DIM, tmp_path / "net.nir")
    node = nir.read(tmp_path / "net.nir").nodes["fire"]
    np.testing.assert_allclose(node.tau, 4e-4, rtol=1e-6)
    assert set(node.v_threshold) == {0.75}
    assert set(node.r) == {1.0}
    assert set(node.v_reset) == {0.0}


def test_the_file_says_how_to_run_it(tmp_path: Path):
    net = network({**ON_DEVICE, "neuron.steps_per_frame": 2})
    write_nir(net, DIM, tmp_path / "net.nir", about={"classes": '["a", "b", "c"]'})
    told = nir.read(tmp_path / "net.nir").metadata
    assert told["dt"] == 1e-4
    assert told["steps_per_frame"] == 2
    assert json.loads(told["classes"]) == ["a", "b", "c"]
    assert json.loads(told["host"]) == []


HOST = {
    "input.saturation": ({"input.saturation": 1.0}, "saturate"),
    "input.pooling": ({"input.pooling": 2}, "pool"),
    "encoder.direction": ({"encoder.direction": "both"}, "shift"),
    "normalization": ({"normalization": "lateral_inhibition"}, "project"),
    "calibration.kind": ({"calibration.kind": "dynamic"}, "voltage"),
}


@pytest.mark.parametrize("part", HOST)
def test_what_nir_cannot_express_is_refused_by_name(part: str, tmp_path: Path):
    net = network({**ON_DEVICE, **HOST[part][0]})
    with pytest.raises(NasError, match=part) as caught:
        write_nir(net, DIM, tmp_path / "net.nir")
    for other in HOST.keys() - {part}:
        assert other not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    told = write_nir(net, DIM, tmp_path / "net.nir", partial=True)
    assert {row["part"].split()[0] for row in told["host"]} == {part}


@pytest.mark.parametrize(
    ("values", "family", "why"),
    [
        ({**SMALL, "neuron.type": "ttfs"}, "pts_snn", "time-to-first-spike"),
        ({**SMALL, "neuron.type": "relu"}, "pts_snn", "no spikes"),
        ({"hidden": 4}, "mean_pool", "without spikes"),
        ({"encoder.depth": 1, "block.channels": 2}, "ttfs_conv", "time-to-first-spike"),
    ],
)
def test_a_network_without_clocked_spikes_is_refused(values, family, why, tmp_path: Path):
    net = network(values, family=family, shape=CLIP if family == "ttfs_conv" else DIM)
    for partial in (False, True):
        with pytest.raises(NasError, match=why):
            write_nir(net, DIM, tmp_path / "net.nir", partial=partial)


def test_nothing_is_overwritten_and_nothing_half_made_stays(tmp_path: Path, monkeypatch):
    net, path = network(ON_DEVICE), tmp_path / "net.nir"
    path.write_text("mine")
    with pytest.raises(NasError, match="exists already"):
        write_nir(net, DIM, path)
    assert path.read_text() == "mine"

    def torn(file: Path, graph: object) -> None:
        file.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(nir, "write", torn)
    with pytest.raises(NasError, match="disk full"):
        write_nir(net, DIM, tmp_path / "other.nir")
    assert [p.name for p in tmp_path.iterdir()] == ["net.nir"]


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(NasError, match=r"nas\[hardware\]"):
        write_nir(network(ON_DEVICE), DIM, tmp_path / "net.nir")
