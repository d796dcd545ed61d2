"""The operation table by the parts of a network: what stands before the first dot of a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.energy.pricing import energy, missing, needed
from eval.energy.profile import Profile


def operations_by_part(table: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return multiply-accumulates and accumulates per sample of every part that has any."""
    out: dict[str, float] = {}
    for row in table:
        part = _part(row)
        out[part] = out.get(part, 0.0) + row["macs"] + row["acs"]
    return {part: count for part, count in out.items() if count > 0.0}


def energy_by_part(table: Sequence[Mapping[str, Any]], profile: Profile) -> dict[str, float]:
    """Return joules per sample of every part; nothing of a table the profile cannot price."""
    if missing(table, needed(profile)):
        return {}  # recorded before it was counted
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in table:
        rows.setdefault(_part(row), []).append(row)
    return {part: energy(mine, profile) for part, mine in rows.items()}


def _part(row: Mapping[str, Any]) -> str:
    return str(row["layer"]).partition(".")[0]
