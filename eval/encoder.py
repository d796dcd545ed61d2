"""Frozen speech encoders: a recording in, the frames of one layer out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.audio import LEAST_SAMPLES, SAMPLE_RATE, Floats
from eval.cache import file_sha256
from eval.ct2 import WHISPER_TINY, WHISPER_TINY_SHA256, prepare_whisper_tiny, without_bars
from eval.hidden_states import hidden_state, is_whisper, unpadded
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

WHISPER_TINY_LAYERS = 4

WINDOW_SECONDS = 30  # longer recordings are encoded in pieces of this length

# What determines an encoder's output.
_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("*.safetensors", "*.bin")
_NOT_NEEDED = ("decoder.", "masked_spec_embed")  # never run, or only while training
_HUB_HINT = "with no network, give a local folder that save_pretrained wrote"
_LOCAL_HINT = "the folder must be one that save_pretrained wrote, with its feature extractor"


@dataclass(frozen=True)
class EncoderSource:
    """An encoder that was found, but whose weights are not loaded yet.

    Args:
        name: As a person names it.
        location: What transformers loads: an absolute path or a name on the hub.
        revision: SHA-256 of the weights as they were published (bundled), SHA-256 of a folder's
            settings and weights, or the commit on the hub.
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
        if is_whisper(self.network):
            mel = inputs.input_features
            # the second convolution halves the rate: two mel frames make one
            given = mel[..., : mel.shape[-1] // 2 * 2]
            context: Any = unpadded(self.network, given.shape[-1] // 2)
            blocks = self.network
        else:
            given = inputs.input_values
            context = contextlib.nullcontext()
            blocks = self.network.encoder
        key = (tuple(given.shape), layer)
        with context:
            if key in self._macs:
                hidden = hidden_state(lambda: self.network(given), blocks, layer)
            else:
                with FlopCounterMode(display=False) as counter:
                    hidden = hidden_state(lambda: self.network(given), blocks, layer)
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
        return EncoderSource(WHISPER_TINY, str(folder), WHISPER_TINY_SHA256, WHISPER_TINY_LAYERS)
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local and (str(name).count("/") != 1 or str(name)[0] in "/.~"):
        raise NasError(
            f"no encoder {str(name)!r}: no such folder",
            hint=f"{nearest(name, [WHISPER_TINY])}; or a folder; or OWNER/MODEL on the hub",
        )
    if local:
        location, revision = str(folder.resolve()), None
    else:
        location, revision = str(name), _commit(str(name))
    config = _load("AutoConfig", location, str(name), revision)
    layers = getattr(config, "encoder_layers", getattr(config, "num_hidden_layers", 0))
    return EncoderSource(str(name), location, revision or _content(folder), int(layers))


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
    revision = None if Path(source.location).is_absolute() else source.revision
    extractor = _load("AutoFeatureExtractor", source.location, source.name, revision)
    # The flop counter does not know the fused attention of CPUs, so attention runs unfused.
    model, loading = _load(
        "AutoModel",
        source.location,
        source.name,
        revision,
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
    network.eval().requires_grad_(False)
    return Encoder(source, int(config.hidden_size), frame_rate, network, extractor)


def _load(kind: str, location: str, name: str, revision: str | None, **options: Any) -> Any:
    """Call ``from_pretrained``; the revision is None for a folder."""
    import transformers

    if revision is not None:
        options["revision"] = revision
    try:
        with without_bars():
            return getattr(transformers, kind).from_pretrained(location, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _cannot_load(name, error, _LOCAL_HINT if revision is None else _HUB_HINT) from error


def _commit(name: str) -> str:
    """Ask the hub for a model's commit, or its local cache when there is no network."""
    import transformers

    utils: Any = transformers.utils
    try:
        config = utils.cached_file(name, "config.json")
    except (OSError, ValueError) as error:
        raise _cannot_load(name, error, _HUB_HINT) from error
    return Path(config).parent.name  # the cache keeps a folder for each commit


def _cannot_load(name: str, error: Exception, hint: str) -> NasError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return NasError(f"cannot load the encoder: {reason}", where=name, hint=hint)


def _content(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in (folder / name for name in _SETTINGS):
        if file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
            settings.pop("transformers_version", None)  # says who wrote it, not what it is
            digest.update(f"{file.name} {json.dumps(settings, sort_keys=True)}\n".encode())
    for file in sorted({f for pattern in _WEIGHTS for f in folder.glob(pattern)}):
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()
