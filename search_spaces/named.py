"""Architectures with a name: the reference, its ablations, and what to compare them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Named:
    """An ordinary architecture that has a name.

    Args:
        family: Network family.
        values: Its parameters.
        about: One line for people.
    """

    family: str
    values: Mapping[str, Any]
    about: str


# Re-derived from PTS-SNN (arXiv 2602.08240). With 768 inputs and 4 classes it has the 1.19 M
# trainable parameters that the abstract documents; tests/search_spaces/test_reference.py
# counts them part by part.
REFERENCE: dict[str, Any] = {
    "input.saturation": 1.0,
    "encoder.depth": 2,
    "encoder.width": 256,
    "encoder.expansion": 2,
    "encoder.shift": [0.125, 0.125],
    "encoder.direction": "both",
    "neuron.type": "plif",
    "calibration.kind": "dynamic",
    "prompt.length": 8,
    "attention.kind": "ssla",
    "attention.heads": 4,
}


def _without(*names: str, **changes: Any) -> dict[str, Any]:
    left = {k: v for k, v in REFERENCE.items() if k not in names}
    return {**left, **{k.replace("__", "."): v for k, v in changes.items()}}


_PROMPTS = ("prompt.length", "attention.kind", "attention.heads")

BASELINES: dict[str, Named] = {
    "linear_probe": Named("mean_pool", {"hidden": 0}, "linear map of the mean frame"),
    "mean_pool_mlp": Named("mean_pool", {"hidden": 256}, "256 ReLU units on the mean frame"),
    "relu_twin": Named("pts_snn", _without(neuron__type="relu"), "the reference, ReLU for PLIF"),
    "vanilla_lif": Named(
        "pts_snn",
        _without(
            *_PROMPTS,
            input__saturation=0.0,
            encoder__shift=[0.0, 0.0],
            neuron__type="lif",
            calibration__kind="none",
        ),
        "LIF, no saturation, no shift, no prompts, no calibration",
    ),
}

ABLATIONS: dict[str, Named] = {
    "reference": Named("pts_snn", REFERENCE, "all parts"),
    "ttfs": Named(
        "pts_snn",
        _without(neuron__type="ttfs"),
        "the reference in time-to-first-spike neurons, 16 steps",
    ),
    "no_shift": Named("pts_snn", _without(encoder__shift=[0.0, 0.0]), "no temporal shift"),
    "static_bias": Named(
        "pts_snn", _without(*_PROMPTS, calibration__kind="static"), "one learned bias voltage"
    ),
    "no_attention": Named(
        "pts_snn",
        _without("attention.heads", attention__kind="none"),
        "prompts receive the mean frame",
    ),
    "no_saturation": Named("pts_snn", _without(input__saturation=0.0), "no soft saturation"),
    "vanilla_lif": BASELINES["vanilla_lif"],
}

NAMED: dict[str, Named] = {**BASELINES, **ABLATIONS}
