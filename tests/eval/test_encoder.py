"""The encoders, against plain torch and transformers' own forward."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from eval.encoder import Encoder, find_encoder, load_encoder
from eval.hidden_states import unpadded
from search_spaces.errors import NasError

from .plain_whisper import BLOCKS, DIM, HIDDEN, MELS, PlainWhisper, mel_of, noise, whisper_arrays


@pytest.fixture(scope="module")
def whisper(whisper_folder: Path) -> Encoder:
    return load_encoder(whisper_folder)


@pytest.mark.parametrize("seconds", [0.025, 0.5, 1.234])
def test_unpadded_whisper_computes_what_the_plain_one_does(
    seconds: float, whisper: Encoder, whisper_folder: Path
) -> None:
    audio = noise(seconds)
    mel = mel_of(whisper_folder, audio, padding="longest")[0]
    states = PlainWhisper(whisper_arrays()).encode(mel[:, : mel.shape[1] // 2 * 2])
    for layer, state in enumerate(states):
        frames, rate, _ = whisper.encode(audio, layer)
        assert rate == 50.0
        assert frames.dtype == np.float32
        np.testing.assert_allclose(frames, state, atol=1e-4)


def test_30_s_equal_the_stock_forward(whisper: Encoder, whisper_folder: Path) -> None:
    audio = noise(30.0)
    model = AutoModel.from_pretrained(whisper_folder)
    with torch.no_grad():
        states = model.encoder(
            mel_of(whisper_folder, audio), output_hidden_states=True
        ).hidden_states
    for layer in range(BLOCKS + 1):
        frames, _, _ = whisper.encode(audio, layer)
        np.testing.assert_allclose(frames, states[layer][0], atol=1e-4)


def test_longer_audio_goes_in_windows(whisper: Encoder) -> None:
    audio = noise(31.0)
    frames, _, macs = whisper.encode(audio, 2)
    first, _, first_macs = whisper.encode(audio[:480_000], 2)
    second, _, second_macs = whisper.encode(audio[480_000:], 2)
    np.testing.assert_array_equal(frames, np.concatenate([first, second]))
    assert macs == first_macs + second_macs
    # what is shorter than an analysis window at the very end is left away
    assert len(whisper.encode(audio[: 480_000 + 399], 2)[0]) == 1500


def test_whisper_is_put_back_after_use_and_after_an_error(whisper: Encoder) -> None:
    table = whisper.network.embed_positions

    def break_off() -> None:
        with unpadded(whisper.network, 7):
            assert whisper.network.embed_positions.weight.shape == (7, DIM)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    whisper.encode(noise(0.5), 1)
    assert whisper.network.embed_positions is table
    assert whisper.network.config.max_source_positions == 1500
    assert not whisper.network.layers[1]._forward_pre_hooks


@pytest.mark.parametrize("layer", range(BLOCKS + 1))
def test_whisper_macs_by_hand(layer: int, whisper: Encoder) -> None:
    n = 50  # frames of a second
    convolutions = 2 * n * MELS * DIM * 3 + n * DIM * DIM * 3
    block = n * 4 * DIM * DIM + 2 * n * n * DIM + 2 * n * DIM * HIDDEN
    for _ in range(2):  # counted, then remembered
        assert whisper.encode(noise(1.0), layer)[2] == convolutions + layer * block


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Wav2Vec2", {}),
        ("Wav2Vec2", {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}),
        ("Hubert", {}),
        ("WavLM", {}),
        ("Data2VecAudio", {"conv_pos_kernel_size": 5}),
    ],
)
def test_waveform_encoders_give_the_stock_hidden_states(
    kind: str, settings: dict[str, object], save_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    encoder = load_encoder(save_encoder(tmp_path, kind, **settings))
    assert (encoder.n_layers, encoder.dim, encoder.frame_rate) == (3, 16, 50.0)
    audio = noise(0.7)
    model = AutoModel.from_pretrained(tmp_path).eval()
    normalised = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    with torch.no_grad():
        out = model(torch.from_numpy(normalised)[None], output_hidden_states=True)
    # stable-layer-norm models list their last state before its normalisation
    states = (*out.hidden_states[:3], out.last_hidden_state)
    costs = []
    for layer in range(4):
        frames, _, macs = encoder.encode(audio, layer)
        np.testing.assert_allclose(frames, states[layer][0], atol=1e-4)
        costs.append(macs)
    assert costs == sorted(set(costs))


def test_waveform_macs_by_hand(waveform_encoder: Path) -> None:
    lengths = [16_000]
    for kernel, stride in ((10, 5), (8, 8), (8, 8)):
        lengths.append((lengths[-1] - kernel) // stride + 1)
    n = lengths[-1]
    front = lengths[1] * 8 * 10 + (lengths[2] + n) * 8 * 8 * 8 + n * 8 * 16
    # an even kernel pads one frame more, which is computed and then dropped; 2 groups
    positions = (n + 1) * 16 * 8 * 6
    block = n * 4 * 16 * 16 + 2 * n * n * 16 + 2 * n * 16 * 24
    encoder = load_encoder(waveform_encoder)
    for layer in range(4):
        assert encoder.encode(noise(1.0), layer)[2] == front + positions + layer * block


def test_no_such_layer(waveform_encoder: Path) -> None:
    encoder = load_encoder(waveform_encoder)
    with pytest.raises(NasError, match="has no layer 4") as caught:
        encoder.encode(noise(0.1), 4)
    assert "0 (its input) to 3 (its output)" in str(caught.value.hint)
    assert encoder.source.default_layer == 1


def test_no_such_encoder(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"did you mean 'whisper-tiny\.en'"):
        find_encoder("whisper-tiny")
    with pytest.raises(NasError, match="no such folder"):
        find_encoder(tmp_path / "absent")
    with pytest.raises(NasError, match="cannot load the encoder") as caught:
        find_encoder(tmp_path)
    assert "save_pretrained" in str(caught.value.hint)


def test_what_has_no_weights_is_not_offered_as_what_is_missing() -> None:
    with pytest.raises(NasError, match="'cochlea' is a computation without weights") as caught:
        find_encoder("cochlea")
    assert "did you mean" not in str(caught.value)


def test_missing_weights_are_no_random_weights(waveform_encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(waveform_encoder, tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(NasError, match=r"1 weights are missing, encoder\.layers\.1\.att"):
        load_encoder(folder)


def test_another_kind_of_model_is_refused(waveform_encoder: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=9,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(NasError, match="cannot load the encoder"):
        load_encoder(tmp_path)
    shutil.copy(waveform_encoder / "preprocessor_config.json", tmp_path)
    with pytest.raises(NasError, match="'bert' is no speech encoder we can run"):
        load_encoder(tmp_path)


def test_another_sampling_rate_is_refused(waveform_encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(waveform_encoder, tmp_path / "narrow")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**settings, "sampling_rate": 8_000})
    )
    with pytest.raises(NasError, match="expects audio at 8000 Hz"):
        load_encoder(folder)


def test_revision_is_the_content(
    waveform_encoder: Path, tmp_path: Path, save_encoder: Callable[..., Path]
) -> None:
    copy = shutil.copytree(waveform_encoder, tmp_path / "copy")
    assert find_encoder(copy).revision == find_encoder(waveform_encoder).revision
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**settings, "transformers_version": "5.99"}))
    assert find_encoder(copy).revision == find_encoder(waveform_encoder).revision
    other = save_encoder(tmp_path / "other", layer_norm_eps=1e-3)
    assert find_encoder(other).revision != find_encoder(waveform_encoder).revision


def test_hub_models_come_with_their_commit_or_a_hint(
    waveform_encoder: Path, tmp_path: Path
) -> None:
    # a hub cache as it lies on disk after a download; the library reads its settings on import
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = tmp_path / "hub" / "models--somebody--speech"
    shutil.copytree(waveform_encoder, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    code = (
        "import numpy as np\nfrom eval.encoder import load_encoder\n"
        "from search_spaces.errors import NasError\n"
        "encoder = load_encoder('somebody/speech')\n"
        "print(encoder.name, encoder.revision, encoder.encode(np.ones(800, 'f4'), 1)[0].shape)\n"
        "try:\n    load_encoder('somebody/absent')\nexcept NasError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert out.startswith(f"somebody/speech {commit} (2, 16)\n")
    assert "somebody/absent: cannot load the encoder" in out
    assert "with no network, give a local folder" in out


def test_emotion2vec_as_published_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: Emotion2vec\nmodel_conf: {depth: 8}\n")
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(NasError, match="published for FunASR") as caught:
        find_encoder(tmp_path)
    assert ".npy" in str(caught.value.hint)


def test_code_that_comes_with_a_checkpoint_is_not_run(
    waveform_encoder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(waveform_encoder, tmp_path / "own")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "mine", "auto_map": {"AutoModel": "code.M", "AutoConfig": "code.C"}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "code.py").write_text("raise SystemExit('this ran')\n")
    with pytest.raises(NasError, match="cannot load the encoder"):
        load_encoder(folder)
