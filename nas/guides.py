"""Which guides a new run has: what was asked for, what it defaults to, what would do nothing."""

from __future__ import annotations

from typing import Any

from nas.proxy import KINDS
from search_spaces.errors import NasError, nearest

LOOKING = 30  # units, from which on first looks are the default


def proxy_kind(asked: str | None, guided: bool, evaluator: Any) -> str:
    """Return the proxy of a new run; one that nobody would listen to is a mistake."""
    able = guided and hasattr(evaluator, "family")
    if asked is None:
        return "supernet" if able else "none"
    if asked not in KINDS:
        raise NasError(f"unknown proxy {asked!r}", hint=nearest(asked, KINDS))
    if asked != "none" and not able:
        why = "an evaluator of your own has no ReLU counterpart" if guided else "nothing is guided"
        raise NasError(f"proxy {asked!r} would not be used: {why}", hint="leave --proxy out")
    return asked


def can_warm(asked: bool | None, evaluator: Any) -> bool:
    """Return whether trainings begin from a ReLU supernet's weights.

    Raises:
        NasError: Asked for where there is none.
    """
    if asked and not hasattr(evaluator, "family"):
        raise NasError("an evaluator of your own has no ReLU weights to begin from")
    return bool(asked)


def halves(asked: bool | None, guided: bool, evaluator: Any, budget: int) -> bool:
    """Return whether new architectures get a first look before they are trained in full.

    Unless asked otherwise where a search is guided and a look is one of several folds, which
    is a part of the result and not a guess at it; and where the budget is worth a beginning of
    looks alone.
    """
    if asked is not None:
        return asked
    return guided and getattr(evaluator, "looks", None) == "folds" and budget >= LOOKING


def remeasures(asked: bool | None, guided: bool) -> bool:
    """Return whether contenders are measured again: unless asked otherwise, where models can tell.

    An evaluator that gives the same figures twice is found out by the first repeat, and one
    that the models explain well sees none.

    Raises:
        NasError: Asked for where nothing is guided.
    """
    if asked and not guided:
        raise NasError(
            "nothing is guided, so nothing says what is worth measuring again",
            hint="--searcher auto, or --guidance",
        )
    return guided if asked is None else asked
