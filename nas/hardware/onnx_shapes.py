"""Operations that move entries and compute nothing, in ONNX's words.

Called as those of ``onnx_operations``: the graph, torch's result, the arguments of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nas.hardware.recorder import Graph
from search_spaces.errors import NasError


def reshape(g: Graph, out: Tensor, x: Tensor, *_: Any, **__: Any) -> str:
    """Any change of shape that keeps the order of the entries."""
    return g.add("Reshape", g.name(x), g.whole(*out.shape))


def expand(g: Graph, out: Tensor, x: Tensor, *_: Any, **__: Any) -> str:
    """Repeat along axes of length 1."""
    return g.add("Expand", g.name(x), g.whole(*out.shape))


def permute(g: Graph, out: Tensor, x: Tensor, order: Sequence[int]) -> str:
    """Reorder the axes."""
    return g.add("Transpose", g.name(x), perm=[d % x.dim() for d in order])


def transpose(g: Graph, out: Tensor, x: Tensor, a: int = 0, b: int = 1) -> str:
    """Swap two axes."""
    order = list(range(x.dim()))
    order[a], order[b] = order[b], order[a]
    return permute(g, out, x, order) if x.dim() > 1 else g.name(x)


def select(g: Graph, out: Tensor, x: Tensor, axis: int, index: int) -> str:
    """One entry of an axis."""
    at = torch.tensor(index % x.shape[axis])
    return g.add("Gather", g.name(x), g.name(at), axis=axis)


def _cut(g: Graph, x: Tensor, axis: int, start: int, end: int, step: int = 1) -> str:
    where = (g.whole(start), g.whole(end), g.whole(axis), g.whole(step))
    return g.add("Slice", g.name(x), *where)


def slice(
    g: Graph,
    out: Tensor,
    x: Tensor,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> str:
    """A range of an axis, as torch counts it."""
    return _cut(g, x, axis, start or 0, 2**62 if end is None else end, step)


def split(g: Graph, out: Sequence[Tensor], x: Tensor, _: Any, axis: int = 0) -> list[str]:
    """Successive ranges of an axis."""
    names, at = [], 0
    for part in out:
        names.append(_cut(g, x, axis, at, at + part.shape[axis]))
        at += part.shape[axis]
    return names


def unbind(g: Graph, out: Sequence[Tensor], x: Tensor, axis: int = 0) -> list[str]:
    """Every entry of an axis."""
    return [select(g, part, x, axis, i) for i, part in enumerate(out)]


def cat(g: Graph, out: Tensor, parts: Sequence[Tensor], axis: int = 0) -> str:
    """Join along an axis."""
    real = [g.cast(p, out.dtype) for p in parts if p.numel() or p.dim() == out.dim()]
    return g.add("Concat", *real, axis=axis % out.dim())


def stack(g: Graph, out: Tensor, parts: Sequence[Tensor], axis: int = 0) -> str:
    """Join along a new axis."""
    at = g.whole(axis % out.dim())
    each = [g.add("Unsqueeze", g.cast(p, out.dtype), at) for p in parts]
    return g.add("Concat", *each, axis=axis % out.dim())


def pad(g: Graph, out: Tensor, x: Tensor, sides: Sequence[int], value: float = 0) -> str:
    """Surround with a constant."""
    begin, end = [0] * x.dim(), [0] * x.dim()
    for i in range(len(sides) // 2):  # torch counts from the last axis
        begin[-1 - i], end[-1 - i] = sides[2 * i], sides[2 * i + 1]
    return g.add("Pad", g.name(x), g.whole(*begin, *end), g.cast(value, x.dtype))


def _broadcast(indices: Sequence[Tensor]) -> list[Tensor]:
    return list(torch.broadcast_tensors(*indices))  # type: ignore[no-untyped-call]


def _places(g: Graph, indices: Sequence[Tensor | None]) -> str:
    """Stack index tensors of the leading axes as ONNX's ``[..., axes]``."""
    given = [i for i in indices if i is not None]
    if len(given) != len(indices) or any(g.knows(i) or i.dtype == torch.bool for i in given):
        raise NasError("this network picks entries in a way that has no ONNX form here")
    return g.name(torch.stack(_broadcast(given), -1))


def index(g: Graph, out: Tensor, x: Tensor, indices: Sequence[Tensor | None]) -> str:
    """Entries at constant places of the leading axes."""
    return g.add("GatherND", g.name(x), _places(g, indices))


def index_put(
    g: Graph, out: Tensor, x: Tensor, indices: Sequence[Tensor | None], values: Tensor, *_: Any
) -> str:
    """Write entries at constant places of the leading axes."""
    given = [i for i in indices if i is not None]
    shape = (*_broadcast(given)[0].shape, *x.shape[len(given) :])
    spread = g.add("Expand", g.cast(values, x.dtype), g.whole(*shape))
    return g.add("ScatterND", g.name(x), _places(g, indices), spread)


def index_select(g: Graph, out: Tensor, x: Tensor, axis: int, index: Tensor) -> str:
    """Entries of an axis."""
    return g.add("Gather", g.name(x), g.name(index), axis=axis)
