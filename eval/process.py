"""How a process that trains on a CPU should be set up."""

from __future__ import annotations

import ctypes
import sys

# glibc: numbers of its two thresholds, and the piece up to which memory comes from the heap
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_NEVER = 2**31 - 1
_LARGEST_HEAP_PIECE = 2**30


def prepare_cpu() -> None:
    """Set torch to one thread and keep freed memory.

    At the sizes of a head more threads cost time, far more so on a busy machine.
    """
    import torch

    torch.set_num_threads(1)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Stop glibc from handing freed memory back to the system at once.

    Training frees and takes the same tensors at every step. By default large ones go back to
    the system and every page of them is faulted in anew, which on long inputs can cost many
    times the arithmetic (``nas bench attention`` reports the share).

    Returns:
        Whether it could be set: only with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    kept = mallopt(_M_TRIM_THRESHOLD, _NEVER) == 1
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_PIECE) == 1 and kept)
