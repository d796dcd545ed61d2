"""Figures on test speakers: architectures, every outer fold, several seeds; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.folds import Fold
    from eval.training import Recipe

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Model:
    """Something to measure.

    Args:
        name: In the table and the record.
        family: Network family.
        values: Its parameters.
    """

    name: str
    family: str
    values: Mapping[str, Any]


def measure_outer(
    dataset: Dataset,
    models: Sequence[Model],
    seeds: int,
    *,
    recipe: Recipe,
    profile: str | Mapping[str, Any],
    record: Path | None,
    step: Step,
    folds: Sequence[Fold] | None = None,
) -> list[dict[str, Any]]:
    """Train every model on every outer fold with every seed.

    Args:
        dataset: The corpus.
        models: What to measure.
        seeds: Seeds per fold: 0, 1, ...
        recipe: How to train.
        profile: Cost model of the energy.
        record: A JSON-lines file that takes each row when it is done; rows in it are not
            measured again. None keeps nothing.
        step: Told (done, all) after every training.
        folds: The outer folds; None for those of the automatic rule.

    Returns:
        Rows with ``model``, ``fold``, ``seed`` and the figures of ``test_on_fold``, in order
        of models, folds and seeds.
    """
    from eval.confirmation import test_on_fold
    from eval.folds import outer_folds

    kept = read_rows(record) if record is not None else []
    done = {(r["model"], r["fold"], r["seed"]): r for r in kept}
    folds = outer_folds(dataset) if folds is None else folds
    total, rows = len(models) * len(folds) * seeds, []
    for model in models:
        for fold in folds:
            for seed in range(seeds):
                row = done.get((model.name, fold.name, seed))
                if row is None:
                    figures = test_on_fold(
                        model.values,
                        dataset,
                        fold,
                        family=model.family,
                        seed=seed,
                        recipe=recipe,
                        profile=profile,
                    )
                    row = {"model": model.name, **figures}
                    if record is not None:
                        with record.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(row) + "\n")
                rows.append(row)
                step(len(rows), total)
    return rows


def summarise(rows: Sequence[Mapping[str, Any]], held_out: str | None) -> list[dict[str, Any]]:
    """Sum rows up, one entry per model in order of appearance.

    Args:
        rows: Of :func:`measure_outer`.
        held_out: The fold that a search never saw; its mean stands apart.
    """
    from eval.confirmation import REPORTED, interval

    out = []
    for name in dict.fromkeys(r["model"] for r in rows):
        mine = [r for r in rows if r["model"] == name]
        entry: dict[str, Any] = {"model": name, "trainings": len(mine)}
        for metric in REPORTED:
            entry[metric] = vars(interval(mine, metric))
            if held_out is not None:
                unseen = [r for r in mine if r["fold"] == held_out]
                entry[f"{metric}_held_out"] = interval(unseen, metric).mean
        out.append(entry)
    return out


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read what an earlier call finished; a line torn by a kill is cut off."""
    if not path.is_file():
        return []
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("rb+") as file:
            file.truncate(end)
    return [json.loads(line) for line in whole[:end].splitlines()]
