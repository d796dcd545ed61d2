from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from eval import file_digests as module
from eval.file_digests import file_digest, file_digests
from search_spaces.errors import NasError


@pytest.fixture
def read(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Grows by the path of every file that is read; files settle at once."""
    paths: list[Path] = []
    original = module.file_sha256

    def noting(path: Path) -> str:
        paths.append(path)
        return original(path)

    monkeypatch.setattr(module, "file_sha256", noting)
    monkeypatch.setattr(module, "SETTLED_SECONDS", -1.0)
    return paths


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_did_not_change_is_not_read_again(read: list[Path], tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    paths = [tmp_path / "a.wav", tmp_path / "below" / "b.wav"]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * 10)
    for _ in range(2):
        assert file_digests(paths) == [sha(p) for p in paths]
    assert read == paths


def test_a_changed_file_is_read_again(read: list[Path], tmp_path: Path) -> None:
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_bytes(b"one")
    assert file_digest(path) == sha(path)
    path.write_bytes(b"longer")
    assert file_digest(path) == sha(path)
    # of equal size, and brought to the time of the old one as copying tools can
    other.write_bytes(b"LONGER")
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert file_digest(path) == sha(path)
    assert len(read) == 3


def test_a_file_just_written_is_not_trusted(
    read: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_SECONDS", 60.0)
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    file_digest(path)
    file_digest(path)
    assert read == [path, path]


def test_a_file_that_cannot_be_read_is_an_error_of_its_own(
    tmp_path: Path, own_cache: Path
) -> None:
    (tmp_path / "a").write_bytes(b"")
    good, bad = file_digests([tmp_path / "a", tmp_path / "absent"])
    assert good == hashlib.sha256().hexdigest()
    assert isinstance(bad, NasError)
    assert bad.where == str(tmp_path / "absent")
    with pytest.raises(NasError, match="No such file"):
        file_digest(tmp_path / "absent")


def test_without_a_memory_files_are_read(tmp_path: Path, own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "digests.sqlite").write_bytes(b"this is no database, but long enough" * 100)
    (tmp_path / "a").write_bytes(b"x")
    assert file_digests([tmp_path / "a"]) == [hashlib.sha256(b"x").hexdigest()]
