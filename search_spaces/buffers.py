"""Buffers that a layer gets only when something has changed it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class LateBuffers:
    """Mixed into a module: buffers registered as None are filled by a weights file that has them.

    A file written before, or by a layer nobody changed, has none of them and still fits.
    """

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
