"""A spiking network as a graph of the few parts that neuromorphic devices have.

The graph is NIR's (Pedersen et al., Nature Communications 15:8122, 2024) before it is written:
what enters a node is the sum of its sources. Parts that have no node there are the host's.
A path may run through the host; the graph then falls into segments, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """``y = W x + b`` at every step.

    Args:
        weight: ``[out, in]``.
        bias: ``[out]``, or None.
    """

    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True)
class Neurons:
    """``H = V + k (X - V)``, or ``H = V + X`` without a leak; ``S = H >= threshold``; reset to 0.

    Args:
        width: How many.
        share: ``k`` of each step, in (0, 1); None without a leak.
        threshold: Of the membrane.
    """

    width: int
    share: float | None
    threshold: float


@dataclass(frozen=True)
class Delay:
    """``y[t] = x[t - steps]``, 0 before the beginning.

    Args:
        steps: Of each channel.
    """

    steps: tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """What the host gives at every step.

    Args:
        width: Channels.
    """

    width: int


@dataclass(frozen=True)
class Host:
    """A part that runs outside the device.

    Args:
        what: The part and its setting.
        why: What keeps it off the device.
        width: Channels of what it gives back.
    """

    what: str
    why: str
    width: int


Part: TypeAlias = Affine | Neurons | Delay | Input | Host


@dataclass(frozen=True)
class Node:
    """A part and what enters it.

    Args:
        name: Letters, digits and underscores.
        part: What it does.
        sources: Names of the nodes whose outputs are added up in front of it.
    """

    name: str
    part: Part
    sources: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Channels of the output."""
        if isinstance(self.part, Affine):
            return int(self.part.weight.shape[0])
        return len(self.part.steps) if isinstance(self.part, Delay) else self.part.width


@dataclass(frozen=True)
class Segment:
    """A part of the graph that runs on the device without the host in between.

    Args:
        nodes: In an order in which every source comes first, without inputs.
        inputs: Width of what comes from outside, by the name of the node that gives it.
        outputs: Names of the nodes that somebody outside reads.
    """

    nodes: tuple[Node, ...]
    inputs: dict[str, int]
    outputs: tuple[str, ...]


def hosted(nodes: Sequence[Node]) -> list[Host]:
    """Return the parts of the host, in the order of the network."""
    return [n.part for n in nodes if isinstance(n.part, Host)]


def segments(nodes: Sequence[Node]) -> list[Segment]:
    """Cut a graph where a path runs through the host.

    Args:
        nodes: Every source before its readers; the last one is the network's output.
    """
    by_name = {n.name: n for n in nodes}
    stage: dict[str, int] = {}
    for node in nodes:
        before = [stage[s] + isinstance(by_name[s].part, Host) for s in node.sources]
        stage[node.name] = max(before, default=0)
    on_device = [n for n in nodes if not isinstance(n.part, Host | Input)]
    found = []
    for number in sorted({stage[n.name] for n in on_device}):
        inside = {n.name: n for n in on_device if stage[n.name] == number}
        entering = [s for n in inside.values() for s in n.sources if s not in inside]
        read = {s for n in nodes if n.name not in inside for s in n.sources} | {nodes[-1].name}
        found.append(
            Segment(
                tuple(inside.values()),
                {s: by_name[s].width for s in entering},
                tuple(name for name in inside if name in read),
            )
        )
    return found
