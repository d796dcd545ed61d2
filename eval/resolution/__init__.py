"""Zero-shot change of the temporal resolution of a spiking network.

:mod:`~eval.resolution.state_space` has the equations of one neuron, of any make;
:mod:`~eval.resolution.network` changes a whole network, :mod:`~eval.resolution.compensation`
gives its spikes the weight they lost; :mod:`~eval.resolution.consistency` compares the methods on
recordings without labels.
"""

from __future__ import annotations

from eval.resolution.clock import at_clock, refit
from eval.resolution.consistency import (
    ALL_METHODS,
    COMPARED,
    Adapted,
    at_rate,
    choose,
    compare,
    spikes_by_layer,
)
from eval.resolution.network import change_step, has_memory
from eval.resolution.state_space import (
    METHODS,
    Inputs,
    StateSpace,
    adaptive_leaky,
    at_step,
    check_ratio,
    leaky,
)

__all__ = [
    "ALL_METHODS",
    "COMPARED",
    "METHODS",
    "Adapted",
    "Inputs",
    "StateSpace",
    "adaptive_leaky",
    "at_clock",
    "at_rate",
    "at_step",
    "change_step",
    "check_ratio",
    "choose",
    "compare",
    "has_memory",
    "leaky",
    "refit",
    "spikes_by_layer",
]
