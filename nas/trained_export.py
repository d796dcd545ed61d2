"""Train an architecture on a whole corpus and write it as an export."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.event_log import EventLog
from nas.export import write_folder
from nas.folding import FILE as FOLDS_FILE
from nas.outer import EVENTS, PARTIAL
from search_spaces.architecture import Architecture

if TYPE_CHECKING:
    from eval.features import Dataset

ALL = "all"  # what takes the place of a fold's name


def write_trained(
    architecture: Architecture,
    config: Mapping[str, Any],
    dataset: Dataset,
    result: Mapping[str, Any],
    work: Path,
    folds: str | None,
) -> Path:
    """Train on all utterances, going on where an earlier process was, and write the export.

    Args:
        architecture: What to train.
        config: Of the export that it comes from, with what is new about this one.
        dataset: The corpus.
        result: What `retrain` returns: the figures of the folds.
        work: The folder of the training.
        folds: Content of the file of the folds, if they came from one.

    Returns:
        The export's folder, inside ``work``.
    """
    from eval.weights import save_weights
    from nas.cli.output import finite

    remade = ("format", "values", "environment", "held_out", "adapted")
    written = {k: v for k, v in config.items() if k not in remade}
    written |= {
        "classes": list(dataset.classes),
        "input_shape": dataset.shape,
        "source": dataset.source,
        "weights": f"trained on all {len(dataset)} utterances of {dataset.name}",
        "trained_on": dataset.digest,
    }
    what = "utterances" if result["speaker_dependent"] else "speakers"
    metrics = {
        "measured_on": f"test {what} of every outer fold of {dataset.name}, by trainings that"
        " did not see them",
        **{k: result[k] for k in ("protocol", "speaker_dependent")},
        **{k: result[k]["mean"] for k in ("wa", "ua", "macro_f1", "energy")},
        **_priced_by(config),
        "folds": result["folds"],
        "baselines": finite(result["baselines"]),
    }
    network = _trained(architecture, config, dataset, work)
    metrics |= _operations(network, dataset)
    weights = work / "model.safetensors"
    save_weights(network, weights)
    listed = work / FOLDS_FILE if folds is not None else None
    if listed is not None and folds is not None:
        listed.write_text(folds, encoding="utf-8")
    made = work / "export"
    shutil.rmtree(made, ignore_errors=True)  # of a process that was killed here
    return write_folder(made, architecture, written, metrics, weights, listed)


def _priced_by(config: Mapping[str, Any]) -> dict[str, str]:
    from eval.energy.profile import DEFAULT_PROFILE, load_profile

    return {"energy_profile": load_profile(config.get("profile") or DEFAULT_PROFILE).name}


def _operations(network: Any, dataset: Dataset) -> dict[str, Any]:
    """Count what the weights of the export do, which are those of no fold, over the corpus."""
    import numpy as np

    from eval.energy.operations import OperationCounter
    from eval.training import predict

    with OperationCounter(network).counting() as counter:
        predict(network, dataset, np.arange(len(dataset)))
    told: dict[str, Any] = {
        "layers": counter.table(),
        "layers_of": f"the weights of this folder, over the {len(dataset)} utterances they were"
        " trained on",
    }
    if dataset.encoder_macs is not None:
        told["encoder_macs"] = float(dataset.encoder_macs.mean())
    return told


def _trained(
    architecture: Architecture, config: Mapping[str, Any], dataset: Dataset, work: Path
) -> Any:
    import numpy as np

    from eval.evaluate import build
    from eval.keeping import Keeper
    from eval.mapping import Training
    from eval.training import Recipe

    recipe = Recipe.of(config["recipe"])
    rng = np.random.default_rng(0)
    network = build(architecture, config["family"], dataset.shape, len(dataset.classes), rng)
    training = Training(network, dataset, np.arange(len(dataset)), recipe, seed=0)
    log = EventLog(work / EVENTS / architecture.hash / ALL)
    keeper = Keeper(work / PARTIAL / f"{ALL}.safetensors", ALL, log.epoch)
    before = keeper.before()
    if before is not None:
        training.restore(before)
    trained = training.run(1.0, lambda epoch: keeper(training, epoch))
    log.end(recipe.epochs)
    return trained
