"""Lateral inhibition in place of batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

INHIBITORY_SHARE = 4  # excitatory units for one inhibitory unit, as in cortex
FLOOR = 0.1  # keeps the division away from zero where no inhibitory unit is active


class LateralInhibition(nn.Module):
    """Subtractive and divisive inhibition by a smaller population, frame by frame.

    With the drive ``e = W_E x`` of the excitatory units and ``r = relu(W_I x)`` of a quarter as
    many inhibitory ones: ``y = g (e - S r) / (0.1 + D r) + b`` with ``S, D >= 0``. No statistics
    of a batch enter, so training and inference are the same function. At the first training
    batch ``g`` and ``b`` are set so that ``y`` has mean 0 and variance 1 per channel.

    Re-derived after Liu, Ding, Yu, "Training deep normalization-free spiking neural networks
    with lateral inhibition" (ICLR 2026, arXiv 2509.23253): a 4:1 circuit, subtractive and
    divisive, with a data-dependent initialisation. Ours keeps the sign of ``W_E`` free (the
    input may be real-valued) and trains by plain backpropagation, without their E-I Prop.

    Args:
        n_in: Input channels.
        n_out: Excitatory units.
    """

    ready: Tensor

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.inhibitory = max(1, n_out // INHIBITORY_SHARE)
        self.to_inhibitory = nn.Linear(n_in, self.inhibitory)
        start = 1.0 / self.inhibitory
        self.subtract = nn.Parameter(torch.full((n_out, self.inhibitory), start))
        self.divide = nn.Parameter(torch.full((n_out, self.inhibitory), start))
        self.gain = nn.Parameter(torch.ones(n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def forward(self, drive: Tensor, x: Tensor) -> Tensor:
        """``[N, n_out]`` drive and ``[N, n_in]`` input of the layer -> ``[N, n_out]``."""
        r = functional.relu(self.to_inhibitory(x))
        inhibited = drive - r @ self.subtract.abs().T
        y = inhibited / (FLOOR + r @ self.divide.abs().T)
        if self.training and not bool(self.ready):
            self._set_from(y.detach())
        return y * self.gain + self.bias

    @torch.no_grad()
    def _set_from(self, y: Tensor) -> None:
        sd = y.std(0, unbiased=False) if y.shape[0] > 1 else torch.ones_like(y[0])
        scale = 1.0 / sd.clamp_min(1e-3)
        self.gain.copy_(scale)
        self.bias.copy_(-y.mean(0) * scale)
        self.ready.fill_(True)
