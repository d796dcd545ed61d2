"""Count the multiply-accumulates of an encoder for a recording of any length, from three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_LENGTHS = (2, 3, 4)  # frames; short, so that counting costs nothing


@dataclass(frozen=True)
class Quadratic:
    """Operations as a function of frames, exactly.

    Every product in a transformer is linear in the number of frames but the two of attention,
    which are quadratic. So three counts tell all of them.

    Args:
        counts: MACs at 2, 3 and 4 frames.
    """

    counts: tuple[int, int, int]

    @classmethod
    def of(cls, run: Callable[[int], object]) -> Quadratic:
        """Count what a function does for 2, 3 and 4 frames."""
        a, b, c = (count_macs(lambda n=n: run(n)) for n in _LENGTHS)  # type: ignore[misc]
        return cls((a, b, c))

    def __call__(self, n: int) -> int:
        """Return the MACs at ``n`` frames (Newton's form of the polynomial)."""
        a, b, c = self.counts
        m = n - _LENGTHS[0]
        return a + m * (b - a) + m * (m - 1) * (c - 2 * b + a) // 2


def count_macs(run: Callable[[], object]) -> int:
    """Count the MACs of matrix products and convolutions while a function runs."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2  # a MAC counts as two there


def convolution_macs(layers: Sequence[Any], samples: int) -> int:
    """Return the MACs of a waveform encoder's convolutions, which pad nothing.

    Args:
        layers: Each with its convolution as ``conv``.
        samples: What goes into the first.
    """
    total, length = 0, samples
    for layer in layers:
        (kernel,), (stride,) = layer.conv.kernel_size, layer.conv.stride
        length = (length - kernel) // stride + 1
        total += length * layer.conv.weight.numel()
    return total
