"""What to try next, and what came out: architecture search for spiking emotion heads.

``import nas`` is cheap: torch and the search libraries load when :func:`search` is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from nas.study import Study

__version__ = "0.1.0"

__all__ = ["load", "open_run", "search"]


def search(**options: Any) -> Study:
    """Search a space; the same as ``nas search``.

    Args:
        **options: Those of :func:`nas.driver.search`: ``space``, ``evaluator``, ``data``,
            ``searcher``, ``budget``, ``seed``, ``out``, ``resume`` and the rest.

    Returns:
        The study; its ``evaluations`` are in order of completion.

    Raises:
        search_spaces.errors.NasError: Bad input; says what, where and what to do.
    """
    from nas.driver import search as run

    return run(**options)


def load(folder: str) -> nn.Module:
    """Return the trained network of an export folder; nothing in the folder is run.

    Its ``forward(features, lengths)`` maps frames ``[B, L, D]`` and lengths ``[B]`` to logits
    ``[B, C]``. ``nas.predict.Predictor`` goes from recordings to labels.

    Raises:
        search_spaces.errors.NasError: No usable export.
    """
    from nas.hardware.loading import load as read

    return read(folder)


def open_run(folder: str) -> Study:
    """Open the record of a finished or interrupted run for reading."""
    from nas.study import Study

    return Study.open(folder)
