"""A network family: the parameters it understands, and how to build it."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search_spaces.errors import NasError, nearest
from search_spaces.parameter import Parameter
from search_spaces.yaml_source import Source

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.space import Space


COMBINATIONS = 200  # drawn from a space to see whether its parameters fit together


@dataclass(frozen=True)
class Slot:
    """One parameter a family understands.

    Args:
        default: Used when a space leaves the parameter out.
        low: Lowest number it can be built with.
        high: Highest number.
        choices: The words it can be, for a parameter that is no number.
        whole: Whether a number must be an integer.
        repeat: Name of the parameter that counts its values, for a per-block parameter.
        about: One line for people.
    """

    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    whole: bool = False
    repeat: str | None = None
    about: str = ""

    def problem(self, value: Any) -> str | None:
        """Say why the family cannot be built with ``value``, or None when it can."""
        if self.choices:
            return None if value in self.choices else nearest(value, self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "it must be a number"
        if not math.isfinite(value):
            return "it must be a finite number"
        if self.whole and value != int(value):
            return "it must be a whole number"
        if self.low is not None and value < self.low:
            return f"it must be at least {self.low}"
        if self.high is not None and value > self.high:
            return f"it must be at most {self.high}"
        return None


@dataclass(frozen=True)
class Family:
    """A network family.

    Args:
        name: Its word in a space file.
        builder: ``module:function``; called as ``function(values, input_dim, n_classes)``
            with every slot filled, it returns a torch module. ``input_dim`` is the width of a
            frame, or for event frames the shape ``(L, C, H, W)`` of a clip.
        slots: The parameters it understands.
        metrics: The metrics its evaluation gives; objectives and constraints name them.
        only_when: Parameter to the (parameter, values) it has a meaning with; given without
            one of them, it is refused.
        input: What it reads: ``features`` ``[B, L, D]`` of any kind, event frames flattened
            among them, or only ``event frames``, whose shape it needs to know.
    """

    name: str
    builder: str
    slots: Mapping[str, Slot]
    metrics: tuple[str, ...] = field(default=())
    only_when: Mapping[str, tuple[str, tuple[Any, ...]]] = field(default_factory=dict)
    input: Literal["features", "event frames"] = "features"

    def build(
        self, values: Mapping[str, Any], shape: int | tuple[int, ...], n_classes: int
    ) -> nn.Module:
        """Build the network of an architecture.

        Args:
            values: The architecture; parameters left out take the family's defaults.
            shape: Width ``D`` of the input features, or ``(L, C, H, W)`` of a clip of event
                frames.
            n_classes: Number of classes.

        Raises:
            NasError: The values or the shape are not for this family.
        """
        clip = isinstance(shape, tuple)
        if self.input == "event frames" and not clip:
            raise NasError(
                f"family {self.name!r} reads event frames, not frame features",
                hint="give --data synthetic_eyes, see:FOLDER or a manifest of event files",
            )
        read = shape
        if isinstance(shape, tuple) and self.input == "features":
            read = math.prod(shape[1:])
        network: nn.Module = load_attribute(self.builder)(self.filled(values), read, n_classes)
        return network

    def filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return every slot's value: the architecture's, else the default.

        Raises:
            NasError: The family does not know a parameter or cannot build a value of it.
        """
        for name, value in values.items():
            if name not in self.slots:
                raise NasError(
                    f"family {self.name!r} has no parameter {name!r}",
                    hint=nearest(name, self.slots),
                )
            slot = self.slots[name]
            repeated = isinstance(value, list | tuple)
            if repeated and slot.repeat is None:
                raise NasError(f"family {self.name!r} takes one value of {name}, not a list")
            for item in value if repeated else (value,):
                problem = slot.problem(item)
                if problem:
                    raise NasError(
                        f"family {self.name!r} cannot build {name}={item!r}", hint=problem
                    )
        for name in values:
            needs, wanted = self.only_when.get(name, (None, ()))
            if needs is not None and values.get(needs, self.slots[needs].default) not in wanted:
                words = ", ".join(map(str, wanted))
                raise NasError(
                    f"{name} has no meaning in family {self.name!r} unless {needs} is {words}",
                    hint=f"leave it out, or in a space: when: {{{needs}: [{words}]}}",
                )
        full: dict[str, Any] = {}
        for name, slot in self.slots.items():
            value = values.get(name, slot.default)
            if slot.repeat is not None:
                count = int(full[slot.repeat])
                value = value if isinstance(value, list | tuple) else [value] * count
                if len(value) != count:
                    raise NasError(f"{name} has {len(value)} values, but {slot.repeat} is {count}")
            full[name] = list(value) if isinstance(value, tuple) else value
        return full

    def twin(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ReLU counterpart of an architecture, as parameters of this family.

        Rate-coded neurons become ReLU, what only they understand falls away. A network of B1
        neurons is its own counterpart, until it is mapped.
        """
        neuron = values.get("neuron.type", getattr(self.slots.get("neuron.type"), "default", None))
        if neuron in (None, "relu", "ttfs"):
            return dict(values)
        kept = {}
        for name, value in values.items():
            needs, wanted = self.only_when.get(name, (None, ()))
            if needs != "neuron.type" or "relu" in wanted:
                kept[name] = value
        return {**kept, "neuron.type": "relu"}

    def check_space(self, space: Space, source: Source | None = None) -> None:
        """Refuse a space with parameters or values this family would have to ignore.

        Raises:
            NasError: An unknown parameter, value, objective or constrained quantity.
        """
        at = source or Source(space.name)
        for p in space.parameters:
            path = ("parameters", p.name)
            if p.name not in self.slots:
                raise at.error(
                    path,
                    f"family {self.name!r} has no parameter {p.name!r}",
                    nearest(p.name, self.slots),
                )
            slot = self.slots[p.name]
            if slot.whole and p.values is None:
                raise at.error(
                    (*path, p.kind),
                    f"in family {self.name!r}, {p.name!r} is a whole number",
                    f"write int: [{p.low:g}, {p.high:g}]",
                )
            if p.repeat not in (None, slot.repeat):
                what = f"is repeated by {slot.repeat!r}" if slot.repeat else "is not repeated"
                raise at.error((*path, "repeat"), f"in family {self.name!r}, {p.name!r} {what}")
            for value in _extremes(p):
                problem = slot.problem(value)
                if problem:
                    raise at.error(
                        (*path, p.kind),
                        f"family {self.name!r} cannot build {p.name}={value!r}",
                        problem,
                    )
        self._check_combinations(space, at)
        for key, names in (
            ("objectives", list(space.objectives)),
            ("constraints", [c.quantity for c in space.constraints]),
        ):
            for name in names:
                if name not in self.metrics:
                    raise at.error(
                        (key, name),
                        f"an evaluation of family {self.name!r} does not measure {name!r}",
                        nearest(name, self.metrics),
                    )

    def _check_combinations(self, space: Space, at: Source) -> None:
        """Refuse a space that draws a parameter where it would have to be ignored."""
        rng = np.random.default_rng(0)
        for _ in range(COMBINATIONS):
            drawn = space.sample(rng)
            try:
                self.filled(drawn)
            except NasError as error:
                name = error.what.split()[0]  # "<parameter> has no meaning ..."
                path = ("parameters", name) if name in drawn else ("parameters",)
                raise at.error(path, error.what, error.hint) from None


def _extremes(p: Parameter) -> Sequence[Any]:
    """Return the values to try: all of a choice or a stepped float, the ends of a range."""
    stepped = p.kind == "float" and p.values is not None
    return p.values or () if stepped or p.choices else (p.low, p.high)


def load_attribute(reference: str) -> Any:
    """Import ``package.module:attribute``, also out of the current folder.

    Raises:
        NasError: It is not there.
    """
    module, _, attribute = reference.partition(":")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)  # an installed command does not look there by itself
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NasError(f"cannot load {reference!r}: {error}") from None
