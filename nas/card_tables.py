"""The tables of a model card, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

LAYERS = ("layer", "kind", "macs", "acs", "compares", "spikes", "rate")
TESTED = ("wa", "ua", "macro_f1", "energy")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return a table with a blank line before it; nothing without rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return []
    lines = [[_cell(name) for name in columns], ["---"] * len(columns), *cells]
    return ["", *(f"| {' | '.join(line)} |" for line in lines)]


def rows_of(metrics: Row, name: str) -> list[Row]:
    """Return the rows under a name; nothing where one's own evaluator calls something else so."""
    rows = metrics.get(name)
    fit = isinstance(rows, list) and all(isinstance(r, Mapping) for r in rows)
    return rows if fit and rows else []


def scalars(metrics: Row) -> list[str]:
    """Return every figure that is one value."""
    found = {k: v for k, v in metrics.items() if isinstance(v, int | float | str)}
    found.pop("measured_on", None)
    return table(["metric", "value"], found.items())


def fold_rows(rows: Sequence[Row]) -> list[str]:
    """Return a row for every fold, or for every fold and seed."""
    if not rows:
        return []
    columns = [k for k in rows[0] if all(isinstance(r.get(k), int | float | str) for r in rows)]
    return table(columns, ([r[k] for k in columns] for r in rows))


def confusion(counts: Any, classes: Any) -> list[str]:
    """Return a confusion matrix, true classes down and predicted ones across, with recalls."""
    given = isinstance(counts, list) and isinstance(classes, list) and len(counts) == len(classes)
    if not given or not all(isinstance(r, list) and len(r) == len(counts) for r in counts):
        return []
    rows = [
        [name, *row, row[i] / sum(row) if sum(row) else "-"]
        for i, (name, row) in enumerate(zip(classes, counts, strict=True))
    ]
    return table(["true \\ predicted", *classes, "recall"], rows)


def layers(rows: Sequence[Row]) -> list[str]:
    """Return operations and spikes of every layer, per sample."""
    columns = [k for k in LAYERS if all(k in r for r in rows)]
    return table(columns, ([r[k] for k in columns] for r in rows))


def confirmed(rows: Sequence[Row], unseen: str | None) -> list[str]:
    """Return means, intervals and the fold the search never saw, of figures on test speakers."""
    from eval.confirmation import interval

    made = []
    for metric in TESTED:
        over = interval(rows, metric)
        alone = [r for r in rows if r["fold"] == unseen]
        made.append(
            [
                metric,
                over.mean,
                over.sd,
                f"{over.low:.6g} to {over.high:.6g}" if over.low == over.low else "-",
                interval(alone, metric).mean if alone else "-",
            ]
        )
    name = f"fold {unseen} alone" if unseen is not None else "unseen fold"
    return table(["metric", "mean", "s.d.", "95 % interval", name], made)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
