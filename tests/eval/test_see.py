from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.check import check_corpus
from eval.corpora import open_corpus
from eval.corpora.see import CLASSES
from eval.event_images import image_files, read_images
from eval.features import load_dataset
from eval.folds import inner_folds, outer_folds
from search_spaces.errors import NasError

pytestmark = pytest.mark.usefixtures("own_cache")


def save_sequence(folder: Path, frames: int = 15, seed: int = 0) -> None:
    """Write grey event frames of 12x8 pixels: mid-grey, with a brighter and a darker block."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(frames):
        grey = np.full((8, 12), 128, dtype=np.uint8)
        row, column = rng.integers(0, 6), rng.integers(0, 8)
        grey[row : row + 2, column : column + 2] = 255
        grey[row : row + 2, column + 2 : column + 4] = 0
        Image.fromarray(grey).save(folder / f"{k:05d}.jpg", quality=95)


def name(number: int, person: int, emotion: str, length: int = 15, take: int = 0) -> str:
    return f"{number}_{person:03d}_woman_24_Master_HDR_{emotion}_{length}_take{take:03d}"


@pytest.fixture
def see(tmp_path: Path) -> Path:
    """Four persons with a sequence of each emotion, laid out as the authors say."""
    root = tmp_path / "SEE"
    for number, (person, emotion) in enumerate((p, e) for p in range(1, 5) for e in CLASSES):
        part = "neutraL" if emotion == "neutral" else emotion
        save_sequence(root / "event" / part / name(number, person, emotion), seed=number)
    (root / "frame" / "angry").mkdir(parents=True)
    (root / "emotion.json").write_text("{}")
    (root / "events.yaml").write_text("size: {width: 6, height: 4}\n")
    return root


def test_the_layout_is_read(see: Path) -> None:
    corpus = open_corpus(f"see:{see}")
    assert corpus == open_corpus(see)  # recognised without a word
    assert corpus.kind == "event images"
    assert corpus.name == "see"
    assert corpus.classes == CLASSES
    assert len(corpus.utterances) == 28
    assert {u.speaker for u in corpus.utterances} == {"001", "002", "003", "004"}
    assert {u.split for u in corpus.utterances} == {None}
    assert "official split" in corpus.notes[0]
    assert len(corpus.notes) == 1
    assert open_corpus(f"see:{see / 'event'}").utterances == corpus.utterances


def test_a_class_map_applies(see: Path) -> None:
    corpus = open_corpus(f"see:{see}", class_map={"fear": None, "surprise": "happiness"})
    assert corpus.classes == ("angry", "disgust", "happiness", "neutral", "sadness")
    assert len(corpus.utterances) == 24
    assert corpus.events is not None
    with pytest.raises(NasError, match="names label 'happy'"):
        open_corpus(see, class_map={"happy": "joy"})


def test_no_person_is_on_two_sides(see: Path) -> None:
    data = load_dataset(see)
    outer = outer_folds(data)
    assert [f.name for f in outer] == ["001", "002", "003", "004"]
    for fold in (*outer, *inner_folds(data, outer[0].fit)):
        fit = {data.speakers[i] for i in fold.fit}
        assert not fit & {data.speakers[i] for i in fold.held}


def test_grey_becomes_two_polarities(see: Path) -> None:
    data = load_dataset(f"see:{see}")
    assert data.clip == (4, 2, 4, 6)
    assert len(data) == 56
    assert data.frame_rate == 30.0
    frames = np.asarray(data.frames, dtype=np.float32).reshape(-1, 2, 4, 6)
    assert frames.min() == 0.0
    assert frames.max() == 1.0
    assert (frames.reshape(len(frames), 2, -1).max(axis=2) > 0.2).all()


def test_an_image_by_hand(tmp_path: Path) -> None:
    grey = np.full((4, 6), 128, dtype=np.uint8)
    grey[0, 0], grey[0, 1], grey[3, 5] = 255, 0, 64
    grey[1, 3] = 131  # within what JPEG ripples
    Image.fromarray(grey).save(tmp_path / "00000.png")
    frames = read_images(image_files(tmp_path), np.array([0, 7]), 2, 3)
    darker = [[0.25, 0, 0], [0, 0, 0.125]]
    brighter = [[0.25, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(frames[0], [darker, brighter])
    assert not frames[1].any()


@pytest.mark.parametrize(
    ("sides", "size"), [((12, 8), (5, 3)), ((346, 260), (32, 32)), ((7, 7), (7, 7))]
)
def test_averaging_keeps_to_the_bins_of_events(
    sides: tuple[int, int], size: tuple[int, int], tmp_path: Path
) -> None:
    columns, rows = sides
    grey = np.random.default_rng(0).integers(129 + 6, 256, (rows, columns)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "0.png")
    found = read_images(image_files(tmp_path), np.array([0]), size[1], size[0])[0, 1]
    value = (grey - 128.0) / 127.0
    y, x = np.mgrid[:rows, :columns]
    for row in range(size[1]):
        for column in range(size[0]):
            here = (y * size[1] // rows == row) & (x * size[0] // columns == column)
            assert found[row, column] == pytest.approx(value[here].mean(), rel=1e-5)


def test_the_rate_is_that_of_the_images(see: Path) -> None:
    with pytest.raises(NasError, match="15 frames a second out of images made at 30"):
        load_dataset(see, frame_rate=15.0)
    with pytest.raises(NasError, match="no encoder"):
        load_dataset(see, encoder="whisper-tiny.en")


def test_mistakes_are_named(see: Path, tmp_path: Path) -> None:
    angry = see / "event" / "angry"
    save_sequence(angry / "29_005_man_24_Master_normal_angry", frames=1)
    with pytest.raises(NasError, match="cannot read the name '29_005_man") as caught:
        open_corpus(see)
    assert caught.value.where == str(angry / "29_005_man_24_Master_normal_angry")
    assert "[sequence]_[ID]_[sex]" in str(caught.value.hint)
    (angry / "29_005_man_24_Master_normal_angry").rename(angry / name(29, 5, "fear"))
    with pytest.raises(NasError, match="says fear, its folder angry"):
        open_corpus(see)
    (angry / name(29, 5, "fear")).rename(see / "event" / "rage")
    with pytest.raises(NasError, match="no emotion 'rage'"):
        open_corpus(see)
    with pytest.raises(NasError, match="not laid out as SEE"):
        open_corpus(f"see:{tmp_path}")
    with pytest.raises(NasError, match="no folder 'nowhere'"):
        open_corpus("see:nowhere")


def test_check_counts_and_reads_every_image(see: Path) -> None:
    short = see / "event" / "fear" / name(40, 2, "fear", length=5, take=1)
    save_sequence(short, frames=4, seed=40)
    report = check_corpus(see, lambda _: None)
    assert report["utterances"] == 29
    assert report["length"] == pytest.approx([4 / 30, 0.5, 0.5])
    assert report["events"] is None
    assert any("another number of images" in n for n in report["notes"])
    assert any("1 of 29 sequences are shorter" in n for n in report["notes"])
    (short / "00002.jpg").write_bytes(b"rubbish")
    (bad,) = check_corpus(see, lambda _: None)["broken"]
    assert bad["path"] == str(short / "00002.jpg")
    assert "cannot read the image" in bad["reason"]
    for file in short.iterdir():
        file.unlink()
    with pytest.raises(NasError, match="there is no event frame in it"):
        load_dataset(see)
