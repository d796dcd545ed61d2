"""Which layout a folder has, and the real clips of a corpus that a package carries."""

from __future__ import annotations

import csv
import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from eval.audio import read_audio
from eval.corpora import corpus_kind, open_corpus, resolved
from eval.corpora.file_names import EMODB
from eval.corpora.layouts import LAYOUTS
from eval.folds import Groups, outer_folds
from eval.packages import NKULULEKO, fetch_package
from search_spaces.errors import NasError

from .corpus_trees import emodb_names, savee_names, touch


def test_seven_real_clips(tmp_path: Path) -> None:
    """The real EMODB clips that a package carries, against the table it has beside them."""
    words = {"anger": "W", "boredom": "L", "neutral": "N", "happiness": "F"}
    words |= {"fear": "A", "sadness": "T", "disgust": "E"}
    expected = {}
    with tarfile.open(fetch_package(NKULULEKO)) as tar:
        inside = {m.name.split("/", 1)[1]: m for m in tar if m.isfile() and "/" in m.name}
        for name in ("data/test/emo-age_samples.csv", *inside):
            file = tar.extractfile(inside[name])
            assert file is not None
            if name.endswith("samples.csv") and not expected:
                for row in csv.DictReader(io.StringIO(file.read().decode())):
                    expected[Path(row["file"]).name] = (words[row["emotion"]], row["speaker"])
            elif name.startswith("data/test/audio/03"):
                path = tmp_path / "wav" / Path(name).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(file.read())
    reading = EMODB.read(tmp_path)
    found = {u.path.name: (u.label, str(int(u.speaker))) for u in reading.utterances}
    assert found == expected
    assert len(found) == 7
    assert reading.notes == ()
    for u in reading.utterances:
        assert 1.4 < len(read_audio(u.path)) / 16_000 < 3.3  # s

    with pytest.raises(NasError, match="label 'angry' has 1 utterance"):
        open_corpus(tmp_path)
    aroused = {letter: "calm" if letter in "LNT" else "aroused" for letter in "WLEAFTN"}
    corpus = open_corpus(tmp_path, class_map=aroused)
    assert Counter(u.label for u in corpus.utterances) == {"aroused": 4, "calm": 3}
    with pytest.raises(NasError, match=r"'emodb' has 1 speaker.*: 03"):
        outer_folds(Groups.of(corpus))


# -- which layout ----------------------------------------------------------------------------


def test_a_manifest_wins(tmp_path: Path) -> None:
    names = touch(tmp_path, savee_names())
    rows = [f"{s}_{e}01.wav,{e},{s}" for s in ("DC", "JE", "JK") for e in ("a", "h")]
    (names / "manifest.csv").write_text("\n".join(["path,label,speaker", *rows]))
    assert open_corpus(tmp_path).classes == ("a", "h")
    assert len(open_corpus(f"savee:{tmp_path}").utterances) == 480


def test_two_corpora_in_one_folder(tmp_path: Path) -> None:
    touch(tmp_path / "savee", savee_names())
    touch(tmp_path / "emodb", emodb_names())
    with pytest.raises(NasError, match="more than one corpus: emodb, savee") as caught:
        open_corpus(tmp_path)
    assert f"emodb:{tmp_path}" in str(caught.value.hint)
    corpus = open_corpus(f"savee:{tmp_path}")
    assert len(corpus.utterances) == 480
    assert "not named like the rest of SAVEE" in corpus.notes[0]


def test_an_unknown_folder_lists_what_was_looked_for(tmp_path: Path) -> None:
    touch(tmp_path, ["a/b.wav"])
    with pytest.raises(NasError, match="laid out as no corpus known here") as caught:
        open_corpus(tmp_path)
    for name, layout in LAYOUTS.items():
        assert f"{name}: {layout.form}" in str(caught.value.hint)
    assert "see: event/EMOTION" in str(caught.value.hint)


def test_the_wrong_name_for_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, emodb_names())
    with pytest.raises(NasError, match="not laid out as SAVEE") as caught:
        open_corpus(f"savee:{tmp_path}")
    assert "it looks like emodb" in str(caught.value.hint)
    with pytest.raises(NasError, match="not laid out as IEMOCAP"):
        open_corpus(f"iemocap:{tmp_path}")


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "db", emodb_names())
    monkeypatch.chdir(tmp_path)
    assert resolved("emodb:db") == f"emodb:{tmp_path / 'db'}"
    assert resolved("emodb:nowhere") == "emodb:nowhere"
    assert corpus_kind("emodb:db") == "audio"
    monkeypatch.chdir(tmp_path / "db")
    assert len(open_corpus("emodb:.").utterances) == 535
    touch(tmp_path / "db:x", savee_names())
    monkeypatch.chdir(tmp_path)
    assert open_corpus("db:x").name == "savee"  # a path, for it exists
    with pytest.raises(NasError, match="no layout 'emobd'") as caught:
        resolved("emobd:db")
    assert "did you mean 'emodb'" in str(caught.value.hint)
