"""The figures of a report as PNG and SVG, for papers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from nas.report.panel import Panel, Section
from search_spaces.errors import NasError

WIDTH, SCALE = 900, 2
WIDEST = 4096  # pixels that any WebGL canvas holds; a wider one is drawn in part
INSTALL = "pip install 'nas[report]', and Chromium or Chrome where there is none"


def write_images(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write ``KEY.png`` (two pixels for one) and ``KEY.svg`` of every figure that is drawn.

    Args:
        sections: Of a report.
        folder: Made where it is not there; files of the same names are replaced.

    Returns:
        What was written, in order of the report.

    Raises:
        NasError: Kaleido or a browser is missing, or the folder cannot be written.
    """
    check_images()
    import plotly.io

    panels = [p for s in sections for p in s.panels if p.figure is not None]
    names = [f"{p.key}.{kind}" for p in panels for kind in ("png", "svg")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".figures-", dir=folder) as made:
            if names:
                plotly.io.write_images(
                    fig=[p.figure for p in panels for _ in range(2)],
                    file=[str(Path(made) / n) for n in names],
                    width=[_width(p) for p in panels for _ in range(2)],
                    height=[int(p.figure.layout.height) for p in panels for _ in range(2)],
                    scale=[s for p in panels for s in (min(SCALE, WIDEST / _width(p)), 1)],
                )
            for name in names:
                (Path(made) / name).replace(folder / name)
    except RuntimeError as error:  # plotly's word for a browser that is not there
        if "chrome" not in str(error).lower():
            raise
        raise NasError("no browser was found to draw the figures", hint=INSTALL) from None
    except OSError as error:
        raise NasError(f"cannot write the figures: {error}", where=str(folder)) from None
    return [folder / name for name in names]


def check_images() -> None:
    """Refuse before anything is computed.

    Raises:
        NasError: Kaleido is not installed.
    """
    if find_spec("kaleido") is None:
        raise NasError("kaleido, which draws the images, is not installed", hint=INSTALL)


def _width(panel: Panel) -> int:
    return int(panel.figure.layout.width or WIDTH)
