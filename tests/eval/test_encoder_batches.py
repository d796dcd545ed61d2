"""Encoders one by one and in padded batches, against transformers' own forward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from eval.encoder import find_device, load_encoder
from eval.encoder_macs import count_macs
from search_spaces.errors import NasError

from .plain_whisper import BLOCKS, mel_of, noise

SECONDS = (0.3, 0.725, 0.51, 0.725)

# group normalisation over time, which sees padding; layer normalisation; as of the large models
NORMS = {
    "group": {},
    "layer": {"feat_extract_norm": "layer"},
    "stable": {"feat_extract_norm": "layer", "do_stable_layer_norm": True},
}
KINDS = [(k, n) for k in ("Wav2Vec2", "Hubert", "WavLM") for n in NORMS]
KINDS += [("Data2VecAudio", "data2vec")]


@pytest.fixture(params=KINDS, ids=lambda p: "-".join(p))
def folder(
    request: pytest.FixtureRequest, save_encoder: Callable[..., Path], tmp_path: Path
) -> Path:
    kind, norm = request.param
    settings: dict[str, object] = NORMS.get(norm) or {}
    if kind == "Data2VecAudio":
        settings = {"conv_pos_kernel_size": 5}
    return save_encoder(tmp_path / kind, kind, **settings)


def stock_states(folder: Path, **inputs: torch.Tensor) -> list[np.ndarray]:
    """What transformers itself says enters each layer, and its output."""
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    # stable-layer-norm models list their last state before its normalisation
    return [s.numpy() for s in (*out.hidden_states[:3], out.last_hidden_state)]


def test_batched_or_not_an_encoder_gives_the_stock_hidden_states(folder: Path) -> None:
    clips = [noise(s, seed=i) for i, s in enumerate(SECONDS)]
    encoder = load_encoder(folder)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    for layer in range(4):
        together = encoder.encode_batch(clips, layer)
        for clip, (frames, macs) in zip(clips, together, strict=True):
            given = extractor(clip, sampling_rate=16_000, return_tensors="pt").input_values
            state = stock_states(folder, input_values=given)[layer][0]
            alone, _, macs_alone = encoder.encode(clip, layer)
            np.testing.assert_allclose(alone, state, atol=1e-5)
            np.testing.assert_allclose(frames, state, atol=1e-5)
            assert macs == macs_alone


@pytest.mark.parametrize("norm", ["layer", "stable"])
@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert", "WavLM"])
def test_batches_agree_with_the_stock_padded_batch(
    kind: str, norm: str, save_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    """Only models trained with an attention mask can be padded as transformers does."""
    folder = save_encoder(tmp_path, kind, **NORMS[norm])
    clips = [noise(s, seed=i) for i, s in enumerate(SECONDS)]
    inputs = Wav2Vec2FeatureExtractor(return_attention_mask=True)(
        clips, sampling_rate=16_000, return_tensors="pt", padding=True
    )
    states = stock_states(folder, **inputs)
    encoder = load_encoder(folder)
    for layer in range(1, 4):  # what is padded enters the first layer as it comes
        for i, (frames, _) in enumerate(encoder.encode_batch(clips, layer)):
            np.testing.assert_allclose(frames, states[layer][i, : len(frames)], atol=1e-5)


def test_whisper_gives_the_stock_states_in_batches_too(whisper_folder: Path) -> None:
    clips = [noise(s, seed=i) for i, s in enumerate((30.0, 29.99))]
    encoder = load_encoder(whisper_folder)
    model = AutoModel.from_pretrained(whisper_folder)
    given = mel_of(whisper_folder, clips[0])
    with torch.no_grad():
        states = model.encoder(given, output_hidden_states=True).hidden_states
    for layer in range(BLOCKS + 1):
        (full, _), (shorter, _) = encoder.encode_batch(clips, layer)
        np.testing.assert_allclose(full, states[layer][0], atol=1e-5)
        np.testing.assert_allclose(shorter, encoder.encode(clips[1], layer)[0], atol=1e-5)
        assert len(shorter) == 1499
    assert not any(x._forward_pre_hooks for x in encoder.network.layers)


def test_whisper_of_many_lengths_gives_in_a_batch_what_it_gives_alone(
    whisper_folder: Path,
) -> None:
    clips = [noise(s, seed=i) for i, s in enumerate((0.025, 0.9, 0.413, 0.9))]
    encoder = load_encoder(whisper_folder)
    for layer in range(BLOCKS + 1):
        for clip, (frames, macs) in zip(clips, encoder.encode_batch(clips, layer), strict=True):
            alone, _, macs_alone = encoder.encode(clip, layer)
            np.testing.assert_allclose(frames, alone, atol=1e-5)
            assert macs == macs_alone


@pytest.mark.parametrize("seconds", [0.1, 0.777, 2.3])
def test_macs_from_three_short_runs_are_those_of_a_real_one(seconds: float, folder: Path) -> None:
    encoder = load_encoder(folder)
    audio = torch.from_numpy(noise(seconds))[None]
    counted = count_macs(lambda: encoder.network(audio))
    assert encoder.encode(noise(seconds), encoder.n_layers)[2] == counted


def test_whisper_macs_from_three_short_runs_are_those_of_a_real_one(whisper_folder: Path) -> None:
    encoder = load_encoder(whisper_folder)
    given = mel_of(whisper_folder, noise(30.0))
    counted = count_macs(lambda: encoder.network(given))
    assert encoder.encode(noise(30.0), encoder.n_layers)[2] == counted


def test_bf16_is_near_and_not_equal(waveform_encoder: Path) -> None:
    clips = [noise(0.4), noise(0.6, seed=1)]
    exact = load_encoder(waveform_encoder).encode_batch(clips, 2)
    rough = load_encoder(waveform_encoder, precision="bf16").encode_batch(clips, 2)
    for (a, _), (b, _) in zip(exact, rough, strict=True):
        assert b.dtype == np.float32
        assert 0 < np.abs(a - b).max() < 0.1  # bf16 keeps 8 bits of values around 1


@pytest.mark.parametrize(
    ("device", "precision", "told"),
    [
        ("gpu", "fp32", "no device 'gpu'"),
        ("cpu", "fp8", "no precision 'fp8'"),
        ("cpu", "fp16", "fp16 needs a CUDA device"),
    ],
)
def test_impossible_devices(device: str, precision: str, told: str) -> None:
    with pytest.raises(NasError, match=told):
        find_device(device, precision)


def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto", "fp32") == "cpu"
    with pytest.raises(NasError, match="no CUDA device"):
        find_device("cuda", "fp32")
