"""Kernels of flash-linear-attention (package ``fla-core``), where they can run.

One adapter a kind: tensors ``[B, L, H, d]`` in and out, one causal pass. The package is an
extra and needs CUDA; whoever asks for it by name gets it or an error, never something else.
"""

from __future__ import annotations

import importlib
import logging
from functools import cache
from typing import Any

from torch import Tensor

from search_spaces.errors import NasError

KINDS_WITH_KERNELS = ("retnet", "lightnet", "gsa", "fox", "kda")
_LOGGER = logging.getLogger("search_spaces.attention")


@cache
def missing_package() -> str | None:
    """Why ``fla.ops`` does not import; None when it does."""
    try:
        importlib.import_module("fla.ops")
    except ImportError as error:
        return f"fla.ops does not import ({error})"
    return None


def use_fla(kind: str, backend: str, x: Tensor) -> bool:
    """Decide which back end runs a core, and log it once a kind.

    Args:
        kind: One of ``KINDS_WITH_KERNELS``.
        backend: ``auto``, ``torch`` or ``fla``.
        x: What the core reads; its device decides.

    Raises:
        NasError: ``fla`` is asked for and cannot run here.
    """
    if backend == "torch":
        _log(kind, "torch", "asked for")
        return False
    reason = f"tensors are on {x.device.type}, not on cuda" if not x.is_cuda else missing_package()
    if reason is None:
        _log(kind, "fla", "asked for" if backend == "fla" else "tensors are on cuda")
        return True
    if backend == "fla":
        raise NasError(
            f"attention {kind!r} cannot run on back end 'fla': {reason}",
            hint="move model and data to cuda and `pip install fla-core triton packaging`, "
            "or set backend to 'torch' or 'auto'",
        )
    _log(kind, "torch", reason)
    return False


@cache
def _log(kind: str, backend: str, reason: str) -> None:
    _LOGGER.info("attention %s runs on %s: %s", kind, backend, reason)


def _kernel(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"fla.ops.{module}"), name)


def retnet(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Retention; decays by head and scale ``d^-1/2`` are the kernel's own."""
    out: Tensor = _kernel("retention", "chunk_retention")(q, k, v)[0]
    return out


def lightnet(q: Tensor, key_logits: Tensor, v: Tensor) -> Tensor:
    """LightNet; the kernel normalises the key logits and scales by ``d^-1/2``."""
    out: Tensor = _kernel("lightnet", "chunk_lightnet")(q, key_logits, v)[0]
    return out


def gsa(q: Tensor, k: Tensor, v: Tensor, slots: Tensor, log_gate: Tensor) -> Tensor:
    """Gated slot attention with scale 1."""
    out: Tensor = _kernel("gsa", "chunk_gsa")(q, k, v, slots, log_gate, scale=1.0)[0]
    return out


def fox(q: Tensor, k: Tensor, v: Tensor, log_forget: Tensor) -> Tensor:
    """Forgetting attention, scale ``d^-1/2``; ``log_forget`` is ``[B, L, H]``."""
    out: Tensor = _kernel("forgetting_attn", "parallel_forgetting_attn")(q, k, v, log_forget)
    return out


def kda(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, beta: Tensor) -> Tensor:
    """Kimi delta attention, scale ``d^-1/2``; q and k come normalised, ``beta`` ``[B, L, H]``."""
    out: Tensor = _kernel("kda", "chunk_kda")(q, k, v, log_gate, beta)[0]
    return out
