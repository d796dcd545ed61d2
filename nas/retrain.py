"""Retrain an exported architecture on a corpus."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.corpus import class_map_for, corpus_for, load
from nas.executors.workers import Workers
from nas.export import Exported
from nas.folding import KEYS, Split, open_recorded, open_split
from nas.outer import SAME_COMMAND, Step, measure_outer, summarise
from nas.outer_evaluator import Model
from nas.trained_export import write_trained
from nas.training_folder import ROWS, TRAINING, deliver, finish, open_folder, refuse_existing
from nas.trusted import read_trained
from search_spaces.errors import NasError
from search_spaces.named import NAMED

if TYPE_CHECKING:
    from eval.features import Dataset


def retrain(
    exported: Path,
    data: str | None,
    seeds: int,
    folder: Path | None,
    *,
    class_map: str | Path | None = None,
    trusted: Collection[str] = (),
    split: Mapping[str, Any] | None = None,
    skip_bad: bool | None = None,
    epochs: int | None = None,
    baselines: bool = True,
    workers: Workers | None = None,
    again: str = SAME_COMMAND,
    say: Callable[[str], None],
    step: Step = lambda *_: None,
) -> dict[str, Any]:
    """Train on every outer fold; with ``folder``, also on everything, and keep the weights.

    What is done lies in a folder of its own until all of it is: with ``folder`` beside that, and
    at the end in its ``training/``; without it among the runs, where it stays. Whoever asks the
    same again goes on there, in the middle of a training where one was under way.

    Args:
        exported: Export folder.
        data: Corpus; None takes the one the architecture was found on.
        seeds: Seeds per fold.
        folder: Where to write the retrained model, or None.
        class_map: YAML file with the class of each label; None takes the search's on the
            search's corpus and no other.
        trusted: Families outside this package that may be imported.
        split: ``protocol``, ``folds``, ``speaker_dependent``; without any of them, the split of
            the search on its corpus, and the usual one on another.
        skip_bad: Leave out what of the corpus cannot be used; None does as the search did.
        epochs: Of a training; None for as many as in the search.
        baselines: Whether to train the simple baselines too, alike and on the same folds.
        workers: Where trainings on folds are made; None for this process.
        again: The command that goes on, for errors to name.
        say: Takes lines for people.
        step: Told (done, all) after every training on a fold.

    Returns:
        ``protocol``, ``speaker_dependent``, ``folds`` (a row per fold and seed), the
        interval of ``wa``, ``ua``, ``macro_f1`` and ``energy``, ``baselines`` (an entry each,
        as of ``summarise``), ``recipe``, and ``training``, the folder with rows and events.

    Raises:
        NasError: Not an export of a family, the corpus is not usable, or a folder is in the way.
        TrainingsFailed: Some trainings failed; all others are kept.
    """
    from eval.baselines import SIMPLE
    from eval.confirmation import REPORTED
    from eval.process import prepare_cpu
    from eval.training import Recipe

    model = read_trained(exported, trusted)
    family = model.config["family"]
    if epochs is not None and epochs < 1:
        raise NasError(f"{epochs} epochs train nothing", hint="give 1 or more")
    if folder is not None:
        refuse_existing(folder)
    workers = workers or Workers()
    workers.check()
    prepare_cpu()
    features = _request(model, family, data, class_map, say)
    features |= {"skip_bad": True} if skip_bad else {}
    chosen = _split(model, features, split or {}, say)
    dataset = load(features, say)
    outer = chosen.folding.outer(dataset)
    mixed = chosen.folding.mixed(dataset, outer)
    recipe = Recipe.of(model.config.get("recipe") or {})
    recipe = replace(recipe, epochs=epochs or recipe.epochs)
    profile = model.config.get("profile") or "45nm_fp32"
    _refuse_unbuildable(model.architecture, family, dataset)
    mine = Model(model.architecture.hash, family, model.architecture)
    simple = [Model(n, NAMED[n].family, NAMED[n].values) for n in SIMPLE] if baselines else []
    shown = {"protocol": chosen.folding.name, "speaker_dependent": mixed}
    asked = {
        "architecture": model.architecture.as_dict(),
        "family": family,
        "features": features,
        "corpus": {"name": dataset.name, "digest": dataset.digest},
        **shown,
        "folds": {"digest": chosen.digest(), "names": [f.name for f in outer]},
        "seeds": seeds,
        "recipe": recipe.as_dict(),
        "profile": profile,
        "baselines": [m.name for m in simple],
        "weights": folder is not None,
    }
    work, lock = open_folder(folder, asked, mine.name, dataset.name)
    try:
        say(f"training {work}")
        rows = measure_outer(
            dataset,
            [mine, *simple],
            seeds,
            recipe=recipe,
            profile=profile,
            record=work / ROWS,
            step=step,
            folds=outer,
            work=work,
            events=True,
            workers=workers,
            again=again,
            say=say,
        )
        own, *others = summarise(rows, None)
        result: dict[str, Any] = {
            "corpus": dataset.name,
            **shown,
            "hash": mine.name,
            "seeds": seeds,
            "folds": [_figures(r) for r in rows if r["model"] == mine.name],
            **{metric: own[metric] for metric in REPORTED},
            "baselines": others,
            "recipe": recipe.as_dict(),
            "training": str(work if folder is None else folder / TRAINING),
        }
        if folder is None:
            finish(work, result)
        else:
            config = {**model.config, "features": features, "folds": chosen.digest(), **shown}
            config |= {"recipe": recipe.as_dict()}
            listed = chosen.file(dataset)
            made = write_trained(model.architecture, config, dataset, result, work, listed)
            deliver(work, made, folder, again)
    finally:
        lock.release()
    return result


def _split(
    model: Exported,
    features: Mapping[str, Any],
    asked: Mapping[str, Any],
    say: Callable[[str], None],
) -> Split:
    """Split as is asked for, else as the search did on its corpus, else as is usual."""
    if any(asked.get(k) for k in KEYS):
        return open_split({**features, **asked}, say)
    if features.get("data") == model.config["features"].get("data"):
        return open_recorded(features, model.config, model.folder, say)
    return open_split(features, say)


def _request(
    model: Exported,
    family: str,
    data: str | None,
    class_map: str | Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Ask for the corpus the way the search did, as far as that applies to another one."""
    from eval.corpora import corpus_kind, resolved
    from search_spaces.families import get_family

    features = dict(model.config["features"])
    mapped = class_map_for(features, data, class_map, say)
    if data is not None:
        searched = (model.config.get("source") or {}).get("kind")
        if corpus_kind(data, mapped) != searched:
            features = {}  # an encoder says nothing about events, nor a sampling about speech
        features["data"] = resolved(data)
    features["data"] = corpus_for(get_family(family), features.get("data"), mapped)
    if mapped or "class_map" in features:
        features["class_map"] = mapped
    return features


def _refuse_unbuildable(values: Mapping[str, Any], family: str, dataset: Dataset) -> None:
    """Say what is wrong with an architecture before anything is trained, not once a fold."""
    import torch

    from search_spaces.families import get_family

    with torch.device("meta"):  # shapes without memory
        get_family(family).build(values, dataset.shape, len(dataset.classes))


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "model"}
