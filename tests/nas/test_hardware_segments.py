"""Networks that run through the host: their segments, with the host's parts put in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from nas.hardware.nir_file import DT, write_nir
from search_spaces.frames import Frames

from .hardware_nets import DIM, ON_DEVICE, SMALL, frames, network, spikes_of
from .nir_euler import Euler


def run(files: list[str], given: dict[str, np.ndarray], host: dict[str, Any]) -> dict[str, Any]:
    """Run segments in their order; ``host`` computes what the next ones need from all so far."""
    known = dict(given)
    for file in files:
        graph = nir.read(file)
        wiring = json.loads(graph.metadata["wiring"])
        for name in wiring["inputs"]:
            if name not in known:
                known[name] = host[name](known)
        lone = len(wiring["inputs"]) == 1
        entering = {("input" if lone else f"input_{n}"): known[n] for n in wiring["inputs"]}
        known |= {k: v for k, v in Euler(graph, DT).run(entering).items() if "put" not in k}
    return known


def shifted(spikes: np.ndarray, fold: int) -> np.ndarray:
    """One frame later, one frame earlier, as they are: written out, ``[T, B, D]``."""
    out = spikes.copy()
    out[:, :, : 2 * fold] = 0
    for t in range(len(spikes)):
        if t > 0:
            out[t, :, :fold] = spikes[t - 1, :, :fold]
        if t + 1 < len(spikes):
            out[t, :, fold : 2 * fold] = spikes[t + 1, :, fold : 2 * fold]
    return out


def compare(net: Any, x: torch.Tensor, known: dict[str, Any]) -> None:
    ours = spikes_of(net, x)
    logits = ours.pop("logits")
    layers = [k for k in ours if not k.startswith("context")]
    for layer in layers:
        np.testing.assert_array_equal(known[layer], ours[layer].numpy(), err_msg=layer)
    np.testing.assert_allclose(known["readout"].mean(0), logits.numpy(), atol=1e-5)


def test_a_shift_towards_the_future_cuts_the_graph_at_every_block(tmp_path: Path):
    net = network({**ON_DEVICE, "encoder.direction": "both", "encoder.shift": 0.25})
    told = write_nir(net, DIM, tmp_path / "net", partial=True)
    assert [Path(f).name for f in told["files"]] == [f"segment-{i}.nir" for i in range(3)]
    x = frames(2, 12)
    host = {
        f"blocks_{i}_shift": lambda known, i=i: shifted(known[f"blocks_{i}_fire"], 4)
        for i in range(2)
    }
    known = run(told["files"], {"frames": x.transpose(0, 1).numpy()}, host)
    compare(net, x, known)


def test_dynamic_calibration_stays_with_the_host(tmp_path: Path):
    values = {**SMALL, "encoder.direction": "past", "calibration.kind": "dynamic"}
    net = network({**values, "attention.kind": "softmax"})
    told = write_nir(net, DIM, tmp_path / "net", partial=True)
    assert len(told["files"]) == 2
    x = frames(2, 12)
    with torch.no_grad():
        saturated = net.saturate(x.transpose(0, 1)).numpy()

    def voltage(known: dict[str, Any]) -> np.ndarray:
        spikes = torch.from_numpy(known["fire"]).float()
        with torch.no_grad():
            bias = net.bias(net.context(spikes, Frames.of(x, None)))
        return np.broadcast_to(bias.numpy(), known["fire"].shape)

    known = run(told["files"], {"saturate": saturated}, {"voltage": voltage})
    compare(net, x, known)


@pytest.mark.parametrize("residual", ["none", "alpha"])
def test_lateral_inhibition_stays_with_the_host(residual: str, tmp_path: Path):
    """Every projection is the host's; the device keeps the neurons and the readout."""
    net = network(
        {
            **ON_DEVICE,
            "normalization": "lateral_inhibition",
            "encoder.residual": residual,
            "calibration.kind": "static",
        }
    )
    told = write_nir(net, DIM, tmp_path / "net", partial=True)
    x = frames(2, 12)

    def projected(layer: Any, inputs: np.ndarray) -> np.ndarray:
        flat = torch.from_numpy(inputs).float().flatten(0, 1)
        with torch.no_grad():
            return layer.norm(layer.linear(flat), flat).unflatten(0, inputs.shape[:2]).numpy()

    def moved(known: dict[str, Any], i: int) -> np.ndarray:
        spikes = known[f"blocks_{i}_fire"]
        late = known.get(f"blocks_{i}_shift", spikes)
        block = net.blocks[i]
        return late if block.alpha is None else spikes + block.alpha.item() * late

    host: dict[str, Any] = {
        "project": lambda known: projected(net.project, x.transpose(0, 1).numpy()),
        "calibrated": lambda known: projected(net.calibrated, known["fire"]),
    }
    for i, block in enumerate(net.blocks):
        host[f"blocks_{i}_expand"] = lambda known, i=i, block=block: projected(
            block.expand, moved(known, i)
        )
        host[f"blocks_{i}_reduce"] = lambda known, i=i, block=block: projected(
            block.reduce, known[f"blocks_{i}_inner"]
        )
    compare(net, x, run(told["files"], {}, host))
