"""Buffers that a layer gets only when something has changed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class LateBuffers:
    """Mixed into a module: buffers registered as None are filled by a weights file that has them.

    A file written before, or by a layer nobody changed, has none of them and still fits. Each is
    one number; ``late`` says of which type.
    """

    late: ClassVar[Mapping[str, torch.dtype]]
    _buffers: dict[str, Tensor | None]

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name, buffer in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if saved is None:
                self._buffers[name] = None
            elif buffer is None:
                self._buffers[name] = torch.empty_like(saved)
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, *args, **kwargs
        )


def late_buffers(network: nn.Module) -> dict[str, torch.dtype]:
    """Return name and type of the numbers that a file may have beyond a network's own tensors."""
    return {
        f"{prefix}.{name}" if prefix else name: kind
        for prefix, module in network.named_modules()
        if isinstance(module, LateBuffers)
        for name, kind in module.late.items()
        if module._buffers[name] is None
    }
