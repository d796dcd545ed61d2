"""The command line as a person meets it: outputs, exit codes, every malformed input."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from command import nas
from spaces import DOCUMENT

HERE = Path(__file__).parent
EVALUATOR = f"{HERE / 'spaces.py'}:measure"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "toy.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


@pytest.fixture(scope="module")
def run(space: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "toy-1"
    nas("search", "--space", space, "--evaluator", EVALUATOR, "--budget", "30", "--out", folder)
    return folder


def refused(*arguments: str | Path) -> str:
    """Run a command that must be refused: exit 2, nothing on stdout, one error on stderr."""
    done = nas(*arguments, code=2)
    assert done.stdout == ""
    return done.stderr


# -- looking ---------------------------------------------------------------------------------


def test_search_prints_the_front_on_stdout_and_progress_on_stderr(
    space: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = nas(
        "search", "--space", space, "--evaluator", EVALUATOR, "--budget", "12", "--out", out
    )
    assert "knee" in done.stdout
    assert "12 of 12 units" in done.stdout
    assert "12/12 units" in done.stderr
    assert str(out) in done.stderr


def test_search_as_json_is_one_document_and_quiet_is_the_folder(
    space: Path, tmp_path: Path
) -> None:
    options = ["--space", space, "--evaluator", EVALUATOR, "--budget", "5"]
    document = json.loads(nas("search", *options, "--json", "--out", tmp_path / "a").stdout)
    assert document["run"] == str(tmp_path / "a")
    quiet = nas("search", *options, "--quiet", "--out", tmp_path / "b")
    assert quiet.stdout == f"{tmp_path / 'b'}\n"
    assert quiet.stderr == ""


def test_what_an_evaluator_prints_is_on_stderr(space: Path, tmp_path: Path) -> None:
    file = tmp_path / "prints.py"
    file.write_text(
        "print('loading')\n"
        "def f(a, fidelity, seed):\n"
        "    print('training')\n"
        "    return {'ua': 0.5, 'energy': 1.0}\n"
    )
    options = ["--space", space, "--evaluator", f"{file}:f", "--budget", "3"]
    done = nas("search", *options, "--json", "--out", tmp_path / "a")
    assert json.loads(done.stdout)["run"] == str(tmp_path / "a")
    assert done.stderr.count("training") == 3
    assert "loading" in done.stderr
    quiet = nas("search", *options, "--quiet", "--out", tmp_path / "b")
    assert quiet.stdout == f"{tmp_path / 'b'}\n"


def test_an_evaluator_that_exits_while_it_is_loaded_is_refused(
    space: Path, tmp_path: Path
) -> None:
    file = tmp_path / "exits.py"
    file.write_text("raise SystemExit\n")
    options = ["--space", space, "--evaluator", f"{file}:f", "--out", tmp_path / "run"]
    assert "fails while loading: SystemExit" in refused("search", *options)


def test_pareto_as_json_has_the_documented_form(run: Path) -> None:
    document = json.loads(nas("pareto", run, "--json").stdout)
    assert set(document) == {"run", "objectives", "front"}
    assert document["objectives"] == {"ua": "maximize", "energy": "minimize"}
    assert document["front"]
    for member in document["front"]:
        assert set(member) == {"hash", "architecture", "objectives", "metrics", "knee"}
        assert set(member["objectives"]) == {"ua", "energy"}
        assert len(member["architecture"]["shift"]) == member["architecture"]["depth"]
    assert sum(m["knee"] for m in document["front"]) == 1


def test_pareto_as_csv_has_one_row_per_member(run: Path, tmp_path: Path) -> None:
    nas("pareto", run, "--csv", tmp_path / "front.csv")
    members = json.loads(nas("pareto", run, "--json").stdout)["front"]
    rows = list(csv.DictReader((tmp_path / "front.csv").open()))
    assert [r["hash"] for r in rows] == [m["hash"] for m in members]
    assert float(rows[0]["ua"]) == members[0]["objectives"]["ua"]


def test_show_finds_an_architecture_by_the_start_of_its_hash(run: Path) -> None:
    member = json.loads(nas("pareto", run, "--json").stdout)["front"][0]
    shown = json.loads(nas("show", run, member["hash"][:8], "--json").stdout)
    assert shown["architecture"] == member["architecture"]
    knee = json.loads(nas("pareto", run, "--json").stdout)["front"]
    [hash_] = [m["hash"] for m in knee if m["knee"]]
    assert nas("show", run, "knee", "--quiet").stdout == f"{hash_}\n"
    assert "no architecture starts with 'zz'" in refused("show", run, "zz")
    assert "start with" in refused("show", run, "")


def test_runs_lists_what_is_there_and_says_what_is_broken(run: Path, tmp_path: Path) -> None:
    [row] = json.loads(nas("runs", run.parent, "--json").stdout)
    assert (row["run"], row["spent"], row["budget"]) == (str(run), 30, 30)
    broken = tmp_path / "old"
    broken.mkdir()
    (broken / "run.yaml").write_text("format: 0\n")
    assert "format 0" in nas("runs", tmp_path).stdout
    (tmp_path / "empty").mkdir()
    assert "no runs yet" in nas("runs", tmp_path / "empty").stdout
    (tmp_path / "file").touch()
    for mistyped in ("nowhere", "file"):
        assert "there is no such folder" in refused("runs", tmp_path / mistyped)


def test_space_commands(space: Path) -> None:
    assert "architectures" in nas("space", "check", space).stdout
    counted = json.loads(nas("space", "count", space, "--json").stdout)
    assert counted["continuous"] == ["tau"]
    drawn = json.loads(nas("space", "sample", space, "-n", "3", "--json").stdout)
    assert len({d["hash"] for d in drawn}) == 3
    assert nas("space", "sample", space, "--seed", "4").stdout == (
        nas("space", "sample", space, "--seed", "4").stdout
    )
    assert "parameters" in json.loads(nas("space", "schema").stdout)["properties"]
    assert "pts_snn" in nas("space", "list").stdout
    nas("space", "check", "pts_snn")
    nas("space", "check", "pts_snn.yaml")


def test_data_list_names_the_licence() -> None:
    listed = {r["name"]: r for r in json.loads(nas("data", "list", "--json").stdout)}
    assert listed["polish"]["licence"].startswith("CC BY")
    assert "synthetic" in listed["synthetic_eyes"]["title"].lower()


def test_nothing_measured_exits_1_and_shows_why(space: Path, tmp_path: Path) -> None:
    file = tmp_path / "fails.py"
    file.write_text("def f(a, fidelity, seed):\n    raise RuntimeError('the device is off')\n")
    given = ["--space", str(space), "--budget", "3", "--evaluator", f"{file}:f"]
    done = subprocess.run(
        [sys.executable, "-m", "nas", "search", *given, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "every evaluation failed" in done.stderr
    assert "next:" not in done.stdout  # there is nothing to export
    assert "the device is off" in done.stderr
    for command in ("show", "energy"):
        assert "front of this run is empty" in refused(command, tmp_path / "run", "knee")


# -- exporting without a corpus ----------------------------------------------------------------


def test_export_of_an_own_evaluator_has_everything_but_weights(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "best"
    done = nas("export", run, "--best", "ua", "--out", folder, "--json")
    document = json.loads(done.stdout)
    assert document["files"] == [
        "README.md",
        "architecture.yaml",
        "config.json",
        "environment.json",
        "metrics.json",
    ]
    members = json.loads(nas("pareto", run, "--json").stdout)["front"]
    best = max(members, key=lambda m: m["objectives"]["ua"])
    assert yaml.safe_load((folder / "architecture.yaml").read_text()) == best["architecture"]
    assert json.loads((folder / "metrics.json").read_text())["ua"] == best["objectives"]["ua"]
    assert "no weights are kept" in done.stderr
    assert "exists already" in refused("export", run, "--out", folder)
    assert "cannot rank by 'wa'" in refused("export", run, "--best", "wa", "--out", tmp_path / "x")
    both = ["--best", "ua", "--trial", best["hash"]]
    assert "exclude each other" in refused("export", run, *both, "--out", tmp_path / "x")
    assert "no family" in refused("train", folder)
    assert "no exported architecture" in refused("train", tmp_path)
    assert "own evaluator" in refused("confirm", run)


# -- malformed input ---------------------------------------------------------------------------


def write_space(folder: Path, **changes: Any) -> Path:
    path = folder / "bad.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, **changes}, sort_keys=False))
    return path


PARAMETERS = DOCUMENT["parameters"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objektives": {}}, "did you mean 'objectives'"),
        ({"parameters": {"a": {"int": ["1", 2]}}}, "valid integer"),
        ({"parameters": {"a": {"int": [3, 2]}}}, "empty range"),
        ({"parameters": {"a": {"int": [1, 2], "when": {"b": 1}}}}, "unknown parameter 'b'"),
        (
            {"parameters": {**PARAMETERS, "z": {"int": [1, 2], "when": {"steps": 4, "tau": 2}}}},
            "condition on 'tau'",
        ),
        (
            {
                "parameters": {
                    **PARAMETERS,
                    "z": {"int": [1, 2], "when": {"steps": 4, "neuron": "plif"}},
                }
            },
            "can never be active",
        ),
        (
            {
                "parameters": {
                    "a": {"int": [1, 2], "when": {"b": 1}},
                    "b": {"int": [1, 2], "when": {"a": 1}},
                }
            },
            "cyclic conditions",
        ),
        ({"objectives": {}}, "no objective"),
    ],
)
def test_a_malformed_space_is_refused_with_file_line_and_key(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = write_space(tmp_path, **changes)
    error = refused("space", "check", path)
    assert said in error
    assert f"{path}:" in error
    out = tmp_path / "run"
    asked = ["--space", path, "--evaluator", EVALUATOR, "--out", out]
    assert said in refused("search", *asked)
    assert not out.exists()


ENERGY = {"minimize": True}


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"searcher": "nsga"}, "searcher", "did you mean 'nsga2'"),
        ({"family": "ptssnn"}, "family", "did you mean 'pts_snn'"),
        ({"family": "nowhere:f"}, "family", "cannot load"),
        (
            {"objectives": {"wa": "maximize", "energy": {**ENERGY, "profile": "lohi"}}},
            "objectives.energy.profile",
            "did you mean 'loihi'",
        ),
        (
            {"objectives": {"energy": {**ENERGY, "profile": {"name": "mine", "unit": "pound"}}}},
            "objectives.energy.profile.unit",
            "'pound'",
        ),
    ],
)
def test_a_name_that_a_space_uses_is_checked_where_it_stands(
    changes: dict[str, Any], where: str, said: str, tmp_path: Path
) -> None:
    path = write_space(tmp_path, **changes)
    error = refused("space", "check", path)
    lines = path.read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if where.split(".")[-1] + ":" in text)
    assert f"{path}:{line}:{where}: " in error
    assert said in error


def test_a_space_may_ask_for_a_guided_searcher(tmp_path: Path) -> None:
    nas("space", "check", write_space(tmp_path, searcher="nsga2+"))


def test_a_count_of_thousands_of_digits_is_printed(tmp_path: Path) -> None:
    width = {"int": [1, 10**6], "repeat": "depth"}
    path = write_space(tmp_path, parameters={"depth": {"int": [999, 1000]}, "w": width})
    assert "about 10^6000 architectures" in nas("space", "count", path).stdout
    assert nas("space", "count", path, "--quiet").stdout.strip() == "1000001" + 5994 * "0"


@pytest.mark.parametrize(
    ("option", "said"), [("--frame-rate", "frame rate 0.0"), ("--max-seconds", "0.0 s of a rec")]
)
@pytest.mark.parametrize("command", ["search", "profile"])
def test_a_zero_is_no_option_left_out(
    command: str, option: str, said: str, tmp_path: Path
) -> None:
    data = corpus(tmp_path)
    assert said in refused(command, "--space", "pts_snn", "--data", data, option, "0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "0"], "budget of 0"),
        (["--budget", "-3"], "budget of -3"),
        (["--budget", "many"], "not a valid integer"),
        (["--searcher", "nsga"], "did you mean 'nsga2'"),
        (["--evaluator", "nowhere.py:f"], "not there"),
        (["--evaluator", "spaces.py"], "file.py:function"),
        (["--evaluator", f"{HERE / 'spaces.py'}:mesure"], "did you mean 'measure'"),
        (["--data", "polish"], "exclude each other"),
        (["--seeed", "1"], "--seed"),
    ],
)
def test_a_malformed_search_is_refused(
    arguments: list[str], said: str, space: Path, tmp_path: Path
) -> None:
    given = ["--space", str(space), "--evaluator", EVALUATOR, "--out", str(tmp_path / "run")]
    assert said in refused("search", *given, *arguments)
    assert not (tmp_path / "run").exists()


def test_unknown_commands_spaces_and_corpora_name_the_nearest(tmp_path: Path) -> None:
    assert "did you mean 'search'" in refused("serach")
    assert "did you mean 'pts_snn'" in refused("search", "--space", "pts_sn.yaml")
    assert "no space given" in refused("search")
    asked = ["--space", "pts_snn", "--out", tmp_path / "r"]
    assert "did you mean 'polish'" in refused("search", *asked, "--data", "polisch")
    assert "did you mean 'polish'" in refused("data", "fetch", "polisch")


def test_an_existing_output_folder_is_refused_before_any_work(
    space: Path, run: Path, tmp_path: Path
) -> None:
    asked = ["--space", space, "--evaluator", EVALUATOR, "--out"]
    assert f"nas search --resume {run}" in refused("search", *asked, run)
    (tmp_path / "mine").mkdir()
    assert "exists already" in refused("search", *asked, tmp_path / "mine")


def test_an_output_that_cannot_be_made_is_refused(
    space: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "deep" / "out"
    for asked in (
        ["search", "--space", space, "--evaluator", EVALUATOR, "--out"],
        ["export", run, "--out"],
    ):
        assert f"{below}: cannot write there: Not a directory" in refused(*asked, below)
    assert "cannot write there" in refused("export", run, "--out", "/proc/out")
    monkeypatch.setenv("NAS_RUNS", str(below))
    assert "cannot write there" in refused("search", "--space", space, "--evaluator", EVALUATOR)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    for command in ("pareto", "confirm"):
        assert "no run here" in refused(command, tmp_path)
    assert "no run here" in refused("search", "--resume", tmp_path)


# -- malformed corpora -------------------------------------------------------------------------


def corpus(folder: Path, *, speakers: int = 3, each: int = 2, width: int = 4) -> Path:
    """A corpus of random features: two classes."""
    rng = np.random.default_rng(0)
    lines = ["path,label,speaker"]
    for s in range(speakers):
        for label in ("calm", "angry"):
            for i in range(each):
                name = f"s{s}_{label}_{i}.npy"
                np.save(folder / name, rng.normal(size=(5, width)).astype(np.float32))
                lines.append(f"{name},{label},s{s}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def add(folder: Path, line: str) -> None:
    with (folder / "manifest.csv").open("a") as file:
        file.write(line + "\n")


def unreadable_audio(folder: Path) -> None:
    rows = ["path,label,speaker"]
    for s in range(3):
        for label in ("calm", "angry"):
            name = f"s{s}_{label}.wav"
            soundfile.write(folder / name, np.sin(np.arange(16_000) * 0.1) * 0.1, 16_000)
            rows += [f"{name},{label},s{s}"]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "s1_calm.wav").write_bytes(b"this is no audio")


def empty_manifest(folder: Path) -> None:
    (folder / "manifest.csv").write_text("path,label,speaker\n")


def one_speaker(folder: Path) -> None:
    corpus(folder, speakers=1, each=4)


def label_with_one_sample(folder: Path) -> None:
    corpus(folder)
    np.save(folder / "odd.npy", np.zeros((3, 4), np.float32))
    add(folder, "odd.npy,bored,s0")


def differing_width(folder: Path) -> None:
    corpus(folder)
    np.save(folder / "wide.npy", np.zeros((3, 5), np.float32))
    add(folder, "wide.npy,calm,s0")


def nan_features(folder: Path) -> None:
    corpus(folder)
    bad = np.zeros((3, 4), np.float32)
    bad[1, 2] = np.nan
    np.save(folder / "nan.npy", bad)
    add(folder, "nan.npy,calm,s0")


def missing_file(folder: Path) -> None:
    corpus(folder)
    add(folder, "gone.npy,calm,s0")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (unreadable_audio, "s1_calm.wav"),
        (empty_manifest, "manifest.csv"),
        (one_speaker, "speaker"),
        (label_with_one_sample, "bored"),
        (differing_width, "wide.npy"),
        (nan_features, "nan.npy"),
        (missing_file, "manifest.csv:14"),
    ],
)
def test_a_damaged_corpus_is_refused_by_check_and_by_search(
    damage: Any, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    damage(folder)
    assert said in nas("data", "check", folder, code=2).stderr
    out = tmp_path / "run"
    error = nas(
        "search",
        "--space",
        "pts_snn_small",
        "--data",
        folder,
        "--budget",
        "1",
        "--out",
        out,
        code=2,
    ).stderr
    assert said in error
    assert not out.exists()


def test_a_sound_corpus_of_features_passes_the_check(tmp_path: Path) -> None:
    report = json.loads(nas("data", "check", corpus(tmp_path), "--json").stdout)
    assert report["utterances"] == 12
    assert report["outer_folds"] == ["s0", "s1", "s2"]


def test_without_network_and_cache_the_error_names_the_offline_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    error = refused("search", "--space", "pts_snn_small", "--out", tmp_path / "run")
    assert "nkululeko" in error
    assert "--data FOLDER" in error
    assert not (tmp_path / "run").exists()
