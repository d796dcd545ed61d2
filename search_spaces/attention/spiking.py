"""What the two spiking mechanisms share: binary queries, keys and values, and their neurons."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from search_spaces.attention.base import (
    Attention,
    AttentionOperations,
    AttentionSettings,
    count_projection,
)
from search_spaces.frames import Frames, Projection
from search_spaces.neurons import make_neurons


class SpikingAttention(Attention):
    """``Q, K, V = SN(BN(x W))`` in {0, 1}; output ``BN(W_O . spikes)``.

    Frames are the neurons' time steps, so each of the four layers of neurons integrates over
    the utterance from a membrane at rest. Batch norm reads real frames only. The twin with
    ``relu`` for neurons has real ``Q, K, V`` instead.
    Parameters: ``4 (D^2 + 2 D)``, and 4 time constants when they are trained (``plif``).
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        self.spiking = settings.neuron != "relu"
        self.query = Projection(width, width, spiking=self.spiking)
        self.key = Projection(width, width, spiking=self.spiking)
        self.value = Projection(width, width, spiking=self.spiking)
        self.output = Projection(width, width, spiking=self.spiking)
        self.fire_query = self._neurons()
        self.fire_key = self._neurons()
        self.fire_value = self._neurons()
        self.fire_attention = self._neurons()

    def _neurons(self) -> nn.Module:
        return make_neurons(self.settings.neuron, self.settings.tau, self.settings.threshold)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        frames = Frames(mask.sum(1), mask.shape[1])
        _, spikes = self._mix(*self._encode(x, frames), frames)
        y: Tensor = self.output(frames.pack(spikes), frames)
        return y.transpose(0, 1)

    def _encode(self, x: Tensor, frames: Frames) -> tuple[Tensor, Tensor, Tensor]:
        """``[B, L, D]`` -> ``Q, K, V``, each ``[L, B, D]`` in {0, 1}, zero on padding."""
        packed = frames.pack(x.transpose(0, 1))
        return (
            frames.clear(self.fire_query(self.query(packed, frames))),
            frames.clear(self.fire_key(self.key(packed, frames))),
            frames.clear(self.fire_value(self.value(packed, frames))),
        )

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        frames = Frames(mask.sum(1), mask.shape[1])
        width = self.settings.width
        if not self.spiking:
            core = self._count_twin(frames) + float(frames.valid * width * width)
            return count_projection(x, mask, 3 * width) + AttentionOperations(macs=core)
        q, k, v = self._encode(x, frames)
        fired, spikes = self._mix(q, k, v, frames)
        # the attention neurons step once a frame, or once an utterance where that is enough
        steps = 3 * frames.valid + (frames.valid if len(fired) > 1 else len(frames.lengths))
        between = self._count_core(q, k, v, frames)
        own = AttentionOperations(
            acs=_total(spikes) * width,
            synops=_total(spikes) * width,
            spikes=_total(q) + _total(k) + _total(v) + _total(fired),
            neuron_steps=float(steps * width),
            dense=self._count_twin(frames) - between.macs + float(frames.valid * width * width),
        )
        return count_projection(x, mask, 3 * width) + between + own

    @property
    def states(self) -> int:
        """Four membranes a channel, and what keys and values are gathered in."""
        return (4 * self.settings.width + self.accumulators) if self.spiking else 0

    @property
    @abstractmethod
    def accumulators(self) -> int:
        """Sums over the frames that the mechanism keeps."""

    @abstractmethod
    def _mix(self, q: Tensor, k: Tensor, v: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        """``[L, B, D]`` spikes -> what the attention neurons fired, and what ``W_O`` reads.

        The first is ``[L, B, D]`` or, for one step an utterance, ``[1, B, D]``; the second
        ``[L, B, D]``; both in {0, 1} and zero on padding.
        """

    @abstractmethod
    def _count_core(self, q: Tensor, k: Tensor, v: Tensor, frames: Frames) -> AttentionOperations:
        """Operations between ``Q, K, V`` and the attention neurons' input."""

    @abstractmethod
    def _count_twin(self, frames: Frames) -> float:
        """Multiply-accumulates of the same part of the ReLU twin."""


def _total(spikes: Tensor) -> float:
    return float(torch.count_nonzero(spikes))
