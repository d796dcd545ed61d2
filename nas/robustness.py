"""Robustness of an exported network, on speakers its weights have not seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.corpus import class_map_for, load
from nas.export import Exported, weights_of
from nas.folding import described, open_recorded
from nas.trusted import read_trained
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.folds import Fold, Indices

Step = Callable[[int, int], None]


def measure_robustness(
    exported: Path,
    data: str | None,
    part: str | None,
    draws: int,
    seed: int,
    *,
    class_map: str | Path | None = None,
    trusted: Collection[str] = (),
    say: Callable[[str], None],
    step: Step,
) -> dict[str, Any]:
    """Load an export and measure it under disturbances.

    Args:
        exported: Export folder with weights.
        data: Another corpus to measure on, all of it; None takes the one of the search.
        part: ``validation`` (the default) or ``test``: which speakers of the search's corpus;
            not with ``data``.
        draws: Repetitions of random disturbances.
        seed: Of the draws.
        class_map: YAML file with the class of each label of ``data``.
        trusted: Families outside this package that may be imported.
        say: Takes lines about slow preparations.
        step: Told (done, all).

    Returns:
        ``hash``, ``corpus``, ``measured_on``, ``utterances``, ``steps`` of the network and
        ``rows`` as of ``eval.robustness.robustness``.

    Raises:
        NasError: No weights, or nothing they have not seen.
    """
    from eval.process import prepare_cpu
    from eval.robustness import robustness
    from eval.weights import load_network

    model = read_trained(exported, trusted)
    weights = weights_of(exported)
    prepare_cpu()
    dataset, indices, where = unseen_utterances(model, data, part, class_map=class_map, say=say)
    held_out = is_searched(model, dataset) and model.config.get("held_out") is not None
    mixed = held_out and bool(model.config.get("speaker_dependent"))
    network = load_network(
        weights, model.architecture, model.config["family"], dataset.shape, len(dataset.classes)
    )
    rows = robustness(network, dataset, indices, draws=draws, seed=seed, step=step)
    return {
        "hash": model.architecture.hash,
        "corpus": dataset.name,
        "measured_on": where,
        "protocol": described(model.config)["protocol"] if held_out else None,
        "speaker_dependent": mixed,
        "utterances": len(indices),
        "steps": model.architecture.get("ttfs.steps"),
        "draws": draws,
        "seed": seed,
        "rows": rows,
    }


def unseen_utterances(
    model: Exported,
    data: str | None,
    part: str | None,
    *,
    class_map: str | Path | None = None,
    say: Callable[[str], None],
) -> tuple[Dataset, Indices, str]:
    """Return a corpus, utterances of it that an export's weights were not trained on, and whose.

    Args:
        model: The export.
        data: See :func:`measure_robustness`.
        part: See :func:`measure_robustness`.
        class_map: See :func:`measure_robustness`.
        say: Takes lines about slow preparations.

    Raises:
        NasError: The corpus has other classes, or nothing that they have not seen.
    """
    features = dict(model.config["features"])
    mapped = class_map_for(features, data, class_map, say)
    asked = {**features, "data": data or features.get("data"), "class_map": mapped}
    dataset = load(asked, say)
    if data is not None and part is not None:
        raise NasError("--on chooses speakers of the search's corpus, not of --data")
    if list(dataset.classes) != list(model.config["classes"]):
        raise NasError(
            f"corpus {dataset.name!r} has the classes {', '.join(dataset.classes)}",
            where=str(model.folder),
            hint=f"the network knows {', '.join(model.config['classes'])}",
        )
    fold, where = unseen(
        model, dataset, part or "validation", asked, other=data is not None, say=say
    )
    return dataset, fold.held, where


def is_searched(model: Exported, dataset: Dataset) -> bool:
    """Return whether a corpus is, by its content, the one that an export was trained on."""
    held = model.config.get("held_out") or {"digest": model.config.get("trained_on")}
    return bool(held.get("digest") == dataset.digest)


def unseen(
    model: Exported,
    dataset: Dataset,
    part: str,
    asked: Mapping[str, Any],
    *,
    other: bool,
    say: Callable[[str], None],
) -> tuple[Fold, str]:
    """Return a fold that holds out utterances the weights were not trained on, and whose.

    Args:
        model: The export.
        dataset: The corpus of its search, or another.
        part: ``validation`` or ``test`` speakers of the search's corpus.
        asked: Request that the corpus was loaded with.
        other: Whether it was asked for as another corpus; all of one that is, is held out.
        say: Takes lines about slow preparations.

    Raises:
        NasError: The weights have seen everything, or the corpus has changed.
    """
    import numpy as np

    from eval.folds import Fold

    if other and not is_searched(model, dataset):
        everything = np.arange(len(dataset))
        return Fold("all", everything[:0], everything), f"all of {dataset.name}"
    if other:
        say(f"{dataset.name} is what the weights were trained on: only what they have not seen")
    held = model.config.get("held_out")
    if held is None:
        raise NasError(
            f"these weights have seen every utterance of {dataset.name}",
            where=str(model.folder),
            hint="give --data with another corpus, or export a member of a run's front",
        )
    if held["digest"] != dataset.digest:
        raise NasError(
            f"corpus {dataset.name!r} is not the one of the search: its content has changed",
            where=str(model.folder),
        )
    split = open_recorded(asked, model.config, model.folder, say)
    outers = split.folding.outer(dataset)
    if held["test_fold"] >= len(outers):
        raise NasError(
            f"the weights' test fold is number {held['test_fold']} of {len(outers)}",
            where=str(model.folder),
            hint="config.json was changed: export it again",
        )
    outer = outers[held["test_fold"]]
    fold = outer if part == "test" else split.folding.inner(dataset, outer.fit)[0]
    return fold, f"{part} fold {fold.name} of {dataset.name}"
