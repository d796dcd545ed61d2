"""Frozen speech encoders: recordings in, the frames of one layer out."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from eval.audio import BLOCK_SECONDS, LEAST_SAMPLES, SAMPLE_RATE, Floats
from eval.encoder_macs import Quadratic, convolution_macs
from eval.encoder_source import EncoderSource, find_encoder, load_part
from eval.hidden_states import hidden_state, is_whisper, masked, padded_with_zeros, unpadded
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Encoder", "EncoderSource", "Precision", "find_encoder", "load_encoder"]

Precision = Literal["fp32", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
DEVICES = ("auto", "cpu", "cuda")

_NOT_NEEDED = ("decoder.", "masked_spec_embed")  # never run, or only while training


@dataclass(frozen=True)
class Encoder:
    """A frozen speech encoder.

    Not for several threads at a time: Whisper's tables are exchanged while it runs.

    Args:
        source: Where it came from.
        dim: Width of its frames.
        frame_rate: Of its frames [Hz].
        network: The transformers module to run.
        extractor: Turns samples into the network's input.
        device: Where the network lies.
    """

    source: EncoderSource
    dim: int
    frame_rate: float
    network: Any = field(repr=False)
    extractor: Any = field(repr=False)
    device: str = "cpu"
    _macs: dict[int, Quadratic] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """As a person names it."""
        return self.source.name

    @property
    def revision(self) -> str:
        """Which weights these are, by their content."""
        return self.source.revision

    @property
    def n_layers(self) -> int:
        """Number of transformer layers."""
        return self.source.n_layers

    def encode(self, audio: Floats, layer: int) -> tuple[Floats, float, int]:
        """Encode one recording up to a layer; layers above it are not run.

        Args:
            audio: ``[samples]`` at 16 kHz, at least 25 ms. Longer ones than 30 s are encoded in
                windows of 30 s that know nothing of each other.
            layer: 0 for what enters the first layer, ``n_layers`` for the encoder's output
                (with its final normalisation, if it has one).

        Returns:
            ``[L, D]`` frames, their rate [Hz], and the MACs of the network up to that layer
            (matrix products, convolutions, attention; not the spectrogram).

        Raises:
            NasError: No such layer.
        """
        window = BLOCK_SECONDS * SAMPLE_RATE
        starts = [s for s in range(0, len(audio), window) if len(audio) - s >= LEAST_SAMPLES]
        pieces = [self.encode_batch([audio[s : s + window]], layer)[0] for s in starts]
        return np.concatenate([f for f, _ in pieces]), self.frame_rate, sum(m for _, m in pieces)

    def encode_batch(self, batch: Sequence[Floats], layer: int) -> list[tuple[Floats, int]]:
        """Encode recordings together; each gives what it gives alone, up to rounding.

        What has no mask of its own is not padded: spectrograms and the convolutions on the
        waveform (whose group normalisation would see the zeros) run one by one, and attention,
        where nearly all the work is, runs padded and masked.

        Args:
            batch: ``[samples]`` each, 25 ms to 30 s at 16 kHz.
            layer: As for `encode`.

        Returns:
            For each its frames ``[L, D]`` and the MACs of its real frames.

        Raises:
            NasError: No such layer.
        """
        return self.encode_prepared([self.prepare(audio) for audio in batch], layer)

    def prepare(self, audio: Floats) -> Tensor:
        """Return the network's input for one recording; needs no network and no device."""
        made = self.extractor(
            audio, sampling_rate=SAMPLE_RATE, padding="longest", return_tensors="pt"
        )
        given: Tensor = made[self.extractor.model_input_names[0]][0]
        return given

    def encode_prepared(self, batch: Sequence[Tensor], layer: int) -> list[tuple[Floats, int]]:
        """Do as `encode_batch` with what `prepare` made of recordings."""
        import torch

        layer = self.source.checked_layer(layer)
        given = [x.to(self.device, self.network.dtype) for x in batch]
        # Of float32 convolutions CUDA keeps 10 bits unless told otherwise.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            run = self._mels if is_whisper(self.network) else self._waveforms
            hidden, lengths = run(given, layer)
            frames = hidden.float().cpu().numpy()
            return [
                (frames[i, :n], self._cost(n, x.shape[-1], layer))
                for i, (n, x) in enumerate(zip(lengths, batch, strict=True))
            ]

    def _mels(self, mels: Sequence[Tensor], layer: int) -> tuple[Tensor, list[int]]:
        """Run Whisper's encoder.

        Its first convolution pads with zeros, as a batch is padded here; its second, of stride
        2 on an even number of frames, does not reach into the padding.
        """
        import torch
        from torch.nn import functional

        # the second convolution halves the rate: two mel frames make one
        lengths = [mel.shape[-1] // 2 for mel in mels]
        most = max(lengths)
        padded = [
            functional.pad(mel[:, : 2 * n], (0, 2 * (most - n)))
            for mel, n in zip(mels, lengths, strict=True)
        ]
        return self._blocks(torch.stack(padded), lengths, layer), lengths

    def _waveforms(self, batch: Sequence[Tensor], layer: int) -> tuple[Tensor, list[int]]:
        import torch
        from torch.nn import functional

        fronts = [self.network.feature_extractor(x[None])[0].mT for x in batch]
        lengths = [len(front) for front in fronts]
        most = max(lengths)
        padded = [functional.pad(front, (0, 0, 0, most - len(front))) for front in fronts]
        return self._blocks(torch.stack(padded), lengths, layer), lengths

    def _blocks(self, given: Tensor, lengths: Sequence[int], layer: int) -> Tensor:
        """Run all that works on padded frames.

        Args:
            given: Mel frames ``[B, M, 2L]``, or outputs of the convolutions ``[B, L, C]``.
            lengths: Real frames of each.
            layer: Whose input is wanted.

        Returns:
            ``[B, L, D]``.
        """
        import torch

        mask = None
        if min(lengths) < max(lengths):
            at = torch.arange(max(lengths), device=given.device)
            mask = at < torch.tensor(lengths, device=given.device)[:, None]
        if is_whisper(self.network):
            context: Any = contextlib.ExitStack()
            context.enter_context(unpadded(self.network, max(lengths)))
            if mask is not None:
                context.enter_context(masked(self.network, mask))
            with context:
                return hidden_state(lambda: self.network(given), self.network, layer)
        projected = self.network.feature_projection(given)
        projected = projected[0] if isinstance(projected, tuple) else projected
        blocks = self.network.encoder
        clean = padded_with_zeros(blocks, mask) if mask is not None else contextlib.nullcontext()
        with clean:
            return hidden_state(lambda: blocks(projected, attention_mask=mask), blocks, layer)

    def _cost(self, frames: int, samples: int, layer: int) -> int:
        """Return the MACs for one recording."""
        import torch

        network = self.network
        whisper = is_whisper(network)

        def run(n: int) -> None:
            width = network.config.num_mel_bins if whisper else network.config.conv_dim[-1]
            shape = (1, width, 2 * n) if whisper else (1, n, width)
            given = torch.zeros(shape, device=self.device, dtype=network.dtype)
            self._blocks(given, [n], layer)

        if layer not in self._macs:
            self._macs[layer] = Quadratic.of(run)
        front = 0 if whisper else convolution_macs(network.feature_extractor.conv_layers, samples)
        return self._macs[layer](frames) + front


def load_encoder(
    source: EncoderSource | str | Path | None = None,
    say: Say = silent,
    *,
    precision: Precision = "fp32",
    device: str = "cpu",
) -> Encoder:
    """Load an encoder's weights.

    Args:
        source: What `find_encoder` found, or what it takes.
        say: Told what is fetched.
        precision: Of weights and arithmetic.
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.

    Raises:
        NasError: It cannot be found or loaded, lacks weights, is no speech encoder that we can
            run (Whisper, and models on waveforms such as wav2vec 2.0, HuBERT, WavLM), or the
            device cannot compute so.
    """
    import torch

    place = find_device(device, precision)
    if not isinstance(source, EncoderSource):
        source = find_encoder(source, say)
    revision = None if Path(source.location).is_absolute() else source.revision
    asked = (source.location, source.name, revision)
    extractor = load_part("AutoFeatureExtractor", *asked)
    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    # The flop counter does not know the fused attention of CPUs, so attention runs unfused.
    options: dict[str, Any] = {"dtype": kinds[precision], "attn_implementation": "eager"}
    model, loading = load_part("AutoModel", *asked, output_loading_info=True, **options)
    missing = [k for k in sorted(loading["missing_keys"]) if not k.startswith(_NOT_NEEDED)]
    if missing:
        raise NasError(
            f"{len(missing)} weights are missing, {missing[0]} first; they would be random",
            where=source.name,
        )
    network = model.encoder if model.config.model_type == "whisper" else model
    config = model.config
    if is_whisper(network):
        frame_rate = extractor.sampling_rate / extractor.hop_length / 2
    elif hasattr(config, "conv_stride") and hasattr(getattr(model, "encoder", None), "layers"):
        frame_rate = extractor.sampling_rate / math.prod(config.conv_stride)
    else:
        raise NasError(
            f"a model of type {config.model_type!r} is no speech encoder we can run",
            where=source.name,
            hint="use Whisper, wav2vec 2.0, HuBERT, WavLM or data2vec-audio",
        )
    if extractor.sampling_rate != SAMPLE_RATE:
        raise NasError(
            f"it expects audio at {extractor.sampling_rate} Hz",
            where=source.name,
            hint=f"only encoders for {SAMPLE_RATE} Hz can be used",
        )
    network.eval().requires_grad_(False).to(place)
    return Encoder(source, int(config.hidden_size), frame_rate, network, extractor, place)


def check_names(device: str, precision: str) -> None:
    """Refuse a device or precision that does not exist anywhere."""
    if device not in DEVICES:
        raise NasError(f"no device {device!r}", hint=nearest(device, DEVICES))
    if precision not in PRECISIONS:
        raise NasError(f"no precision {precision!r}", hint=nearest(precision, PRECISIONS))


def find_device(device: str, precision: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        NasError: An unknown name, no such device, or it cannot compute in that precision.
    """
    import torch

    check_names(device, precision)
    if device == "cuda" and not torch.cuda.is_available():
        raise NasError("there is no CUDA device here", hint="--device cpu")
    place = "cpu" if device == "cpu" or not torch.cuda.is_available() else "cuda"
    if place == "cpu" and precision == "fp16":
        raise NasError(
            "fp16 needs a CUDA device", hint="--precision fp32; bf16 runs on a CPU, slowly"
        )
    if place == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise NasError("this CUDA device cannot compute in bf16", hint="--precision fp16 or fp32")
    return place
