from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from nas.hardware import onnx_operations
from nas.hardware.onnx_file import write_onnx
from nas.hardware.recorder import record
from nas.hardware.unrolled import unrolled
from search_spaces.attention import AttentionSettings, build_attention
from search_spaces.errors import NasError
from search_spaces.families import ATTENTION_KINDS

from .hardware_nets import CLIP, SMALL, frames, network

LENGTH = 13


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def _dynamic(kind: str, **more: Any) -> dict[str, Any]:
    small = {**SMALL, "encoder.depth": 1, "calibration.kind": "dynamic"}
    return {**small, "attention.kind": kind, **more}


HEADS: dict[str, dict[str, Any]] = {
    **{kind: _dynamic(kind) for kind in ATTENTION_KINDS},
    "sparse": _dynamic("ssla", **{"attention.sparsity": 0.5}),
    "sparse, causal": _dynamic("ssla", **{"attention.sparsity": 0.5, "attention.causal": True}),
    "if": {
        **SMALL,
        "neuron.type": "if",
        "neuron.steps_per_frame": 2,
        "input.pooling": 2,
        "normalization": "lateral_inhibition",
        "calibration.kind": "static",
        "encoder.residual": "alpha",
    },
    "relu": {**SMALL, "neuron.type": "relu", "calibration.kind": "static"},
    "ttfs": {**SMALL, "neuron.type": "ttfs", "encoder.residual": "alpha"},
    "ttfs, prompts": _dynamic("softmax", **{"neuron.type": "ttfs"}),
}
CONVOLUTIONS = [
    {
        "encoder.depth": 2,
        "block.channels": 4,
        "block.operation": operation,
        "block.skip": skip,
        "pool.kind": pool,
        "input.fusion": fusion,
        "input.normalization": normalization,
        "neuron.type": neuron,
    }
    for (operation, skip), (pool, fusion), (normalization, neuron) in itertools.product(
        [("conv", "none"), ("double", "add"), ("separable", "concat")],
        [("max", "channels"), ("average", "frames")],
        [("batch", "ttfs"), ("none", "relu")],
    )
]


def written(net: nn.Module, clips: Tensor, path: Path, **options: Any) -> dict[str, Any]:
    return write_onnx(net, clips, path, compared_on="these", **options)


def run(path: Path, clip: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": clip[None].numpy()})[0][0]


@pytest.mark.parametrize("name", HEADS)
def test_onnxruntime_gives_the_logits_of_every_kind_of_head(name: str, tmp_path: Path):
    """On frames that neither the recording nor the comparison of the command has seen."""
    net = network(HEADS[name], seed=2)
    told = written(net, frames(3, LENGTH), tmp_path / "net.onnx")
    assert told["frames"] == LENGTH
    assert told["parity"]["labels_equal"] == 1.0
    other = frames(2, LENGTH, seed=9)
    with torch.no_grad():
        expected = net(other).numpy()
    for clip, logits in zip(other, expected, strict=True):
        np.testing.assert_allclose(run(tmp_path / "net.onnx", clip), logits, atol=2e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3  # it is the frames that decide


class Attending(nn.Module):
    """An attention alone: behind thresholds and a readout, errors of some percent are lost."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, torch.ones(x.shape[:2], dtype=torch.bool))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("kind", "neuron"),
    [*((kind, "plif") for kind in ATTENTION_KINDS[1:]), ("ssla", "relu"), ("sdsa", "relu")],
)
def test_attention_gives_the_same_values(kind: str, causal: bool, neuron: str):
    sparsity = 0.5 if kind == "ssla" else 0.0
    settings = AttentionSettings(16, 2, causal, sparsity, neuron, threshold=0.1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Attending(build_attention(kind, settings)).eval()
    x = 2.0 * frames(2, LENGTH, 16)
    session = onnxruntime.InferenceSession(record(unrolled(net), x[:1]).SerializeToString())
    with torch.no_grad():
        expected = net(x[1:]).numpy()
    (given,) = session.run(None, {"frames": x[1:].numpy()})
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("values", CONVOLUTIONS, ids=lambda v: "-".join(map(str, v.values())))
def test_onnxruntime_gives_the_logits_of_event_networks(values: dict[str, Any], tmp_path: Path):
    net = network(values, 1, "ttfs_conv", CLIP)
    written(net, frames(2, 0, CLIP), tmp_path / "net.onnx")
    clip = frames(1, 0, CLIP, seed=5)
    with torch.no_grad():
        expected = net(clip).numpy()[0]
    np.testing.assert_allclose(run(tmp_path / "net.onnx", clip[0]), expected, atol=2e-5)


@pytest.mark.parametrize("hidden", [0, 8])
def test_simple_models_too(hidden: int, tmp_path: Path):
    net = network({"hidden": hidden}, family="mean_pool")
    assert written(net, frames(3, LENGTH), tmp_path / "net.onnx")["nodes"] < 15


def test_the_file_holds_to_the_standard_and_says_what_it_is(tmp_path: Path):
    about = {"classes": '["a", "b", "c"]', "frame_rate": 12.5}
    written(network(SMALL), frames(2, LENGTH), tmp_path / "net.onnx", about=about)
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import] == [18]
    assert not {n.op_type for n in model.graph.node} & {"Loop", "Scan", "If"}
    told = {p.key: p.value for p in model.metadata_props}
    assert told["classes"] == about["classes"]
    assert told["frame_rate"] == "12.5"
    assert told["frames"] == str(LENGTH)


def test_spike_times_stay_spike_times(tmp_path: Path):
    """Eight steps a window: eight spike times and silence, so nine values of a spike."""
    net = network({**SMALL, "neuron.type": "ttfs", "ttfs.steps": 8, "encoder.depth": 0})
    told = written(net, frames(2, LENGTH), tmp_path / "net.onnx")
    assert "8 steps" in told["view"]
    model = onnx.load(tmp_path / "net.onnx")
    floors = [n.output[0] for n in model.graph.node if n.op_type == "Floor"]
    model.graph.output.extend([onnx.ValueInfoProto(name=n) for n in floors])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    _, levels = session.run(None, {"frames": frames(1, LENGTH, seed=2).numpy()})
    assert set(np.unique(levels.clip(0, 8))) == set(range(9))


def test_what_differs_is_not_written(tmp_path: Path, monkeypatch):
    """An operation that is wrong by a thousandth."""
    monkeypatch.setitem(
        onnx_operations.TABLE,
        "tanh",
        lambda g, out, x: g.add("Mul", g.add("Tanh", g.name(x)), g.cast(1.001, x.dtype)),
    )
    net = network({**SMALL, "neuron.type": "relu"})
    with pytest.raises(NasError, match="differ by"):
        written(net, frames(2, LENGTH), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
    written(net, frames(2, LENGTH), tmp_path / "net.onnx", tolerance=0.1)


class Foreign(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_what_has_no_onnx_form_is_named(tmp_path: Path):
    net = Foreign(lambda x: torch.special.bessel_j0(x).mean(1))
    with pytest.raises(NasError, match=r"special_bessel_j0.*Foreign"):
        written(net, frames(1, LENGTH), tmp_path / "net.onnx")


def test_a_graph_that_reads_its_input_while_it_is_made_is_refused(tmp_path: Path):
    """A number taken from the input would be frozen into the graph."""
    net = Foreign(lambda x: x.mean(1) * float(x.sum()))
    with pytest.raises(NasError, match="_local_scalar_dense"):
        written(net, frames(1, LENGTH), tmp_path / "net.onnx")


def test_operations_in_place_are_recorded_in_their_order():
    def two(x: Tensor) -> Tensor:
        y = x * 2.0
        z = y + 1.0
        y.mul_(3.0)
        return (y + z).mean(1)

    x = frames(1, LENGTH)
    model = record(Foreign(two), x)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (given,) = session.run(None, {"frames": x.numpy()})
    np.testing.assert_allclose(given, (8.0 * x + 1.0).mean(1).numpy(), rtol=1e-5)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_package_it_says_what_to_install(package: str, monkeypatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(NasError, match=r"nas\[hardware\]"):
        written(network(SMALL), frames(1, LENGTH), tmp_path / "net.onnx")
