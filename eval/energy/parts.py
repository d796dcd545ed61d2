"""The operation table by the parts of a network: what stands before the first dot of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.energy.profile import Profile
from eval.energy.table import totals


def operations_by_part(table: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return multiply-accumulates and accumulates per sample of every part that has any."""
    out: dict[str, float] = {}
    for row in table:
        part = _part(row)
        out[part] = out.get(part, 0.0) + row["macs"] + row["acs"]
    return {part: count for part, count in out.items() if count > 0.0}


def energy_by_part(table: Sequence[dict[str, Any]], profile: Profile) -> dict[str, float]:
    """Return joules per sample of every part."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table:
        rows.setdefault(_part(row), []).append(row)
    return {part: totals(mine, profile)["energy"] for part, mine in rows.items()}


def _part(row: dict[str, Any]) -> str:
    return str(row["layer"]).partition(".")[0]
