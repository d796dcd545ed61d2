"""Time-to-first-spike networks with an exact ReLU twin: one set of tensors, several views.

A network is written once, from :class:`Encoder`, :class:`B1Layer`, :class:`FirstSpike`,
:func:`concatenated` and :class:`Readout`, and run in a view: values (:class:`ReLUView`), spike
times (:class:`TTFSView`) or clocked membranes (:class:`ClockedView`).
"""

from __future__ import annotations

from search_spaces.ttfs.clocked import ClockedView
from search_spaces.ttfs.folding import fold_after, fold_before
from search_spaces.ttfs.layers import (
    B1Layer,
    Encoder,
    FirstSpike,
    Readout,
    concatenated,
    integer_weights,
    quantise_weights,
)
from search_spaces.ttfs.network import Discretisation, TTFSNetwork
from search_spaces.ttfs.signals import Signal, View, Window
from search_spaces.ttfs.views import Disturbance, ReLUView, TTFSView

__all__ = [
    "B1Layer",
    "ClockedView",
    "Discretisation",
    "Disturbance",
    "Encoder",
    "FirstSpike",
    "ReLUView",
    "Readout",
    "Signal",
    "TTFSNetwork",
    "TTFSView",
    "View",
    "Window",
    "concatenated",
    "fold_after",
    "fold_before",
    "integer_weights",
    "quantise_weights",
]
