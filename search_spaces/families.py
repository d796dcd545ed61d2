"""Network families: what each can build, and how to build it.

A family is named by a word of the table below or, for a third party's own, by
``package.module:function``. Nothing here imports torch until a network is built.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError, nearest
from search_spaces.parameter import Parameter
from search_spaces.yaml_source import Source

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.space import Space


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
            with every slot filled, it returns a torch module.
        slots: The parameters it understands.
        metrics: The metrics its evaluation gives; objectives and constraints name them.
    """

    name: str
    builder: str
    slots: Mapping[str, Slot]
    metrics: tuple[str, ...] = field(default=())

    def build(self, values: Mapping[str, Any], input_dim: int, n_classes: int) -> nn.Module:
        """Build the network of an architecture.

        Args:
            values: The architecture; parameters left out take the family's defaults.
            input_dim: Width of the input features.
            n_classes: Number of classes.
        """
        network: nn.Module = _load(self.builder)(self.filled(values), input_dim, n_classes)
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


def _extremes(p: Parameter) -> Sequence[Any]:
    """Return the values to try: all of a choice or a stepped float, the ends of a range."""
    stepped = p.kind == "float" and p.values is not None
    return p.values or () if stepped or p.choices else (p.low, p.high)


def get_family(name: str | None) -> Family:
    """Look a family up by its word or ``package.module:attribute``.

    Raises:
        NasError: No such family; lists the nearest.
    """
    if name is None:
        raise NasError(
            "the space names no family, so nothing can be built from it",
            hint="add `family: pts_snn` to the space, or give --evaluator",
        )
    if name in FAMILIES:
        return FAMILIES[name]
    if ":" in name:
        family = _load(name)
        if isinstance(family, Family):
            return family
        raise NasError(f"{name!r} is no search_spaces.families.Family")
    raise NasError(f"unknown family {name!r}", hint=nearest(name, FAMILIES))


def _load(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NasError(f"cannot load {reference!r}: {error}") from None


_HEAD_METRICS = (
    "wa",
    "ua",
    "macro_f1",
    "loss",
    "energy",
    "energy_with_encoder",
    "parameters",
    "latency",
    "spike_rate",
    "spikes",
    "macs",
    "acs",
)

FAMILIES: dict[str, Family] = {
    "pts_snn": Family(
        name="pts_snn",
        builder="search_spaces.pts_snn:build",
        metrics=_HEAD_METRICS,
        slots={
            "input.saturation": Slot(1.0, low=0.01, high=100, about="gain xi before the tanh"),
            "input.pooling": Slot(
                1, low=1, high=64, whole=True, about="frames averaged into one time step"
            ),
            "encoder.depth": Slot(2, low=0, high=32, whole=True, about="temporal-shift blocks"),
            "encoder.width": Slot(128, low=1, high=4096, whole=True, about="channels of a block"),
            "encoder.expansion": Slot(
                2, low=0.25, high=8, about="hidden channels of a block over its width"
            ),
            "encoder.shift": Slot(
                0.125,
                low=0.0,
                high=0.5,
                repeat="encoder.depth",
                about="share of the channels shifted in each direction, per block",
            ),
            "encoder.direction": Slot(
                "both", choices=("past", "both"), about="frames that a shift looks at"
            ),
            "neuron.type": Slot("plif", choices=("plif", "lif"), about="spiking neuron"),
            "neuron.tau": Slot(
                2.0, low=1.0001, high=1000, about="membrane time constant in steps; PLIF learns on"
            ),
            "neuron.threshold": Slot(1.0, low=0.01, high=100, about="firing threshold"),
        },
    ),
}
