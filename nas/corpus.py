"""From a request for data to the built-in evaluator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.folding import KEYS, open_split
from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.family import Family
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.features import Dataset
    from nas.evaluators import CorpusEvaluator

Say = Callable[[str], None]

# Options that older records do not know: kept only where they are set.
LATER = ("precision", "max_seconds", "skip_bad")

# What a request for a dataset may hold beside `data`; None each for the default.
OPTIONS = ("encoder", "layer", "frame_rate", "sampling", "class_map", *LATER)


def corpus_evaluator(space: Space, request: Mapping[str, Any], say: Say) -> CorpusEvaluator:
    """Load the features a run asks for and make its evaluator.

    Args:
        space: Names the family that is trained.
        request: ``data``, ``encoder``, ``layer``, ``frame_rate``, ``sampling``, ``class_map``
            (a mapping or the path of one), ``protocol``, ``speaker_dependent``, ``folds``,
            ``precision``, ``max_seconds``, ``skip_bad``,
            ``test_fold``, ``validation_folds``, ``train_rate``, ``dtype``, ``bucket``,
            ``looks``; None each for the default.
        say: Takes lines about slow steps.

    Raises:
        NasError: The family cannot build the space, or the data are not usable.
    """
    from eval.autocast import resolve
    from eval.corpora import read_class_map, resolved
    from eval.energy.profile import DEFAULT_PROFILE, load_profile
    from nas.evaluators import CorpusEvaluator

    family = get_family(space.family)
    family.check_space(space)  # before anything is fetched
    load_profile(space.profile or DEFAULT_PROFILE)
    dtype = resolve(request.get("dtype"))
    asked = {k: request.get(k) for k in ("data", *OPTIONS)}
    if asked["max_seconds"] is None:
        asked["max_seconds"] = space.max_seconds
    asked = {k: v for k, v in asked.items() if k not in LATER or _given(v)}
    # a run may be resumed elsewhere, and when the file of the class map has changed
    asked["class_map"] = read_class_map(asked["class_map"])
    asked["data"] = resolved(corpus_for(family, asked["data"], asked["class_map"]))
    test_fold = request.get("test_fold") or 0
    split = open_split({**asked, **{k: request.get(k) for k in KEYS}}, say, test_fold)
    return CorpusEvaluator(
        load(asked, say),
        space,
        asked,
        test_fold=test_fold,
        inner=request.get("validation_folds"),
        train_rate=request.get("train_rate"),
        dtype=dtype,
        bucket=request.get("bucket"),
        looks=request.get("looks"),
        split=split,
    )


def corpus_for(
    family: Family, data: str | None, class_map: Mapping[str, str | None] | None = None
) -> str | None:
    """Return the corpus to open for a family: ``data``, or a default that it can read.

    Raises:
        NasError: The family reads event frames and the corpus holds none; nothing was fetched.
    """
    if family.input != "event frames":
        return data
    from eval.corpora import DEFAULT_EVENT_CORPUS, corpus_kind
    from eval.corpora.corpus import EVENT_KINDS

    if data is None:
        return DEFAULT_EVENT_CORPUS
    kind = corpus_kind(data, class_map)
    if kind not in EVENT_KINDS:
        raise NasError(
            f"family {family.name!r} reads event frames; corpus {data!r} holds {kind}",
            hint=f"give --data {DEFAULT_EVENT_CORPUS}, see:FOLDER or a manifest of event files",
        )
    return data


def class_map_for(
    features: Mapping[str, Any],
    data: str | None,
    given: str | Path | Mapping[str, str | None] | None,
    say: Say,
) -> dict[str, str | None] | None:
    """Return the class map for measuring an export again.

    Args:
        features: How the search asked for its corpus.
        data: The corpus now; None for that of the search.
        given: A class map, or its path; None takes the search's on the search's corpus.
        say: Told that the search's map is left aside: another corpus has other labels.
    """
    from eval.corpora import read_class_map, resolved

    if given is not None:
        return read_class_map(given)
    searched: dict[str, str | None] | None = features.get("class_map")
    if searched is None or data is None or resolved(data) == features.get("data"):
        return searched
    say("the class map of the search is for another corpus; --classes gives one for this")
    return None


def load(request: Mapping[str, Any], say: Say) -> Dataset:
    """Load the features of a request; None takes the default."""
    from eval.corpora import read_class_map
    from eval.features import load_dataset

    options = {k: request[k] for k in OPTIONS if _given(request.get(k))}
    options["class_map"] = read_class_map(request.get("class_map"))
    return load_dataset(request.get("data"), say=say, progress=now_and_then(say), **options)


def _given(value: object) -> bool:
    """Whether an option was set: a 0 was, and is refused where it makes no sense."""
    return value is not None and value is not False


def now_and_then(say: Say) -> Callable[[int, int], None]:
    """Report long extractions: a line every ten seconds."""
    last = time.monotonic()
    began: tuple[float, int] | None = None  # what comes before the first says nothing of speed

    def progress(done: int, total: int) -> None:
        nonlocal last, began
        now = time.monotonic()
        began = began or (now, done)
        if now - last >= 10:
            last = now
            new = done - began[1]
            left = f", {(now - began[0]) / new * (total - done):.0f} s left" if new else ""
            say(f"{done}/{total} recordings{left}")

    return progress
