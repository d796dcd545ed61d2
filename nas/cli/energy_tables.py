"""Tables of one architecture's energy, for ``nas energy`` and ``nas show``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.cli.output import Out, millijoules, percent

if TYPE_CHECKING:
    from eval.energy.comparison import Comparison
    from eval.energy.profile import Profile
    from nas.energy_report import EnergyReport


def print_report(found: EnergyReport, out: Out) -> None:
    """Print one architecture under its profiles, and what stands beside it."""
    rows = [_row(c) for c in found.comparisons.values()]
    names = ["profile", "energy mJ", "by other sources mJ", "ReLU twin mJ", "break-even rate %"]
    out.table([*names, "projection %", "host %", "with encoder mJ"], rows)
    first = next(iter(found.comparisons.values()))
    if first.input_rate is not None:
        out.line(f"spikes at the synapses: {percent(first.input_rate)} % of what could be")
        out.line("below the break-even rate the spiking network is the cheaper one of the two")
    if first.weight_bytes is not None and first.state_bytes is not None:
        out.line(
            f"memory at the width of {first.profile}: {first.weight_bytes / 1e3:,.1f} kB of"
            f" weights, {first.state_bytes / 1e3:,.1f} kB of membranes and accumulators"
        )
    if first.bits is not None and first.quantised is not None:
        assert first.at_quantised is not None
        out.line(
            f"bit-matched quantised network ({first.bits}-bit activations, 8-bit weights,"
            f" 45 nm): {millijoules(first.quantised)} mJ, the spiking one at those prices"
            f" {millijoules(first.at_quantised)} mJ"
        )
    hosted = [c.profile for c in found.comparisons.values() if c.host]
    if hosted:
        out.line(f"{', '.join(hosted)}: the products of the twin are the host's, not the chip's")
    for c in found.comparisons.values():
        for name, amount in c.unpriced.items():
            out.line(f"{c.profile}: {amount:,.0f} of {name} counted, without a price")
    for line in found.warnings:
        out.line(f"warning: {line}")


def _row(c: Comparison) -> list[str]:
    from nas.energy_report import even_rate

    apart = "" if c.low == c.high else f"{millijoules(c.low)} to {millijoules(c.high)}"
    total = c.energy or 1.0
    return [
        c.profile,
        millijoules(c.energy),
        apart,
        millijoules(c.twin),
        even_rate(c.break_even),
        "-" if c.projection is None else percent(c.projection / total),
        percent(c.host / total) if c.host else "",
        "-" if c.with_encoder is None else millijoules(c.with_encoder),
    ]


def layer_rows(
    table: Sequence[Mapping[str, Any]], profiles: Sequence[Profile]
) -> list[dict[str, Any]]:
    """Return the operation table with derived columns and the joules of each profile."""
    from eval.energy.comparison import layer_energies
    from eval.energy.pricing import COLUMNS, Tables, accesses

    rows = Tables.of([table], COLUMNS).columns
    by_profile = {p.name: layer_energies(rows, p).tolist() for p in profiles}
    moved = {name: counts.tolist() for name, (counts, _) in accesses(rows, 1000).items()}
    return [
        {
            **row,
            "input_rate": row["inputs"] / row["values"] if row["values"] else None,
            "accesses": {name: counts[i] for name, counts in moved.items()},
            "energy": {name: joules[i] for name, joules in by_profile.items()},
        }
        for i, row in enumerate(table)
    ]


def print_layers(layers: Sequence[Mapping[str, Any]], names: Sequence[str], out: Out) -> None:
    """Print the operation table of one architecture with its prices."""
    out.line("\nper sample")
    rows = []
    for row in layers:
        rate = row["input_rate"]
        counts = [row[k] for k in ("macs", "acs", "synops", "updates", "dense")]
        stored = [row["weights"], row["states"] if row["updates"] else 0]
        traffic = sum(row["accesses"].values())
        rows.append(
            [
                row["layer"],
                "" if rate is None else percent(rate),
                *(f"{n:,.0f}" for n in (*counts, traffic, *stored)),
                *(millijoules(row["energy"][n]) for n in names),
                "digital" if row["digital"] else "",
            ]
        )
    heads = ["layer", "input %", "macs", "acs", "synops", "updates", "dense", "accesses"]
    out.table([*heads, "weights", "states", *(f"{n} mJ" for n in names), ""], rows)
