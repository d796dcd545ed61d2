"""Small corpora and encoders for the tests of `eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

Write = Callable[..., Path]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAS_CACHE", str(folder))
    return folder


@pytest.fixture
def write_wav() -> Write:
    def write(path: Path, seconds: float = 0.3, rate: int = 16_000, seed: int = 0) -> Path:
        samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
        soundfile.write(path, samples.astype(np.float32), rate)
        return path

    return write


@pytest.fixture
def write_manifest() -> Write:
    def write(folder: Path, *lines: str, header: str = "path,label,speaker") -> Path:
        path = folder / "manifest.csv"
        path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def audio_corpus(tmp_path: Path, write_wav: Write, write_manifest: Write) -> Path:
    """Three speakers, two labels, one clip of each, 0.3 to 0.8 s."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = []
    for i in range(6):
        write_wav(folder / f"{i}.wav", seconds=0.3 + 0.1 * i, seed=i)
        lines.append(f"{i}.wav,{'joy' if i % 2 else 'anger'},s{i // 2}")
    write_manifest(folder, *lines)
    return folder


@pytest.fixture
def feature_corpus(tmp_path: Path, write_manifest: Write) -> Path:
    """The same with `[L, 5]` features of 2 to 7 frames."""
    folder = tmp_path / "features"
    folder.mkdir()
    lines = []
    for i in range(6):
        rng = np.random.default_rng(i)
        np.save(folder / f"{i}.npy", rng.standard_normal((i + 2, 5)))
        lines.append(f"{i}.npy,{'joy' if i % 2 else 'anger'},s{i // 2}")
    write_manifest(folder, *lines)
    return folder


def save_waveform_encoder(folder: Path, kind: str = "Wav2Vec2", **settings: object) -> Path:
    """Save a random encoder of 3 layers, 16 dimensions and 50 Hz that reads waveforms."""
    import torch
    import transformers

    convolutions: Sequence[int] = (8, 8, 8)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=convolutions,
        conv_kernel=(10, 8, 8),
        conv_stride=(5, 8, 8),
        num_conv_pos_embeddings=6,
        num_conv_pos_embedding_groups=2,
        **settings,
    )
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def waveform_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_waveform_encoder(tmp_path_factory.mktemp("waveform"))


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from eval.ct2 import convert_whisper

    from .plain_whisper import whisper_arrays, write_ct2

    folder = tmp_path_factory.mktemp("whisper")
    convert_whisper(write_ct2(whisper_arrays()), folder)
    return folder


@pytest.fixture
def save_encoder() -> Callable[..., Path]:
    return save_waveform_encoder
