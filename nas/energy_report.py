"""The energy of one architecture under several profiles, for whoever reports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eval.energy.profile import Profile, load_profile, profile_names
from search_spaces.errors import NasError
from search_spaces.families import get_family

if TYPE_CHECKING:
    from eval.energy.comparison import Comparison
    from search_spaces.architecture import Architecture
    from search_spaces.space import Space


@dataclass(frozen=True)
class EnergyReport:
    """What a recorded operation table says about energy.

    Args:
        comparisons: By profile; without those that the table does not suffice for.
        lacking: Profile to the columns that the record lacks for it.
        warnings: A line for every dead or saturated layer, and for every profile that leaves
            the encoder without a price.
    """

    comparisons: Mapping[str, Comparison]
    lacking: Mapping[str, Sequence[str]]
    warnings: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "profiles": {name: c.as_dict() for name, c in self.comparisons.items()},
            "lacking": {name: list(columns) for name, columns in self.lacking.items()},
            "warnings": list(self.warnings),
        }


def choose_profiles(given: str) -> list[Profile]:
    """Read ``all``, or names and files with commas between them; each once.

    Raises:
        NasError: An unknown or malformed one, or two of one name.
    """
    specs = [s.strip() for s in given.split(",") if s.strip()]
    if not specs:
        raise NasError("no profile given", hint="--profiles all, or names with commas between")
    names = [n for s in specs for n in (profile_names() if s == "all" else [s])]
    profiles: dict[str, Profile] = {}
    for profile in map(load_profile, names):
        if profiles.setdefault(profile.name, profile) != profile:
            raise NasError(
                f"two profiles are named {profile.name!r}",
                hint="give yours another name in its file",
            )
    return list(profiles.values())


def report(
    metrics: Mapping[str, Any],
    profiles: Sequence[Profile],
    *,
    values: Mapping[str, Any] | None = None,
    times_held: int = 1,
) -> EnergyReport:
    """Compare under each profile what one evaluation recorded.

    Args:
        metrics: With ``layers``, and ``encoder_macs`` where there was an encoder.
        profiles: Cost models.
        values: Every parameter of the network's family, where there is one: it says how many
            steps a neuron has.
        times_held: How many times the steps of its values a frame has, after an adaptation.

    Raises:
        NasError: A profile has no price for an operation of the table.
    """
    from eval.energy.comparison import compare, warnings
    from eval.energy.pricing import COLUMNS, missing

    table = metrics.get("layers") or []
    lacking = missing(table, COLUMNS)
    steps = None if values is None else time_steps(values, times_held)
    found = {}
    if not lacking:
        for profile in profiles:
            found[profile.name] = compare(
                table, profile, steps=steps, encoder_macs=metrics.get("encoder_macs")
            )
    return EnergyReport(
        comparisons=found,
        lacking={p.name: lacking for p in profiles} if lacking else {},
        warnings=[*warnings(table), *_without_encoder(found, profiles)],
    )


def _without_encoder(
    found: Mapping[str, Comparison], profiles: Sequence[Profile]
) -> Iterator[str]:
    """Say why a profile gives no energy with the encoder, where there is one."""
    from eval.energy.comparison import ENCODER

    for p in profiles:
        if p.name in found and ENCODER in found[p.name].unpriced:
            why = p.unpriced["mac"]
            yield f"{p.name} has no energy with the encoder, 'mac' is unpriced: {why}"


def family_values(space: Space, architecture: Architecture) -> dict[str, Any] | None:
    """Return every parameter of an architecture's family; None where the space names none."""
    return None if space.family is None else get_family(space.family).filled(architecture)


def times_held(config: Mapping[str, Any]) -> int:
    """Return how many times the steps of its architecture an export takes in every frame."""
    adapted = config.get("adapted")
    held = adapted.get("times_held") if isinstance(adapted, dict) else None
    return held if isinstance(held, int) else 1


def time_steps(values: Mapping[str, Any], times_held: int = 1) -> int | None:
    """Return how many clock steps a neuron has to say something else in; None without spikes."""
    neuron = values.get("neuron.type", "relu")
    steps = values.get("ttfs.steps" if neuron == "ttfs" else "neuron.steps_per_frame")
    if neuron == "relu" or not isinstance(steps, int):
        return None
    # no adaptation makes a window of spike times longer
    return steps if neuron == "ttfs" else steps * times_held


def absent(columns: Sequence[str]) -> str:
    """Say what a record lacks, in a few words."""
    return (
        f"its record lacks {', '.join(columns[:4])}{' and more' if len(columns) > 4 else ''}:"
        " it was written before these were counted, or by an evaluator that counts nothing"
    )


def energy_lines(found: EnergyReport) -> list[str]:
    """Return the comparisons as the lines of a Markdown section, in mJ per sample."""
    lines = [
        "Per sample, beside its ReLU twin (on the host, where a profile has one), and the rate of",
        "spikes at the synapses below which the spiking network is the cheaper of the two:",
        "",
        "| profile | mJ | by other sources | ReLU twin mJ | break-even % | with encoder mJ |",
        "|---|---|---|---|---|---|",
    ]
    for c in found.comparisons.values():
        apart = "" if c.low == c.high else f"{1e3 * c.low:.4g} to {1e3 * c.high:.4g}"
        encoder = "" if c.with_encoder is None else f"{1e3 * c.with_encoder:.4g}"
        cells = [c.profile, f"{1e3 * c.energy:.4g}", apart, f"{1e3 * c.twin:.4g}"]
        lines.append(f"| {' | '.join([*cells, even_rate(c.break_even), encoder])} |")
    first = next(iter(found.comparisons.values()))
    lines.append("")
    if first.input_rate is not None:
        lines.append(f"Measured rate at the synapses: {100 * first.input_rate:.1f} %.")
    if first.projection is not None and first.energy:
        share = 100 * first.projection / first.energy
        lines.append(f"The input projection is {share:.1f} % of the {first.profile} energy.")
    if first.bits is not None and first.quantised is not None and first.at_quantised is not None:
        lines.append(
            f"A quantised network of {first.bits}-bit activations and 8-bit weights (45 nm)"
            f" would need {1e3 * first.quantised:.4g} mJ; this one at 8-bit prices needs"
            f" {1e3 * first.at_quantised:.4g} mJ."
        )
    return [*lines, *(f"Warning: {line}." for line in found.warnings)]


def even_rate(rate: float | None) -> str:
    """Format a break-even rate in percent."""
    if rate is None:
        return "-"
    return "any" if rate > 1 else f"{100 * rate:.1f}" if rate else "none"
