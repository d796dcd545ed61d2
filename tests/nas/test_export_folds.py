"""The folds in an export: of every run on a corpus, in the form that ``--folds`` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import nas
from eval.corpora import open_corpus
from eval.features import load_dataset
from eval.fold_json import read_json
from eval.folding import choose_folding, members_of, share_voices
from nas.cli import cli
from nas.export import export
from nas.study import Study

SPACE = {
    "name": "tiny",
    "family": "mean_pool",
    "parameters": {"hidden": {"choice": [0, 2, 3]}},
    "objectives": {"ua": "maximize"},
}
SPEAKERS = ("ann", "bob", "cat", "dan")
EACH = 6
HEARD = {s: {f"{s}-{i}.npy" for i in range(EACH)} for s in SPEAKERS}


def run(*arguments: str | Path) -> Any:
    """Call a command in this process; its document."""
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of two classes that are easy to tell apart, by four speakers."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for speaker in SPEAKERS:
        for i in range(EACH):
            np.save(folder / f"{speaker}-{i}.npy", rng.standard_normal((4, 5)) + 3 * (i % 2))
            rows.append(f"{speaker}-{i}.npy,{'ab'[i % 2]},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def searched(corpus: Path, out: Path, **options: Any) -> Study:
    nas.search(space=SPACE, data=corpus, searcher="random", budget=1, out=out, **options)
    return Study.open(out)


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return searched(corpus, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def best(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(finished, finished.front()[0], tmp_path_factory.mktemp("exports") / "best")


def test_the_folds_are_those_of_the_speakers(best: Path) -> None:
    told = json.loads((best / "folds.json").read_text())
    assert told["protocol"] == "leave-one-speaker-out"
    assert told["speaker_dependent"] is False
    assert len(told["corpus"]["digest"]) == 64
    assert {(path, speaker) for path, _, speaker in told["utterances"]} == {
        (path, speaker) for speaker in SPEAKERS for path in HEARD[speaker]
    }
    assert [fold["name"] for fold in told["folds"]] == list(SPEAKERS)
    for fold in told["folds"]:
        assert set(fold["test"]) == HEARD[fold["name"]]
        inner = {part["name"]: set(part["validation"]) for part in fold["inner"]}
        assert inner == {s: HEARD[s] for s in SPEAKERS if s != fold["name"]}
    # the split of the record stays the named one: nothing was given as a file
    config = json.loads((best / "config.json").read_text())
    assert (config["protocol"], config["folds"]) == ("leave-one-speaker-out", None)


def test_the_file_splits_as_the_search_did(best: Path) -> None:
    plain = run("train", best)
    again = run("train", best, "--folds", best / "folds.json")
    assert (plain["protocol"], again["protocol"]) == ("leave-one-speaker-out", "file")
    assert again["folds"] == plain["folds"]


def test_a_search_in_these_folds_sees_the_same_speakers(
    best: Path, corpus: Path, tmp_path: Path
) -> None:
    study = searched(corpus, tmp_path / "run", folds=best / "folds.json", test_fold=2)
    record = study.config.evaluator
    assert (record["test"], record["validation"]) == ("cat", ["ann", "bob", "dan"])
    assert len(record["folds"]) == 64


def test_a_run_goes_on_by_its_protocol_whatever_its_file_says(
    finished: Study, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder, tmp_path / "run")
    (tmp_path / "run" / "folds.json").write_text("for people")
    nas.search(resume=tmp_path / "run", budget=2)
    assert Study.open(tmp_path / "run").spent == 2


def test_what_is_retrained_has_the_folds_of_its_figures(best: Path, tmp_path: Path) -> None:
    run("train", best, "--protocol", "2-fold-by-speaker", "--out", tmp_path / "mine")
    told = json.loads((tmp_path / "mine" / "folds.json").read_text())
    assert told["protocol"] == "2-fold-by-speaker"
    assert sorted(len(fold["test"]) for fold in told["folds"]) == [12, 12]
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["folds"] is None


def test_a_run_that_kept_no_folds_gets_them_from_its_corpus(
    finished: Study, best: Path, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder, tmp_path / "old")
    (tmp_path / "old" / "folds.json").unlink()

    def exported(data: Path, name: str) -> tuple[Path, str]:
        record = yaml.safe_load((tmp_path / "old" / "run.yaml").read_text())
        record["evaluator"]["data"] = str(data)
        (tmp_path / "old" / "run.yaml").write_text(yaml.safe_dump(record, sort_keys=False))
        study, said = Study.open(tmp_path / "old"), []
        return export(study, study.front()[0], tmp_path / name, said.append), "\n".join(said)

    made, _ = exported(corpus, "made")
    assert (made / "folds.json").read_bytes() == (best / "folds.json").read_bytes()
    away, said = exported(tmp_path / "nowhere", "away")
    assert "without folds.json" in said
    assert not (away / "folds.json").exists()
    assert "no `folds.json`" in (away / "README.md").read_text()
    listed = (corpus / "manifest.csv").read_text()
    fewer = listed.removesuffix("dan-5.npy,b,dan\n")
    assert fewer != listed
    for i, manifest in enumerate([fewer, listed.replace(",ann\n", ",zoe\n")]):
        shutil.copytree(corpus, tmp_path / f"corpus-{i}")
        (tmp_path / f"corpus-{i}" / "manifest.csv").write_text(manifest)
        changed, said = exported(tmp_path / f"corpus-{i}", f"changed-{i}")
        assert "has changed since the search" in said
        assert not (changed / "folds.json").exists()


def test_a_run_with_its_own_evaluator_has_none_and_says_so(tmp_path: Path) -> None:
    space = {"name": "x", "parameters": {"x": {"int": [1, 9]}}, "objectives": {"y": "minimize"}}
    own = {"folds": 5, "confusion": 0.1, "classes": 3}  # its own words, which mean other things
    nas.search(
        space=space,
        evaluator=lambda a, f, s: {"y": float(a["x"]), **own},
        budget=2,
        out=tmp_path / "run",
    )
    study = Study.open(tmp_path / "run")
    folder = export(study, study.front()[0], tmp_path / "best")
    assert not (folder / "folds.json").exists()
    card = (folder / "README.md").read_text()
    assert "not of a corpus that nas has split" in card
    assert "| folds | 5 |" in card


@pytest.mark.parametrize("protocol", ["leave-one-speaker-out", "speaker-dependent"])
def test_files_left_out_have_a_place_and_change_no_fold(
    protocol: str, corpus: Path, tmp_path: Path
) -> None:
    """Read back on the whole corpus, the file gives the folds of what could be used."""
    broken = tmp_path / "corpus"
    shutil.copytree(corpus, broken)
    for name in ("bob-0.npy", "dan-3.npy"):
        (broken / name).write_bytes(b"nothing")
    share = protocol == "speaker-dependent"
    out = tmp_path / "run"
    searched(broken, out, protocol=protocol, speaker_dependent=share, skip_bad=True)
    opened = open_corpus(str(broken))
    read = read_json(out / "folds.json", opened, share=share)
    listed = {"bob-0.npy", "dan-3.npy"}
    assert all(listed <= {*m.test, *m.fit} for m in read.members)
    assert share_voices(read.members, opened) is share
    used = load_dataset(broken, skip_bad=True)
    folding = choose_folding(opened, protocol=protocol, speaker_dependent=share)
    for ours, theirs in zip(read.outer(used), folding.outer(used), strict=True):
        assert ours.name == theirs.name
        assert np.array_equal(ours.held, theirs.held)
        both = zip(read.inner(used, ours.fit), folding.inner(used, theirs.fit), strict=True)
        assert all(np.array_equal(a.held, b.held) for a, b in both)
    assert members_of(folding, opened) != list(read.members) or not share


def test_a_fold_whose_rest_cannot_be_split_does_not_stop_a_search_in_another(
    corpus: Path, tmp_path: Path
) -> None:
    """Only two of three say "b": without one of them, the other is trained on or validated."""
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    rows = (corpus / "manifest.csv").read_text().splitlines()
    kept = [r for r in rows if not r.endswith(",dan") and not r.endswith(",b,cat")]
    (folder / "manifest.csv").write_text("\n".join(kept))
    study = searched(folder, tmp_path / "run", test_fold=2)
    told = json.loads((study.folder / "folds.json").read_text())
    assert [len(fold.get("inner", [])) for fold in told["folds"]] == [0, 0, 2]
