"""The PTS-SNN-style head: a small spiking network on top of frozen frame features.

Re-derived: the full text of PTS-SNN (arXiv 2602.08240) is not public to us. Documented are
soft saturation, residual spiking temporal-shift blocks, spiking sparse linear attention that
gathers context into learnable soft prompts, and prompts that set the bias voltage of PLIF
neurons. Sizes, ratios and the order of the layers within a block are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.attention import AttentionSettings, build_attention
from search_spaces.frames import (
    FramePooling,
    FrameRepeat,
    Frames,
    Projection,
    RateReadout,
    SoftSaturation,
)
from search_spaces.neurons import make_neurons
from search_spaces.prompts import BiasVoltage, PromptContext
from search_spaces.pts_ttfs import PTSTTFS
from search_spaces.temporal_shift import TemporalShift


@dataclass(frozen=True)
class RateTarget:
    """What firing rates are pulled to while training.

    Args:
        rate: Of every layer, in [0, 1].
        weight: Of the squared distance in the loss, above 0.
    """

    rate: float
    weight: float


class ShiftBlock(nn.Module):
    """Spiking temporal-shift block with a membrane shortcut.

    ``U <- U + Norm(W2 . SN(Norm(W1 . Shift(SN(U)))))``: only spikes meet a weight, and the
    residual adds membranes. With a learnable ``alpha`` (TS-SNN, arXiv 2505.04165) the shifted
    spikes join the others instead of replacing them: ``W1 (S + alpha Shift(S))``; every spike
    of either train is then an accumulate, the second with weights that ``alpha`` has scaled.

    Args:
        expand: ``W1`` and its normalisation.
        reduce: ``W2`` and its normalisation.
        shift: Temporal shift.
        fire: Neurons in front of the shift.
        inner: Neurons between the projections.
        residual: Whether ``alpha`` is there.
    """

    def __init__(
        self,
        expand: Projection,
        reduce: Projection,
        shift: TemporalShift,
        fire: nn.Module,
        inner: nn.Module,
        residual: bool,
    ) -> None:
        super().__init__()
        self.fire = fire
        self.shift = shift
        self.alpha = nn.Parameter(torch.tensor(0.5)) if residual else None
        self.expand = expand
        self.inner = inner
        self.reduce = reduce

    def forward(self, membrane: Tensor, frames: Frames) -> Tensor:
        """``[L, B, D]`` -> ``[L, B, D]``."""
        spikes = frames.clear(self.fire(membrane))
        moved = frames.pack(self.shift(spikes))
        if self.alpha is None:
            hidden = self.expand(moved, frames)
        else:
            stayed = frames.pack(spikes)
            hidden = self.expand(stayed + self.alpha * moved, frames, (stayed, moved))
        added: Tensor = self.reduce(frames.pack(self.inner(hidden)), frames)
        return membrane + added


class PTSSNN(nn.Module):
    """Soft saturation, projection, shift blocks, prompts that set a bias voltage, rate readout.

    Args:
        values: Every slot of the family ``pts_snn``.
        input_dim: Width of the input features.
        n_classes: Number of classes.
    """

    def __init__(self, values: Mapping[str, Any], input_dim: int, n_classes: int) -> None:
        super().__init__()
        self.width = width = int(values["encoder.width"])
        hidden = max(1, round(width * float(values["encoder.expansion"])))
        steps = int(values["neuron.steps_per_frame"])
        spiking = values["neuron.type"] != "relu"
        gain = float(values["input.saturation"])

        def neurons() -> nn.Module:
            return make_neurons(
                values["neuron.type"], values["neuron.tau"], values["neuron.threshold"]
            )

        def projection(n_in: int, n_out: int, *, of_spikes: bool) -> Projection:
            return Projection(
                n_in, n_out, spiking=of_spikes, normalization=values["normalization"]
            )

        self.pool = FramePooling(int(values["input.pooling"]))
        self.saturate = SoftSaturation(input_dim, gain) if gain else nn.Identity()
        self.project = projection(input_dim, width, of_spikes=False)
        self.repeat = FrameRepeat(steps)
        self.blocks = nn.ModuleList(
            ShiftBlock(
                projection(width, hidden, of_spikes=spiking),
                projection(hidden, width, of_spikes=spiking),
                TemporalShift(ratio, values["encoder.direction"], steps),
                neurons(),
                neurons(),
                residual=values["encoder.residual"] == "alpha",
            )
            for ratio in values["encoder.shift"]
        )
        self.fire = neurons()
        self.context: PromptContext | None = None
        self.bias: BiasVoltage | None = None
        kind = values["calibration.kind"]
        if kind == "dynamic":
            self.context = _prompts(values, values["neuron.type"])
        if kind != "none":
            self.bias = BiasVoltage(width, dynamic=kind == "dynamic")
            self.calibrated = projection(width, width, of_spikes=spiking)
            self.last = neurons()
        self.readout = RateReadout(width, n_classes)
        weight = float(values["regulariser.weight"])
        pulled = spiking and weight > 0
        self.regulariser = (
            RateTarget(float(values["regulariser.rate"]), weight) if pulled else None
        )

    @property
    def latency_frames(self) -> int | None:
        """Input frames that must have arrived before a frame's output is known.

        None when the context of the whole utterance enters.
        """
        if self.context is not None:
            return None
        shifts = [m for m in self.modules() if isinstance(m, TemporalShift)]
        steps = self.repeat.steps
        return self.pool.size * (1 + sum(s.lookahead(self.width, steps) for s in shifts))

    @property
    def latency_steps(self) -> int:
        """Clock steps from a frame's arrival to its output: spikes cross layers within a step."""
        return self.repeat.steps

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify a batch.

        Args:
            features: ``[B, L, D]``; what lies beyond an utterance's length is ignored.
            lengths: ``[B]`` frames of each utterance; None when none is padded.

        Returns:
            ``[B, C]`` logits.
        """
        frames = Frames.of(features, lengths)
        x, frames = self.pool(frames.pack(features.transpose(0, 1)), frames)
        membrane, frames = self.repeat(self.project(self.saturate(x), frames), frames)
        for block in self.blocks:
            membrane = block(membrane, frames)
        spikes = self.fire(membrane)
        if self.bias is not None:
            prompts = None if self.context is None else self.context(spikes, frames)
            current = self.calibrated(frames.pack(spikes), frames)
            # Into the membrane update, before the threshold: H = V + (I + b - V) / tau.
            spikes = self.last(current + self.bias(prompts))
        logits: Tensor = self.readout(spikes, frames)
        return logits


def _prompts(values: Mapping[str, Any], neuron: str) -> PromptContext:
    kind, width = values["attention.kind"], int(values["encoder.width"])
    settings = AttentionSettings(
        width=width,
        heads=int(values["attention.heads"]),
        causal=bool(values["attention.causal"]),
        sparsity=float(values["attention.sparsity"]),
        neuron=neuron,
        tau=float(values["neuron.tau"]),
        threshold=float(values["neuron.threshold"]),
    )
    attention = None if kind == "none" else build_attention(kind, settings)
    return PromptContext(int(values["prompt.length"]), width, attention, neuron != "relu")


def build(values: Mapping[str, Any], input_dim: int, n_classes: int) -> nn.Module:
    """Build the head; the entry point of the family table."""
    if values["neuron.type"] != "ttfs":
        return PTSSNN(values, input_dim, n_classes)
    # products of two spike times have no exact form: attention is digital, on decoded values
    dynamic = values["calibration.kind"] == "dynamic"
    return PTSTTFS(values, input_dim, n_classes, _prompts(values, "relu") if dynamic else None)
