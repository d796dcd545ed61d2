"""Retrain an exported architecture on a corpus."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.corpus import class_map_for, corpus_for, load
from nas.export import Exported, read_folder, write_folder
from nas.folding import FILE as FOLDS_FILE
from nas.folding import KEYS, Split, open_recorded, open_split
from search_spaces.errors import NasError


def retrain(
    exported: Path,
    data: str | None,
    seeds: int,
    folder: Path | None,
    *,
    class_map: str | Path | None = None,
    split: Mapping[str, Any] | None = None,
    skip_bad: bool | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train on every outer fold; with ``folder``, also on everything, and keep the weights.

    Args:
        exported: Export folder.
        data: Corpus; None takes the one the architecture was found on.
        seeds: Seeds per fold.
        folder: Where to write the retrained model, or None.
        class_map: YAML file with the class of each label; None takes the search's on the
            search's corpus and no other.
        split: ``protocol``, ``folds``, ``speaker_dependent``; without any of them, the split of
            the search on its corpus, and the usual one on another.
        skip_bad: Leave out what of the corpus cannot be used; None does as the search did.
        say: Takes one line per fold.

    Returns:
        ``protocol``, ``speaker_dependent``, ``folds`` (a row per fold and seed), and the
        interval of ``wa``, ``ua``, ``macro_f1`` and ``energy``.

    Raises:
        NasError: Not an export of a family, or the corpus is not usable.
    """
    from eval.confirmation import REPORTED, interval, test_on_fold
    from eval.process import prepare_cpu
    from eval.training import Recipe

    model = read_folder(exported)
    family = model.config.get("family")
    if not family:
        raise NasError("this architecture has no family to build it", where=str(exported))
    if folder is not None and folder.exists():
        raise NasError(
            "the output folder exists already", where=str(folder), hint="choose another --out"
        )
    prepare_cpu()
    features = _request(model, family, data, class_map, say)
    features |= {"skip_bad": True} if skip_bad else {}
    chosen = _split(model, features, split or {}, say)
    dataset = load(features, say)
    outer = chosen.folding.outer(dataset)
    mixed = chosen.folding.mixed(dataset, outer)
    recipe = Recipe(**(model.config.get("recipe") or {}))
    profile = model.config.get("profile") or "45nm_fp32"
    rows = []
    for fold in outer:
        for seed in range(seeds):
            rows.append(
                test_on_fold(
                    model.architecture,
                    dataset,
                    fold,
                    family=family,
                    seed=seed,
                    recipe=recipe,
                    profile=profile,
                )
            )
            last = rows[-1]
            say(f"fold {last['fold']}, seed {seed}: ua {100 * last['ua']:.1f} %")
    result: dict[str, Any] = {
        "corpus": dataset.name,
        "protocol": chosen.folding.name,
        "speaker_dependent": mixed,
        "hash": model.architecture.hash,
        "seeds": seeds,
        "folds": rows,
        **{metric: vars(interval(rows, metric)) for metric in REPORTED},
    }
    if folder is not None:
        config = {**model.config, "features": features, "folds": chosen.digest()}
        config |= {k: result[k] for k in ("protocol", "speaker_dependent")}
        _keep(model.architecture, config, dataset, recipe, result, folder, chosen.file())
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


def _keep(
    architecture: Any,
    config: Any,
    dataset: Any,
    recipe: Any,
    result: dict[str, Any],
    folder: Path,
    folds: str | None,
) -> None:
    import numpy as np

    from eval.evaluate import build
    from eval.mapping import Training
    from eval.weights import save_weights

    rng = np.random.default_rng(0)
    network = build(architecture, config["family"], dataset.shape, len(dataset.classes), rng)
    network = Training(network, dataset, np.arange(len(dataset)), recipe, seed=0).run(1.0)
    remade = ("format", "values", "environment", "held_out", "adapted")
    written = {k: v for k, v in config.items() if k not in remade}
    written |= {
        "classes": list(dataset.classes),
        "input_shape": dataset.shape,
        "source": dataset.source,
        "weights": f"trained on all {len(dataset)} utterances of {dataset.name}",
    }
    what = "utterances" if result["speaker_dependent"] else "speakers"
    metrics = {
        "measured_on": f"test {what} of every outer fold of {dataset.name}, by trainings that"
        " did not see them",
        **{k: result[k] for k in ("protocol", "speaker_dependent")},
        **{k: result[k]["mean"] for k in ("wa", "ua", "macro_f1", "energy")},
        "folds": result["folds"],
    }
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "model.safetensors"
        save_weights(network, weights)
        listed = Path(scratch) / FOLDS_FILE if folds is not None else None
        if listed is not None and folds is not None:
            listed.write_text(folds, encoding="utf-8")
        write_folder(folder, architecture, written, metrics, weights, listed)
