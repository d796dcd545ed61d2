"""Event frames that somebody accumulated and saved as grey images, as SEE comes.

How SEE's grey was made is in no public text (paper, dataset instructions, code); re-derived:
its authors' loader standardises images by a mean of 0.504 and a standard deviation of 0.069 of
full scale, so mid-grey, 128, must be "no event", and either side of it a polarity. That
brighter grey is a brighter pixel is assumed; a network learns either.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.events import POLARITIES, Frames, Ints
from search_spaces.errors import NasError

IMAGE_RATE = 30.0  # [Hz], SEE accumulates over 33 ms

BLANK = 128.0  # grey of a pixel without events
SLACK = 6.0  # JPEG ripples about this far from the blank grey beside an edge

SUFFIXES = (".jpg", ".jpeg", ".png")


def image_files(folder: Path) -> list[Path]:
    """Return the images of a sequence by name.

    Raises:
        NasError: There is none.
    """
    files = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != "."
    )
    if not files:
        raise NasError(
            "there is no event frame in it", where=str(folder), hint="remove the folder"
        )
    return files


def read_images(files: Sequence[Path], wanted: Ints, height: int, width: int) -> Frames:
    """Read event frames.

    Args:
        files: Of a whole sequence.
        wanted: ``[x]`` which of them; beyond the end a frame is empty.
        height: Of the frames, ``H``.
        width: Of the frames, ``W``.

    Returns:
        ``[x, 2, H, W]`` in [0, 1]: how far the grey lies below (0) and above (1) the blank
        one, averaged over the pixels that become one.

    Raises:
        NasError: Not an image, or smaller than the frames.
    """
    frames = np.zeros((len(wanted), POLARITIES, height, width), dtype=np.float32)
    for k, i in enumerate(wanted):
        if i < len(files):
            frames[k] = split_grey(read_grey(files[int(i)]), height, width, files[int(i)])
    return frames


def read_grey(path: Path) -> npt.NDArray[np.float32]:
    """Read an image as grey, ``[rows, columns]`` from 0 to 255.

    Raises:
        NasError: It cannot be decoded.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise NasError(f"cannot read the image: {error}", where=str(path)) from error


def split_grey(
    grey: npt.NDArray[np.float32], height: int, width: int, path: Path
) -> npt.NDArray[np.float32]:
    """Part grey into polarities and average it down to ``[2, height, width]``."""
    rows, columns = grey.shape
    if rows < height or columns < width:
        raise NasError(
            f"an image of {columns}x{rows} pixels; the frames are to be {width}x{height}",
            where=str(path),
            hint="write a smaller `size: {width: ..., height: ...}` into events.yaml",
        )
    far = grey - np.float32(BLANK)
    far[np.abs(far) <= SLACK] = 0.0
    parts = np.stack([np.maximum(-far, 0.0) / BLANK, np.maximum(far, 0.0) / (255.0 - BLANK)])
    at_row = -(-np.arange(height) * rows // height)  # the first y with y * height // rows = row
    at_column = -(-np.arange(width) * columns // width)
    sums = np.add.reduceat(np.add.reduceat(parts, at_row, axis=1), at_column, axis=2)
    area = np.outer(np.diff(at_row, append=rows), np.diff(at_column, append=columns))
    return np.asarray(sums / area, dtype=np.float32)
