"""The report of a search on a corpus: layers, confusion, simple models, test speakers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nas
from nas.confirm import confirm
from nas.report import Panel, Section, Table, build, read_run
from nas.report.data import RunData
from nas.report.layers import layer_energies
from nas.repricing import run_profile
from nas.study import Study

CLASSES = ("angry", "<i>calm</i>")
SPEAKERS = ("ann", "bob", "cat")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Three speakers, two classes; the knee is confirmed with one seed."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    means = rng.normal(size=(len(CLASSES), 8))
    rows = ["path,label,speaker"]
    for speaker in SPEAKERS:
        for i, (label, mean) in enumerate(zip(CLASSES, means, strict=True)):
            for j in range(6):
                frames = mean + rng.normal(size=(int(rng.integers(4, 9)), 8))
                np.save(folder / f"{speaker}-{i}-{j}.npy", frames.astype(np.float32))
                rows.append(f"{speaker}-{i}-{j}.npy,{label},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    nas.search(space="pts_snn_small", data=folder, budget=3, searcher="random", out=folder / "run")
    study = Study.open(folder / "run")
    knee = study.knee()
    assert knee is not None
    confirm(study, [knee], 1, say=print, step=lambda done, total: None)
    return read_run(folder / "run")


@pytest.fixture(scope="module")
def sections(run: RunData) -> dict[str, Section]:
    return {s.key: s for s in build([run])}


def test_energies_of_the_layers_sum_to_the_evaluation(run: RunData) -> None:
    profile = run_profile(run.study)
    for e in run.archive.evaluations:
        rows = layer_energies(e, profile)
        assert len(rows) == len(e.metrics["layers"]) > 3
        assert sum(r["energy"] for r in rows) == pytest.approx(
            e.objectives["energy"], rel=1e-9, abs=0
        )
        for row in rows:
            assert sum(row["parts"].values()) == pytest.approx(row["energy"], rel=1e-9, abs=0)


def test_bars_and_matrix_show_the_record(run: RunData, sections: dict[str, Section]) -> None:
    assert run.knee is not None
    found = {p.key: p for p in sections["chosen"].panels}
    name = run.knee.architecture.hash
    layers = found[f"layers-{name}"].figure
    drawn = sum(sum(t.x) for t in layers.data if t.name and t.showlegend is not False)
    assert drawn == pytest.approx(1e3 * run.knee.objectives["energy"], rel=1e-9, abs=0)
    matrix = found[f"confusion-{name}"].figure.data[0]
    counts = run.knee.metrics["confusion"]
    assert sum(map(sum, counts)) == 24  # two validation speakers of 12
    assert matrix.text[0][1].startswith(f"{counts[0][1]}<br>")
    assert list(matrix.x) == ["&lt;i&gt;calm&lt;/i&gt;", "angry"]


def test_simple_models_stand_beside_the_front(sections: dict[str, Section]) -> None:
    plane = next(p for p in sections["front"].panels if p.key == "front-ua-energy")
    assert {t.text[0] for t in plane.figure.data if t.text} == {"linear_probe", "mean_pool_mlp"}
    assert "validation speakers" in sections["front"].about


def test_test_figures_are_means_over_folds(run: RunData, sections: dict[str, Section]) -> None:
    assert run.knee is not None
    lines = (run.study.folder / "confirm.jsonl").read_text().splitlines()
    mine = [r for r in map(json.loads, lines) if r["model"] == run.knee.architecture.hash]
    assert {r["fold"] for r in mine} == set(SPEAKERS)
    table, *figures = sections["tested"].parts
    assert isinstance(table, Table)
    row = next(r for r in table.rows if r[0] == run.knee.architecture.hash)
    ua = table.columns.index("ua %, 95 % CI")
    mean = 100 * np.mean([r["ua"] for r in mine])
    assert row[ua].startswith(f"{mean:.1f} (")
    unseen = next(r["ua"] for r in mine if r["fold"] == "ann")
    assert row[table.columns.index("ua %, unseen")] == f"{100 * unseen:.1f}"
    assert all(isinstance(f, Panel) and f.figure is not None for f in figures)


def test_summary_says_what_was_measured_on_whom(sections: dict[str, Section]) -> None:
    [table] = sections["summary"].parts
    assert isinstance(table, Table)
    facts = dict(table.rows)
    assert facts["measured on"].endswith("bob, cat")
    assert facts["test speakers"].startswith("fold ann")
    assert facts["budget"] == "3 of 3 units spent"
    [costs] = sections["costs"].parts
    assert isinstance(costs, Table)
    assert float(dict(costs.rows)["of them training and measuring"]) > 0
