"""Names of metrics that nas reads itself, and the shape it reads them in.

An evaluator of one's own may call another thing so. Objectives may have any name: they are
taken before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

OWN = "own_"


def set_apart(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics in which every reserved name has the shape that nas gives it.

    What has not is kept as ``own_NAME``, in its place; nothing is lost, and nothing is read as
    what it is not.

    Args:
        metrics: Plain data.
    """
    out: dict[str, Any] = {}
    for name, value in metrics.items():
        fits = SHAPES.get(name)
        own = name
        if fits is not None and not fits(value, metrics):
            own = OWN + name
            while own in metrics:
                own += "_"
        out[own] = value
    return out


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_number, value.values()))


def _proxy(value: Any, metrics: Mapping[str, Any]) -> bool:
    """Scores by objective; operations and energies by part."""
    return isinstance(value, Mapping) and all(
        _numbers(v) if k in ("operations", "energies") else _number(v) for k, v in value.items()
    )


def _layers(value: Any, metrics: Mapping[str, Any]) -> bool:
    """A row a layer; columns may be missing, and those of the operation table are numbers."""
    from eval.energy.pricing import COLUMNS

    def row(r: Any) -> bool:
        return (
            isinstance(r, Mapping)
            and "layer" in r
            and all(_number(r.get(c, 0)) for c in (*COLUMNS, "neuron_steps", "parameters"))
            and (r.get("rate") is None or _number(r["rate"]))
        )

    return isinstance(value, list) and all(map(row, value))


def _classes(value: Any, metrics: Mapping[str, Any]) -> bool:
    return isinstance(value, list) and all(isinstance(c, str | int) for c in value)


def _confusion(value: Any, metrics: Mapping[str, Any]) -> bool:
    """``[C][C]``, where there are classes as many as these."""
    classes = metrics.get("classes")
    return (
        isinstance(value, list)
        and all(isinstance(row, list) and len(row) == len(value) for row in value)
        and all(_number(n) for row in value for n in row)
        and (not isinstance(classes, list) or len(classes) == len(value))
    )


def _count(value: Any, metrics: Mapping[str, Any]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


SHAPES: Mapping[str, Callable[[Any, Mapping[str, Any]], bool]] = {
    "proxy": _proxy,
    "sd": lambda value, _: _numbers(value),
    "measurements": _count,
    "layers": _layers,
    "classes": _classes,
    "confusion": _confusion,
    "train_seconds": lambda value, _: _number(value),
    "encoder_macs": lambda value, _: _number(value),
    # of an export's figures, never of an evaluation
    "confirmed": lambda *_: False,
    "measured_by": lambda *_: False,
}
