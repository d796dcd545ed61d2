"""Integer weights: 8, 6 or 4 bits, a scale for each output channel or tensor.

Normalisations are folded first. Every weight of a linear map or convolution becomes whole
numbers ``q`` with ``w ~ q scale``, symmetric about zero; they are stored as int8 whatever their
bits. Biases, thresholds, time constants and what belongs to no linear map (prompts, layer
norms, inhibition) stay float32, as the accumulators of a device are wide.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

import nas
from nas.hardware.folding import folded
from nas.hardware.loading import (
    LARGEST_TEXT,
    Model,
    Shape,
    check_late,
    check_values,
    skeleton,
)
from nas.hardware.tensors import check_declared, read_header, read_tensors
from nas.out_folder import made_whole
from nas.trusted import trusted_family
from search_spaces.buffers import late_buffers
from search_spaces.errors import NasError
from search_spaces.ttfs import integer_weights

BITS = (8, 6, 4)
FORMAT = 1
WEIGHTS = "weights.safetensors"
DESCRIPTION = "fixed_point.json"
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d)

Per = Literal["channel", "tensor"]


@dataclass(frozen=True)
class FixedPoint:
    """A network with integer weights.

    Args:
        network: It computes with ``q scale`` in float32, which is what an integer device with
            wide accumulators computes up to rounding.
        tensors: What is stored: ``<layer>.weight`` int8, ``<layer>.scale``, and the rest.
    """

    network: nn.Module
    tensors: dict[str, Tensor]


def quantised(network: nn.Module, bits: int, per: Per) -> FixedPoint:
    """Round a trained network's weights.

    Args:
        network: Trained; not changed.
        bits: Of a weight, sign included; 2 to 8.
        per: What shares a scale.
    """
    if bits > 8:
        raise NasError(f"weights of {bits} bits do not fit into int8", hint="give 8, 6 or 4")
    plain = folded(network)
    scales: dict[str, Tensor] = {}
    stored = {}
    with torch.no_grad():
        for name, module in plain.named_modules():
            if isinstance(module, LINEAR):
                whole, scale = integer_weights(module.weight, bits, per)
                module.weight.copy_(whole * scale)
                stored[f"{name}.weight"] = whole.to(torch.int8)
                scales[f"{name}.scale"] = scale.flatten()
    rest = {k: v.detach().clone() for k, v in plain.state_dict().items() if k not in stored}
    return FixedPoint(plain, {**rest, **stored, **scales})


def write_fixed_point(
    model: Model, made: FixedPoint, bits: int, per: Per, measured: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Write a folder with ``weights.safetensors`` and ``fixed_point.json``.

    Args:
        model: What it was made of.
        made: The integers.
        bits: See :func:`quantised`.
        per: See :func:`quantised`.
        measured: What rounding cost.
        folder: The output.

    Returns:
        ``folder``, ``bits``, ``per``, ``integer_weights``, ``float_values`` (counts),
        ``weight_bytes`` packed at so many bits, and ``measured``.
    """
    from eval.weights import save_tensors

    whole = [t.numel() for t in made.tensors.values() if t.dtype == torch.int8]
    floats = [t.numel() for t in made.tensors.values() if t.is_floating_point()]
    counts = {
        "integer_weights": sum(whole),
        "float_values": sum(floats),
        "weight_bytes": -(-sum(whole) * bits // 8),
    }
    document = {
        "format": FORMAT,
        "nas": nas.__version__,
        "bits": bits,
        "per": per,
        "stored_as": "int8",
        "equation": "w = weight * scale, scale along the first axis",
        "family": model.family,
        "hash": model.exported.architecture.hash,
        "architecture": model.exported.architecture.as_dict(),
        "input_shape": model.shape,
        "classes": list(model.classes),
        **counts,
        "measured": measured,
    }
    with made_whole(folder) as making:
        making.mkdir()
        save_tensors(made.tensors, making / WEIGHTS)
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (making / DESCRIPTION).write_text(text, encoding="utf-8")
    return {"folder": str(folder), "bits": bits, "per": per, **counts, "measured": measured}


def read_fixed_point(folder: str | Path, trusted: Collection[str] = ()) -> nn.Module:
    """Return the network of such a folder, computing with its integers times their scales.

    Args:
        folder: What ``nas convert --to fixed-point`` wrote.
        trusted: Families outside this package that may be imported.

    Raises:
        NasError: It is none, or its tensors are not those of its architecture.
    """
    folder = Path(folder)
    told = _description(folder)
    family = trusted_family(told, trusted, folder)
    shape: Shape = (
        tuple(told["input_shape"])
        if isinstance(told["input_shape"], list)
        else told["input_shape"]
    )
    n_classes = len(told["classes"])
    try:
        with torch.device("meta"):
            empty = folded(skeleton(family, told["architecture"], shape, n_classes))
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        raise NasError(f"this architecture cannot be built: {error}", where=str(folder)) from None
    path = folder / WEIGHTS
    declared, shapes = read_header(path), _layout(empty)
    # a network that was adapted to another frame rate has these as well
    late = {k: kind for k, kind in late_buffers(empty).items() if k in declared}
    shapes |= {k: ((), kind) for k, kind in late.items()}
    for name, (size, _) in declared.items():
        if name.endswith(".scale") and name in shapes and size == (1,):
            shapes[name] = ((1,), torch.float32)  # per tensor
    check_declared(shapes, declared, path)
    tensors = read_tensors(path)
    check_late({k: tensors[k] for k in late}, path)
    top = 2 ** (int(told["bits"]) - 1) - 1
    state = {}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.int8:
            if tensor.numel() and int(tensor.to(torch.int16).abs().max()) > top:
                raise NasError(f"{name} needs more than {told['bits']} bits", where=str(path))
            scale = tensors[f"{name.removesuffix('.weight')}.scale"]
            tensor = tensor.float() * scale.view(-1, *(1,) * (tensor.dim() - 1))
        if not name.endswith(".scale"):
            state[name] = tensor
    network = folded(skeleton(family, told["architecture"], shape, n_classes))
    network.load_state_dict(state)
    return network


def _layout(network: nn.Module) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    layout = {k: (tuple(v.shape), v.dtype) for k, v in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, LINEAR):
            shape = layout[f"{name}.weight"][0]
            layout[f"{name}.weight"] = (shape, torch.int8)
            layout[f"{name}.scale"] = (shape[:1], torch.float32)
    return layout


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ValueError("it is too long")
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT or told["bits"] not in range(2, 9):
            raise ValueError(f"format {told['format']!r}, {told['bits']!r} bits")
        shape = told["input_shape"]
        sides = shape if isinstance(shape, list) else [shape]
        if not all(type(n) is int and 0 < n < 2**31 for n in sides):
            raise ValueError(f"input_shape {shape!r}")
        if not isinstance(told["classes"], list) or not isinstance(told["family"], str):
            raise ValueError("no classes or no family")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NasError(
            f"these are no fixed-point weights: {error}",
            where=str(folder),
            hint="nas convert DIR --to fixed-point --out NEW makes them",
        ) from None
    check_values(told["architecture"], str(path))
    made: dict[str, Any] = told
    return made
