"""A search space: parameters, conditions, objectives, and how to move in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from search_spaces.architecture import Architecture, Scalar, Value
from search_spaces.counting import combinations
from search_spaces.errors import NasError, nearest
from search_spaces.parameter import Parameter

Direction = Literal["maximize", "minimize"]
LISTED = 100  # values of a parameter in an error; of more the bounds


@dataclass(frozen=True)
class Constraint:
    """Bounds on a measured quantity; an evaluation outside them is infeasible."""

    quantity: str
    min: float | None = None
    max: float | None = None

    def violation(self, value: float) -> float:
        """Return by how much ``value`` is outside the bounds, 0 when inside."""
        below = self.min - value if self.min is not None else 0.0
        above = value - self.max if self.max is not None else 0.0
        return max(0.0, below, above)


@dataclass(frozen=True)
class Size:
    """How many architectures a space holds.

    Args:
        discrete: Combinations of everything but the continuous parameters.
        continuous: Names of the parameters that have no finite number of values.
    """

    discrete: int
    continuous: tuple[str, ...]

    @property
    def finite(self) -> bool:
        """Whether :attr:`discrete` is the whole number of architectures."""
        return not self.continuous


@dataclass(frozen=True)
class Space:
    """What can be built.

    Args:
        name: Name of the space.
        parameters: In topological order: a parameter comes after those it depends on.
        objectives: Objective name to direction.
        constraints: On measured quantities.
        family: Name of the builder, or None when an evaluator is given.
        definition: The document the space was read from, as plain data.
        description: One line for people.
        searcher: What to search it with unless told otherwise; None for no preference.
        profile: Cost model of its energies: a name, the path of a file, or its content; None
            for the default.
        max_seconds: How much of each recording is used, from its beginning [s]; None for all.
    """

    name: str
    parameters: tuple[Parameter, ...]
    objectives: Mapping[str, Direction]
    constraints: tuple[Constraint, ...] = ()
    family: str | None = None
    definition: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    searcher: str | None = None
    profile: str | Mapping[str, Any] | None = None
    max_seconds: float | None = None

    def parameter(self, name: str) -> Parameter:
        """Look a parameter up by name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {p.name: p for p in self.parameters}

    # -- reading an assignment ------------------------------------------------------------

    def is_active(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        """Whether ``parameter`` is there, given the values of those before it."""
        if not parameter.when and parameter.repeat is None:
            return True
        for c in parameter.when:
            if c.parameter not in values or not c.holds(values[c.parameter]):
                return False
        return parameter.repeat is None or parameter.repeat in values

    def repeats(self, parameter: Parameter, values: Mapping[str, Value]) -> int | None:
        """Number of values of a repeated parameter; None when it is not repeated."""
        count = values[parameter.repeat] if parameter.repeat is not None else None
        return count if isinstance(count, int) else None

    def architecture(self, values: Mapping[str, Any], where: str | None = None) -> Architecture:
        """Check an assignment made by a person or another program.

        Raises:
            NasError: An unknown, missing, inactive or out-of-range parameter.
        """
        known = {p.name for p in self.parameters}
        for name in values:
            if name not in known:
                raise NasError(
                    f"unknown parameter {name!r} in space {self.name!r}",
                    where=where,
                    hint=nearest(name, known),
                )
        chosen: dict[str, Value] = {}
        for p in self.parameters:
            active = self.is_active(p, chosen)
            if active != (p.name in values):
                what = "is missing" if active else "is set, but inactive here"
                reason = "; ".join(f"{c.parameter} in {list(c.allowed)}" for c in p.when)
                raise NasError(
                    f"parameter {p.name!r} {what}",
                    where=where,
                    hint=f"it is active when {reason}" if reason else None,
                )
            if active:
                chosen[p.name] = self._checked(p, values[p.name], chosen, where)
        return Architecture(chosen)

    def _checked(
        self, p: Parameter, value: Any, chosen: Mapping[str, Value], where: str | None
    ) -> Value:
        count = self.repeats(p, chosen)
        items = value if count is not None else [value]
        if not isinstance(items, list | tuple) or len(items) != (1 if count is None else count):
            raise NasError(
                f"parameter {p.name!r} needs a list of {count} values, one per {p.repeat}",
                where=where,
            )
        out = [p.canonical(item) for item in items]
        for item, canonical in zip(items, out, strict=True):
            if canonical is None:
                few = p.values is not None and len(p.values) <= LISTED
                domain = list(p.values or ()) if few else f"[{p.low}, {p.high}]"
                raise NasError(
                    f"parameter {p.name!r} cannot be {item!r}",
                    where=where,
                    hint=f"it is in {domain}",
                )
        good = tuple(v for v in out if v is not None)
        return good if count is not None else good[0]

    # -- moving -----------------------------------------------------------------------------

    def complete(self, genes: Mapping[str, Any], rng: np.random.Generator) -> Architecture:
        """Build an architecture from a partial assignment.

        Active parameters without a valid gene are drawn; genes of inactive ones are dropped;
        the gene of a repeated parameter is cut or extended to the number of blocks.
        """
        chosen: dict[str, Value] = {}
        for p in self.parameters:
            if not self.is_active(p, chosen):
                continue
            gene = genes.get(p.name)
            count = self.repeats(p, chosen)
            if count is None:
                value = p.canonical(gene) if gene is not None else None
                chosen[p.name] = p.sample(rng) if value is None else value
            else:
                given = list(gene)[:count] if isinstance(gene, list | tuple) else []
                drawn = [p.canonical(g) for g in given] + [None] * (count - len(given))
                chosen[p.name] = tuple(p.sample(rng) if v is None else v for v in drawn)
        return Architecture(chosen)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw an architecture: every active parameter independently."""
        return self.complete({}, rng)

    def cross(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Uniform crossover: each gene, and each block of a repeated one, from either parent."""
        genes: dict[str, Any] = {}
        for p in self.parameters:
            first, second = (a, b) if rng.random() < 0.5 else (b, a)
            ours, theirs = first.get(p.name), second.get(p.name)
            if isinstance(ours, tuple) and isinstance(theirs, tuple):
                longer = ours if len(ours) >= len(theirs) else theirs
                pairs = zip(ours, theirs, strict=False)
                mixed = [x if rng.random() < 0.5 else y for x, y in pairs]
                genes[p.name] = mixed + list(longer[len(mixed) :])
            elif ours is not None or theirs is not None:
                genes[p.name] = theirs if ours is None else ours
        return self.complete(genes, rng)

    def mutate(self, a: Architecture, rng: np.random.Generator, rate: float = 1.5) -> Architecture:
        """Change genes of ``a``: each with probability ``rate / genes``, at least one."""
        sites = [
            (p, i)
            for p in self.parameters
            if p.name in a and (p.values is None or len(p.values) > 1)
            for i in range(len(_items(a[p.name])))
        ]
        if not sites:
            return a
        hit = [s for s in sites if rng.random() < rate / len(sites)]
        genes: dict[str, Any] = a.as_dict()
        for p, i in hit or [sites[int(rng.integers(len(sites)))]]:
            _put(genes, p.name, i, p.mutate(_items(genes[p.name])[i], rng))
        return self.complete(genes, rng)

    def neighbours(self, a: Architecture, rng: np.random.Generator) -> list[Architecture]:
        """Return every architecture one move away from ``a``, without duplicates.

        A move that switches parameters on draws their values from ``rng``.
        """
        found: dict[str, Architecture] = {}
        for p in self.parameters:
            if p.name not in a:
                continue
            for i, value in enumerate(_items(a[p.name])):
                for other in p.moves(value):
                    near = self.moved(a, p, i, other, rng)
                    if near != a:
                        found[near.hash] = near
        return list(found.values())

    def moved(
        self, a: Architecture, p: Parameter, i: int, value: Scalar, rng: np.random.Generator
    ) -> Architecture:
        """Return ``a`` with another value of ``p``, in block ``i`` where it is repeated.

        What that switches on is drawn from ``rng``.
        """
        genes = a.as_dict()
        _put(genes, p.name, i, value)
        # searchers move by the thousand: all genes are gone through only where that can matter
        return self.complete(genes, rng) if p.name in self._decisive else Architecture(genes)

    @cached_property
    def _decisive(self) -> frozenset[str]:
        """Parameters that others depend on."""
        conditions = {c.parameter for p in self.parameters for c in p.when}
        return frozenset(conditions | {p.repeat for p in self.parameters if p.repeat is not None})

    # -- counting -----------------------------------------------------------------------------

    def size(self) -> Size:
        """Count the architectures exactly, conditions and repeats included."""
        continuous = tuple(p.name for p in self.parameters if p.values is None)
        return Size(combinations(self), continuous)

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every architecture of a finite space, in a fixed order."""

        def walk(index: int, chosen: dict[str, Value]) -> Iterator[Architecture]:
            if index == len(self.parameters):
                yield Architecture(chosen)
                return
            p = self.parameters[index]
            if not self.is_active(p, chosen):
                yield from walk(index + 1, chosen)
                return
            repeats = self.repeats(p, chosen)
            for value in _tuples(p, repeats) if repeats is not None else p.values or ():
                yield from walk(index + 1, {**chosen, p.name: value})

        return walk(0, {})


def _items(value: Any) -> tuple[Scalar, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _put(genes: dict[str, Any], name: str, index: int, value: Scalar) -> None:
    if isinstance(genes[name], list):
        genes[name][index] = value
    else:
        genes[name] = value


def _tuples(p: Parameter, count: int) -> Iterator[tuple[Scalar, ...]]:
    if count == 0:
        yield ()
        return
    for head in p.values or ():
        for tail in _tuples(p, count - 1):
            yield (head, *tail)
