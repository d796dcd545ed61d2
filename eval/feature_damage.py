"""Features in the cache that are not whole any more: told by headers and sizes, and put away."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np

from eval.cache import scratch_dir
from eval.frame_file import FRAMES, MACS, OFFSETS
from eval.packages import Say


def damage(folder: Path) -> str | None:
    """Return what is wrong with finished features; None where they are whole.

    Frames are not read: files must be there, and as long as their headers say.

    Args:
        folder: As `eval.frame_file.FrameFile` leaves it.
    """
    arrays = {}
    for name in (FRAMES, OFFSETS, MACS):
        try:
            # refuses a file that is too short for what its header says
            arrays[name] = np.lib.format.open_memmap(folder / name, mode="r")
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, EOFError, ValueError):
            return f"{name} is cut short or overwritten"
    frames, offsets, macs = (arrays[name] for name in (FRAMES, OFFSETS, MACS))
    fitting = (
        (frames.ndim, offsets.ndim, macs.ndim) == (2, 1, 1)
        and len(offsets) == len(macs) + 1
        and offsets[-1] == len(frames)
    )
    return None if fitting else f"{FRAMES}, {OFFSETS} and {MACS} do not belong together"


def is_whole(folder: Path, say: Say, *, beside: str | None = None) -> bool:
    """Tell whether finished features can be used; those that are damaged are removed.

    Args:
        folder: Of the features.
        say: Told what is removed, and why.
        beside: A file of JSON that must be there too.

    Raises:
        NasError: They cannot be removed.
    """
    if not folder.is_dir():
        return False
    wrong = damage(folder)
    if wrong is None and beside is not None:
        try:
            json.loads((folder / beside).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            wrong = f"{beside} is missing or damaged"
    if wrong is None:
        return True
    say(f"the features in {folder} are damaged, so they are made again: {wrong}")
    remove_folder(folder)
    return False


def remove_folder(folder: Path) -> None:
    """Remove a folder of the cache, which nobody finds half removed.

    Raises:
        NasError: Its parent cannot be written to.
    """
    with scratch_dir(folder.parent) as scratch, contextlib.suppress(FileNotFoundError):
        folder.rename(scratch / folder.name)
