"""NIR files: what neuromorphic simulators and tool chains exchange.

A step of the network is ``DT`` seconds of NIR's continuous time, and NIR's equations under the
forward Euler rule with that step are ours: ``tau dv/dt = v_leak - v + r i`` with ``tau = DT / k``,
``r = 1`` and ``v_leak = 0`` gives ``v + k (i - v)``; the membrane is set to ``v_reset = 0`` where
it reaches ``v_threshold``, within the step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

import nas
from nas.hardware.describe import FRAMES, SCORES, describe
from nas.hardware.graph import Affine, Delay, Host, Neurons, Node, Segment, hosted, segments
from nas.hardware.outputs import require
from nas.out_folder import made_whole, refuse_existing
from search_spaces.errors import NasError
from search_spaces.pts_snn import PTSSNN

DT = 1e-4  # s; snnTorch has it built in, spikingjelly as its default

# Neurons without a leak are leaky ones whose leak is lost in single precision, in a membrane
# that counts in so small units: importers read NIR's own IF in three ways (docs/hardware.md).
NO_LEAK = 2.0**-30

_CONTRACT = (
    "one call a step of dt seconds; hold every frame for steps_per_frame steps, all membranes at"
    " v_reset before an utterance; the logits are the mean of the output over its steps"
)


def write_nir(
    network: nn.Module,
    frame_width: int,
    path: Path,
    *,
    partial: bool = False,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a trained network as NIR.

    Args:
        network: Trained.
        frame_width: ``D``.
        path: A file; where the host has to run in between, a folder of ``segment-0.nir``, ....
        partial: Leave to the host what NIR cannot express, and list it.
        about: Classes and the like, for the metadata.

    Returns:
        ``files``, ``dt``, ``steps_per_frame``, ``neurons``, ``synapses`` (stored weights) and
        ``host``, rows of ``part`` and ``why``.

    Raises:
        NasError: NIR cannot express all of it, and ``partial`` is not set; names every part.
    """
    nir = require("nir")
    refuse_existing(path)
    nodes = describe(network, frame_width)
    assert isinstance(network, PTSSNN)
    host = hosted(nodes)
    if host and not partial:
        raise NasError(
            "NIR cannot express these parts:"
            + "".join(f"\n    {part.what}: {part.why}" for part in host),
            hint="--partial leaves them to the host; search_spaces/hardware.yaml has none of them",
        )
    metadata = {
        "nas": nas.__version__,
        "dt": DT,
        "steps_per_frame": network.repeat.steps,
        "contract": _CONTRACT,
        **(about or {}),
        "host": json.dumps(_rows(host), ensure_ascii=False),
    }
    cut = segments(nodes)
    graphs = [_graph(nir, s, _metadata(metadata, s, i, len(cut))) for i, s in enumerate(cut)]
    with made_whole(path) as making:
        if len(graphs) > 1:
            making.mkdir()
        for i, graph in enumerate(graphs):
            nir.write(making if len(graphs) == 1 else making / f"segment-{i}.nir", graph)
    neurons = [n.width for n in nodes if isinstance(n.part, Neurons)]
    stored = [n.part.weight.numel() for n in nodes if isinstance(n.part, Affine)]
    return {
        "files": [str(path)]
        if len(graphs) == 1
        else [str(path / f"segment-{i}.nir") for i in range(len(graphs))],
        "dt": DT,
        "steps_per_frame": network.repeat.steps,
        "neurons": sum(neurons),
        "synapses": sum(stored),
        "host": _rows(host),
    }


def _rows(host: Sequence[Host]) -> list[dict[str, str]]:
    return [{"part": part.what, "why": part.why} for part in host]


def _metadata(
    metadata: Mapping[str, Any], segment: Segment, number: int, total: int
) -> dict[str, Any]:
    # an edge cannot say which of several inputs it brings; names of the nodes do
    wiring = {"inputs": list(segment.inputs), "outputs": list(segment.outputs)}
    return {**metadata, "segment": f"{number + 1} of {total}", "wiring": json.dumps(wiring)}


def _graph(nir: Any, segment: Segment, metadata: Mapping[str, Any]) -> Any:
    """Write one segment; a lone input is called ``input``, a lone output ``output``."""
    lone_in, lone_out = len(segment.inputs) == 1, len(segment.outputs) == 1
    entry = {s: "input" if lone_in else f"input_{s}" for s in segment.inputs}
    nodes = {entry[s]: nir.Input(np.array([width])) for s, width in segment.inputs.items()}
    edges = []
    for node in segment.nodes:
        nodes[node.name] = _node(nir, node)
        edges += [(entry.get(source, source), node.name) for source in node.sources]
    widths = {node.name: node.width for node in segment.nodes}
    for name in segment.outputs:
        out = "output" if lone_out else f"output_{name}"
        nodes[out] = nir.Output(np.array([widths[name]]))
        edges.append((name, out))
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=dict(metadata))


def _node(nir: Any, node: Node) -> Any:
    part = node.part
    if isinstance(part, Affine):
        if part.bias is None:
            return nir.Linear(weight=_array(part.weight))
        return nir.Affine(weight=_array(part.weight), bias=_array(part.bias))
    if isinstance(part, Delay):
        return nir.Delay(delay=DT * np.array(part.steps, dtype=np.float64))
    assert isinstance(part, Neurons)
    share = NO_LEAK if part.share is None else part.share
    threshold = part.threshold * (NO_LEAK if part.share is None else 1.0)
    each = np.ones(part.width)
    return nir.LIF(
        tau=each * (DT / share),
        r=each,
        v_leak=0.0 * each,
        v_threshold=each * threshold,
        v_reset=0.0 * each,
    )


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(tensor.numpy(), dtype=np.float32)


__all__ = ["DT", "FRAMES", "NO_LEAK", "SCORES", "write_nir"]
