"""The PTS-SNN-style head with time-to-first-spike neurons: one spike a neuron and frame.

Every frame is one inference of the time-to-first-spike network; layers work in a pipeline, so
that consecutive frames keep their order. Against the head of ``pts_snn.py`` the residual is
added behind the neurons and not between membranes: a spike time carries no sign, while the sum
of a drive and a delayed spike is exact (Stanojevic et al. 2024 for the neuron; the head is ours).

What has no exact form in spike times runs as digital arithmetic on decoded values: saturation
and projection of the real-valued features, the prompts' attention, and the map from prompts to
a bias voltage, which moves thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.frames import FramePooling, Frames, Projection, SoftSaturation
from search_spaces.prompts import BiasVoltage, PromptContext
from search_spaces.temporal_shift import TemporalShift
from search_spaces.ttfs import (
    B1Layer,
    Discretisation,
    Encoder,
    Readout,
    Signal,
    TTFSNetwork,
    Window,
)


class TTFSShiftBlock(nn.Module):
    """``x <- relu(Norm(W2 relu(Norm(W1 Shift(x)))) + x)`` in spike times.

    A shift by a frame is a delay by a frame, the residual a delay by a window. With ``alpha``
    both the shifted and the unshifted spikes drive the first layer, as in ``ShiftBlock``.

    Args:
        width: Channels.
        hidden: Channels between the projections.
        shift: Temporal shift.
        residual: Whether ``alpha`` is there.
        window: Of all neurons on the residual path, which meet in each sum.
    """

    def __init__(
        self, width: int, hidden: int, shift: TemporalShift, residual: bool, window: Window
    ) -> None:
        super().__init__()
        self.shift = shift
        self.alpha = nn.Parameter(torch.tensor(0.5)) if residual else None
        self.expand = _layer(width, hidden, window)
        self.reduce = _layer(hidden, width, window, skip=nn.Identity())

    def forward(self, x: Signal, frames: Frames) -> Signal:
        """``[valid, D]`` spikes -> ``[valid, D]`` spikes."""
        moved = x.move(lambda packed: frames.pack(self.shift(frames.unpack(packed))))
        if self.alpha is None:
            inner = self.expand(moved)
        else:
            inner = self.expand(x, moved, gains=(1.0, self.alpha))
        out: Signal = self.reduce(inner, skip=x)
        return out


class PTSTTFS(TTFSNetwork):
    """The head; see the module.

    Args:
        values: Every slot of the family ``pts_snn``.
        input_dim: Width of the input features.
        n_classes: Number of classes.
        context: Prompts that gather the utterance's context, or None.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        input_dim: int,
        n_classes: int,
        context: PromptContext | None,
    ) -> None:
        super().__init__(
            Discretisation(
                int(values["ttfs.steps"]),
                float(values["ttfs.margin"]),
                float(values["ttfs.finetune"]),
            )
        )
        self.width = width = int(values["encoder.width"])
        hidden = max(1, round(width * float(values["encoder.expansion"])))
        gain = float(values["input.saturation"])
        self.pool = FramePooling(int(values["input.pooling"]))
        self.saturate = SoftSaturation(input_dim, gain) if gain else nn.Identity()
        self.project = Projection(input_dim, width, spiking=False)
        shared = Window()
        self.encode = Encoder(shared)
        self.blocks = nn.ModuleList(
            TTFSShiftBlock(
                width,
                hidden,
                TemporalShift(ratio, values["encoder.direction"]),
                values["encoder.residual"] == "alpha",
                shared,
            )
            for ratio in values["encoder.shift"]
        )
        self.context = context
        self.bias: BiasVoltage | None = None
        if values["calibration.kind"] != "none":
            self.bias = BiasVoltage(width, dynamic=context is not None)
            self.calibrated = _layer(width, width, Window())
        self.readout = Readout(nn.Linear(width, n_classes))

    @property
    def latency_frames(self) -> int | None:
        """As of ``PTSSNN``: frames that must have arrived; None for the whole utterance."""
        if self.context is not None:
            return None
        shifts = [m for m in self.modules() if isinstance(m, TemporalShift)]
        return self.pool.size * (1 + sum(shift.lookahead(self.width) for shift in shifts))

    def windows_in_series(self) -> int:
        """The encoder's, two a block, and the calibrated neurons'."""
        return 1 + 2 * len(self.blocks) + (self.bias is not None)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """``[B, L, D]`` features and ``[B]`` lengths -> ``[B, C]`` logits, as ``PTSSNN``."""
        frames = Frames.of(features, lengths)
        x, frames = self.pool(frames.pack(features.transpose(0, 1)), frames)
        drive = frames.pack(self.project(self.saturate(x), frames))
        signal: Signal = self.encode(drive, self.view)
        for block in self.blocks:
            signal = block(signal, frames)
        if self.bias is not None:
            prompts = None
            if self.context is not None:
                prompts = self.context(frames.unpack(signal.values()), frames)
            voltage = self.bias(prompts)
            by_frame = voltage.expand(frames.longest, frames.lengths.numel(), -1)
            signal = self.calibrated(signal, voltage=frames.pack(by_frame))
        membranes = frames.unpack(self.readout(signal))
        logits: Tensor = membranes.sum(0) / frames.lengths[:, None].to(membranes.dtype)
        return logits


def _layer(n_in: int, n_out: int, window: Window, skip: nn.Module | None = None) -> B1Layer:
    return B1Layer(nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), skip, window)
