"""The PTS-SNN-style head: a small spiking network on top of frozen frame features.

Re-derived: the full text of PTS-SNN (arXiv 2602.08240) is not public to us. Documented are
soft saturation and residual spiking temporal-shift blocks; sizes, ratios and the order of
the layers within a block are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.frames import FramePooling, Frames, Projection, RateReadout, SoftSaturation
from search_spaces.neurons import SpikingNeurons
from search_spaces.temporal_shift import TemporalShift


class ShiftBlock(nn.Module):
    """Spiking temporal-shift block with a membrane shortcut.

    ``U <- U + BN(W2 . SN(BN(W1 . Shift(SN(U)))))``: only spikes meet a weight, and the
    residual adds membranes, so no value other than 0 and 1 ever enters a product.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        shift: TemporalShift,
        fire: SpikingNeurons,
        inner: SpikingNeurons,
    ) -> None:
        super().__init__()
        self.fire = fire
        self.shift = shift
        self.expand = Projection(width, hidden, spiking=True)
        self.inner = inner
        self.reduce = Projection(hidden, width, spiking=True)

    def forward(self, membrane: Tensor, frames: Frames) -> Tensor:
        """``[L, B, D]`` -> ``[L, B, D]``."""
        spikes = self.shift(frames.clear(self.fire(membrane)))
        spikes = self.inner(self.expand(frames.pack(spikes), frames))
        added: Tensor = self.reduce(frames.pack(spikes), frames)
        return membrane + added


class PTSSNN(nn.Module):
    """Soft saturation, input projection, temporal-shift blocks, masked rate readout.

    Args:
        values: Every slot of the family ``pts_snn``.
        input_dim: Width of the input features.
        n_classes: Number of classes.
    """

    def __init__(self, values: Mapping[str, Any], input_dim: int, n_classes: int) -> None:
        super().__init__()
        self.width = width = int(values["encoder.width"])
        hidden = max(1, round(width * float(values["encoder.expansion"])))

        def neurons() -> SpikingNeurons:
            return SpikingNeurons(
                values["neuron.type"], values["neuron.tau"], values["neuron.threshold"]
            )

        self.pool = FramePooling(int(values["input.pooling"]))
        self.saturate = SoftSaturation(input_dim, float(values["input.saturation"]))
        self.project = Projection(input_dim, width, spiking=False)
        self.blocks = nn.ModuleList(
            ShiftBlock(
                width,
                hidden,
                TemporalShift(ratio, values["encoder.direction"]),
                neurons(),
                neurons(),
            )
            for ratio in values["encoder.shift"]
        )
        self.fire = neurons()
        self.readout = RateReadout(width, n_classes)

    @property
    def latency_frames(self) -> int:
        """Input frames that must have arrived before a frame's output is known."""
        shifts = [m for m in self.modules() if isinstance(m, TemporalShift)]
        return self.pool.size * (1 + sum(shift.lookahead(self.width) for shift in shifts))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify a batch.

        Args:
            features: ``[B, L, D]``; what lies beyond an utterance's length is ignored.
            lengths: ``[B]`` frames of each utterance; None when none is padded.

        Returns:
            ``[B, C]`` logits.
        """
        if lengths is None:
            lengths = torch.full((features.shape[0],), features.shape[1], device=features.device)
        frames = Frames(lengths, features.shape[1])
        x, frames = self.pool(frames.pack(features.transpose(0, 1)), frames)
        membrane = self.project(self.saturate(x), frames)
        for block in self.blocks:
            membrane = block(membrane, frames)
        logits: Tensor = self.readout(self.fire(membrane), frames)
        return logits


def build(values: Mapping[str, Any], input_dim: int, n_classes: int) -> nn.Module:
    """Build the head; the entry point of the family table."""
    return PTSSNN(values, input_dim, n_classes)
