from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import event_frames
from eval.check import check_corpus
from eval.corpora import corpus_kind, open_corpus, resolved
from eval.event_frames import Sampling, starts, to_unit
from eval.features import load_dataset, load_features
from search_spaces.errors import NasError

pytestmark = pytest.mark.usefixtures("own_cache")

QUICK = settings(max_examples=150, deadline=None, derandomize=True)

Write = Callable[..., Path]


def save_events(path: Path, frames: int = 20, seed: int = 0, **changes: Any) -> Path:
    """Write one event at the start of each of `frames` frames, and some more, on 8x6."""
    rng = np.random.default_rng(seed)
    start = np.arange(frames) * 1_000_000 // 30 + 1
    t = np.sort(np.concatenate([start, rng.integers(1, start[-1] + 1, 5 * frames)]))
    n = len(t)
    arrays: dict[str, Any] = {
        "t": t,
        "x": rng.integers(0, 8, n),
        "y": rng.integers(0, 6, n),
        "p": rng.integers(0, 2, n),
        "width": 8,
        "height": 6,
    }
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return path


@pytest.fixture
def events_folder(tmp_path: Path, write_manifest: Write) -> Path:
    """Three people, two labels, a sequence of 20 frames of each; frames of 4x3."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    lines = []
    for i in range(6):
        save_events(folder / f"{i}.npz", seed=i)
        lines.append(f"{i}.npz,{'joy' if i % 2 else 'anger'},s{i // 2}")
    write_manifest(folder, *lines)
    (folder / "events.yaml").write_text("size: {width: 4, height: 3}\n")
    return folder


# -- Ex-Sy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span", "indices"),
    [("E4-S3", 13, [5, 9, 13, 17]), ("e4-s0", 4, [5, 6, 7, 8]), ("E1-S7", 1, [5])],
)
def test_a_sampling(text: str, span: int, indices: list[int]) -> None:
    sampling = Sampling.parse(text)
    assert sampling.span == span
    assert sampling.indices(5).tolist() == indices
    assert str(sampling) == text.upper()
    assert Sampling.parse(str(sampling)) == sampling


@pytest.mark.parametrize("text", ["E4", "E0-S1", "4-3", "E4-S-1", "E4S3", "E900-S900", ""])
def test_what_is_no_sampling(text: str) -> None:
    with pytest.raises(NasError, match="no sampling") as caught:
        Sampling.parse(text)
    assert "E4-S3" in str(caught.value.hint)


@QUICK
@given(
    st.integers(1, 80),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(1, 40),
    st.integers(0, 2**31),
)
def test_starts(length: int, frames: int, skipped: int, count: int, seed: int) -> None:
    sampling = Sampling(frames, skipped)
    drawn = starts(length, sampling, count, seed)
    possible = max(1, length - sampling.span + 1)
    assert len(drawn) == count
    assert all(0 <= s < possible for s in drawn)
    assert len(set(drawn)) == min(count, possible)  # none twice before each came once
    assert starts(length, sampling, count + 3, seed)[:count] == drawn
    if length >= sampling.span:
        assert max(sampling.indices(max(drawn))) < length


def test_the_values_of_a_clip_by_hand() -> None:
    counts = np.zeros((1, 2, 10, 10), dtype=np.float32)
    counts.reshape(-1)[:101] = np.arange(101)  # not zero: 1 to 100, whose 99th percentile is 99.01
    unit = to_unit(counts, 1.0)
    np.testing.assert_allclose(unit.reshape(-1)[:99], np.arange(99) / 99.01, rtol=1e-6)
    assert unit.max() == 1.0
    lone = np.zeros((1, 2, 2, 2), dtype=np.float32)
    assert not to_unit(lone, 1.0).any()
    lone[0, 0, 0, 0] = 0.25
    assert to_unit(lone, 1.0).max() == 0.25


# -- the dataset -------------------------------------------------------------------------------


def test_every_sequence_gives_its_clips(events_folder: Path) -> None:
    said: list[str] = []
    data = load_dataset(events_folder, sampling="E3-S2", say=said.append)
    assert len(data) == 12
    assert data.clip == data.shape == (3, 2, 3, 4)
    assert data.dim == 24
    assert data.frames.shape == (36, 24)
    assert data.frames.dtype == np.float16
    assert data.offsets.tolist() == list(range(0, 37, 3))
    assert data.labels.tolist() == [0, 0, 1, 1] * 3
    assert data.speakers == tuple(f"s{i // 4}" for i in range(12))
    assert data.paths[:3] == tuple(
        str(events_folder / f) for f in ("0.npz#0", "0.npz#1", "1.npz#0")
    )
    assert data.encoder_macs is None
    assert data.frame_rate == 30.0
    assert json.loads(json.dumps(data.source)) == data.source
    assert data.source["sampling"] == "E3-S2"
    assert data.source["size"] == {"width": 4, "height": 3}
    assert data.source["clips_per_sequence"] == 2
    assert data.source["kind"] == "events"
    assert "synthetic" not in data.source
    load_dataset(events_folder, sampling="E3-S2", say=said.append)
    assert len(said) == 1


def test_a_clip_against_counting_one_by_one(events_folder: Path) -> None:
    data = load_dataset(events_folder, sampling="E3-S2")
    file = np.load(events_folder / "1.npz")
    t, x, y, p = (file[k].astype(int) for k in "txyp")
    frame = ((t - t[0]) * 30) // 1_000_000
    counts = np.zeros((frame[-1] + 1, 2, 3, 4))
    for k, px, py, polarity in zip(frame, x, y, p, strict=True):
        counts[k, polarity, py // 2, px // 2] += 1
    found = []
    for clip in (data.utterance(2), data.utterance(3)):
        fits = []
        for start in range(len(counts) - 6):
            taken = counts[[start, start + 3, start + 6]]
            scale = max(1.0, np.percentile(taken[taken > 0], 99))
            fits.append(
                np.allclose(clip.reshape(taken.shape), np.minimum(taken / scale, 1), atol=1e-3)
            )
        assert sum(fits) == 1
        found.append(fits.index(True))
    assert found[0] != found[1]


def test_no_clip_depends_on_another_sequence(events_folder: Path) -> None:
    before = np.array(load_dataset(events_folder).frames)
    save_events(events_folder / "0.npz", seed=99, x=np.zeros(120, int))
    after = np.array(load_dataset(events_folder).frames)
    assert not np.array_equal(before[:8], after[:8])
    np.testing.assert_array_equal(before[8:], after[8:])


def test_the_cache_goes_by_content_and_settings(
    events_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {load_dataset(events_folder).digest}
    moved = events_folder.rename(tmp_path / "moved")
    assert load_dataset(moved).digest in digests
    digests.add(load_dataset(moved, sampling="E4-S2").digest)
    digests.add(load_dataset(moved, frame_rate=60.0).digest)
    (moved / "events.yaml").write_text("size: {width: 4, height: 3}\nclips: 3\n")
    assert len(load_dataset(moved)) == 18
    digests.add(load_dataset(moved).digest)
    save_events(moved / "5.npz", seed=55)
    digests.add(load_dataset(moved).digest)
    monkeypatch.setattr(event_frames, "_VERSION", event_frames._VERSION + 1)
    digests.add(load_dataset(moved).digest)
    assert len(digests) == 6


def test_a_short_sequence_ends_in_empty_frames(events_folder: Path) -> None:
    save_events(events_folder / "0.npz", frames=6)
    for _ in range(2):  # made, and found in the cache
        data = load_dataset(events_folder)
        clip = data.utterance(0).reshape(4, -1)
        assert clip[:2].any(axis=1).all()
        assert not clip[2:].any()
        [note] = data.source["notes"]
        assert "1 of 6 sequences are shorter than the 13 frames that E4-S3 spans" in note


def test_rate_and_sensor_of_the_settings(events_folder: Path) -> None:
    save_events(events_folder / "0.npz", width=None, height=None)
    with pytest.raises(NasError, match="the size of the sensor is not known") as caught:
        load_dataset(events_folder)
    assert caught.value.where == str(events_folder / "0.npz")
    (events_folder / "events.yaml").write_text(
        "sensor: {width: 8, height: 6}\nsize: {width: 4, height: 3}\nframe_rate: 60\n"
    )
    assert load_dataset(events_folder).frame_rate == 60.0
    assert load_dataset(events_folder, frame_rate=20.0).frame_rate == 20.0


def test_frames_larger_than_the_sensor(events_folder: Path) -> None:
    (events_folder / "events.yaml").unlink()
    with pytest.raises(NasError, match="frames of 32x32 out of a sensor of 8x6"):
        load_dataset(events_folder)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("clips: 0\n", ":1:clips", "not a whole number from 1"),
        ("size: {width: 4, height: 3}\nsensr: 3\n", ":2:sensr", "did you mean 'sensor'"),
        ("sensor: {width: 8}\n", ":1:sensor", "height is missing"),
        ("sensor: {width: 8, height: 6}\n", "", "frames of 32x32 out of a sensor of 8x6"),
        ("size: 32\n", ":1:size", "this must be a mapping"),
        ("size: {width: 3.5, height: 2}\n", ":1:size.width", "3.5 is not a whole number"),
        ("frame_rate: fast\n", ":1:frame_rate", "'fast' is no number of frames"),
        ("- 1\n", "", "this must be a mapping"),
    ],
)
def test_mistakes_in_the_settings(text: str, where: str, what: str, events_folder: Path) -> None:
    path = events_folder / "events.yaml"
    path.write_text(text)
    with pytest.raises(NasError) as caught:
        open_corpus(events_folder)
    assert str(caught.value.where).startswith(f"{path}{where}")
    assert what in str(caught.value)


def test_damaged_clips_are_cut_again(events_folder: Path) -> None:
    made = load_features(events_folder)
    before = np.array(made.dataset.frames)
    for harm in (
        lambda f: (f / "told.json").unlink(),
        lambda f: (f / "told.json").write_text(""),
        lambda f: (f / "frames.npy").write_bytes(b""),
    ):
        harm(made.made.folder)
        said: list[str] = []
        data = load_features(events_folder, say=said.append).dataset
        assert any("are damaged, so they are made again" in line for line in said)
        np.testing.assert_array_equal(data.frames, before)


# -- kinds -------------------------------------------------------------------------------------


def test_the_header_of_an_npy_file_says_what_it_holds(
    events_folder: Path, write_manifest: Write, feature_corpus: Path
) -> None:
    lines = []
    for i in range(6):
        file = np.load(events_folder / f"{i}.npz")
        rows = list(zip(file["t"], file["x"], file["y"], file["p"], strict=True))
        np.save(
            events_folder / f"{i}.npy",
            np.array(rows, dtype=[("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "?")]),
        )
        lines.append(f"{i}.npy,{'joy' if i % 2 else 'anger'},s{i // 2}")
    (events_folder / "events.yaml").write_text(
        "sensor: {width: 8, height: 6}\nsize: {width: 4, height: 3}\n"
    )
    of_archives = np.array(load_dataset(events_folder).frames)
    path = write_manifest(events_folder, *lines)
    assert corpus_kind(events_folder) == "events"
    assert corpus_kind(feature_corpus) == "features"
    assert load_dataset(events_folder).frames.shape == of_archives.shape
    write_manifest(events_folder, *lines[:4], f"{feature_corpus / '4.npy'},anger,s3")
    with pytest.raises(NasError, match=r"4\.npy holds features, the corpus events") as caught:
        open_corpus(events_folder)
    assert caught.value.where == f"{path}:6"


def test_options_that_do_not_apply(
    events_folder: Path, feature_corpus: Path, audio_corpus: Path, own_cache: Path
) -> None:
    for options in ({"encoder": "whisper-tiny.en"}, {"layer": 2}):
        for data in (events_folder, "synthetic_eyes"):
            with pytest.raises(NasError, match="holds events; no encoder or layer applies"):
                load_dataset(data, **options)  # type: ignore[arg-type]
    for folder in (feature_corpus, audio_corpus, "polish", None):
        with pytest.raises(NasError, match="only clips of events have a sampling"):
            load_dataset(folder, sampling="E4-S3")
    with pytest.raises(NasError, match="no sampling 'E4'"):
        load_dataset("synthetic_eyes", sampling="E4")
    assert not own_cache.exists()  # nothing was fetched or made to find that out


def test_a_corpus_named_from_another_folder(
    events_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(events_folder.parent)
    assert resolved("eyes") == str(events_folder)
    assert resolved("see:eyes") == f"see:{events_folder}"
    assert resolved("polish") == "polish"
    assert resolved(None) is None


# -- nas data check ----------------------------------------------------------------------------


def test_check_sums_events_up(events_folder: Path) -> None:
    save_events(events_folder / "0.npz", frames=6)
    (events_folder / "2.npz").write_bytes((events_folder / "4.npz").read_bytes())
    report = check_corpus(events_folder, lambda _: None)
    assert report["kind"] == "events"
    assert report["utterances"] == 6
    assert report["events"] == [36.0, 120.0, 120.0]
    assert report["length_unit"] == "s"
    assert report["length"] == pytest.approx([5 / 30, 19 / 30, 19 / 30], abs=1e-5)
    assert report["duplicates"] == [[str(events_folder / f"{i}.npz") for i in (2, 4)]]
    assert "1 of 6 sequences are shorter" in report["notes"][-1]
    assert report["counts"] == [[f"s{i}", c, 1] for i in range(3) for c in ("anger", "joy")]


def nas_check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas", "data", "check", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_check_names_a_bad_file(events_folder: Path) -> None:
    assert "events a sequence: 120 to 120, median 120" in nas_check(events_folder).stdout
    file = dict(np.load(events_folder / "3.npz"))
    np.savez(events_folder / "3.npz", **{**file, "t": file["t"][::-1]})
    done = nas_check(events_folder)
    assert done.returncode == 2
    assert "3.npz: time goes back at event 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("splits", "fold"),
    [
        (("train", "test", "train", "validation", "train", "test"), "test"),
        (("train", "validation", "train", "train", "test", "test"), "validation"),
    ],
)
def test_one_person_on_two_sides_of_a_split(
    splits: tuple[str, ...], fold: str, events_folder: Path, write_manifest: Write
) -> None:
    write_manifest(
        events_folder,
        *(f"{i}.npz,{'joy' if i % 2 else 'anger'},s{i // 2},{s}" for i, s in enumerate(splits)),
        header="path,label,speaker,split",
    )
    with pytest.raises(NasError, match=f"speaker leakage in fold '{fold}': s0"):
        check_corpus(events_folder, lambda _: None)
    done = nas_check(events_folder)
    assert done.returncode == 2
    assert "speaker leakage" in done.stderr
