"""In which number format a network is trained."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CPUINFO = Path("/proc/cpuinfo")
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"
FORMATS = (AUTO, FLOAT32, BFLOAT16)
# of x86 and ARM: products of bfloat16 in hardware; without, they are slower than float32
_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@cache
def processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((x for x in lines if x.startswith(("flags", "Features"))), "")
    return bool(_FLAGS & set(flags.partition(":")[2].split()))


def resolve(asked: str | None) -> str:
    """Return ``float32`` or ``bfloat16`` for what was asked.

    Raises:
        NasError: There is no such format.
    """
    if asked not in (None, *FORMATS):
        raise NasError(f"no number format {asked!r}", hint=nearest(str(asked), FORMATS))
    if asked in (None, AUTO):
        return BFLOAT16 if processor_has_bfloat16() else FLOAT32
    assert asked is not None
    return asked


def autocast(dtype: str) -> AbstractContextManager[object]:
    """Let torch multiply in bfloat16; weights, sums and membranes stay float32."""
    if dtype == FLOAT32:
        return contextlib.nullcontext()
    import torch

    return torch.autocast("cpu", torch.bfloat16)
