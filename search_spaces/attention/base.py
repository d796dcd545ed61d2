"""What every attention mechanism shares: its settings, its contract and its operation count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.errors import NasError


@dataclass(frozen=True)
class AttentionSettings:
    """What a mechanism is built from; a kind ignores what it has no use for.

    Args:
        width: ``D``, channels of input and output.
        heads: ``H``; ``d = D / H`` is the head dimension.
        causal: Whether a frame sees only itself and what came before.
        sparsity: ``ssla`` only: share of the entries of each head's context matrix that is
            set to zero, in [0, 1); the largest magnitudes stay.
        neuron: Spiking kinds only: one of ``search_spaces.neurons.NEURONS``.
        tau: Spiking kinds only: membrane time constant in frames, above 1.
        threshold: Spiking kinds only: firing threshold, above 0.
        chunk: Frames that a linear kind works on at once; changes time and memory, not the
            result. Kinds that forget by channel use at most 8 (see ``linear.py``).
        backend: ``torch``, ``fla`` (flash-linear-attention's kernels, CUDA only), or ``auto``:
            ``fla`` where it can run, else ``torch``.
    """

    width: int
    heads: int = 4
    causal: bool = False
    sparsity: float = 0.0
    neuron: str = "plif"
    tau: float = 2.0
    threshold: float = 1.0
    chunk: int = 64
    backend: Literal["auto", "torch", "fla"] = "auto"


@dataclass(frozen=True)
class AttentionOperations:
    """What a mechanism computes on the real frames of one batch, as at inference.

    Counted are matrix products, state updates and short convolutions. Functions of single
    values (normalisation, activation, gating, rotation, exponentials) are not: they are a few
    ``D`` a frame against the ``D^2`` of one projection.

    Args:
        macs: Multiply-accumulates on real values.
        acs: Accumulates, each caused by a spike.
        spikes: Spikes of the mechanism's own neurons.
        neuron_steps: Membrane updates of the mechanism's own neurons.
        synops: Those of the accumulates that meet a stored weight, not another spike.
        dense: Multiply-accumulates that the ReLU twin makes in place of the accumulates.
    """

    macs: float = 0.0
    acs: float = 0.0
    spikes: float = 0.0
    neuron_steps: float = 0.0
    synops: float = 0.0
    dense: float = 0.0

    def __add__(self, other: AttentionOperations) -> AttentionOperations:
        return AttentionOperations(
            self.macs + other.macs,
            self.acs + other.acs,
            self.spikes + other.spikes,
            self.neuron_steps + other.neuron_steps,
            self.synops + other.synops,
            self.dense + other.dense,
        )


class Attention(nn.Module, ABC):
    """Mixes the frames of an utterance: ``[B, L, D]`` -> ``[B, L, D]``.

    No state outlives a call. What lies on padding reaches neither an output of a real frame
    nor a gradient: it is replaced by zero at entry, and a mechanism sees to the rest.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__()
        self.settings = settings

    @property
    def states(self) -> int:
        """Membranes and accumulators of a spiking mechanism; 0 for one on values."""
        return 0

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mix frames.

        Args:
            x: ``[B, L, D]``; any floating type, computed in that of the weights.
            mask: ``[B, L]`` bool, true on real frames, which come first.

        Returns:
            ``[B, L, D]`` in the type of ``x``, zero on padding.

        Raises:
            NasError: A shape or the mask does not fit, or there is no frame.
        """
        mixed = self._attend(self._enter(x, mask), mask)
        return mixed.masked_fill(~mask[..., None], 0.0).to(x.dtype)

    def operations(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        """Count what one forward pass computes, as at inference, whatever the mode.

        Recurrent mechanisms are counted in their recurrent form, which is what runs frame by
        frame on a device, and not in the chunked form that runs here. Changes no state.

        Args:
            x: ``[B, L, D]``.
            mask: ``[B, L]`` bool.

        Returns:
            The sum over the real frames of the batch.

        Raises:
            NasError: As ``forward``.
        """
        with torch.no_grad(), _inference(self):
            return self._count(self._enter(x, mask), mask)

    @abstractmethod
    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]``, zero on padding -> ``[B, L, D]``, anything finite there."""

    @abstractmethod
    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        """The operations of ``_attend``."""

    def _enter(self, x: Tensor, mask: Tensor) -> Tensor:
        width = self.settings.width
        if x.dim() != 3 or x.shape[2] != width:
            raise NasError(
                f"attention expects [B, L, {width}], got {list(x.shape)}",
                hint="the last axis is settings.width",
            )
        if mask.shape != x.shape[:2] or mask.dtype != torch.bool:
            raise NasError(
                f"the mask must be bool of shape {list(x.shape[:2])}, "
                f"got {mask.dtype} of shape {list(mask.shape)}"
            )
        if mask.numel() == 0:
            raise NasError(
                f"attention got no frame: {list(x.shape)}", hint="drop empty utterances first"
            )
        # one test for both mistakes: a first frame that is padding, and a hole
        if not bool((mask[:, 0] & (mask[:, 1:] <= mask[:, :-1]).all(1)).all()):
            raise NasError(
                "every utterance needs a real frame, and its padding must come last",
                hint="mask[b, :length] = True and False from there on",
            )
        weight = next(self.parameters(), x)
        return x.masked_fill(~mask[..., None], 0.0).to(weight.dtype)


@contextmanager
def _inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each part then gets back the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def count_projection(x: Tensor, mask: Tensor, n_out: int) -> AttentionOperations:
    """Operations of a linear map of the real frames to ``n_out`` channels.

    Args:
        x: ``[B, L, n_in]``, zero on padding; one accumulate a spike and output when it holds
            nothing but 0 and 1, else one multiply-accumulate a value and output.
        mask: ``[B, L]``.
        n_out: Output channels, of all maps that read ``x`` together.
    """
    products = float(mask.sum()) * x.shape[2] * n_out
    if bool(((x == 0) | (x == 1)).all()):
        events = float(x.count_nonzero()) * n_out
        return AttentionOperations(acs=events, synops=events, dense=products)
    return AttentionOperations(macs=products)
