"""The operations that the network families use, in ONNX's words (opset 18).

What ONNX does not have is written in simpler ones first (``onnx_written.py``). Every function
is given the graph, the result of torch as an example of shape and type, and the arguments of
the operation of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nas.hardware import onnx_shapes as shapes
from nas.hardware.recorder import Emit, Graph
from search_spaces.errors import NasError

Number = Tensor | float


def _binary(kind: str) -> Callable[..., str]:
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
    how: dict[str, Any] = {"strides": list(stride), "dilations": list(dilation), "group": groups}
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
    how: dict[str, Any] = {"axis": axis, "largest": 0, "sorted": 1}
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
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze"), shapes.reshape),
    "expand": shapes.expand,
    "permute": shapes.permute,
    "transpose": shapes.transpose,
    "t": shapes.transpose,
    "sum": _reduce("ReduceSum"),
    "mean": _reduce("ReduceMean"),
    "amax": _reduce("ReduceMax"),
    "cumsum": _cumsum,
    "select": shapes.select,
    "slice": shapes.slice,
    "split": shapes.split,
    "split_with_sizes": shapes.split,
    "unbind": shapes.unbind,
    "cat": shapes.cat,
    "stack": shapes.stack,
    "constant_pad_nd": shapes.pad,
    "index": shapes.index,
    "index_put": shapes.index_put,
    "index_select": shapes.index_select,
    "masked_fill": _masked_fill,
    "where": _where,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "clamp": _clamp,
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    "native_layer_norm": _layer_norm,
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool("MaxPool"),
    "avg_pool2d": _pool("AveragePool"),
    "kthvalue": _kthvalue,
}
