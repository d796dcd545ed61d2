"""A convolutional time-to-first-spike network over event frames, after TNAS-ER.

Re-derived: TNAS-ER (arXiv 2512.02459) documents the search over time-to-first-spike networks
guided by a ReLU counterpart with the same tensors, and skip connections as what its timing has
to solve; its operations, channels and sizes are not public. The blocks here are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from search_spaces.errors import NasError
from search_spaces.ttfs import (
    B1Layer,
    Discretisation,
    Encoder,
    FirstSpike,
    Readout,
    Signal,
    TTFSNetwork,
    Window,
    concatenated,
    fold_after,
)

NARROWEST = 2  # pixels a side that a pooling layer still finds


class Block(nn.Module):
    """One or two layers of B1 neurons, with a skip connection around them.

    ``conv``: one convolution. ``double``: two. ``separable``: depthwise, then pointwise. The
    input joins again by ``add`` (delayed spikes drive the last layer's membranes, by identity
    or a 1x1 convolution) or ``concat`` (delayed spikes beside the new ones). Branches that
    meet share a window.

    Args:
        operation: ``conv``, ``double`` or ``separable``.
        kernel: Side of the convolution, odd.
        n_in: Channels of the input.
        n_out: Channels of the last layer.
        skip: ``none``, ``add`` or ``concat``.
        window: Of the input.
    """

    def __init__(
        self, operation: str, kernel: int, n_in: int, n_out: int, skip: str, window: Window
    ) -> None:
        super().__init__()
        self.concat = skip == "concat"
        self.channels = n_out + n_in if self.concat else n_out
        inside = window if skip == "add" else Window()
        self.window = window if self.concat else Window()
        synapses: nn.Module | None = None
        if skip == "add":
            same = n_in == n_out
            synapses = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, bias=False)
        self.add = synapses is not None
        self.first: B1Layer | None = None
        if operation == "double":
            self.first = _layer(n_in, n_out, kernel, inside)
            self.last = _layer(n_out, n_out, kernel, self.window, skip=synapses)
        elif operation == "separable":
            self.first = _layer(n_in, n_in, kernel, inside, groups=n_in)
            self.last = _layer(n_in, n_out, 1, self.window, skip=synapses)
        else:
            self.last = _layer(n_in, n_out, kernel, self.window, skip=synapses)

    @property
    def entry(self) -> B1Layer:
        """The layer that reads the input."""
        return self.last if self.first is None else self.first

    def forward(self, x: Signal, normalised: Signal | None = None) -> Signal:
        """``[N, C, H, W]`` -> ``[N, channels, H, W]``.

        Args:
            x: The input.
            normalised: What the first synapses read in its place, before folding.
        """
        read = x if normalised is None else normalised
        if self.first is not None:
            read = self.first(read)
        out: Signal = self.last(read, skip=x if self.add else None)
        return concatenated([x, out], -3) if self.concat else out


class TTFSConv(TTFSNetwork):
    """Blocks, each followed by 2x2 pooling, and a readout that never spikes.

    The frames of a clip enter as channels of one image, or each as an inference of its own
    whose readout membranes are averaged.

    Args:
        values: Every slot of the family ``ttfs_conv``.
        clip: ``(L, C, H, W)`` of the input.
        n_classes: Number of classes.

    Raises:
        NasError: The image is too small for so many poolings.
    """

    latency_frames = None  # the last frame of the clip must be there

    def __init__(
        self, values: Mapping[str, Any], clip: tuple[int, int, int, int], n_classes: int
    ) -> None:
        spiking = values["neuron.type"] == "ttfs"
        super().__init__(
            Discretisation(
                int(values["ttfs.steps"]),
                float(values["ttfs.margin"]),
                float(values["ttfs.finetune"]),
            )
            if spiking
            else None
        )
        frames, channels, height, width = self.clip = clip
        self.by_frame = values["input.fusion"] == "frames"
        if not self.by_frame:
            channels *= frames
        self.image = (channels, height, width)
        # pixels are in [0, 1]; that window is only widened where a branch must share it
        window = Window(1.0 if values["block.skip"][0] == "none" else None)
        self.encode = Encoder(window)
        batch = values["input.normalization"] == "batch"
        self.normalise = nn.BatchNorm2d(channels) if batch else None
        self.blocks = nn.ModuleList()
        self.pools = nn.ModuleList()
        for operation, kernel, n_out, skip in zip(
            values["block.operation"],
            values["block.kernel"],
            values["block.channels"],
            values["block.skip"],
            strict=True,
        ):
            if min(height, width) < NARROWEST:
                raise NasError(
                    f"{len(values['block.kernel'])} blocks on frames of {clip[2]}x{clip[3]}:"
                    " each halves the sides, and nothing is left",
                    hint="lower encoder.depth, or use larger frames",
                )
            block = Block(operation, int(kernel), channels, int(n_out), skip, window)
            self.blocks.append(block)
            channels, window = block.channels, block.window
            if values["pool.kind"] == "max":
                self.pools.append(FirstSpike(nn.MaxPool2d(2)))
            else:
                window = Window()
                self.pools.append(B1Layer(nn.AvgPool2d(2), window=window))
            height, width = height // 2, width // 2
        flat = values["readout.pool"] == "none"
        pool = nn.Flatten() if flat else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        n_features = channels * height * width if flat else channels
        self.readout = Readout(nn.Linear(n_features, n_classes), pool)

    def windows_in_series(self) -> int:
        """The encoder's, those of the blocks, and those of average pooling."""
        layers = sum(1 + (block.first is not None) for block in self._blocks())
        return 1 + layers + sum(isinstance(pool, B1Layer) for pool in self.pools)

    def fold(self) -> None:
        """Fold all normalisations, the input's into the first layer that reads it."""
        if self.folded:
            return
        super().fold()
        if self.normalise is not None:
            fold_after(self.normalise, self._blocks()[0].entry, self.image, None)
            self.normalise = None

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify clips.

        Args:
            features: ``[B, L, C * H * W]`` in [0, 1].
            lengths: Not needed: every clip has ``L`` frames.

        Returns:
            ``[B, C]`` logits.
        """
        frames, _, height, width = self.clip
        if features.shape[1] != frames:
            raise NasError(f"clips of {features.shape[1]} frames, built for {frames}")
        images = features.reshape(-1, self.image[0], height, width)
        signal: Signal = self.encode(images, self.view)
        normalised = None
        if self.normalise is not None:
            normalised = replace(signal, data=self.normalise(signal.data))
        for block, pool in zip(self.blocks, self.pools, strict=True):
            signal = pool(block(signal, normalised))
            normalised = None
        membranes: Tensor = self.readout(signal)
        if self.by_frame:
            membranes = membranes.view(-1, frames, membranes.shape[1]).mean(1)
        return membranes

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]


def _layer(
    n_in: int,
    n_out: int,
    kernel: int,
    window: Window,
    *,
    skip: nn.Module | None = None,
    groups: int = 1,
) -> B1Layer:
    synapses = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return B1Layer(synapses, nn.BatchNorm2d(n_out), skip, window)


def build(values: Mapping[str, Any], clip: tuple[int, int, int, int], n_classes: int) -> nn.Module:
    """Build the network; the entry point of the family table."""
    return TTFSConv(values, clip, n_classes)
