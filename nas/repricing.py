"""A finished run under other cost models: the operations stay, the prices change.

Nothing is trained. Every evaluation recorded what it computed, so its energy under another
profile is what it would have measured with that profile in the first place; fronts and ranks
follow. Constraints on an energy are applied to the new energy as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from eval.energy.profile import DEFAULT_PROFILE, Profile, load_profile
from nas import pareto
from nas.evaluation import Evaluation
from nas.measurements import merged
from nas.study import Study
from search_spaces.errors import NasError
from search_spaces.space import Space

ENERGIES = ("energy", "energy_with_encoder")


@dataclass(frozen=True)
class Repriced:
    """A run under one profile.

    Args:
        profile: The cost model.
        full: Every architecture measured in full and priced, the mean of several measurements.
        front: Hashes of the feasible non-dominated ones, best first objective first.
        lacking: Columns that some records lack for this profile.
        unpriced: Number of evaluations that could not be priced for that.
    """

    profile: Profile
    full: Sequence[Evaluation]
    front: Sequence[str]
    lacking: Sequence[str]
    unpriced: int

    @property
    def energies(self) -> dict[str, float]:
        """Joules per sample of the head, by hash."""
        return {e.architecture.hash: float(e.metrics["energy"]) for e in self.full}


def run_profile(study: Study) -> Profile:
    """Return the profile that a run was searched with."""
    return load_profile(study.config.evaluator.get("profile") or DEFAULT_PROFILE)


def reprice_run(study: Study, profiles: Sequence[Profile]) -> list[Repriced]:
    """Price a run under each profile.

    Raises:
        NasError: No evaluation has an operation table, or a profile lacks a price.
    """
    if not any(e.metrics.get("layers") for e in study.evaluations):
        raise NasError(
            "no evaluation of this run recorded its operations, so there is nothing to price",
            where=str(study.folder),
            hint="an evaluator of your own would have to return 'layers'",
        )
    return [reprice(study.evaluations, study.space, profile) for profile in profiles]


def reprice(evaluations: Sequence[Evaluation], space: Space, profile: Profile) -> Repriced:
    """Price evaluations under one profile.

    Raises:
        NasError: The profile has no price for an operation.
    """
    from eval.energy import pricing

    names, with_encoder = pricing.needed(profile), "energy_with_encoder" in _named(space)
    able: list[Evaluation] = []
    kept: list[Evaluation] = []
    lacking: dict[str, None] = {}
    unpriced = 0
    for e in evaluations:
        if not e.ok:
            continue
        absent = pricing.missing(e.metrics.get("layers"), names)
        if with_encoder and "encoder_macs" not in e.metrics:
            absent.append("encoder_macs")
        if not absent:
            able.append(e)
        elif e.metrics.get("energy_profile") == profile.name:
            kept.append(e)  # what it was measured with needs no pricing
        else:
            unpriced += 1
            lacking |= dict.fromkeys(absent)
    if with_encoder and able:
        pricing.refuse_without_encoder(profile)
    tables = pricing.Tables.of([e.metrics["layers"] for e in able], names)
    joules = pricing.energies(tables, profile)
    for e, energy in zip(able, joules.tolist(), strict=True):
        found = {"energy": energy}
        if "encoder_macs" in e.metrics:
            encoder = pricing.encoder_energy(float(e.metrics["encoder_macs"]), profile)
            found |= {} if encoder is None else {"energy_with_encoder": energy + encoder}
        kept.append(_with(e, found, space, profile))
    kept.sort(key=lambda e: e.number)
    full = merged(kept)
    front = [e.architecture.hash for e in pareto.front(full, space.objectives)]
    return Repriced(profile, full, front, list(lacking), unpriced)


def kendall(a: Mapping[str, float], b: Mapping[str, float]) -> float | None:
    """Return Kendall's tau-b between two energies of the same architectures; None for under 2."""
    from scipy import stats

    shared = [h for h in a if h in b]
    if len(shared) < 2:
        return None
    tau = float(stats.kendalltau([a[h] for h in shared], [b[h] for h in shared]).statistic)
    return tau if tau == tau else None  # NaN where one of them is constant


def ranks(energies: Mapping[str, float], members: Sequence[str]) -> dict[str, int]:
    """Rank members by energy, the cheapest first; equal ones share the better rank."""
    values = sorted(energies[h] for h in members if h in energies)
    return {h: 1 + values.index(energies[h]) for h in members if h in energies}


def summary(study: Study, found: Sequence[Repriced]) -> dict[str, Any]:
    """Put the profiles side by side, as plain data.

    Args:
        study: The run.
        found: The first is the one that ranks are compared with.
    """
    members = list(dict.fromkeys(h for r in found for h in r.front))
    first, ranked = found[0], {r.profile.name: ranks(r.energies, members) for r in found}
    before = ranked[first.profile.name]
    tau: dict[str, dict[str, float | None]] = {r.profile.name: {} for r in found}
    for a, b in combinations(found, 2):
        value = kendall(a.energies, b.energies)
        tau[a.profile.name][b.profile.name] = tau[b.profile.name][a.profile.name] = value
    by_hash = {e.architecture.hash: e for r in reversed(found) for e in r.full}
    others = [n for n in study.space.objectives if n not in ENERGIES]
    return {
        "run": str(study.folder),
        "reference": first.profile.name,
        "members": [
            {
                "hash": h,
                **{n: by_hash[h].objectives[n] for n in others},
                "energy": {r.profile.name: r.energies.get(h) for r in found},
                "front": [r.profile.name for r in found if h in r.front],
                "every": all(h in r.front for r in found),
            }
            for h in members
        ],
        "profiles": {
            r.profile.name: {
                "title": r.profile.title,
                "front": list(r.front),
                "kendall_tau": tau[r.profile.name],
                "moved": [
                    {"hash": h, "from": before[h], "to": rank}
                    for h, rank in ranked[r.profile.name].items()
                    if h in before and before[h] != rank
                ],
                "priced": len(r.full),
                "not_priced": r.unpriced,
                "lacking": list(r.lacking),
                "disputed": list(r.profile.disputed),
                "excludes": list(r.profile.excludes),
            }
            for r in found
        },
    }


def _named(space: Space) -> set[str]:
    return {*space.objectives, *(c.quantity for c in space.constraints)}


def _with(e: Evaluation, found: Mapping[str, float], space: Space, profile: Profile) -> Evaluation:
    violations = dict(e.violations)
    for constraint in space.constraints:
        if constraint.quantity in found:
            amount = constraint.violation(found[constraint.quantity])
            violations.pop(constraint.quantity, None)
            violations |= {constraint.quantity: amount} if amount > 0 else {}
    # an energy that this profile does not give must not stay as that of another
    others = {n: v for n, v in e.metrics.items() if n not in ENERGIES}
    return replace(
        e,
        objectives={n: found.get(n, v) for n, v in e.objectives.items()},
        metrics={**others, **found, "energy_profile": profile.name},
        violations=violations,
    )
