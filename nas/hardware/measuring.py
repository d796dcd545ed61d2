"""What a conversion costs: on utterances the weights have not seen, or on random frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.hardware.loading import Model
from nas.hardware.samples import RANDOM, random_frames
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.folds import Indices

CLIPS = 64

Say = Callable[[str], None]
Unseen = tuple["Dataset", "Indices", str]


def unseen(
    model: Model,
    data: str | None,
    part: str | None,
    class_map: str | Path | None,
    say: Say,
) -> Unseen | None:
    """Return a corpus, utterances of it that the weights have not seen, and whose they are.

    Args:
        model: The export.
        data: A corpus with the same classes; None for that of the search, where it is at hand.
        part: ``validation`` or ``test`` speakers of the search's corpus.
        class_map: YAML file with the class of each label of ``data``.
        say: Told why there is none.

    Returns:
        None where nothing was asked for and the corpus of the search is not to be had.
    """
    from nas.robustness import unseen_utterances

    asked = data is not None or part is not None
    if not asked and model.exported.config.get("held_out") is None:
        say(f"no utterance is known that these weights have not seen: measured on {RANDOM}")
        return None
    try:
        try:
            found = unseen_utterances(model.exported, data, part, class_map=class_map, say=say)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise NasError(
                f"config.json does not say what the weights have seen: {error!r}",
                where=str(model.exported.folder),
            ) from None
        if found[0].shape != model.shape:
            raise NasError(
                f"corpus {found[0].name!r} has inputs of shape {found[0].shape}",
                where=str(model.exported.folder),
                hint=f"the network reads {model.shape}",
            )
    except NasError as error:
        if asked:
            raise
        say(f"the corpus of the search is not at hand ({error.what}): measured on {RANDOM}")
        return None
    return found


def loss(
    model: Model, changed: nn.Module, found: Unseen | None, frames: int, seed: int
) -> dict[str, Any]:
    """Compare a changed network with the one it was made of.

    Args:
        model: The trained network.
        changed: The same with other weights.
        found: Of :func:`unseen`; None for random frames.
        frames: Length of random clips.
        seed: Of random clips.

    Returns:
        ``measured_on``, ``clips``, ``largest_difference`` and ``mean_difference`` of a logit,
        ``agreement`` (share of equal labels) and, on a corpus, ``wa`` and ``ua`` as
        ``[before, after]``.
    """
    if found is None:
        clips = random_frames(model.shape, CLIPS, frames, seed)
        with torch.no_grad():
            before, after = model.network(clips), changed(clips)
        return {"measured_on": RANDOM, **_compared(before, after)}
    from eval.recall import recall
    from eval.training import predict

    dataset, indices, where = found
    before, after = (predict(n, dataset, indices) for n in (model.network, changed))
    true, n_classes = dataset.labels[indices], len(dataset.classes)
    figures = [recall(true, logits.argmax(1).numpy(), n_classes) for logits in (before, after)]
    return {
        "measured_on": where,
        "wa": [f.wa for f in figures],
        "ua": [f.ua for f in figures],
        **_compared(before, after),
    }


def _compared(before: torch.Tensor, after: torch.Tensor) -> dict[str, Any]:
    if not bool(before.isfinite().all()):
        raise NasError("the network gives logits that are no numbers")
    difference = (after - before).abs()
    return {
        "clips": len(before),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "agreement": float((before.argmax(1) == after.argmax(1)).float().mean()),
    }
