"""Recordings, rows and tables that cannot be used: named at once, or left out on request."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval.audio import audio_blocks
from eval.bad_files import SHOWN
from eval.check import check_corpus
from eval.encoder import Encoder
from eval.features import load_dataset, load_features
from search_spaces.errors import NasError

pytestmark = pytest.mark.usefixtures("own_cache")

Break = Callable[[Path], object]


def wav(samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> Break:
    return lambda path: soundfile.write(path, samples, rate, subtype=subtype, format="WAV")


def noise(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(samples).standard_normal(samples)


NAN = np.where(np.arange(9000) == 5, np.nan, noise(9000))

BAD: dict[str, tuple[Break, str]] = {
    "corrupt": (lambda p: p.write_bytes(b"RIFF nothing of the kind"), "cannot read the audio"),
    "empty": (lambda p: p.write_bytes(b""), "the file is empty"),
    "no samples": (wav(noise(0)), "0.0 ms of audio"),
    "too short": (wav(noise(399)), "24.9 ms of audio"),
    "silent": (wav(np.zeros(9000)), "nothing but silence"),
    "not a number": (wav(NAN, subtype="FLOAT"), "sample 5 is nan"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_recording_is_named_and_can_be_left_out(
    kind: str, audio_corpus: Path, waveform_encoder: Path
) -> None:
    damage, told = BAD[kind]
    good = load_dataset(audio_corpus, encoder=waveform_encoder)
    path = audio_corpus / "4.wav"
    damage(path)
    with pytest.raises(NasError, match=told) as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.where == str(path)
    assert "--skip-bad" in str(caught.value.hint)
    for _ in range(2):  # encoded, and found again
        said: list[str] = []
        data = load_dataset(audio_corpus, encoder=waveform_encoder, skip_bad=True, say=said.append)
        assert len(data) == 5
        assert data.digest != good.digest
        for at, i in enumerate((0, 1, 2, 3, 5)):
            np.testing.assert_array_equal(data.utterance(at), good.utterance(i))
        (skipped,) = data.source["skipped"]
        assert skipped["file"] == str(path)
        assert told in skipped["why"]
        assert said[-1].startswith("left out 1 file or row:\n")
        assert str(path) in said[-1]
    assert "skipped" not in good.source


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "form"),
    [
        (8_000, 1, "PCM_16", "wav"),
        (96_000, 1, "PCM_16", "wav"),
        (16_000, 1, "FLOAT", "wav"),
        (44_100, 1, "PCM_24", "wav"),
        (48_000, 2, "PCM_24", "flac"),
        (22_050, 6, "DOUBLE", "wav"),
        (16_000, 1, "PCM_U8", "wav"),
    ],
)
def test_any_good_recording_is_taken(
    rate: int,
    channels: int,
    subtype: str,
    form: str,
    audio_corpus: Path,
    waveform_encoder: Path,
) -> None:
    tone = 0.4 * np.sin(2 * np.pi * 300 * np.arange(round(0.6 * rate)) / rate)
    path = audio_corpus / f"0.{form}"
    soundfile.write(path, np.stack([tone] * channels, axis=1), rate, subtype=subtype)
    table = (audio_corpus / "manifest.csv").read_text().replace("0.wav", path.name)
    (audio_corpus / "manifest.csv").write_text(table)
    data = load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=50)
    reference = audio_corpus / "1.wav"
    at_16k = 0.4 * np.sin(2 * np.pi * 300 * np.arange(9600) / 16_000)
    soundfile.write(reference, at_16k, 16_000, subtype="FLOAT")
    pure = load_dataset(audio_corpus, encoder=waveform_encoder, frame_rate=50).utterance(1)
    assert len(data.utterance(0)) == len(pure) == 29
    # inside, where no filter rings: the same tone, within the noise of 8 bits
    tolerance = 0.2 if subtype == "PCM_U8" else 0.03
    np.testing.assert_allclose(data.utterance(0)[6:-6], pure[6:-6], atol=tolerance)


def test_fifty_milliseconds_are_enough(audio_corpus: Path, waveform_encoder: Path) -> None:
    wav(noise(800))(audio_corpus / "0.wav")
    assert len(load_dataset(audio_corpus, encoder=waveform_encoder).utterance(0)) == 1


def test_all_bad_recordings_are_named_at_once(audio_corpus: Path, waveform_encoder: Path) -> None:
    """Those whose headers are bad before anything is encoded, the others at the first of them."""
    for i, kind in enumerate(("corrupt", "empty", "no samples")):
        BAD[kind][0](audio_corpus / f"{i}.wav")
    with pytest.raises(NasError) as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.what.startswith("3 files or rows cannot be used")
    assert all(f"{i}.wav: " in caught.value.what for i in range(3))
    for i, kind in enumerate(("silent", "not a number")):
        BAD[kind][0](audio_corpus / f"{i}.wav")
    shutil.copy(audio_corpus / "3.wav", audio_corpus / "2.wav")
    with pytest.raises(NasError, match="2 files or rows cannot be used") as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert "0.wav: nothing but silence" in caught.value.what
    assert "1.wav: sample 5 is nan" in caught.value.what


def test_what_was_encoded_before_an_error_is_not_lost(
    audio_corpus: Path, waveform_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = Encoder.encode_prepared

    def counting(self: Encoder, batch: list[object], layer: int) -> object:
        calls.append(len(batch))
        return encode(self, batch, layer)

    monkeypatch.setattr(Encoder, "encode_prepared", counting)
    good = (audio_corpus / "4.wav").read_bytes()
    BAD["silent"][0](audio_corpus / "4.wav")
    with pytest.raises(NasError, match="nothing but silence"):
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert len(calls) == 4
    (audio_corpus / "4.wav").write_bytes(good)
    load_dataset(audio_corpus, encoder=waveform_encoder)
    assert len(calls) == 6


def test_a_long_list_is_cut(audio_corpus: Path, waveform_encoder: Path) -> None:
    lines = [f"gone{i}.wav,joy,s1" for i in range(SHOWN + 5)]
    with (audio_corpus / "manifest.csv").open("a") as file:
        file.write("\n".join(lines))
    with pytest.raises(NasError) as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.what.count("no file") == SHOWN
    assert caught.value.what.endswith("and 5 more")


def test_bad_rows_are_named_with_their_lines_and_can_be_left_out(
    audio_corpus: Path, waveform_encoder: Path
) -> None:
    manifest = audio_corpus / "manifest.csv"
    rows = manifest.read_bytes() + (
        b"gone.wav,joy,s1\n"
        b"./3.wav,joy,s1\n"
        b"8.wav,jyo,s1\n"
        b"9.wav,joy\n"
        b"7.wav,z\xb3o\xb6\xe6,s2\n"  # cp1250
        b"6.wav,,s2\n"
    )
    manifest.write_bytes(rows)
    for i in (6, 7, 8, 9):
        shutil.copy(audio_corpus / "0.wav", audio_corpus / f"{i}.wav")
    with pytest.raises(NasError) as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.what.startswith("5 files or rows cannot be used")
    data = load_dataset(audio_corpus, encoder=waveform_encoder, skip_bad=True)
    assert len(data) == 6
    whys = {s["file"]: s["why"] for s in data.source["skipped"]}
    assert [w.removeprefix(f"{manifest}:") for w in whys] == ["8", "9", "11", "12", "13", "10"]
    for line, told in {
        8: "no file",
        9: "stands here a second time",
        10: "label 'jyo' has 1 utterance",
        11: "2 cells under 3 columns",
        12: "not UTF-8 text",
        13: "the cell of column 'label' is empty",
    }.items():
        assert told in whys[f"{manifest}:{line}"]


def test_a_misspelt_label_gets_a_guess(audio_corpus: Path, waveform_encoder: Path) -> None:
    table = (audio_corpus / "manifest.csv").read_text()
    shutil.copy(audio_corpus / "1.wav", audio_corpus / "7.wav")
    (audio_corpus / "manifest.csv").write_text(table + "7.wav,angre,s1\n")
    with pytest.raises(NasError, match="label 'angre' has 1 utterance") as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.where == f"{audio_corpus / 'manifest.csv'}:8"
    assert "did you mean 'anger'" in str(caught.value.hint)


def test_a_table_that_is_no_text_is_refused(audio_corpus: Path, waveform_encoder: Path) -> None:
    manifest = audio_corpus / "manifest.csv"
    manifest.write_bytes(manifest.read_text().encode("utf-16"))
    for skip in (False, True):
        with pytest.raises(NasError, match="not UTF-8 text") as caught:
            load_dataset(audio_corpus, encoder=waveform_encoder, skip_bad=skip)
        assert caught.value.where == f"{manifest}:1"


def test_a_copy_of_a_bad_recording_is_named_too(
    audio_corpus: Path, waveform_encoder: Path
) -> None:
    BAD["silent"][0](audio_corpus / "1.wav")
    shutil.copy(audio_corpus / "1.wav", audio_corpus / "2.wav")
    for _ in range(2):
        data = load_dataset(audio_corpus, encoder=waveform_encoder, skip_bad=True)
        assert [s["why"] for s in data.source["skipped"]] == [
            "nothing but silence",
            "the same content as another that cannot be used",
        ]
        assert len(data) == 4


def test_nothing_left_is_an_error(audio_corpus: Path, waveform_encoder: Path) -> None:
    for i in range(6):
        BAD["silent"][0](audio_corpus / f"{i}.wav")
    with pytest.raises(NasError, match="no recording is left"):
        load_dataset(audio_corpus, encoder=waveform_encoder, skip_bad=True)


def test_bad_features_can_be_left_out(feature_corpus: Path) -> None:
    np.save(feature_corpus / "3.npy", np.zeros((2, 4)))
    (feature_corpus / "1.npy").write_bytes(b"")
    with pytest.raises(NasError, match="2 files or rows cannot be used"):
        load_dataset(feature_corpus)
    reads = []
    for _ in range(2):
        data = load_dataset(feature_corpus, skip_bad=True, say=reads.append)
        assert np.diff(data.offsets).tolist() == [2, 4, 6, 7]
        assert {Path(s["file"]).name for s in data.source["skipped"]} == {"1.npy", "3.npy"}
    assert sum(r.startswith("reading") for r in reads) == 1


def test_one_file_of_another_width_is_the_odd_one_wherever_it_stands(
    feature_corpus: Path,
) -> None:
    np.save(feature_corpus / "0.npy", np.zeros((4, 9)))
    with pytest.raises(NasError, match="frames of 9 dimensions") as caught:
        load_dataset(feature_corpus)
    assert caught.value.where == str(feature_corpus / "0.npy")
    [broken] = check_corpus(feature_corpus, print)["broken"]
    data = load_dataset(feature_corpus, skip_bad=True)
    assert (len(data), data.dim) == (5, 5)
    [skipped] = data.source["skipped"]
    assert skipped["file"] == broken["path"] == str(feature_corpus / "0.npy")


def test_of_widths_equally_many_the_first_counts(feature_corpus: Path) -> None:
    for i in range(3):
        np.save(feature_corpus / f"{i}.npy", np.zeros((4, 9)))
    assert load_dataset(feature_corpus, skip_bad=True).dim == 9
    broken = check_corpus(feature_corpus, print)["broken"]
    assert [Path(b["path"]).name for b in broken] == ["3.npy", "4.npy", "5.npy"]


def test_what_was_left_out_by_older_rules_is_looked_at_again(
    feature_corpus: Path, own_cache: Path
) -> None:
    np.save(feature_corpus / "0.npy", np.zeros((4, 9)))
    load_dataset(feature_corpus, skip_bad=True)
    [kept] = (own_cache / "features").glob("*.left-out.json")
    older = json.loads(kept.read_text()) | {"why": {"1": "frames of 5 dimensions"}}
    del older["rules"]
    kept.write_text(json.dumps(older))
    data = load_dataset(feature_corpus, skip_bad=True)
    assert [Path(s["file"]).name for s in data.source["skipped"]] == ["0.npy"]


def test_one_file_of_another_kind_is_the_odd_one_wherever_it_stands(
    audio_corpus: Path, waveform_encoder: Path
) -> None:
    manifest = audio_corpus / "manifest.csv"
    np.save(audio_corpus / "x.npy", np.zeros((4, 9)))
    header, *rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join([header, "x.npy,joy,s1", *rows]))
    with pytest.raises(NasError, match=r"x\.npy holds features, the corpus audio") as caught:
        load_dataset(audio_corpus, encoder=waveform_encoder)
    assert caught.value.where == f"{manifest}:2"
    data = load_dataset(audio_corpus, encoder=waveform_encoder, skip_bad=True)
    assert len(data) == 6
    assert [s["file"] for s in data.source["skipped"]] == [f"{manifest}:2"]


def test_features_made_of_the_good_files_before_may_be_damaged(feature_corpus: Path) -> None:
    """They are found only after the bad ones were."""
    made = load_features(feature_corpus).made
    (made.folder / "macs.npy").unlink()
    (feature_corpus / "bad.npy").write_bytes(b"nothing")
    with (feature_corpus / "manifest.csv").open("a") as file:
        file.write("bad.npy,joy,s1\n")
    again = load_features(feature_corpus, skip_bad=True)
    assert again.made.key == made.key
    assert len(again.dataset) == 6


def test_bad_event_files_can_be_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["path,label,speaker"]
    for i in range(6):
        t = np.sort(rng.integers(0, 400_000, 500))
        xy = rng.integers(0, 16, (2, 500))
        np.savez(tmp_path / f"{i}.npz", t=t, x=xy[0], y=xy[1], p=rng.integers(0, 2, 500))
        lines.append(f"{i}.npz,{'joy' if i % 2 else 'anger'},s{i // 2}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    (tmp_path / "events.yaml").write_text(
        "sensor: {width: 16, height: 16}\nsize: {width: 16, height: 16}\n"
    )
    (tmp_path / "2.npz").write_bytes(b"nothing")
    with pytest.raises(NasError) as caught:
        load_dataset(tmp_path)
    assert caught.value.where == str(tmp_path / "2.npz")
    data = load_dataset(tmp_path, skip_bad=True)
    assert [Path(p.partition("#")[0]).stem for p in data.paths][::2][0] == "0"
    assert not any("2.npz" in p for p in data.paths)
    assert len(data.source["skipped"]) == 1


def test_long_recordings_are_resampled_in_blocks_as_they_are_as_a_whole(tmp_path: Path) -> None:
    import soxr

    rate = 44_100
    samples = noise(rate * 65).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    blocks = list(audio_blocks(tmp_path / "a.wav"))
    assert [len(b) for b in blocks] == [480_000, 480_000, 80_000]
    whole = soxr.resample(samples, rate, 16_000)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    cut = np.concatenate(list(audio_blocks(tmp_path / "a.wav", max_seconds=31.0)))
    assert len(cut) == 31 * 16_000
    np.testing.assert_allclose(cut[:-200], whole[: len(cut) - 200], atol=1e-4)
