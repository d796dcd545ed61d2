"""What a search evaluates with: a person's function, or trainings on a corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.evaluators import FunctionEvaluator, load_function
from search_spaces.errors import NasError
from search_spaces.space import Space


def choose_evaluator(
    evaluator: Any, space: Space, corpus: Mapping[str, Any], say: Callable[[str], None]
) -> Any:
    """Return the evaluator of a search.

    Args:
        evaluator: A function, where one is found, or None for trainings.
        space: What is searched.
        corpus: What was asked of the corpus; nothing of it goes with a function.
        say: Takes one line about slow preparations.

    Raises:
        NasError: The function cannot be found, what is asked contradicts itself, or the corpus
            cannot be used.
    """
    if evaluator is None:
        from nas.corpus import corpus_evaluator

        return corpus_evaluator(space, corpus, say)
    given = [k for k, v in corpus.items() if v is not None]
    given += [] if space.max_seconds is None else ["the space's data.max_seconds"]
    if given:
        raise NasError(
            f"{', '.join(given)} and an evaluator exclude each other",
            hint="an evaluator brings its own data",
        )
    if space.profile is not None:
        raise NasError(
            "the space names a profile, and an evaluator measures its energy itself",
            hint="leave the profile out: energy: minimize",
        )
    if isinstance(evaluator, str):
        return load_function(evaluator)
    if isinstance(evaluator, FunctionEvaluator):
        return evaluator
    name = getattr(evaluator, "__qualname__", type(evaluator).__name__)
    return FunctionEvaluator(evaluator, f"<{name}>")
