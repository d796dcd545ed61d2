"""What `nas data check` says of sound and of damaged corpora."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import nas

RATE = 16_000


def noise(seed: int, seconds: float = 0.2) -> np.ndarray:
    samples: np.ndarray = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three speakers, two takes of two labels; anger lasts 0.2 s, joy 0.4 s."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = ["path,label,speaker"]
    for i in range(12):
        label = ("anger", "joy")[i % 2]
        soundfile.write(corpus / f"{i}.wav", noise(i, 0.2 if label == "anger" else 0.4), RATE)
        lines.append(f"{i}.wav,{label},s{i // 4}")
    (corpus / "manifest.csv").write_text("\n".join(lines))
    return corpus


def test_a_sound_corpus(folder: Path) -> None:
    samples = noise(3, 0.4)
    samples[:1600] = 0  # a quarter of a joyful one of s0
    samples[2000:2320] = 1.0  # 0.02 s of 0.4
    soundfile.write(folder / "3.wav", np.stack([samples, samples], 1), RATE, subtype="PCM_24")
    soundfile.write(folder / "0.flac", soundfile.read(folder / "2.wav")[0], RATE)  # a copy
    text = (folder / "manifest.csv").read_text().replace("0.wav,anger", "0.flac,anger", 1)
    (folder / "manifest.csv").write_text(text)
    report = json.loads(nas("data", "check", folder, "--json").stdout)
    assert report["length"] == pytest.approx([0.2, 0.3, 0.4])
    assert report["durations"]["all"]["total"] == pytest.approx(3.6)
    assert report["durations"]["by_class"]["joy"]["mean"] == pytest.approx(0.4)
    assert report["counts"][0] == ["s0", "anger", 2]
    assert report["protocol"] == "leave-one-speaker-out"
    first = report["folds"][0]
    assert (first["name"], first["held"], first["fit"]) == ("s0", 4, 8)
    assert first["held_classes"] == {"anger": 2, "joy": 2}
    assert first["fit_speakers"] == ["s1", "s2"]
    assert [f["name"] for f in first["inner"]] == ["s1", "s2"]
    assert report["audio"]["formats"] == [
        {"rate": RATE, "channels": 1, "format": "FLAC PCM_16", "files": 1},
        {"rate": RATE, "channels": 1, "format": "WAV PCM_16", "files": 10},
        {"rate": RATE, "channels": 2, "format": "WAV PCM_24", "files": 1},
    ]
    [clipped] = report["audio"]["clipped"]
    assert clipped == {"path": str(folder / "3.wav"), "share": pytest.approx(0.05)}
    assert report["audio"]["edge_silence"]["longest"] == pytest.approx(0.1)
    assert report["audio"]["edge_silence"]["share"] == pytest.approx(0.1 / 3.6)
    assert report["audio"]["silent"] == []
    # one voice, one label, one side of every fold: a copy, and no harm
    assert report["duplicates"] == [[str(folder / "0.flac"), str(folder / "2.wav")]]
    assert report["leaks"] == report["broken"] == []
    said = nas("data", "check", folder).stdout
    assert "1 files: WAV PCM_24, 16000 Hz, stereo" in said
    assert "clipped: 1 files, 8.3 %" in said
    assert "no broken files, no leaks" in said


def test_every_broken_file_is_listed(folder: Path) -> None:
    (folder / "1.wav").write_bytes(b"rubbish")
    soundfile.write(folder / "4.wav", np.zeros(100), RATE)
    soundfile.write(folder / "7.wav", np.zeros(RATE), RATE)
    done = nas("data", "check", folder, code=2)
    assert "3 of 12 utterances cannot be used" in done.stderr
    for name, reason in (
        ("1.wav", "cannot read the audio"),
        ("4.wav", "6.2 ms of audio; an encoder needs 25 ms"),
        ("7.wav", "nothing but silence"),
    ):
        assert f"{folder / name}: {reason}" in done.stderr
    assert "leave-one-speaker-out: 3 outer folds" in done.stdout  # the rest is told all the same
    report = json.loads(nas("data", "check", folder, "--json", code=2).stdout)
    assert [Path(b["path"]).name for b in report["broken"]] == ["1.wav", "4.wav", "7.wav"]


def test_leaks_of_every_kind(folder: Path) -> None:
    (folder / "4.wav").write_bytes((folder / "0.wav").read_bytes())  # s0 and s1
    (folder / "11.wav").write_bytes((folder / "10.wav").read_bytes())  # both labels of s2
    report = json.loads(nas("data", "check", folder, "--json", code=2).stdout)
    why = {tuple(Path(f).name for f in leak["files"]): [] for leak in report["leaks"]}
    for leak in report["leaks"]:
        why[tuple(Path(f).name for f in leak["files"])].append(leak["why"])
    # s0 and s1 are apart in the folds that test on either, and in the validation fold inside s2's
    assert why == {
        ("0.wav", "4.wav"): ["of speakers s0, s1", "on both sides of fold s0 and 3 more"],
        ("10.wav", "11.wav"): ["of labels anger, joy"],
    }
    done = nas("data", "check", folder, code=2)
    assert "of labels anger, joy:" in done.stderr


def test_a_copy_on_both_sides_of_a_random_split(folder: Path) -> None:
    (folder / "2.wav").write_bytes((folder / "0.wav").read_bytes())
    assert nas("data", "check", folder).returncode == 0
    done = nas("data", "check", folder, "--speaker-dependent", code=2)
    assert "on both sides of fold part" in done.stderr
