"""From a request for data to the built-in evaluator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.family import Family
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.features import Dataset
    from nas.evaluators import CorpusEvaluator

Say = Callable[[str], None]

# What a request for a dataset may hold beside `data`; None each for the default.
OPTIONS = ("encoder", "layer", "frame_rate", "sampling")


def corpus_evaluator(space: Space, request: Mapping[str, Any], say: Say) -> CorpusEvaluator:
    """Load the features a run asks for and make its evaluator.

    Args:
        space: Names the family that is trained.
        request: ``data``, ``encoder``, ``layer``, ``frame_rate``, ``sampling``, ``test_fold``,
            ``validation_folds``; None each for the default.
        say: Takes lines about slow steps.

    Raises:
        NasError: The family cannot build the space, or the data are not usable.
    """
    from eval.corpora import resolved
    from nas.evaluators import CorpusEvaluator

    family = get_family(space.family)
    family.check_space(space)  # before anything is fetched
    data = resolved(corpus_for(family, request.get("data")))  # a run may be resumed elsewhere
    asked = {"data": data, **{k: request.get(k) for k in OPTIONS}}
    dataset = load(asked, say)
    return CorpusEvaluator(
        dataset,
        space,
        asked,
        test_fold=request.get("test_fold") or 0,
        inner=request.get("validation_folds"),
    )


def corpus_for(family: Family, data: str | None) -> str | None:
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
    kind = corpus_kind(data)
    if kind not in EVENT_KINDS:
        raise NasError(
            f"family {family.name!r} reads event frames; corpus {data!r} holds {kind}",
            hint=f"give --data {DEFAULT_EVENT_CORPUS}, see:FOLDER or a manifest of event files",
        )
    return data


def load(request: Mapping[str, Any], say: Say) -> Dataset:
    """Load the features of a request; None takes the default."""
    from eval.features import load_dataset

    options = {k: request[k] for k in OPTIONS if request.get(k)}
    if request.get("layer") == 0:
        options["layer"] = 0
    return load_dataset(request.get("data"), say=say, progress=_now_and_then(say), **options)


def _now_and_then(say: Say) -> Callable[[int, int], None]:
    """Report long extractions: a line every ten seconds."""
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            say(f"{done}/{total} recordings")

    return progress
