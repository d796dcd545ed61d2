"""Confirm a front: retrain it on every outer fold, where the test speakers come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nas.corpus import load
from nas.evaluation import Evaluation
from nas.study import Study
from search_spaces.errors import NasError

FILE = "confirm.jsonl"

Say = Callable[[str], None]
Step = Callable[[int, int], None]


def confirm(
    study: Study, members: Sequence[Evaluation], seeds: int, *, say: Say, step: Step
) -> dict[str, Any]:
    """Retrain architectures on every outer fold with several seeds, and the baselines too.

    Each training is appended to ``confirm.jsonl`` when it is done; called again, finished
    ones are not repeated.

    Args:
        study: A run on a corpus.
        members: Evaluations to confirm.
        seeds: Seeds per fold.
        say: Takes lines about slow preparations.
        step: Told (done, all) after every training.

    Returns:
        ``held_out`` (the fold the search never saw), ``folds``, ``seeds`` and ``models``: one
        entry per architecture or baseline with its intervals over all folds, and its mean on
        the held-out fold alone.

    Raises:
        NasError: Not a run on a corpus, or the corpus is no longer the same.
    """
    import torch

    from eval.baselines import BASELINES, baseline_on_outer_fold, pooled_features
    from eval.confirmation import test_on_fold
    from eval.folds import outer_folds
    from eval.training import Recipe

    config = dict(study.config.evaluator)
    if config.get("kind") != "corpus":
        raise NasError(
            "this run used its own evaluator, so there are no test speakers to confirm on",
            where=str(study.folder),
        )
    torch.set_num_threads(1)
    dataset = load(config, say)
    if dataset.digest != config["digest"]:
        raise NasError(
            f"corpus {config['data']!r} is not the one of the search: its content has changed",
            where=str(study.folder),
        )
    folds = outer_folds(dataset)
    recipe = Recipe(**config["recipe"])
    rows = _read(study.folder / FILE)
    done = {(r["model"], r["fold"], r["seed"]) for r in rows}
    wanted: list[tuple[Evaluation | None, str]] = [(None, name) for name in BASELINES]
    wanted += [(e, e.architecture.hash) for e in members]
    total, count = len(wanted) * len(folds) * seeds, 0
    pooled = pooled_features(dataset)
    with (study.folder / FILE).open("a", encoding="utf-8") as file:
        for e, model in wanted:
            for fold in folds:
                for seed in range(seeds):
                    if (model, fold.name, seed) not in done:
                        if e is None:
                            row = baseline_on_outer_fold(model, pooled, dataset, fold, seed=seed)
                            row = {"fold": fold.name, "seed": seed, **row}
                        else:
                            row = test_on_fold(
                                e.architecture,
                                dataset,
                                fold,
                                family=config["family"],
                                seed=seed,
                                recipe=recipe,
                                profile=config["profile"],
                            )
                        rows.append({"model": model, **row})
                        file.write(json.dumps(rows[-1]) + "\n")
                        file.flush()
                    count += 1
                    step(count, total)
    chosen = [r for r in rows if r["seed"] < seeds]
    return {
        "run": str(study.folder),
        "corpus": dataset.name,
        "held_out": config["test"],
        "folds": [f.name for f in folds],
        "seeds": seeds,
        "models": [_summary(name, chosen, config["test"]) for _, name in wanted],
    }


def _summary(model: str, rows: Sequence[dict[str, Any]], held_out: str) -> dict[str, Any]:
    from eval.confirmation import interval

    mine = [r for r in rows if r["model"] == model]
    unseen = [r for r in mine if r["fold"] == held_out]
    out: dict[str, Any] = {"model": model, "trainings": len(mine)}
    for metric in ("wa", "ua", "macro_f1", "energy"):
        if metric in mine[0]:
            out[metric] = vars(interval(mine, metric))
            out[f"{metric}_held_out"] = interval(unseen, metric).mean
    return out


def _read(path: Path) -> list[dict[str, Any]]:
    """Read what an earlier call finished; a line torn by a kill is cut off."""
    if not path.is_file():
        return []
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("rb+") as file:
            file.truncate(end)
    return [json.loads(line) for line in whole[:end].splitlines()]
