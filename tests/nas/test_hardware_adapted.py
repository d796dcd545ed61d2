"""Networks adapted to another time step, on the way to a device."""

from __future__ import annotations

from pathlib import Path

import nir
import pytest
import torch

from eval.resolution import change_step
from nas.hardware.nir_file import DT, write_nir
from nas.hardware.unrolled import unrolled

from .hardware_nets import DIM, ON_DEVICE, frames, network, spikes_of
from .nir_euler import Euler


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", ["plif", "if"])
@pytest.mark.parametrize(
    ("ratio", "method"), [(0.5, "decay"), (0.4, "integral"), (2.0, "substeps"), (4.0, "integral")]
)
def test_an_adapted_network_fires_there_as_here(
    kind: str, ratio: float, method: str, tmp_path: Path
):
    """Gains, delays and steps of a frame as an interpreter of NIR's equations reads them."""
    net, x = network({**ON_DEVICE, "neuron.type": kind}, 0), frames(2, 15, seed=0)
    change_step(net, ratio, method)
    told = write_nir(net, DIM, tmp_path / "net.nir")
    ours = spikes_of(net, x)
    logits = ours.pop("logits")
    assert sum(float(s.sum()) for s in ours.values()) > 20
    graph = nir.read(tmp_path / "net.nir")
    currents = x.transpose(0, 1).repeat_interleave(told["steps_per_frame"], 0)
    there = Euler(graph, DT).run({"input": currents.numpy()})
    for name, spikes in ours.items():
        same = (torch.from_numpy(there[name]) == spikes).double().mean()
        assert same > 0.99, name
    with torch.no_grad():
        assert torch.allclose(unrolled(net)(x), logits, atol=1e-4)
