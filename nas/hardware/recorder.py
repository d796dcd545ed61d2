"""Records what one forward pass computes from its input, as ONNX nodes.

The shapes of one clip are fixed, so that lengths, masks and orders of frames are numbers by the
time they are used: whatever does not depend on the input is evaluated and becomes a constant.
torch's own exporters refuse the first (they want shapes to stay open) and take minutes for an
unrolled network of some hundred frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.hardware.outputs import require
from search_spaces.errors import NasError

OPSET = 18
IR_VERSION = 10


class Graph:
    """ONNX nodes and constants in the making.

    Args:
        onnx: The package.
    """

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._known: dict[int, tuple[Tensor, str]] = {}
        self._count = 0

    def bind(self, tensor: Tensor, name: str) -> None:
        """Say which value a tensor of the forward pass is; keeps it, for its identity."""
        self._known[id(tensor)] = (tensor, name)

    def knows(self, value: object) -> bool:
        """Return whether a tensor depends on the input."""
        return id(value) in self._known and isinstance(value, Tensor)

    def name(self, value: Tensor) -> str:
        """Return the name of a tensor: a value of the graph, else a constant."""
        if self.knows(value):
            return self._known[id(value)][1]
        return self.constant(value.detach().cpu().numpy())

    def constant(self, array: Any) -> str:
        """Store a constant once, however often it is used."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        told = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        name = f"c_{hashlib.sha256(told).hexdigest()[:16]}"
        if name not in self.constants:
            self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def whole(self, *numbers: int) -> str:
        """Store a list of whole numbers."""
        return self.constant(np.array(numbers, dtype=np.int64))

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; returns the name of its first output, ``<name>_1`` being the next."""
        self._count += 1
        first = f"v{self._count}"
        names = [first, *(f"{first}_{i}" for i in range(1, outputs))]
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return first

    def cast(self, value: Tensor | float | bool, dtype: torch.dtype) -> str:
        """Return the name of a value in a type."""
        if not isinstance(value, Tensor):
            return self.constant(torch.tensor(value, dtype=dtype).numpy())
        if value.dtype == dtype:
            return self.name(value)
        if not self.knows(value):
            return self.name(value.to(dtype))
        return self.convert(self.name(value), dtype)

    def convert(self, name: str, dtype: torch.dtype) -> str:
        """Add a conversion of type."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(torch.empty(0, dtype=dtype).numpy().dtype)
        return self.add("Cast", name, to=kind)


Emit = Callable[..., str | Sequence[str | None]]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, adds what is computed from bound tensors to a graph.

    Args:
        graph: Takes the nodes.
        table: Operation to what emits it: ``emit(graph, out, *args, **kwargs)`` with the result
            as an example; returns the names of the outputs.
        written: Operation to the same in simpler ones.
    """

    def __init__(
        self,
        graph: Graph,
        table: dict[str, Emit],
        written: dict[str, Callable[..., Any]],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph, self.table, self.written = graph, table, written

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record it where the input enters."""
        kwargs = kwargs or {}
        from_input = any(self.graph.knows(leaf) for leaf in tree_leaves((args, kwargs)))
        name = func.overloadpacket.__name__
        if from_input and name in self.written:
            with self:
                return self.written[name](*args, **kwargs)
        in_place = name.endswith("_") and not name.endswith("__")
        emit = self.table.get(name.removesuffix("_") if in_place else name)
        out = func(*args, **kwargs)
        if not from_input or name in _MAKES_CONSTANTS:
            return out
        if emit is None:
            raise NasError(f"operation {name} of this network has no ONNX form here")
        if in_place and not self.graph.knows(out):
            raise NasError(f"operation {name} of this network overwrites a constant")
        # in place, the result is its own first argument, and still known by its old name here
        names = emit(self.graph, out, *args, **kwargs)
        if isinstance(out, Tensor):
            assert isinstance(names, str)
            self.graph.bind(out, names)
        else:
            for each, given in zip(out, names, strict=True):
                if given is not None:
                    self.graph.bind(each, given)
        return out


# They read a shape and a type of the input, never a value.
_MAKES_CONSTANTS = {"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like"}


def record(network: nn.Module, example: Tensor) -> Any:
    """Return the ONNX model of a network for inputs shaped like one example.

    Args:
        network: In evaluation mode, of plain operations.
        example: ``[1, L, D]`` float32.

    Returns:
        An ``onnx.ModelProto`` with input ``frames`` and output ``logits``.

    Raises:
        NasError: An operation has no ONNX form, or depends on values in a way a graph cannot.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from nas.hardware.onnx_operations import TABLE
    from nas.hardware.onnx_written import WRITTEN

    onnx = require("onnx")
    graph = Graph(onnx)
    graph.bind(example, "frames")
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Recorder(graph, TABLE, WRITTEN):
        logits = network(example)
    helper = onnx.helper
    used = {graph.name(logits)}
    kept = []
    for node in reversed(graph.nodes):
        if used & set(node.output):
            kept.append(node)
            used |= set(node.input)
    kept.reverse()
    kept.append(helper.make_node("Identity", [graph.name(logits)], ["logits"]))
    real = onnx.TensorProto.FLOAT
    document = helper.make_graph(
        kept,
        "nas",
        [helper.make_tensor_value_info("frames", real, list(example.shape))],
        [helper.make_tensor_value_info("logits", real, list(logits.shape))],
        [constant for name, constant in graph.constants.items() if name in used],
    )
    model = helper.make_model(document, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return model
