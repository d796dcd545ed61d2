"""The operations that the network families use, in ONNX's words (opset 18).

What ONNX does not have is written in simpler ones first (``onnx_written.py``). Every function is given the graph, the result of torch as an example of shape and type, and the
arguments of the operation of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nas.hardware.recorder import Emit, Graph
from search_spaces.errors import NasError

Number = Tensor | float


def _binary(kind: str) -> Emit:
    def emit(g: Graph, out: Tensor, a: Number, b: Number, *, alpha: float = 1) -> str:
        second = g.cast(b, out.dtype)
        if alpha != 1:
            second = g.add("Mul", second, g.cast(alpha, out.dtype))
        return g.add(kind, g.cast(a, out.dtype), second)

    return emit


def _rsub(g: Graph, out: Tensor, a: Tensor, b: Number, alpha: float = 1) -> str:
    return _binary("Sub")(g, out, b, a, alpha=alpha)


def _unary(*kinds: str) -> Emit:
    def emit(g: Graph, out: Tensor, x: Tensor) -> str:
        name = g.cast(x, out.dtype)
        for kind in kinds:
            name = g.add(kind, name)
        return name

    return emit


def _compare(*kinds: str) -> Emit:
    def emit(g: Graph, out: Tensor, a: Tensor, b: Number) -> str:
        dtype = torch.result_type(a, b)
        name = g.add(kinds[0], g.cast(a, dtype), g.cast(b, dtype))
        for kind in kinds[1:]:
            name = g.add(kind, name)
        return name

    return emit


def _same(g: Graph, out: Tensor, x: Tensor, *_: Any, **__: Any) -> str:
    return g.cast(x, out.dtype)


def _reshape(g: Graph, out: Tensor, x: Tensor, *_: Any, **__: Any) -> str:
    return g.add("Reshape", g.name(x), g.whole(*out.shape))


def _expand(g: Graph, out: Tensor, x: Tensor, *_: Any, **__: Any) -> str:
    return g.add("Expand", g.name(x), g.whole(*out.shape))


def _permute(g: Graph, out: Tensor, x: Tensor, order: Sequence[int]) -> str:
    return g.add("Transpose", g.name(x), perm=[d % x.dim() for d in order])


def _transpose(g: Graph, out: Tensor, x: Tensor, a: int = 0, b: int = 1) -> str:
    order = list(range(x.dim()))
    order[a], order[b] = order[b], order[a]
    return _permute(g, out, x, order) if x.dim() > 1 else g.name(x)


def _reduce(kind: str) -> Emit:
    def emit(
        g: Graph,
        out: Tensor,
        x: Tensor,
        axes: int | Sequence[int] | None = None,
        keepdim: bool = False,
        **_: Any,
    ) -> str:
        axes = [axes] if isinstance(axes, int) else list(axes or range(x.dim()))
        name = g.cast(x, out.dtype)
        return g.add(kind, name, g.whole(*axes), keepdims=int(keepdim))

    return emit


def _cumsum(g: Graph, out: Tensor, x: Tensor, axis: int, **_: Any) -> str:
    return g.add("CumSum", g.cast(x, out.dtype), g.whole(axis))


def _select(g: Graph, out: Tensor, x: Tensor, axis: int, index: int) -> str:
    at = torch.tensor(index % x.shape[axis])
    return g.add("Gather", g.name(x), g.name(at), axis=axis)


def _cut(g: Graph, x: Tensor, axis: int, start: int, end: int, step: int = 1) -> str:
    where = (g.whole(start), g.whole(end), g.whole(axis), g.whole(step))
    return g.add("Slice", g.name(x), *where)


def _slice(
    g: Graph,
    out: Tensor,
    x: Tensor,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> str:
    return _cut(g, x, axis, start or 0, 2**62 if end is None else end, step)


def _split(g: Graph, out: Sequence[Tensor], x: Tensor, _: Any, axis: int = 0) -> list[str]:
    names, at = [], 0
    for part in out:
        names.append(_cut(g, x, axis, at, at + part.shape[axis]))
        at += part.shape[axis]
    return names


def _unbind(g: Graph, out: Sequence[Tensor], x: Tensor, axis: int = 0) -> list[str]:
    return [_select(g, part, x, axis, i) for i, part in enumerate(out)]


def _cat(g: Graph, out: Tensor, parts: Sequence[Tensor], axis: int = 0) -> str:
    real = [g.cast(p, out.dtype) for p in parts if p.numel() or p.dim() == out.dim()]
    return g.add("Concat", *real, axis=axis % out.dim())


def _stack(g: Graph, out: Tensor, parts: Sequence[Tensor], axis: int = 0) -> str:
    at = g.whole(axis % out.dim())
    each = [g.add("Unsqueeze", g.cast(p, out.dtype), at) for p in parts]
    return g.add("Concat", *each, axis=axis % out.dim())


def _pad(g: Graph, out: Tensor, x: Tensor, sides: Sequence[int], value: float = 0) -> str:
    begin, end = [0] * x.dim(), [0] * x.dim()
    for i in range(len(sides) // 2):  # torch counts from the last axis
        begin[-1 - i], end[-1 - i] = sides[2 * i], sides[2 * i + 1]
    return g.add("Pad", g.name(x), g.whole(*begin, *end), g.cast(value, x.dtype))


def _places(g: Graph, indices: Sequence[Tensor | None]) -> str:
    """Stack index tensors of the leading axes as ONNX's ``[..., axes]``."""
    given = [i for i in indices if i is not None]
    if len(given) != len(indices) or any(g.knows(i) or i.dtype == torch.bool for i in given):
        raise NasError("this network picks entries in a way that has no ONNX form here")
    return g.name(torch.stack(torch.broadcast_tensors(*given), -1))


def _index(g: Graph, out: Tensor, x: Tensor, indices: Sequence[Tensor | None]) -> str:
    return g.add("GatherND", g.name(x), _places(g, indices))


def _index_put(
    g: Graph, out: Tensor, x: Tensor, indices: Sequence[Tensor | None], values: Tensor, *_: Any
) -> str:
    given = [i for i in indices if i is not None]
    shape = (*torch.broadcast_shapes(*(i.shape for i in given)), *x.shape[len(given) :])
    spread = g.add("Expand", g.cast(values, x.dtype), g.whole(*shape))
    return g.add("ScatterND", g.name(x), _places(g, indices), spread)


def _index_select(g: Graph, out: Tensor, x: Tensor, axis: int, index: Tensor) -> str:
    return g.add("Gather", g.name(x), g.name(index), axis=axis)


def _masked_fill(g: Graph, out: Tensor, x: Tensor, mask: Tensor, value: Number) -> str:
    return g.add("Where", g.name(mask), g.cast(value, x.dtype), g.name(x))


def _where(g: Graph, out: Tensor, mask: Tensor, a: Number, b: Number) -> str:
    return g.add("Where", g.name(mask), g.cast(a, out.dtype), g.cast(b, out.dtype))


def _matmul(g: Graph, out: Tensor, a: Tensor, b: Tensor) -> str:
    return g.add("MatMul", g.name(a), g.name(b))


def _addmm(
    g: Graph, out: Tensor, c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1
) -> str:
    if (beta, alpha) != (1, 1):
        raise NasError("a weighted matrix product has no ONNX form here")
    return g.add("Add", _matmul(g, out, a, b), g.name(c))


def _clamp(
    g: Graph, out: Tensor, x: Tensor, low: Number | None = None, high: Number | None = None
) -> str:
    name = g.cast(x, out.dtype)
    if low is not None:
        name = g.add("Max", name, g.cast(low, out.dtype))
    return name if high is None else g.add("Min", name, g.cast(high, out.dtype))


def _softmax(g: Graph, out: Tensor, x: Tensor, axis: int, *_: Any) -> str:
    return g.add("Softmax", g.cast(x, out.dtype), axis=axis)


def _layer_norm(
    g: Graph, out: Any, x: Tensor, shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> list[str | None]:
    weight = torch.ones(list(shape)) if weight is None else weight
    inputs = [g.name(x), g.name(weight), *([] if bias is None else [g.name(bias)])]
    y = g.add("LayerNormalization", *inputs, axis=-len(shape), epsilon=eps)
    return [y, None, None]


def _convolution(
    g: Graph,
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Any,
    groups: int,
) -> str:
    if transposed:
        raise NasError("a transposed convolution has no ONNX form here")
    inputs = [g.name(x), g.name(weight), *([] if bias is None else [g.name(bias)])]
    how = {"strides": list(stride), "dilations": list(dilation), "group": groups}
    return g.add("Conv", *inputs, pads=[*padding, *padding], **how)


def _pool(kind: str) -> Emit:
    def emit(
        g: Graph,
        out: Any,
        x: Tensor,
        kernel: Sequence[int],
        stride: Sequence[int] = (),
        *rest: Any,
    ) -> str | list[str | None]:
        if rest and any(rest[0]):
            raise NasError("padded pooling has no ONNX form here")
        y = g.add(kind, g.name(x), kernel_shape=list(kernel), strides=list(stride or kernel))
        return y if isinstance(out, Tensor) else [y, None]

    return emit


def _kthvalue(g: Graph, out: Any, x: Tensor, k: int, axis: int = -1, *_: Any) -> list[str | None]:
    if x.shape[axis] == 1:
        return [g.name(x), None]
    how = {"axis": axis, "largest": 0, "sorted": 1}
    smallest = g.add("TopK", g.name(x), g.whole(k), outputs=2, **how)
    return [g.add("Gather", smallest, g.name(torch.tensor(k - 1)), axis=axis), None]


TABLE: dict[str, Emit] = {
    **{name: _binary(kind) for name, kind in (("add", "Add"), ("sub", "Sub"), ("mul", "Mul"))},
    "div": _binary("Div"),
    "pow": _binary("Pow"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "rsub": _rsub,
    **{name: _unary(name.capitalize()) for name in ("tanh", "exp", "floor", "relu", "sigmoid")},
    **{name: _unary(name.capitalize()) for name in ("neg", "abs", "sqrt", "log", "reciprocal")},
    "rsqrt": _unary("Sqrt", "Reciprocal"),
    "bitwise_not": _unary("Not"),
    "logical_not": _unary("Not"),
    "ge": _compare("GreaterOrEqual"),
    "gt": _compare("Greater"),
    "le": _compare("LessOrEqual"),
    "lt": _compare("Less"),
    "eq": _compare("Equal"),
    "ne": _compare("Equal", "Not"),
    **{name: _compare("And") for name in ("bitwise_and", "logical_and", "__and__")},
    **{name: _compare("Or") for name in ("bitwise_or", "logical_or", "__or__")},
    **dict.fromkeys(("alias", "detach", "clone", "_to_copy", "contiguous", "lift_fresh"), _same),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze"), _reshape),
    "expand": _expand,
    "permute": _permute,
    "transpose": _transpose,
    "t": _transpose,
    "sum": _reduce("ReduceSum"),
    "mean": _reduce("ReduceMean"),
    "amax": _reduce("ReduceMax"),
    "cumsum": _cumsum,
    "select": _select,
    "slice": _slice,
    "split": _split,
    "split_with_sizes": _split,
    "unbind": _unbind,
    "cat": _cat,
    "stack": _stack,
    "constant_pad_nd": _pad,
    "index": _index,
    "index_put": _index_put,
    "index_select": _index_select,
    "masked_fill": _masked_fill,
    "where": _where,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "clamp": _clamp,
    "_softmax": _softmax,
    "native_layer_norm": _layer_norm,
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool("MaxPool"),
    "avg_pool2d": _pool("AveragePool"),
    "kthvalue": _kthvalue,
}
