"""The form of a profile file, checked to the line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr
from pydantic import ValidationError as PydanticError

from search_spaces.errors import NasError, nearest
from search_spaces.yaml_source import KeyPath, Source

# What a profile can put a price on, and what is counted for it.
OPERATIONS = {
    "mac": "multiply-accumulate",
    "ac": "accumulate",
    "compare": "comparison of a membrane with a threshold",
    "synaptic_operation": "a spike that reaches a synapse with a stored weight, all included",
    "neuron_update": "a membrane update with leak, input and comparison, all included",
    "spike": "a spike sent",
    "reset": "a membrane set back by a spike",
    "spike_bit": "a bit of a spike's address moved over one link",
    "value_bit": "a bit of a real value moved over one link",
}

Amount = Annotated[StrictInt | StrictFloat, Field(gt=0, allow_inf_nan=False)]
Words = Annotated[StrictStr, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlternativeModel(_Model):
    """What another source gives for the same operation."""

    value: Amount
    source: Words


class PriceModel(_Model):
    """A price with a source of its own."""

    value: Amount
    source: Words | None = None
    also: list[AlternativeModel] = []


class ScaleModel(_Model):
    """What another source gives for all memory accesses, as a factor."""

    scale: Amount
    source: Words


class MemoryModel(_Model):
    """Prices of memory accesses."""

    word_bits: Annotated[StrictInt, Field(gt=0)]
    queue: Annotated[StrictInt, Field(gt=0)]
    # sizes are words where the profile went through JSON
    sram: Annotated[dict[int, Annotated[float, Field(ge=0)]], Field(min_length=2)]
    source: Words | None = None
    also: list[ScaleModel] = []


class ProfileModel(_Model):
    """A profile file."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    title: Words
    source: Words
    node: Words
    precision: Words
    unit: Literal["J", "nJ", "pJ", "fJ"]
    prices: Annotated[dict[str, Amount | PriceModel], Field(min_length=1)]
    excludes: Annotated[list[Words], Field(min_length=1)]
    bits: Annotated[StrictInt, Field(gt=0)] | None = None
    hops: Amount = 1
    host: Words | None = None
    unpriced: dict[str, Words] = {}
    memory: MemoryModel | None = None

    def full_prices(self) -> Iterator[tuple[str, PriceModel]]:
        """Yield every price in its long form."""
        for name, price in self.prices.items():
            yield name, price if isinstance(price, PriceModel) else PriceModel(value=price)


def explain(document: Any, source: Source) -> ProfileModel:
    """Check a document.

    Raises:
        NasError: It is no profile; says ``file:line:key`` and what to write.
    """
    if not isinstance(document, dict):
        raise source.error((), "a profile is a mapping with name, unit, source and prices")
    for key in ("prices", "unpriced"):
        names = document.get(key)
        for name in names if isinstance(names, dict) else ():
            if name not in OPERATIONS:
                raise source.error(
                    (key, str(name)), f"unknown operation {name!r}", nearest(name, OPERATIONS)
                )
    try:
        model = ProfileModel.model_validate(document)
    except PydanticError as error:
        raise _pointed(error, document, source) from None
    for name in model.unpriced:
        if name in model.prices:
            raise source.error(("unpriced", name), f"{name!r} has a price as well")
    if "value_bit" in model.prices and model.bits is None:
        raise source.error((), "'bits' is missing", "a price per bit needs the bits of a value")
    if model.memory is not None and not {"mac", "ac"} <= set(model.prices):
        raise source.error(("memory",), "addressing needs a price for mac and ac")
    sizes = list(model.memory.sram) if model.memory is not None else []
    if sizes != sorted(sizes) or any(s < 0 for s in sizes):
        raise source.error(("memory", "sram"), "sizes of memories must rise from 0 bytes")
    return model


def _pointed(error: PydanticError, document: dict[str, Any], source: Source) -> NasError:
    """Turn pydantic's error into one that points at the file."""
    problems = sorted(error.errors(), key=lambda e: e["type"] == "missing")
    first = next((e for e in problems if e["type"] == "extra_forbidden"), None)
    # of the short and the long form of a price, the one that was not meant complains too
    first = first or next((e for e in problems if _meant(e, document)), problems[0])
    path, name = _path(first["loc"], document), str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return source.error(path, f"unknown key {name!r}", nearest(name, _keys_at(path)))
    if first["type"] == "missing":
        hint = "for example unit: pJ" if name == "unit" else None
        return source.error(path, f"{name!r} is missing", hint)
    value = first.get("input")
    if first["type"] == "literal_error":
        return source.error(path, f"{value!r} is no unit", nearest(value, ["J", "nJ", "pJ", "fJ"]))
    if first["type"] in ("greater_than", "greater_than_equal", "finite_number"):
        hint = "what costs nothing on purpose stands under unpriced, with the reason"
        return source.error(path, f"a price must be a positive number, not {value!r}", hint)
    message = re.sub(r" or instance of \w+", "", first["msg"])
    return source.error(path, f"{message[:1].lower()}{message[1:]}, not {value!r}")


def _meant(error: Any, document: dict[str, Any]) -> bool:
    """Whether it is about the form, short or long, in which a price was written."""
    loc = error["loc"]
    if loc[0] != "prices" or len(loc) < 3:
        return True
    long = isinstance(document["prices"].get(loc[1]), dict)
    return ("PriceModel" in loc) == long


def _path(loc: tuple[int | str, ...], document: Any) -> KeyPath:
    """Keep of pydantic's location what is a key of the document."""
    path: list[str | int] = []
    node = document
    for part in loc:
        inside = isinstance(node, dict) and part in node
        if inside or (isinstance(node, list) and isinstance(part, int) and part < len(node)):
            node = node[part]
            path.append(part)
    return tuple(path)


def _keys_at(path: KeyPath) -> list[str]:
    models: dict[str, type[BaseModel]] = {"memory": MemoryModel, "prices": PriceModel}
    model = models.get(str(path[0]), ProfileModel) if len(path) > 1 else ProfileModel
    return list(model.model_fields)
