"""The end of a full training whose place was taken meanwhile, and commands that overlap."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import nas.retrain
import nas.training_folder
from nas.record import WriterLock
from nas.retrain import retrain
from nas.training_folder import beside, open_folder
from search_spaces.errors import NasError

from .trainings import SPEAKERS, export_of, speak


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    return export_of(folder / "best", speak(folder / "corpus"))


def trained(best: Path, out: Path, **options: Any) -> dict[str, Any]:
    options = {"say": lambda _: None, "baselines": False, **options}
    return retrain(best, None, 1, out, **options)


@pytest.mark.parametrize("taken", ["folder", "empty folder", "file"])
def test_what_was_trained_is_kept_where_the_place_was_taken_meanwhile(
    best: Path, tmp_path: Path, taken: str
) -> None:
    out, calls = tmp_path / "out", []

    def take(done: int, total: int) -> None:
        if done == total:
            out.touch() if taken == "file" else out.mkdir()
            if taken == "folder":
                (out / "of somebody else").touch()

    with pytest.raises(NasError, match="the output exists already") as refused:
        trained(best, out, step=take, again="nas train best")
    assert refused.value.where == str(out)
    assert f"kept in {beside(out)}" in str(refused.value)
    assert "go on with: nas train best" in str(refused.value)
    assert out.is_file() == (taken == "file")

    out.rename(tmp_path / "elsewhere")
    trained(best, out, step=lambda done, total: calls.append((done, total)))
    assert calls == [(3, 3)]  # nothing was trained on a fold again
    assert len((out / "training" / "rows.jsonl").read_text().splitlines()) == len(SPEAKERS)
    assert not beside(out).exists()


def test_a_command_that_was_overtaken_while_it_read_the_corpus_trains_nothing(
    best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, load, calls = tmp_path / "out", nas.retrain.load, []

    def overtaken(*asked: Any) -> Any:
        monkeypatch.setattr(nas.retrain, "load", load)
        trained(best, out)
        return load(*asked)

    monkeypatch.setattr(nas.retrain, "load", overtaken)
    with pytest.raises(NasError, match="the output exists already"):
        trained(best, out, step=lambda *told: calls.append(told))
    assert calls == []
    assert not beside(out).exists()


def test_a_folder_that_was_delivered_just_before_its_lock_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(folder: Path) -> WriterLock:
        shutil.rmtree(folder)
        return WriterLock(folder)

    monkeypatch.setattr(nas.training_folder, "WriterLock", late)
    with pytest.raises(NasError, match="cannot write there: No such file"):
        open_folder(tmp_path / "out", {"seeds": 1}, "hash", "corpus")


@pytest.mark.parametrize("named", [True, False])
def test_of_two_that_make_a_folder_at_once_the_first_has_it(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other asks for another training, between the look for the folder and its making."""
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    make, others = nas.training_folder._make, []

    def beaten(folder: Path, asked: Any) -> None:
        if not others:
            others.append(folder)
            make(folder, {"seeds": 1})
        make(folder, asked)

    monkeypatch.setattr(nas.training_folder, "_make", beaten)
    if named:
        with pytest.raises(NasError, match="seeds: 1 in the folder, 2 asked"):
            open_folder(tmp_path / "out", {"seeds": 2}, "hash", "corpus")
    else:
        folder, lock = open_folder(None, {"seeds": 2}, "hash", "corpus")
        lock.release()
        assert [others[0].name, folder.name] == ["train-hash-corpus-1", "train-hash-corpus-2"]
