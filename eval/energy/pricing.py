"""From operation tables to joules, for many evaluations at once.

A profile charges, in this order:

1. ``synaptic_operation`` for every spike at a synapse, ``neuron_update`` for every membrane
   update with its leak and comparison, where it has a price for them;
2. ``mac``, ``ac`` and ``compare`` for what is left: at its own price, at its host's, or
   nothing where the profile says why under ``unpriced``. An operation that none of the three
   covers is refused: nothing is silently free;
3. ``spike``, ``reset``, ``spike_bit`` (``ceil(log2(neurons))`` bits an address) and
   ``value_bit``, where it has a price for them;
4. memory accesses and addressing, where it has prices for memory: see :func:`accesses`.

What stands under ``unpriced`` in place of a price is counted alike and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.energy.profile import Memory, Price, Profile
from eval.energy.table import sums
from search_spaces.errors import NasError

Column = npt.NDArray[np.float64]
Columns = Mapping[str, Column]

BASIC = ("macs", "acs", "compares")
COLUMNS = (
    *BASIC,
    *("spikes", "synops", "event_acs", "updates", "leaks", "dense", "dense_acs"),
    *("inputs", "values", "outputs", "weights", "states", "buffer", "digital", "convolution"),
)
# What is read for an operation beside what every profile reads.
READS = {
    "synaptic_operation": ("synops",),
    "neuron_update": ("updates", "leaks"),
    "reset": ("spikes",),
    "spike": ("spikes",),
    "spike_bit": ("spikes", "states"),
    "value_bit": ("outputs", "digital"),
}
LEAST = 1e-6  # operations per sample below this are rounding of a difference


@dataclass(frozen=True)
class Tables:
    """The operation tables of several evaluations, one under the other.

    Args:
        columns: Column name to ``[R]`` values, one a layer.
        owner: ``[R]``, which evaluation a row belongs to.
        count: Number of evaluations.
    """

    columns: Columns
    owner: npt.NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, tables: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[str]) -> Tables:
        """Stack tables.

        Args:
            tables: One for each evaluation.
            names: The columns wanted; every row must have them.
        """
        rows = [row for table in tables for row in table]
        columns = {n: np.array([row[n] for row in rows], np.float64) for n in names}
        owner = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
        return cls(columns, owner, len(tables))

    def sum(self, column: Column) -> Column:
        """``[R]`` -> ``[count]``."""
        summed: Column = np.bincount(self.owner, column, self.count).astype(np.float64)
        return summed


@dataclass(frozen=True)
class Charge:
    """One kind of operation, counted and priced.

    Args:
        part: ``compute``, ``memory``, ``movement``, ``host`` or ``unpriced``.
        operation: Its name.
        counts: ``[R]`` per layer.
        price: Joules each, one number or ``[R]``.
    """

    part: str
    operation: str
    counts: Column
    price: float | Column

    @property
    def joules(self) -> Column:
        """``[R]``."""
        return self.counts * self.price


def needed(profile: Profile) -> tuple[str, ...]:
    """Return the columns that pricing under a profile reads."""
    if profile.memory is not None:
        return COLUMNS
    read = {*BASIC, *(c for name in _told(profile) for c in READS.get(name, ()))}
    return tuple(c for c in COLUMNS if c in read)


def missing(table: Sequence[Mapping[str, Any]] | None, names: Sequence[str]) -> list[str]:
    """Return the columns that a recorded table lacks; all of them where there is no table."""
    if not table:
        return list(names)
    return [n for n in names if any(n not in row for row in table)]


def totals(table: Sequence[Mapping[str, Any]], profile: Profile) -> dict[str, float]:
    """Sum a table and price it.

    Returns:
        What ``table.sums`` gives, and ``energy`` [J per sample].

    Raises:
        NasError: An operation of the table has no price.
    """
    return {**sums(table), "energy": energy(table, profile)}


def energy(table: Sequence[Mapping[str, Any]], profile: Profile) -> float:
    """Return the joules per sample of one table.

    Raises:
        NasError: An operation of the table has no price.
    """
    return float(energies(Tables.of([table], needed(profile)), profile)[0])


def encoder_energy(macs: float, profile: Profile) -> float | None:
    """Return the joules of a frozen encoder's arithmetic, the host's where there is one.

    Its memory is not known, so under a profile with memory this is a lower bound. It is None
    where the profile says why a multiply-accumulate has no price.

    Raises:
        NasError: The profile has no price for a multiply-accumulate, no host and no reason.
    """
    price = _encoder_price(profile)
    if price is not None:
        return macs * price.joules
    if "mac" not in profile.unpriced:
        refuse_without_encoder(profile)
    return None


def refuse_without_encoder(profile: Profile) -> None:
    """Refuse a profile that has no energy of an encoder, where one is asked for.

    Raises:
        NasError: It has none.
    """
    if _encoder_price(profile) is None:
        raise NasError(
            f"profile {profile.name!r} has no price for the encoder's 'mac',"
            " so there is no energy_with_encoder",
            hint="give it one, or host: 45nm_fp32; or name energy, which is the head's alone",
        )


def _encoder_price(profile: Profile) -> Price | None:
    own = profile.prices.get("mac")
    return profile.host.prices["mac"] if own is None and profile.host is not None else own


def energies(tables: Tables, profile: Profile) -> Column:
    """Return ``[count]`` joules per sample."""
    total: Column = np.zeros(tables.count)
    for charge in charges(tables.columns, profile):
        if isinstance(charge.price, float):
            # summed before it is priced: the same to the last bit however rows are cut
            total = total + tables.sum(charge.counts) * charge.price
        else:
            total = total + tables.sum(charge.joules)
    return total


def charges(rows: Columns, profile: Profile) -> Iterator[Charge]:
    """Yield everything that a profile charges, and what it counts but leaves unpriced.

    Raises:
        NasError: An operation has no price, no host and no reason to have none.
    """
    told = _told(profile)
    left = {"mac": rows["macs"], "ac": rows["acs"], "compare": rows["compares"]}
    if "synaptic_operation" in told:
        yield _own(profile, "synaptic_operation", rows["synops"])
        left["ac"] = _less(left["ac"], rows["synops"])
    if "neuron_update" in told:
        yield _own(profile, "neuron_update", rows["updates"])
        left["ac"] = _less(left["ac"], rows["updates"])
        left["mac"] = _less(left["mac"], rows["leaks"])
        left["compare"] = np.zeros_like(left["compare"])
    for operation, counts in left.items():
        if operation in told:
            yield _own(profile, operation, counts)
        elif profile.host is not None:
            yield Charge("host", operation, counts, profile.host.prices[operation].joules)
        elif counts.any():
            raise NasError(
                f"profile {profile.name!r} has no price for {operation!r}, which is needed here",
                hint="give it one, or host: 45nm_fp32 for what the chip does not execute",
            )
    if "reset" in told:
        yield _own(profile, "reset", rows["spikes"])
    if "spike" in told:
        yield _own(profile, "spike", rows["spikes"], "movement")
    if "spike_bit" in told:
        bits = np.ceil(np.log2(np.maximum(rows["states"], 2)))
        yield _own(profile, "spike_bit", rows["spikes"] * bits * profile.hops, "movement")
    if "value_bit" in told:
        bits = rows["outputs"] * rows["digital"] * float(profile.bits or 0)
        yield _own(profile, "value_bit", bits * profile.hops, "movement")
    if profile.memory is not None:
        yield from _memory(rows, profile, profile.memory)


def _told(profile: Profile) -> set[str]:
    """Return the operations that are counted by name: priced, or free for a reason."""
    return {*profile.prices, *profile.unpriced}


def _own(profile: Profile, operation: str, counts: Column, part: str = "compute") -> Charge:
    price = profile.prices.get(operation)
    if price is None:
        return Charge("unpriced", operation, counts, 0.0)
    return Charge(part, operation, counts, price.joules)


def _less(column: Column, taken: Column) -> Column:
    rest = column - taken
    return np.where(rest > LEAST, rest, 0.0)


def accesses(rows: Columns, queue: int) -> dict[str, tuple[Column, Column]]:
    """Return the memory accesses of each layer, and how many values that memory holds.

    After Lemaire et al. (arXiv 2210.13107), for spiking layers: a read from the queue for every
    spike in and a write for every spike out; for every synaptic operation a weight read and the
    membrane read and written; for every update the membrane read and written. For digital
    layers: every value read once (by a convolution once for each product), a weight read for
    every product, every output written once. Re-derived is what the paper does not have:
    accumulates between spike trains read and write an accumulator; the values that a digital
    layer hands on are written once and not read again by the neurons that take them in.
    """
    digital = rows["digital"] > 0
    taken = np.where(digital & (rows["convolution"] > 0), rows["macs"], rows["values"])
    membrane = np.where(digital, 0.0, rows["synops"] + rows["event_acs"]) + rows["updates"]
    ends = np.where(digital, rows["buffer"], float(queue))
    return {
        "input read": (np.where(digital, taken, rows["inputs"]), ends),
        "weight read": (np.where(digital, rows["macs"], rows["synops"]), rows["weights"]),
        "membrane read": (membrane, rows["states"]),
        "membrane write": (membrane, rows["states"]),
        "output write": (np.where(digital, rows["outputs"], rows["spikes"]), ends),
    }


def _memory(rows: Columns, profile: Profile, memory: Memory) -> Iterator[Charge]:
    for name, (counts, size) in accesses(rows, memory.queue).items():
        price = np.interp(size * memory.word, memory.sizes, memory.joules)
        yield Charge("memory", name, counts, price)
    # addresses: one step a synapse, two products for the place of a convolution's first output
    digital = rows["digital"] > 0
    steps = np.where(digital, rows["values"] + rows["outputs"], rows["synops"])
    places = np.where(digital, 0.0, 2.0 * rows["inputs"] * rows["convolution"])
    for operation, counts in (("ac", steps), ("mac", places)):
        yield Charge("memory", "addressing", counts, profile.prices[operation].joules)
