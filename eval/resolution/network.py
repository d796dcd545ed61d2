"""A trained network at another time step, in place and without training.

What reads spikes reads them as currents: a spike is an event, and over a step of ``ratio`` old
ones it is a current of ``1 / ratio``. Weights on spikes are therefore divided by the ratio, and
neurons see one kind of input, amplitudes held over a step; what normalisation, biases and real
features add is such an amplitude already. Resets and thresholds belong to the spike and stay.

==================  ======================================================================
SpikingNeurons,     decay and gain of the method for held amplitudes (``state_space.py``); where
IntegrateAndFire    decay and gain are no longer one number, their buffer ``gain`` has the rest
Projection          of spikes: weights over the ratio. Its normalisation stays as it is: at
                    inference it is an affine map, and the mean of its input does not depend on
                    the step; its variance does, so fold or train on before it is read as one
  with inhibition   so do the weights of the inhibitory units; only the mean is kept, because the
                    division is by what arrives within a step
TemporalShift       moves by ``1 / ratio`` as many steps, rounded; none where that is below 1/2
RateReadout         weights over the ratio: the mean over steps is then one per old step
PromptContext       without attention: the mean of spikes likewise, by way of the prompts and
                    the map that reads them. Attention runs over the new frames with its own
                    weights: its products of spikes have no closed form
FramePooling,       stay: they count frames, so a frame of half the length is pooled into half
FrameRepeat         the time
ReLU, MeanPool      have no memory: nothing to do
B1 neurons          have none from frame to frame. Frames of another length have other extremes:
                    fit their windows again (``clock.py``, also for their own clock)
==================  ======================================================================

``tau`` scales nothing but time constants (and shifts), ``none`` nothing at all. ``substeps`` keeps
the network's own step where frames become coarser: each frame's current is held for as many
steps as it takes, ``ceil(ratio)``, and the rest of the ratio, 1 or below, is the integral's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from eval.resolution.state_space import METHODS, Inputs, at_step, check_ratio, leaky
from search_spaces.attention import Attention
from search_spaces.errors import NasError, nearest
from search_spaces.frames import FrameRepeat, Projection, RateReadout, SoftSaturation
from search_spaces.inhibition import LateralInhibition
from search_spaces.mean_pool import MeanPool
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons
from search_spaces.prompts import BiasVoltage, PromptContext
from search_spaces.pts_snn import PTSSNN
from search_spaces.temporal_shift import TemporalShift
from search_spaces.ttfs import TTFSNetwork

NETWORK_METHODS = (*METHODS, "substeps")

_KNOWN = (PTSSNN, TTFSNetwork, MeanPool)

_Change = Callable[[], None]


@runtime_checkable
class ChangesStep(Protocol):
    """A network of somebody else that knows how to change its own time step."""

    def change_step(self, ratio: float, method: str, inputs: Inputs) -> list[str]:
        """Change it in place; return what a person should know, a line each."""


def change_step(
    network: nn.Module, ratio: float, method: str = "integral", inputs: Inputs = "held"
) -> list[str]:
    """Change the time step of a trained network in place; at a ratio of 1 touch nothing.

    Nothing is changed when anything is refused.

    Args:
        network: Of a family of ours, or one with a ``change_step`` of its own.
        ratio: New step over old one: frames a second before over those after.
        method: One of ``NETWORK_METHODS``.
        inputs: What a frame of input holds: ``held`` means or samples, or ``counts`` of events.

    Returns:
        What a person should know, a line each.

    Raises:
        NasError: A ratio or method that is none, a neuron that has no such step, or a network
            of unknown make.
    """
    check_ratio(ratio)
    if method not in NETWORK_METHODS:
        raise NasError(f"no method {method!r}", hint=nearest(method, NETWORK_METHODS))
    if not isinstance(network, (*_KNOWN, ChangesStep)):
        raise NasError(
            f"a {type(network).__name__} cannot change its time step: what it remembers between"
            " frames is not known",
            hint="give it a method change_step(ratio, method, inputs) that returns notes",
        )
    if ratio == 1 or method == "none":
        return []
    if isinstance(network, ChangesStep):
        if method == "substeps":
            raise NasError(
                f"several steps a frame are not known of a {type(network).__name__}",
                hint="its own change_step takes the other methods",
            )
        return network.change_step(ratio, method, inputs)
    changes: list[_Change] = []
    notes: list[str] = []
    spiking = has_memory(network)
    scaled = method != "tau"
    if inputs == "counts" and scaled:
        changes += _events(network, ratio)
    if method == "substeps":
        method, steps = "integral", math.ceil(ratio) if spiking else 1
        changes += [_holder(m, steps) for m in network.modules() if isinstance(m, FrameRepeat)]
        ratio /= steps
        notes += [f"every frame is held for {steps} steps"] if steps > 1 else []
    changes += _stepped(network, ratio, method, notes)
    with torch.no_grad():
        for change in changes:
            change()
    return notes


def _stepped(network: nn.Module, ratio: float, method: str, notes: list[str]) -> list[_Change]:
    """Plan what a network's own step changes."""
    if ratio == 1:
        return []
    changes: list[_Change] = []
    spiking = has_memory(network)
    scaled = method != "tau"
    kind = next((p.dtype for p in network.parameters()), torch.get_default_dtype())
    for name, module in network.named_modules():
        if isinstance(module, SpikingNeurons | IntegrateAndFire):
            changes.append(_neurons(name, module, ratio, method, kind))
        elif isinstance(module, TemporalShift):
            changes.append(_shift(name, module, ratio, notes))
        elif isinstance(module, Projection) and module.spiking and scaled:
            changes.append(_projection(name, module, ratio, notes))
        elif isinstance(module, RateReadout) and spiking and scaled:
            changes.append(_divider(module.linear.weight, ratio))
        elif isinstance(module, PromptContext):
            changes += _prompts(network, module, ratio, scaled, notes)
    return changes


def has_memory(network: nn.Module) -> bool:
    """Whether neurons of a network remember one step in the next."""
    kinds = SpikingNeurons | IntegrateAndFire
    return any(isinstance(m, kinds) for m in network.modules())


def _neurons(
    name: str,
    module: SpikingNeurons | IntegrateAndFire,
    ratio: float,
    method: str,
    kind: torch.dtype,
) -> _Change:
    """Plan the new decay and gain of a layer of neurons."""
    leaks = isinstance(module, SpikingNeurons)
    tied = torch.sigmoid(module.w.detach().double()).item() if leaks else 1.0
    gain = 1.0 if module.gain is None else float(module.gain.double())
    decay = 1.0 - tied if leaks else 1.0
    if not leaks and method == "tau":
        return lambda: None  # there is no time constant
    try:
        new = at_step(leaky(decay, tied * gain), ratio, method, "held")
    except NasError as error:
        raise NasError(f"neurons {name!r}: {error.what}", hint=error.hint) from None
    share = 1.0 - float(new.a[0, 0]) if leaks else 1.0
    new_gain = float(new.b[0, 0]) / share

    def change() -> None:
        if leaks:
            module.w.fill_(math.log(share) - math.log1p(-share))
        # a tied gain needs none; one of 1 that is left by rounding would be noise on each current
        if module.gain is not None or not math.isclose(new_gain, 1.0, rel_tol=1e-12):
            module.gain = torch.tensor(new_gain, dtype=kind)

    return change


def _shift(name: str, module: TemporalShift, ratio: float, notes: list[str]) -> _Change:
    before = module.steps if module.delay is None else float(module.delay)
    after = before / ratio
    if module.ratio > 0 and after < 0.5:
        notes.append(
            f"{name}: a shift of {before:g} steps is {after:g} of the new ones and rounds to none"
        )

    def change() -> None:
        module.delay = torch.tensor(after, dtype=torch.float64)

    return change


def _projection(name: str, module: Projection, ratio: float, notes: list[str]) -> _Change:
    inhibition = module.norm if isinstance(module.norm, LateralInhibition) else None
    if inhibition is not None:
        notes.append(
            f"{name}: inhibition divides by the spikes of one step; only its mean is kept"
        )

    def change() -> None:
        module.linear.weight.div_(ratio)
        if inhibition is not None:
            inhibition.to_inhibitory.weight.div_(ratio)

    return change


def _prompts(
    network: nn.Module, module: PromptContext, ratio: float, scaled: bool, notes: list[str]
) -> list[_Change]:
    if isinstance(module.attention, Attention):
        kind = type(module.attention).__name__
        notes.append(f"prompts: {kind} runs over the new frames with the weights it has")
        return []
    if not (module.spiking and scaled):
        return []
    readers = [m.maps[0] for m in network.modules() if isinstance(m, BiasVoltage)]

    def change() -> None:
        # W (P + mean) is (W / ratio) (ratio P + mean), and the mean of spikes a step has grown
        # by the ratio
        module.prompts.mul_(ratio)

    firsts = [_divider(r.weight, ratio) for r in readers if isinstance(r, nn.Linear)]
    return [change, *firsts]


def _events(network: nn.Module, ratio: float) -> list[_Change]:
    """Read sum-binned events as currents, where the scale of the input reaches the network."""
    if any(isinstance(m, SoftSaturation) for m in network.modules()):
        return []  # it normalises every frame
    if isinstance(network, MeanPool):
        return [_statistics(network.norm, ratio)]
    first = next((m for m in network.modules() if isinstance(m, Projection)), None)
    if first is None:
        raise NasError(
            f"a {type(network).__name__} does not read counts of events",
            hint='give inputs="held" for frames that are means, samples or normalised',
        )
    changes = [_divider(first.linear.weight, ratio)]
    if isinstance(first.norm, LateralInhibition):
        changes.append(_divider(first.norm.to_inhibitory.weight, ratio))
    return changes


def _statistics(norm: nn.BatchNorm1d, ratio: float) -> _Change:
    """Plan for a mean of counts a frame, which grows with the frame."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None

    def change() -> None:
        mean.mul_(ratio)
        variance.mul_(ratio**2)

    return change


def _holder(module: FrameRepeat, steps: int) -> _Change:
    before = 1 if module.held is None else int(module.held)

    def change() -> None:
        if steps > 1:
            module.held = torch.tensor(before * steps)

    return change


def times_held(network: nn.Module) -> int:
    """Return how many times the SNN steps a frame a network was built with it takes now."""
    held = (m.held for m in network.modules() if isinstance(m, FrameRepeat))
    return max((int(h) for h in held if h is not None), default=1)


def _divider(weight: Tensor, ratio: float) -> _Change:
    def change() -> None:
        weight.div_(ratio)

    return change
