"""What a spiking network's energy has to be compared with before it means anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.energy.pricing import (
    COLUMNS,
    Columns,
    Tables,
    charges,
    encoder_energy,
    energies,
    missing,
)
from eval.energy.profile import Profile, load_profile

DEAD, SATURATED = 0.01, 0.9
QUANTISED = "45nm_int8"
ENCODER = "encoder mac"  # among what is unpriced
INPUT = "project"  # name of the layer that reads the features, in the families that have one

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One network under one profile, and what stands beside it; joules per sample.

    Args:
        profile: Name of the profile.
        energy: Of the network.
        low: With the least that any source gives for a price, and ``high`` with the most.
        high: Equal to ``energy`` where no price is disputed.
        host: Part of ``energy`` that the profile's host spends.
        unpriced: Operations per sample that are counted and cost nothing here.
        projection: Part of the layer that reads the features; None where there is none.
        with_encoder: With the arithmetic of the frozen encoder; None where that is not known,
            or unpriced.
        twin: The ReLU twin: the same weights on values, at the same precision (under a profile
            of a chip it runs on the host).
        input_rate: Spikes over what could have been spikes, at the synapses; None without any.
        break_even: The input rate at which the network costs what its twin does, everything
            that spikes cause growing alike: below it the network is cheaper. 0 when it never
            is, infinite when it always is, None when no spike costs anything.
        bits: Width of the activations of the bit-matched quantised network, None without.
        quantised: Its energy, see :func:`bit_matched`.
        at_quantised: Of the spiking network at the same 8-bit prices.
        weight_bytes: Stored values, normalisations folded, at the profile's width; None where
            it has none.
        state_bytes: Membranes and accumulators, likewise.
    """

    profile: str
    energy: float
    low: float
    high: float
    host: float
    unpriced: Mapping[str, float]
    projection: float | None
    with_encoder: float | None
    twin: float
    input_rate: float | None
    break_even: float | None
    bits: int | None
    quantised: float | None
    at_quantised: float | None
    weight_bytes: float | None
    state_bytes: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; an infinite rate as the word ``any``."""
        data = dict(vars(self))
        if self.break_even is not None and math.isinf(self.break_even):
            data["break_even"] = "any"
        return {**data, "unpriced": dict(self.unpriced)}


def compare(
    table: Sequence[Row],
    profile: Profile,
    *,
    steps: int | None = None,
    encoder_macs: float | None = None,
) -> Comparison:
    """Compare a network with its ReLU twin, a quantised network, and head with encoder.

    Args:
        table: The operation table, with every column.
        profile: Cost model.
        steps: ``T``, clock steps in which a neuron can say something else: SNN steps a frame,
            or the steps of a time-to-first-spike window; None for a network without spikes.
        encoder_macs: Multiply-accumulates of the frozen encoder per sample, where known.

    Raises:
        NasError: An operation of the table has no price.
        ValueError: The table lacks columns.
    """
    lacking = missing(table, COLUMNS)
    if lacking:
        raise ValueError(f"the table lacks {', '.join(lacking)}")
    tables = Tables.of([table], COLUMNS)
    rows = tables.columns
    parts = {"host": 0.0}
    unpriced: dict[str, float] = {}
    for charge in charges(rows, profile):
        if charge.part == "host":
            parts["host"] += float(charge.joules.sum())
        elif charge.part == "unpriced" and charge.counts.any():
            unpriced[charge.operation] = float(charge.counts.sum())
    total = _price(tables, rows, profile)
    twin = _price(tables, relu_twin(rows), profile)
    silent = _price(tables, without_spikes(rows), profile)
    rate = _input_rate(rows)
    reading = [i for i, row in enumerate(table) if row["layer"] == INPUT]
    bits = None if steps is None else matched_bits(steps)
    encoder = None if encoder_macs is None else encoder_energy(encoder_macs, profile)
    if encoder_macs is not None and encoder is None:
        unpriced[ENCODER] = encoder_macs
    width = None if profile.bits is None else profile.bits / 8
    kept = float(rows["states"][(rows["updates"] > 0) | (rows["event_acs"] > 0)].sum())
    return Comparison(
        profile=profile.name,
        energy=total,
        low=_price(tables, rows, profile.extreme(min)),
        high=_price(tables, rows, profile.extreme(max)),
        host=parts["host"],
        unpriced=unpriced,
        projection=float(layer_energies(rows, profile)[reading].sum()) if reading else None,
        with_encoder=None if encoder is None else total + encoder,
        twin=twin,
        input_rate=rate,
        break_even=None if rate is None else _break_even(rate, total, silent, twin),
        bits=bits,
        quantised=None if bits is None else bit_matched(tables, bits),
        at_quantised=None if bits is None else _price(tables, rows, load_profile(QUANTISED)),
        weight_bytes=None if width is None else width * float(rows["weights"].sum()),
        state_bytes=None if width is None else width * kept,
    )


def layer_energies(rows: Columns, profile: Profile) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return ``[R]`` joules per sample, layer by layer."""
    found = np.zeros(len(rows["macs"]))
    for charge in charges(rows, profile):
        found = found + charge.joules
    return found


def relu_twin(rows: Columns) -> Columns:
    """Return what the ReLU twin would compute: products for accumulates, no neurons."""
    nothing = np.zeros_like(rows["macs"])
    return {
        **rows,
        **dict.fromkeys(("compares", "spikes", "synops", "event_acs", "updates"), nothing),
        "leaks": nothing,
        "macs": rows["dense"],
        "acs": rows["dense_acs"],
        "inputs": rows["values"],
        "digital": np.ones_like(nothing),
    }


def without_spikes(rows: Columns) -> Columns:
    """Return what is left when nothing fires: updates, comparisons, digital layers."""
    digital, nothing = rows["digital"] > 0, np.zeros_like(rows["macs"])
    return {
        **rows,
        "acs": rows["acs"] - rows["synops"] - rows["event_acs"],
        "inputs": np.where(digital, rows["inputs"], 0.0),
        **dict.fromkeys(("synops", "event_acs", "spikes"), nothing),
    }


def matched_bits(steps: int) -> int:
    """Return ``ceil(log2(T + 1))``: what T steps can tell (Yan, Bai, Wong, arXiv 2409.08290)."""
    return max(1, math.ceil(math.log2(steps + 1)))


def bit_matched(tables: Tables, bits: int) -> float:
    """Return the joules of the ReLU twin with activations of so many bits between its layers.

    Weights, and the layers that are digital in the spiking network too, have 8 bits. A product
    of 8 by b bits costs ``b / 8`` of one of 8 by 8: b additions of 8 bits in an array
    multiplier. Horowitz (ISSCC 2014) bears that out between 8 and 32 bits: 16 times the area,
    15.5 times the energy (0.2 and 3.1 pJ). The addition stays what it is.
    """
    rows, profile = tables.columns, load_profile(QUANTISED)
    mac, ac = profile.prices["mac"].joules, profile.prices["ac"].joules
    narrow = float((rows["dense"] - rows["macs"] + rows["leaks"]).sum())
    whole = _price(tables, relu_twin(rows), profile)
    return whole - narrow * (mac - ac) * (1.0 - bits / 8.0)


def warnings(table: Sequence[Row]) -> list[str]:
    """Return a line for every layer that hardly ever fires, or nearly always."""
    lines = []
    for row in table:
        rate = row.get("rate")
        if rate is not None and rate < DEAD:
            lines.append(f"{row['layer']} is dead: it fires at {100 * rate:.2f} %, below 1 %")
        if rate is not None and rate > SATURATED:
            lines.append(
                f"{row['layer']} is saturated: it fires at {100 * rate:.1f} %, above 90 %"
            )
    return lines


def _price(tables: Tables, rows: Columns, profile: Profile) -> float:
    return float(energies(Tables(rows, tables.owner, tables.count), profile)[0])


def _input_rate(rows: Columns) -> float | None:
    """Rate of what enters synapses: spikes in, over values that could have come in."""
    fed = (rows["digital"] == 0) & (rows["values"] > 0)
    possible = float(rows["values"][fed].sum())
    return float(rows["inputs"][fed].sum()) / possible if possible else None


def _break_even(rate: float, total: float, silent: float, twin: float) -> float | None:
    """Every charge is linear in the spikes, so two points give the line."""
    caused = total - silent
    if caused <= 0:
        return None
    scale = (twin - silent) / caused
    if scale <= 0:
        return 0.0
    return math.inf if rate * scale > 1 else rate * scale
