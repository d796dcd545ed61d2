"""What of a trained network a neuromorphic device can be given, and what stays with the host."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.hardware.folding import folded
from nas.hardware.graph import Affine, Delay, Host, Input, Neurons, Node, Part
from search_spaces.errors import NasError
from search_spaces.frames import Projection, SoftSaturation
from search_spaces.inhibition import LateralInhibition
from search_spaces.mean_pool import MeanPool
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons, threshold_of
from search_spaces.pts_snn import PTSSNN, ShiftBlock
from search_spaces.temporal_shift import TemporalShift
from search_spaces.ttfs import TTFSNetwork

FRAMES = "frames"  # the input
SCORES = "readout"  # the output; its mean over the steps is the logits


def describe(network: nn.Module, frame_width: int) -> list[Node]:
    """Write a trained network as a graph of device and host parts.

    Every frame is held for the network's SNN steps a frame. The output is the readout's
    ``W s[t] + b`` of each step, whose mean over the steps is the logits: the linear map and the
    mean change places.

    Args:
        network: Trained.
        frame_width: ``D``.

    Raises:
        NasError: It has no spiking part that such a graph could hold; says why.
    """
    if isinstance(network, TTFSNetwork) and network.discretisation is not None:
        raise NasError(
            "a time-to-first-spike network has no form in NIR: its neurons climb a ramp and fire"
            " once a window, and NIR's fire whenever they cross and leak towards rest",
            hint="--to onnx keeps spike times; neuron.type plif, lif and if export to NIR",
        )
    if isinstance(network, TTFSNetwork | MeanPool):
        raise NasError(f"{type(network).__name__} without spikes has nothing for NIR to hold")
    if not isinstance(network, PTSSNN):
        raise NasError(f"nothing is known of how to write {type(network).__name__} as NIR")
    if not isinstance(network.fire, SpikingNeurons | IntegrateAndFire):
        raise NasError(
            "neuron.type relu has no spikes: NIR has no unit without them",
            hint="--to onnx writes it",
        )
    plain = folded(network)
    assert isinstance(plain, PTSSNN)
    return _Writer(plain, frame_width).nodes


class _Writer:
    """Walks through a folded head."""

    def __init__(self, network: PTSSNN, frame_width: int) -> None:
        self.nodes: list[Node] = []
        self.width = network.width
        frames = self.add(FRAMES, Input(frame_width))
        if network.pool.size > 1:
            why = "NIR cannot run a part of a graph at another rate"
            what = f"input.pooling {network.pool.size} (mean of successive frames)"
            frames = self.add("pool", Host(what, why, frame_width), frames)
        if isinstance(network.saturate, SoftSaturation):
            why = "NIR has no tanh and no layer norm"
            what = f"input.saturation {network.saturate.gain:g} (tanh of a layer norm)"
            frames = self.add("saturate", Host(what, why, frame_width), frames)
        membrane = [self.projection("project", network.project, (frames,))]
        for i, block in enumerate(network.blocks):
            assert isinstance(block, ShiftBlock)
            membrane.append(self.block(f"blocks_{i}", block, membrane))
        spikes = self.neurons("fire", network.fire, membrane)
        if network.bias is not None:
            spikes = self.calibrated(network, spikes)
        linear = network.readout.linear
        self.add(SCORES, Affine(_kept(linear.weight), _kept(linear.bias)), spikes)

    def add(self, name: str, part: Part, *sources: str) -> str:
        self.nodes.append(Node(name, part, sources))
        return name

    def neurons(self, name: str, module: nn.Module, sources: list[str]) -> str:
        assert isinstance(module, SpikingNeurons | IntegrateAndFire)
        leaky = isinstance(module, SpikingNeurons)
        share = float(torch.sigmoid(module.w.detach())) if leaky else None
        width = next(n.width for n in self.nodes if n.name == sources[0])
        return self.add(name, Neurons(width, share, threshold_of(module)), *sources)

    def projection(self, name: str, module: Projection, sources: tuple[str, ...]) -> str:
        weight = _kept(module.linear.weight)
        if isinstance(module.norm, LateralInhibition):
            why = "lateral inhibition divides by a sum of rectified units; NIR does not divide"
            what = f"normalization lateral_inhibition ({name})"
            return self.add(name, Host(what, why, weight.shape[0]), *sources)
        return self.add(name, Affine(weight, _kept(module.linear.bias)), *sources)

    def block(self, name: str, block: ShiftBlock, membrane: list[str]) -> str:
        spikes = self.neurons(f"{name}_fire", block.fire, membrane)
        moved = self.shift(f"{name}_shift", block.shift, spikes)
        if block.alpha is None:
            drive = [self.projection(f"{name}_expand", block.expand, (moved,))]
        elif isinstance(block.expand.norm, LateralInhibition):
            drive = [self.projection(f"{name}_expand", block.expand, (spikes, moved))]
        else:  # W (S + alpha Shift(S)): two synapses onto each neuron
            drive = [self.projection(f"{name}_expand", block.expand, (spikes,))]
            shifted = block.alpha.detach() * _kept(block.expand.linear.weight)
            drive.append(self.add(f"{name}_alpha", Affine(shifted), moved))
        inner = self.neurons(f"{name}_inner", block.inner, drive)
        return self.projection(f"{name}_reduce", block.reduce, (inner,))

    def shift(self, name: str, shift: TemporalShift, spikes: str) -> str:
        fold = shift.fold(self.width)
        if fold == 0 or shift.by == 0:
            return spikes
        if shift.direction == "both":
            why = "half of it needs the frame that has not come; a graph cannot wait for it"
            what = f"encoder.direction both ({name})"
            return self.add(name, Host(what, why, self.width), spikes)
        steps = (shift.by,) * fold + (0,) * (self.width - fold)
        return self.add(name, Delay(steps), spikes)

    def calibrated(self, network: PTSSNN, spikes: str) -> str:
        assert network.bias is not None
        drive = [self.projection("calibrated", network.calibrated, (spikes,))]
        static = network.bias.static
        if static is None:
            what = f"calibration.kind dynamic (attention {_attention(network)}, prompts, voltage)"
            why = "it gathers the whole utterance and multiplies activations by one another"
            drive.append(self.add("voltage", Host(what, why, self.width), spikes))
        elif isinstance(self.nodes[-1].part, Affine):
            node, part = self.nodes[-1], self.nodes[-1].part
            assert part.bias is not None
            voltage = Affine(part.weight, part.bias + static.detach())
            self.nodes[-1] = Node(node.name, voltage, node.sources)
        else:
            # an identity whose bias is the voltage: the host's current passes through it
            constant = Affine(torch.eye(self.width), static.detach().clone())
            drive = [self.add("voltage", constant, *drive)]
        return self.neurons("last", network.last, drive)


def _attention(network: PTSSNN) -> str:
    assert network.context is not None
    kind = network.context.attention
    return "none" if kind is None else type(kind).__name__


def _kept(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
