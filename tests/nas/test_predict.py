"""Recordings in, labels out: the same as training would have seen, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import nas
from eval.bad_files import BadFiles
from eval.evaluate import build
from eval.features import load_dataset
from eval.training import predict
from eval.weights import save_weights
from nas.export import write_folder
from nas.predict import Predictor, recordings_of
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

VALUES = {"encoder.depth": 1, "encoder.width": 16, "encoder.shift": [0.125], "neuron.type": "plif"}
CLASSES = ("angry", "calm")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of three speakers, of unequal lengths."""
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for speaker in range(3):
        for i in range(4):
            t = np.arange(int(16_000 * (0.4 + 0.35 * i + 0.1 * speaker))) / 16_000
            tone = 0.3 * np.sin(2 * np.pi * (150 + 90 * i) * t) + 0.02 * rng.normal(size=t.size)
            soundfile.write(folder / f"{speaker}-{i}.wav", tone, 16_000)
            rows.append(f"{speaker}-{i}.wav,{CLASSES[i % 2]},s{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def exported(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights, exported as trained on the corpus."""
    dataset = load_dataset(corpus)
    rng = np.random.default_rng(0)
    network = build(VALUES, "pts_snn", dataset.shape, 2, rng)
    with torch.no_grad():
        for parameter in network.parameters():  # so that recordings differ in their label
            parameter.add_(0.5 * torch.from_numpy(rng.normal(size=parameter.shape)).float())
    scratch = tmp_path_factory.mktemp("export")
    save_weights(network, scratch / "weights.safetensors")
    config = {
        "family": "pts_snn",
        "space": "test",
        "hash": Architecture(VALUES).hash,
        "classes": list(CLASSES),
        "features": {"data": str(corpus)},
        "source": dataset.source,
        "run": {"folder": "none", "command": "a test"},
    }
    weights = scratch / "weights.safetensors"
    return write_folder(scratch / "best", Architecture(VALUES), config, {"ua": 0.5}, weights)


def run(
    *arguments: str | Path, listed: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas", "predict", *map(str, arguments)]
    return subprocess.run(command, input=listed, capture_output=True, text=True, env=env)


def plain(exported: Path, corpus: Path) -> dict[str, list[float]]:
    """Scores by the way of training: a data set, batches of its own, no predictor."""
    dataset = load_dataset(corpus)
    logits = predict(nas.load(str(exported)), dataset, np.arange(len(dataset)))
    names = [Path(p).name for p in dataset.paths]
    return dict(zip(names, logits.softmax(1).tolist(), strict=True))


def test_scores_are_those_of_the_data_set(exported: Path, corpus: Path) -> None:
    done = run(exported, corpus, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expected = plain(exported, corpus)
    assert [Path(r["path"]).name for r in rows] == sorted(expected)
    for row in rows:
        scores = expected[Path(row["path"]).name]
        # batched with others, a frame may differ in its last bits and a spike with it
        assert list(row["scores"].values()) == pytest.approx(scores, abs=0.02)
        assert row["label"] == CLASSES[int(np.argmax(list(row["scores"].values())))]
        assert row["encoder_seconds"] > 0
        assert row["head_seconds"] > 0
        assert "frames" not in row
    assert len({round(r["scores"]["calm"], 3) for r in rows}) > 6  # it listens
    assert "12 recordings" in done.stderr
    alone = run(exported, corpus, "--batch-seconds", "0", "--json")
    for line in alone.stdout.splitlines():
        row = json.loads(line)
        scores = expected[Path(row["path"]).name]
        assert list(row["scores"].values()) == pytest.approx(scores, abs=1e-6)


def test_the_scores_of_the_last_frame_are_those_of_the_recording(
    exported: Path, corpus: Path
) -> None:
    predictor = Predictor(exported)
    [found] = predictor([corpus / "1-3.wav"], BadFiles(), frames=True)
    assert found.frames is not None
    assert len(found.frames) == round(found.seconds * 12.5)
    assert found.frames[-1]["scores"] == pytest.approx(found.scores, abs=1e-6)
    assert found.frames[0]["seconds"] == pytest.approx(0.08)
    # cut short by hand: what came later cannot matter
    dataset = load_dataset(corpus)
    i = [Path(p).name for p in dataset.paths].index("1-3.wav")
    half = torch.from_numpy(np.array(dataset.utterance(i)[:5], np.float32))[None]
    expected = predictor.model.network(half).softmax(1)[0].tolist()
    assert list(found.frames[4]["scores"].values()) == pytest.approx(expected, abs=1e-5)


def test_a_list_on_standard_input_and_what_cannot_be_used(exported: Path, corpus: Path) -> None:
    (corpus.parent / "broken.wav").write_bytes(b"no audio")
    listed = f"{corpus / '0-1.wav'}\n{corpus.parent / 'broken.wav'}\n{corpus / '2-2.wav'}\n"
    done = run(exported, "-", "-q", listed=listed)
    assert done.returncode == 2
    assert len(done.stdout.split()) == 2  # those that can be used are not lost
    assert "broken.wav" in done.stderr
    assert "Traceback" not in done.stderr
    skipped = run(exported, "-", "--skip-bad", listed=listed)
    assert skipped.returncode == 0
    assert skipped.stdout.count(".wav: ") == 2
    assert "left out 1 file" in skipped.stderr


def test_names_that_are_no_text_are_predicted_and_told(
    exported: Path, corpus: Path, tmp_path: Path
) -> None:
    named = [b"good.wav", b"\xe4rger.wav"]
    for name in named:
        (tmp_path / os.fsdecode(name)).write_bytes((corpus / "0-1.wav").read_bytes())
    # a terminal that takes no byte which is not UTF-8
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = run(exported, tmp_path, "--json", env=strict)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [os.fsencode(r["path"]) for r in rows] == [
        os.fsencode(tmp_path) + b"/" + name for name in named
    ]
    assert rows[0]["scores"] == rows[1]["scores"]
    # as one of the other systems lists them, with what is not there
    lines = [os.fsencode(tmp_path / os.fsdecode(name)) for name in [*named, b"\xff.wav"]]
    command = [sys.executable, "-m", "nas", "predict", str(exported), "-"]
    listed = subprocess.run(command, input=b"\r\n".join(lines), capture_output=True, env=strict)
    assert listed.returncode == 2
    assert listed.stdout.count(b".wav: ") == 2
    assert b"\\udce4rger.wav: " in listed.stdout
    assert b"\\udcff.wav: no such file" in listed.stderr


def test_batches_of_no_length_are_refused(exported: Path, corpus: Path) -> None:
    for seconds in ("nan", "inf", "-1"):
        done = run(exported, corpus, "--batch-seconds", seconds)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"batches of {float(seconds)} s" in done.stderr


def test_another_encoder_is_refused(exported: Path, tmp_path: Path) -> None:
    config = json.loads((exported / "config.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for path in exported.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config["source"]["revision"] = "0" * 64
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(NasError, match="is not the one of the training"):
        Predictor(other)
    config["source"] = {"kind": "events"}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(NasError, match="trained on events"):
        Predictor(other)


@pytest.mark.parametrize("source", [{"encoder": "cochlea"}, {"kind": "features"}])
def test_an_encoder_that_would_not_be_used_is_refused(
    exported: Path, tmp_path: Path, source: dict[str, str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in exported.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "config.json").read_text())
    config["source"] |= source
    (other / "config.json").write_text(json.dumps(config))
    Predictor(other)
    with pytest.raises(NasError, match="'whisper' would not be used"):
        Predictor(other, encoder="whisper")


def test_folders_and_names(corpus: Path, tmp_path: Path) -> None:
    assert len(list(recordings_of([str(corpus)]))) == 12
    with pytest.raises(NasError, match="no recording in this folder"):
        list(recordings_of([str(tmp_path)]))
    listed = ["a.wav\n", "\n", "of another system.wav\r\n"]
    found = [p.name for p in recordings_of(["-", "b.wav"], listed)]
    assert found == ["a.wav", "of another system.wav", "b.wav"]


def test_of_a_folder_what_the_network_takes(exported: Path, tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    for name in ("a.wav", "b.FLAC", "c.npy", "d.txt", "._a.wav", ".hidden/a.wav"):
        (tmp_path / name).touch()
    predictor = Predictor(exported)
    found = recordings_of([str(tmp_path)], suffixes=predictor.suffixes)
    assert [p.name for p in found] == ["a.wav", "b.FLAC"]
    predictor.kind = "features"
    found = recordings_of([str(tmp_path)], suffixes=predictor.suffixes)
    assert [p.name for p in found] == ["c.npy"]
    (tmp_path / "c.npy").unlink()
    with pytest.raises(NasError, match=r"looked for \.npy$"):
        list(recordings_of([str(tmp_path)], suffixes=predictor.suffixes))
