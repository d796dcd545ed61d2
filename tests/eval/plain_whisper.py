"""Whisper in plain torch, straight from CTranslate2's arrays, and such arrays."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoFeatureExtractor

Arrays = dict[str, np.ndarray]

DIM, HEADS, HIDDEN, MELS, TOKENS, BLOCKS = 16, 2, 24, 80, 50_300, 2


def whisper_arrays() -> Arrays:
    """Random weights of a small Whisper under CTranslate2's names."""
    rng = np.random.default_rng(0)
    arrays: Arrays = {}

    def put(name: str, *shape: int, scale: float = 0.3) -> None:
        arrays[name] = (scale * rng.standard_normal(shape)).astype(np.float16)

    def norm(name: str) -> None:
        put(f"{name}/gamma", DIM)
        put(f"{name}/beta", DIM)

    def linear(name: str, n_out: int, n_in: int = DIM) -> None:
        put(f"{name}/weight", n_out, n_in)
        put(f"{name}/bias", n_out)

    put("encoder/conv1/weight", DIM, MELS, 3)
    put("encoder/conv1/bias", DIM)
    put("encoder/conv2/weight", DIM, DIM, 3)
    put("encoder/conv2/bias", DIM)
    put("encoder/position_encodings/encodings", 1500, DIM)
    put("decoder/position_encodings/encodings", 20, DIM)
    put("decoder/embeddings/weight", TOKENS, DIM)
    for stack in ("encoder", "decoder"):
        arrays[f"{stack}/num_heads"] = np.array(HEADS, np.int16)
        norm(f"{stack}/layer_norm")
        for i in range(BLOCKS):
            block = f"{stack}/layer_{i}"
            for part in ("self_attention", "attention")[: 1 + (stack == "decoder")]:
                norm(f"{block}/{part}/layer_norm")
            linear(f"{block}/self_attention/linear_0", 3 * DIM)
            arrays[f"{block}/self_attention/linear_0/bias"][DIM : 2 * DIM] = 0
            linear(f"{block}/self_attention/linear_1", DIM)
            if stack == "decoder":
                linear(f"{block}/attention/linear_0", DIM)
                linear(f"{block}/attention/linear_1", 2 * DIM)
                arrays[f"{block}/attention/linear_1/bias"][:DIM] = 0
                linear(f"{block}/attention/linear_2", DIM)
            norm(f"{block}/ffn/layer_norm")
            linear(f"{block}/ffn/linear_0", HIDDEN)
            linear(f"{block}/ffn/linear_1", DIM, HIDDEN)
    return arrays


def write_ct2(arrays: Arrays, version: int = 6) -> bytes:
    def string(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    codes = {"float16": 4, "int16": 2}
    out = struct.pack("<I", version) + string("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, a in arrays.items():
        shape = struct.pack(f"<B{a.ndim}I", a.ndim, *a.shape)
        out += string(name) + shape + struct.pack("<BI", codes[a.dtype.name], a.nbytes)
        out += a.tobytes()
    alias = string("decoder/projection/weight") + string("decoder/embeddings/weight")
    return out + struct.pack("<I", 1) + alias


class PlainWhisper:
    """Whisper as its paper draws it, straight from CTranslate2's arrays."""

    def __init__(self, arrays: Arrays) -> None:
        self.w = {k: torch.from_numpy(v.astype(np.float32)) for k, v in arrays.items()}
        self.heads = int(arrays["encoder/num_heads"])
        self.blocks = sum(k.endswith("ffn/linear_0/bias") for k in arrays) // 2

    def norm(self, x: Tensor, name: str) -> Tensor:
        gamma = self.w[f"{name}/gamma"]
        return F.layer_norm(x, gamma.shape, gamma, self.w[f"{name}/beta"])

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}/weight"].T + self.w[f"{name}/bias"]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
        size = q.shape[-1] // self.heads
        outs = []
        for h in range(self.heads):
            part = slice(h * size, (h + 1) * size)
            scores = q[:, part] @ k[:, part].T / math.sqrt(size)
            if causal:
                scores += torch.full_like(scores, -torch.inf).triu(1)
            outs.append(scores.softmax(-1) @ v[:, part])
        return torch.cat(outs, -1)

    def own_attention(self, x: Tensor, block: str, causal: bool) -> Tensor:
        name = f"{block}/self_attention"
        q, k, v = self.linear(self.norm(x, f"{name}/layer_norm"), f"{name}/linear_0").chunk(3, -1)
        return x + self.linear(self.attend(q, k, v, causal), f"{name}/linear_1")

    def feed_forward(self, x: Tensor, block: str) -> Tensor:
        y = self.linear(self.norm(x, f"{block}/ffn/layer_norm"), f"{block}/ffn/linear_0")
        return x + self.linear(F.gelu(y), f"{block}/ffn/linear_1")

    def encode(self, mel: Tensor) -> list[Tensor]:
        """`[M, 2L]` -> what enters each layer and the output, each `[L, D]`."""
        w = self.w
        x = F.gelu(F.conv1d(mel, w["encoder/conv1/weight"], w["encoder/conv1/bias"], padding=1))
        x = F.conv1d(x, w["encoder/conv2/weight"], w["encoder/conv2/bias"], stride=2, padding=1)
        x = F.gelu(x).T
        x = x + w["encoder/position_encodings/encodings"][: len(x)]
        states = [x]
        for i in range(self.blocks):
            x = self.own_attention(x, f"encoder/layer_{i}", causal=False)
            x = self.feed_forward(x, f"encoder/layer_{i}")
            states.append(x)
        states[-1] = self.norm(x, "encoder/layer_norm")
        return states

    def decode(self, tokens: list[int], encoded: Tensor) -> Tensor:
        """Logits `[T, V]`."""
        table = self.w["decoder/embeddings/weight"]
        x = table[tokens] + self.w["decoder/position_encodings/encodings"][: len(tokens)]
        for i in range(self.blocks):
            block = f"decoder/layer_{i}"
            x = self.own_attention(x, block, causal=True)
            name = f"{block}/attention"
            q = self.linear(self.norm(x, f"{name}/layer_norm"), f"{name}/linear_0")
            k, v = self.linear(encoded, f"{name}/linear_1").chunk(2, -1)
            x = x + self.linear(self.attend(q, k, v, causal=False), f"{name}/linear_2")
            x = self.feed_forward(x, block)
        return self.norm(x, "decoder/layer_norm") @ table.T


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))
    return samples.astype(np.float32)


def mel_of(folder: Path, audio: np.ndarray, **options: object) -> Tensor:
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    return extractor(audio, sampling_rate=16_000, return_tensors="pt", **options).input_features  # type: ignore[no-any-return]
