"""Cost models: what each operation costs, from a YAML file in which every figure has a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from eval.energy.profile_form import ProfileModel, explain
from search_spaces.errors import NasError, nearest
from search_spaces.yaml_source import Source, read_yaml

FOLDER = Path(__file__).parent / "profiles"
DEFAULT_PROFILE = "45nm_fp32"
UNITS = {"J": 1.0, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}

Spec = str | Mapping[str, Any]  # a packaged name, a path, or the document itself


@dataclass(frozen=True)
class Price:
    """Energy of one operation.

    Args:
        joules: What one costs.
        source: Where the figure is from.
        also: Figures [J] that other sources give, and those sources.
    """

    joules: float
    source: str
    also: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Memory:
    """Energy of memory accesses, which grows with the size of the memory.

    Args:
        word: Bytes of one access.
        queue: Spikes that a queue between layers holds.
        sizes: Bytes, rising.
        joules: Price of one access to a memory of those sizes; linear in between.
        source: Where they are from.
        also: Factors of the whole curve that other sources give, and those sources.
    """

    word: float
    queue: int
    sizes: tuple[float, ...]
    joules: tuple[float, ...]
    source: str
    also: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Profile:
    """A cost model.

    Args:
        name: Named beside every energy that it gave.
        title: One line for people.
        source: Publication of the figures; that of a price where it has none of its own.
        node: Technology node.
        precision: Of the operations.
        prices: By operation; see ``profile_form.OPERATIONS``.
        excludes: What the sum leaves out.
        bits: Width of a stored value; None where the source gives none.
        hops: Links that a spike or value crosses, where moving one has a price.
        host: What executes the operations that have no price here.
        unpriced: Operations that are counted but deliberately cost nothing, and why.
        memory: Prices of memory accesses, or None.
        document: The file, as plain data.
    """

    name: str
    title: str
    source: str
    node: str
    precision: str
    prices: Mapping[str, Price]
    excludes: tuple[str, ...]
    bits: int | None = None
    hops: float = 1.0
    host: Profile | None = None
    unpriced: Mapping[str, str] = field(default_factory=dict)
    memory: Memory | None = None
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def packaged(self) -> bool:
        """Whether its name alone says which it is."""
        return (FOLDER / f"{self.name}.yaml").is_file() and load_profile(self.name) == self

    @property
    def spec(self) -> Spec:
        """What a record keeps: the name of a packaged profile, the content of any other."""
        return self.name if self.packaged else dict(self.document)

    @property
    def disputed(self) -> tuple[str, ...]:
        """One line for every figure for which sources differ."""
        lines = [
            f"{name} is {1e12 * price.joules:g} pJ here, {1e12 * other:g} pJ by {why}"
            for name, price in self.prices.items()
            for other, why in price.also
        ]
        memory = self.memory.also if self.memory is not None else ()
        return (
            *lines,
            *(f"memory accesses are {scale:g} times that by {why}" for scale, why in memory),
        )

    def extreme(self, which: Any) -> Profile:
        """Return the profile with the least (``min``) or most (``max``) that any source gives."""
        prices = {
            name: replace(p, joules=which([p.joules, *(v for v, _ in p.also)]))
            for name, p in self.prices.items()
        }
        memory = self.memory
        if memory is not None:
            scale = which([1.0, *(v for v, _ in memory.also)])
            memory = replace(memory, joules=tuple(scale * j for j in memory.joules))
        return replace(self, prices=prices, memory=memory)


def profile_names() -> list[str]:
    """Return the packaged profiles: the default first, then by name."""
    names = sorted(p.stem for p in FOLDER.glob("*.yaml"))
    return sorted(names, key=lambda n: (n != DEFAULT_PROFILE, not n.startswith("45nm"), n))


def load_profile(spec: Spec = DEFAULT_PROFILE) -> Profile:
    """Read a profile.

    Args:
        spec: Name of a packaged one, path of a YAML file, or its content.

    Raises:
        NasError: No such profile, or a malformed one; says ``file:line:key``.
    """
    if isinstance(spec, Mapping):
        return _parse(dict(spec), Source("<profile>"))
    if (FOLDER / f"{spec}.yaml").is_file():
        return _packaged(spec)
    if is_path(spec):
        return _parse(*read_yaml(Path(spec)))
    raise NasError(f"unknown energy profile {spec!r}", hint=nearest(spec, profile_names()))


def is_path(spec: str) -> bool:
    """Whether a name means a file of one's own."""
    return spec.endswith((".yaml", ".yml")) or "/" in spec


@cache
def _packaged(name: str) -> Profile:
    return _parse(*read_yaml(FOLDER / f"{name}.yaml"))


def _parse(document: Any, source: Source) -> Profile:
    model = explain(document, source)
    unit = UNITS[model.unit]
    host = None
    if model.host is not None:
        names = [n for n in profile_names() if _can_host(n)]
        if model.host not in names:
            what = f"unknown host {model.host!r}: a host is a packaged profile with all of mac,"
            raise source.error(("host",), f"{what} ac and compare", nearest(model.host, names))
        host = load_profile(model.host)
    if host is None and "synaptic_operation" not in model.prices:
        left = {"mac", "ac", "compare"} - set(model.prices) - set(model.unpriced)
        if left:
            raise source.error(
                ("prices",),
                f"no price for {' and '.join(sorted(left))}, and no host to execute it",
                "give it a price, or host: 45nm_fp32, or a reason under unpriced",
            )
    prices = {}
    for name, p in model.full_prices():
        also = tuple((unit * a.value, a.source) for a in p.also)
        prices[name] = Price(p.value * unit, p.source or model.source, also)
    return Profile(
        name=model.name,
        title=model.title,
        source=model.source,
        node=model.node,
        precision=model.precision,
        prices=prices,
        excludes=tuple(model.excludes),
        bits=model.bits,
        hops=model.hops,
        host=host,
        unpriced=dict(model.unpriced),
        memory=_memory(model, unit),
        document=document,
    )


@cache
def _can_host(name: str) -> bool:
    """Whether a packaged profile prices arithmetic and nothing else."""
    document, _ = read_yaml(FOLDER / f"{name}.yaml")
    return set(document["prices"]) == {"mac", "ac", "compare"}


def _memory(model: ProfileModel, unit: float) -> Memory | None:
    m = model.memory
    if m is None:
        return None
    sizes = tuple(float(s) for s in m.sram)
    return Memory(
        word=m.word_bits / 8,
        queue=m.queue,
        sizes=sizes,
        joules=tuple(unit * p for p in m.sram.values()),
        source=m.source or model.source,
        also=tuple((a.scale, a.source) for a in m.also),
    )
