"""Frozen speech encoders: a recording in, the frames of one layer out."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.audio import LEAST_SAMPLES, SAMPLE_RATE, Floats
from eval.cache import file_sha256
from eval.ct2 import WHISPER_TINY, prepare_whisper_tiny, without_bars
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from torch import Tensor

WHISPER_TINY_LAYERS = 4

WINDOW_SECONDS = 30  # longer recordings are encoded in pieces of this length

_FILES = ("*.json", "*.safetensors", "*.bin")  # what determines an encoder's output
_NOT_NEEDED = ("decoder.", "masked_spec_embed")  # never run, or only while training
_LOCAL_HINT = "with no network, give a local folder that save_pretrained wrote"


@dataclass(frozen=True)
class EncoderSource:
    """An encoder that was found, but whose weights are not loaded yet.

    Args:
        name: As a person names it.
        location: What transformers loads: a folder or a name on the hub.
        revision: SHA-256 of a folder's content, or the hub's commit.
        n_layers: Number of transformer layers.
    """

    name: str
    location: str
    revision: str
    n_layers: int

    @property
    def default_layer(self) -> int:
        """The layer to read when nobody says: the middle one.

        Emotion is told best neither by the first layers (sound) nor by the last (words). For
        the bundled Whisper layer 2 of 4 also measured best.
        """
        return self.n_layers // 2

    def checked_layer(self, layer: int | None) -> int:
        """Return ``layer``, or the default for None.

        Raises:
            NasError: The encoder has no such layer.
        """
        if layer is None:
            return self.default_layer
        if not 0 <= layer <= self.n_layers:
            raise NasError(
                f"encoder {self.name} has no layer {layer}",
                hint=f"0 (its input) to {self.n_layers} (its output)",
            )
        return layer


@dataclass(frozen=True)
class Encoder:
    """A frozen speech encoder in float32 on the CPU.

    Not for several threads at a time: Whisper's tables are exchanged while it runs.

    Args:
        source: Where it came from.
        dim: Width of its frames.
        frame_rate: Of its frames [Hz].
        network: The transformers module to run.
        extractor: Turns samples into the network's input.
    """

    source: EncoderSource
    dim: int
    frame_rate: float
    network: Any = field(repr=False)
    extractor: Any = field(repr=False)
    _macs: dict[tuple[tuple[int, ...], int], int] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """As a person names it."""
        return self.source.name

    @property
    def revision(self) -> str:
        """SHA-256 of a folder's content, or the hub's commit."""
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
        import torch

        layer = self.source.checked_layer(layer)
        window = WINDOW_SECONDS * SAMPLE_RATE
        starts = [s for s in range(0, len(audio), window) if len(audio) - s >= LEAST_SAMPLES]
        frames, macs = [], 0
        with torch.inference_mode():
            for start in starts:
                piece, cost = self._encode_window(audio[start : start + window], layer)
                frames.append(piece)
                macs += cost
        return np.concatenate(frames), self.frame_rate, macs

    def _encode_window(self, audio: Floats, layer: int) -> tuple[Floats, int]:
        from torch.utils.flop_counter import FlopCounterMode

        inputs = self.extractor(
            audio, sampling_rate=SAMPLE_RATE, padding="longest", return_tensors="pt"
        )
        if _is_whisper(self.network):
            mel = inputs.input_features
            # the second convolution halves the rate: two mel frames make one
            given = mel[..., : mel.shape[-1] // 2 * 2]
            context: Any = _unpadded(self.network, given.shape[-1] // 2)
            blocks = self.network
        else:
            given = inputs.input_values
            context = contextlib.nullcontext()
            blocks = self.network.encoder
        key = (tuple(given.shape), layer)
        with context:
            if key in self._macs:
                hidden = _hidden(lambda: self.network(given), blocks, layer)
            else:
                with FlopCounterMode(display=False) as counter:
                    hidden = _hidden(lambda: self.network(given), blocks, layer)
                self._macs[key] = counter.get_total_flops() // 2  # a MAC counts as two there
        return hidden[0].numpy(), self._macs[key]


def find_encoder(name: str | Path | None = None, say: Say = silent) -> EncoderSource:
    """Find an encoder without loading its weights.

    Args:
        name: None for the bundled Whisper tiny.en; a folder; or ``owner/model`` on the hub.
        say: Told what is fetched.

    Raises:
        NasError: No such encoder, or no network to get it.
    """
    if name is None or name == WHISPER_TINY:
        folder = prepare_whisper_tiny(say)
        return EncoderSource(WHISPER_TINY, str(folder), _content(folder), WHISPER_TINY_LAYERS)
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local and (str(name).count("/") != 1 or str(name)[0] in "/.~"):
        raise NasError(
            f"no encoder {str(name)!r}: no such folder",
            hint=f"{nearest(name, [WHISPER_TINY])}; or a folder; or OWNER/MODEL on the hub",
        )
    location = str(folder) if local else str(name)
    config = _load("AutoConfig", location, str(name))
    layers = getattr(config, "encoder_layers", getattr(config, "num_hidden_layers", 0))
    revision = _content(folder) if local else config._commit_hash
    if not isinstance(revision, str):
        raise NasError(
            "the hub did not say which revision this is",
            where=str(name),
            hint="download the model and give its folder",
        )
    return EncoderSource(str(name), location, revision, int(layers))


def load_encoder(source: EncoderSource | str | Path | None = None, say: Say = silent) -> Encoder:
    """Load an encoder's weights.

    Args:
        source: What `find_encoder` found, or what it takes.
        say: Told what is fetched.

    Raises:
        NasError: It cannot be found or loaded, lacks weights, or is no speech encoder that we
            can run (Whisper, and models on waveforms such as wav2vec 2.0, HuBERT, WavLM).
    """
    import torch

    if not isinstance(source, EncoderSource):
        source = find_encoder(source, say)
    extractor = _load("AutoFeatureExtractor", source.location, source.name)
    # The flop counter does not know the fused attention of CPUs, so attention runs unfused.
    model, loading = _load(
        "AutoModel",
        source.location,
        source.name,
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    missing = [k for k in sorted(loading["missing_keys"]) if not k.startswith(_NOT_NEEDED)]
    if missing:
        raise NasError(
            f"{len(missing)} weights are missing, {missing[0]} first; they would be random",
            where=source.name,
        )
    network = model.encoder if model.config.model_type == "whisper" else model
    config = model.config
    if _is_whisper(network):
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
    network.eval().requires_grad_(False)
    return Encoder(source, int(config.hidden_size), frame_rate, network, extractor)


def _load(kind: str, location: str, name: str, **options: Any) -> Any:
    import transformers

    try:
        with without_bars():
            return getattr(transformers, kind).from_pretrained(location, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        local = Path(location).is_dir()
        raise NasError(
            f"cannot load the encoder: {reason}",
            where=name,
            hint="the folder must be one that save_pretrained wrote, with its feature extractor"
            if local
            else _LOCAL_HINT,
        ) from error


def _content(folder: Path) -> str:
    files = sorted({f for pattern in _FILES for f in folder.glob(pattern)})
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def _is_whisper(network: Any) -> bool:
    return hasattr(network, "embed_positions") and hasattr(network, "conv2")


@contextlib.contextmanager
def _unpadded(encoder: Any, positions: int) -> Iterator[None]:
    """Let Whisper's encoder take ``2 * positions`` mel frames instead of 30 s of them.

    It adds its whole table of positions and refuses any other length; with the table's head
    alone it computes the same function on a clip without the padding, at a fraction of the
    cost.
    """
    from torch import nn

    table, most = encoder.embed_positions, encoder.config.max_source_positions
    encoder.embed_positions = nn.Embedding.from_pretrained(table.weight[:positions])
    encoder.config.max_source_positions = positions
    try:
        yield
    finally:
        encoder.embed_positions = table
        encoder.config.max_source_positions = most


class _Reached(Exception):
    """Carries the hidden state out of the middle of a network."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def _hidden(run: Callable[[], object], encoder: Any, layer: int) -> Tensor:
    """Run a network until what enters ``layer`` is known (its output, for the last).

    Returns:
        ``[1, L, D]``.
    """

    def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    def after(_module: Any, _args: Any, output: Any) -> None:
        raise _Reached(output.last_hidden_state)

    if layer < len(encoder.layers):
        hook = encoder.layers[layer].register_forward_pre_hook(before, with_kwargs=True)
    else:
        hook = encoder.register_forward_hook(after)
    try:
        run()
    except _Reached as reached:
        return reached.hidden
    finally:
        hook.remove()
    raise RuntimeError(f"the network never came to layer {layer}")
