"""Tensors of a file that may come from anybody: looked at before they are read."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from search_spaces.errors import NasError, nearest

Declared = dict[str, tuple[tuple[int, ...], torch.dtype]]

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_header(path: Path) -> Declared:
    """Return name, shape and type of every tensor of a safetensors file; reads no tensor.

    The header's offsets must cover the file exactly, so that no tensor is larger than it.

    Raises:
        NasError: It is none, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    declared: Declared = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                part = file.get_slice(name)
                dtype = _DTYPES.get(part.get_dtype())
                if dtype is None:
                    raise NasError(f"{name} has type {part.get_dtype()}", where=str(path))
                declared[name] = (tuple(part.get_shape()), dtype)
    except (OSError, SafetensorError, ValueError, OverflowError) as error:
        raise NasError(f"this is no whole safetensors file: {error}", where=str(path)) from None
    return declared


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a file whose header was checked.

    Raises:
        NasError: A value is not a number.
    """
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise NasError(f"{name} holds values that are not numbers", where=str(path))
    return tensors


def check_declared(expected: Declared, declared: Declared, path: Path) -> None:
    """Compare what an architecture needs with what a file declares.

    Raises:
        NasError: A tensor is missing, is too many, or has another shape or type.
    """
    for name in expected:
        if name not in declared:
            raise NasError(f"these are not the network's weights: no {name}", where=str(path))
    for name, (shape, dtype) in declared.items():
        if name not in expected:
            raise NasError(
                f"these are not the network's weights: {name} is too many",
                where=str(path),
                hint=nearest(name, set(expected) - set(declared)) if len(expected) < 40 else None,
            )
        needed, kind = expected[name]
        if (shape, dtype) != (needed, kind):
            raise NasError(
                f"these are not the network's weights: {name} is {dtype} {list(shape)},"
                f" the architecture needs {kind} {list(needed)}",
                where=str(path),
            )
