"""The same recordings at two frame rates: computed anew, or put together here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.corpus import class_map_for, load
from nas.export import Exported
from nas.robustness import unseen
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.folds import Fold
    from eval.resolution import Inputs

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recordings:
    """The same recordings at both frame rates.

    Args:
        before: At the source's.
        after: At the new one.
        features: Request that gives ``after`` again; None where frames were rebinned here.
        ratio: Step of the network, new over old: 1 for clips of the same moments.
        fold: What the weights have seen, and what they have not.
        held_of: Whose the latter is; None where there is none.
        searched: Whether the corpus is the one of the search.
    """

    before: Dataset
    after: Dataset
    features: dict[str, Any] | None
    ratio: float
    fold: Fold
    held_of: str | None
    searched: bool


def at_both_rates(
    model: Exported,
    own: float,
    to: float,
    inputs: Inputs | None,
    data: str | None,
    class_map: str | Path | None,
    part: str | None,
    say: Say,
) -> Recordings:
    """Get the recordings of an export's corpus at its rate and at another.

    Args:
        model: The export.
        own: Its frame rate [Hz].
        to: The other one [Hz].
        inputs: What frames hold; None for what the corpus says.
        data: Another corpus with the same classes; None takes the one of the search.
        class_map: YAML file with the class of each label of ``data``.
        part: ``validation`` (the default) or ``test`` speakers of the search's corpus.
        say: Takes lines about slow preparations.

    Raises:
        NasError: The corpus cannot be had at the other rate, or has other classes or content.
    """
    import numpy as np

    from eval.folds import Fold
    from eval.resolution.frames import at_frame_rate

    features = dict(model.config["features"])
    features["class_map"] = class_map_for(features, data, class_map, say)
    # an export adapted before, on files whose frames are still those of its source
    native = None if data is not None else model.config["source"].get("rebinned_from")
    features |= {"data": data or features.get("data"), "frame_rate": native or own}
    loaded = load(features, say)
    before = loaded
    if native is not None:
        before = at_frame_rate(loaded, own, what_frames_hold(loaded, inputs))
    if list(before.classes) != list(model.config["classes"]):
        raise NasError(
            f"corpus {before.name!r} has the classes {', '.join(before.classes)}",
            where=str(model.folder),
            hint=f"the network knows {', '.join(model.config['classes'])}",
        )
    again: dict[str, Any] | None = {**features, "frame_rate": to}
    ratio = own / to
    if before.source.get("kind") == "features":
        after = at_frame_rate(loaded, to, what_frames_hold(loaded, inputs))
        again = None
    else:
        if before.clip is not None:
            again = {**features, "frame_rate": to, "sampling": _sampling(before, own, to)}
            ratio = 1.0
        after = load(again or {}, say)
    if data is None and model.config.get("held_out") is None:
        nothing = np.arange(0)
        fold, held_of = Fold("none", np.arange(len(before)), nothing), None
    else:
        other = data is not None
        fold, held_of = unseen(model, before, part or "validation", features, other=other, say=say)
    return Recordings(before, after, again, ratio, fold, held_of, searched=data is None)


def _sampling(dataset: Dataset, own: float, to: float) -> str:
    """Return the sampling whose frames begin at the same moments at another rate."""
    from eval.event_frames import Sampling

    before = Sampling.parse(dataset.source["sampling"])
    apart = (before.skipped + 1) * to / own
    if apart < 1 or abs(apart - round(apart)) > 1e-6:
        raise NasError(
            f"frames that begin every {before.skipped + 1} of {own:g} a second cannot begin"
            f" every {apart:g} of {to:g}",
            where=dataset.name,
            hint="choose a rate that puts them a whole number of frames apart",
        )
    return str(Sampling(before.frames, round(apart) - 1))


def what_frames_hold(dataset: Dataset, given: Inputs | None) -> Inputs:
    """Return what a person says, else what the corpus says, else ``held``."""
    return given or dataset.source.get("inputs") or "held"
