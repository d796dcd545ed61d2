"""From a request for data to the built-in evaluator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.families import get_family
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.features import Dataset
    from nas.evaluators import CorpusEvaluator

Say = Callable[[str], None]


def corpus_evaluator(space: Space, request: Mapping[str, Any], say: Say) -> CorpusEvaluator:
    """Load the features a run asks for and make its evaluator.

    Args:
        space: Names the family that is trained.
        request: ``data``, ``encoder``, ``layer``, ``frame_rate``, ``test_fold``,
            ``validation_folds``; None each for the default.
        say: Takes lines about slow steps.

    Raises:
        NasError: The family cannot build the space, or the data are not usable.
    """
    from eval.corpora import BUNDLED
    from nas.evaluators import CorpusEvaluator

    get_family(space.family).check_space(space)  # before anything is fetched
    data = request.get("data")
    if data is not None and data not in BUNDLED and Path(data).exists():
        data = str(Path(data).resolve())  # a run may be resumed from another folder
    asked = {"data": data, **{k: request.get(k) for k in ("encoder", "layer", "frame_rate")}}
    dataset = load(asked, say)
    return CorpusEvaluator(
        dataset,
        space,
        asked,
        test_fold=request.get("test_fold") or 0,
        inner=request.get("validation_folds"),
    )


def load(request: Mapping[str, Any], say: Say) -> Dataset:
    """Load the features of a request; None takes the default."""
    from eval.features import load_dataset

    options = {k: request[k] for k in ("encoder", "layer", "frame_rate") if request.get(k)}
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
            say(f"{done}/{total} utterances")

    return progress
