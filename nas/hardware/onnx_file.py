"""ONNX files: one clip, every step of every neuron written out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nas
from nas.hardware.outputs import require
from nas.hardware.recorder import OPSET, record
from nas.hardware.unrolled import unrolled
from nas.out_folder import made_whole, refuse_existing
from search_spaces.errors import NasError
from search_spaces.ttfs import TTFSNetwork

TOLERANCE = 1e-4  # of a logit, relative to the largest where that is above 1
LARGEST = 1_900_000_000  # bytes; a protobuf ends at 2 GiB


def write_onnx(
    network: nn.Module,
    clips: Tensor,
    path: Path,
    *,
    compared_on: str,
    tolerance: float = TOLERANCE,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a trained network as ONNX, once onnxruntime agrees with torch on it.

    Inputs are ``frames`` ``[1, L, D]``, the output ``logits`` ``[1, C]``. The number of frames
    is fixed: the graph is unrolled, without loops, as small runtimes need it.

    Args:
        network: Trained.
        clips: ``[N, L, D]`` to compare on; they fix ``L``.
        path: A file.
        compared_on: What the clips are, for the report.
        tolerance: Largest difference of a logit, relative to the largest where that is above 1.
        about: Classes and the like, for the metadata.

    Returns:
        ``file``, ``frames``, ``opset``, ``nodes``, ``bytes``, ``view`` of the neurons, and
        ``parity``: ``compared_on``, ``clips``, ``largest_difference``, ``labels_equal`` (a
        share), ``tolerance``.

    Raises:
        NasError: A part has no ONNX form, or the two differ by more than the tolerance; then
            nothing is written.
    """
    require("onnx")
    require("onnxruntime")
    refuse_existing(path)
    example = clips[:1].clone()
    try:
        model = record(unrolled(network), example)
    except NasError as error:
        raise NasError(f"{error.what} ({_part(network)})", hint=error.hint) from None
    view = _view(network)
    told = {"nas": nas.__version__, "frames": clips.shape[1], "neurons": view, **(about or {})}
    for key, value in told.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, str(value)
    if model.ByteSize() > LARGEST:
        raise NasError(f"{model.ByteSize()} bytes are too many for one ONNX file")
    content = model.SerializeToString()
    parity = _parity(network, content, clips, tolerance) | {"compared_on": compared_on}
    if not parity["within"]:
        raise NasError(
            f"onnxruntime and torch differ by {parity['largest_difference']:.3g} in a logit"
            f" ({100 * parity['labels_equal']:.0f} % of the labels equal on"
            f" {compared_on}); the tolerance is {tolerance:g}, nothing was written",
            hint="a neuron exactly at its threshold may fire in one and not in the other:"
            " --tolerance allows more, --seed draws other frames",
        )
    with made_whole(path) as making:
        making.write_bytes(content)
    return {
        "file": str(path),
        "frames": clips.shape[1],
        "opset": OPSET,
        "nodes": len(model.graph.node),
        "bytes": len(content),
        "view": view,
        "parity": {k: v for k, v in parity.items() if k != "within"},
    }


def _parity(network: nn.Module, content: bytes, clips: Tensor, tolerance: float) -> dict[str, Any]:
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # small operations: threads wait for one another
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        theirs = [session.run(None, {"frames": c[None].numpy()})[0] for c in clips]
    except Exception as error:  # onnxruntime has a class of its own for every status
        reason = str(error).splitlines()[0]
        raise NasError(f"onnxruntime cannot run this graph: {reason}") from None
    with torch.no_grad():
        ours = network(clips)
    given = torch.cat([torch.from_numpy(t) for t in theirs])
    difference = float((given - ours).abs().max())
    return {
        "clips": len(clips),
        "largest_difference": difference,
        "labels_equal": float((given.argmax(1) == ours.argmax(1)).float().mean()),
        "tolerance": tolerance,
        # a difference that is no number is within nothing
        "within": difference <= tolerance * max(1.0, float(ours.abs().max())),
    }


def _view(network: nn.Module) -> str:
    if isinstance(network, TTFSNetwork) and network.discretisation is not None:
        return f"spike times in closed form, {network.discretisation.steps} steps a window"
    return "every step of every neuron unrolled"


def _part(network: nn.Module) -> str:
    context = getattr(network, "context", None)
    attention = getattr(context, "attention", None)
    name = type(network).__name__
    return name if attention is None else f"{name} with attention {type(attention).__name__}"
