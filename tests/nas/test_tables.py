from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

import nas
from nas.pareto import losses
from nas.tables import OBJECTIVES, TABLES, TableEvaluator, load_table, synthetic_speech
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.schema import load_space

SPACE = TABLES / "synthetic_speech.yaml"

# width, shift, steps; then ua and energy after a half and all of the training, by seed
TINY: list[tuple[dict[str, Any], list[list[float]]]] = [
    ({"width": 8, "shift": [0.25]}, [[0.4, 1.0, 0.5, 1.5], [0.4, 1.0, 0.6, 1.5]]),
    ({"width": 16, "shift": [0.25, 0]}, [[0.3, 2.0, 0.7, 2.5], [0.5, 2.0, 0.9, 2.5]]),
    ({"width": 16, "shift": [0], "steps": 4}, [[0.2, 3.0, 0.6, 3.5], [0.2, 3.0, 0.6, 3.5]]),
]


def lines() -> list[str]:
    columns = "architecture,width,shift,steps,seed,ua@0.5,energy@0.5,ua@1,energy@1"
    rows = [f"{columns},parameters,spikes,test_ua,twin_ua"]
    for values, measured in TINY:
        cells = [json.dumps(values[n]) if n in values else "" for n in ("width", "shift", "steps")]
        quoted = ",".join(f'"{c}"' if "," in c else c for c in cells)
        for seed, figures in enumerate(measured):
            told = ",".join(map(str, [*figures, values["width"] ** 2, 10 + seed, 0.5, 0.55]))
            rows.append(f"{Architecture(values).hash},{quoted},{seed},{told}")
    return rows


def write(folder: Path, rows: list[str]) -> Path:
    path = folder / "tiny.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> TableEvaluator:
    return TableEvaluator(write(tmp_path, lines()))


# -- a tiny table ------------------------------------------------------------------------------


def test_it_replays_a_training(tiny: TableEvaluator) -> None:
    two = {"width": 16, "shift": [0.25, 0]}
    assert tiny(two, 1.0, 1) == {
        "ua": 0.9,
        "energy": 2.5,
        "parameters": 256,
        "spikes": 11,
        "recorded_fidelity": 1.0,
    }
    assert tiny({"shift": (0.25, 0), "width": 16}, 1.0, 3)["ua"] == 0.9  # seed 3 is seed 1
    assert tiny(two, 1.0, 2**31)["ua"] == 0.7


def test_the_nearest_fidelity_that_is_not_above(tiny: TableEvaluator) -> None:
    one = TINY[0][0]
    for asked, recorded in ((1.0, 1.0), (0.99, 0.5), (0.5, 0.5), (0.1, 0.5)):
        assert tiny(one, asked, 0)["recorded_fidelity"] == recorded
    # what is known of the finished training alone must not leak into an unfinished one
    early = {"ua": 0.4, "energy": 1.0, "parameters": 64, "recorded_fidelity": 0.5}
    assert tiny(one, 0.5, 0) == early


def test_the_mean_over_seeds(tmp_path: Path) -> None:
    table = TableEvaluator(write(tmp_path, lines()), mode="mean")
    for seed in range(3):
        assert table(TINY[1][0], 1.0, seed)["ua"] == pytest.approx(0.8)
        assert table(TINY[1][0], 0.5, seed)["ua"] == pytest.approx(0.4)


def test_everything_about_an_architecture(tiny: TableEvaluator) -> None:
    row = tiny.row(TINY[1][0], 0)
    assert row.full["twin_ua"] == 0.55
    assert row.full["test_ua"] == 0.5
    assert row.curve[0.5]["ua"] == 0.3
    assert tiny.row(TINY[1][0]).curve[1.0]["ua"] == pytest.approx(0.8)


def test_architectures_and_the_true_front(tiny: TableEvaluator) -> None:
    assert tiny.architectures() == [values for values, _ in TINY]
    assert tiny.seeds == (0, 1)
    front = tiny.true_front()  # the third costs more than the second and recalls less
    assert [e.architecture for e in front] == [TINY[1][0], TINY[0][0]]
    assert [e.objectives["ua"] for e in front] == pytest.approx([0.8, 0.55])
    assert [e.architecture for e in tiny.true_front({"energy": "minimize"})] == [TINY[0][0]]


def test_compressed_or_not(tiny: TableEvaluator, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "tiny.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines()))
    again = TableEvaluator(tmp_path / "tiny.csv.gz")
    assert again.architectures() == tiny.architectures()
    assert again(TINY[2][0], 1.0, 0) == tiny(TINY[2][0], 1.0, 0)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"width": 32, "shift": [0.25]}, "width is one of 16, 8 in it"),
        ({"widht": 8, "shift": [0.25]}, "no parameter 'widht' in it; .*width"),
        ({"width": 8, "shift": [0]}, "search the space that the table was made from"),
    ],
)
def test_an_architecture_that_is_not_in_it(
    tiny: TableEvaluator, values: dict[str, Any], hint: str
) -> None:
    with pytest.raises(NasError, match="the table does not hold Architecture") as error:
        tiny(values, 1.0, 0)
    assert error.value.where == str(tiny.path)
    assert re.search(hint, str(error.value.hint))


def test_a_table_with_mistakes(tmp_path: Path) -> None:
    def refuses(rows: list[str], what: str) -> None:
        with pytest.raises(NasError, match=what):
            TableEvaluator(write(tmp_path, rows))

    good = lines()
    refuses(["a,b", "1,2"], "no table: it needs the columns 'architecture' and 'seed'")
    refuses(good[:1], "the table has no rows")
    refuses([*good, good[-1]], "with seed 1 stands here twice")
    refuses(good[:-1], "has 1 of the 2 seeds")
    refuses([good[0], good[1].replace("0.5,1.5", "x,1.5")], "cannot read this row")
    refuses([good[0], good[1].rpartition(",")[0]], "cannot read this row")
    refuses([good[0], good[1].replace("8,[0.25]", "9,[0.25]")], "the values are those of")
    with pytest.raises(NasError, match="cannot read the table: No such file"):
        TableEvaluator(tmp_path / "none.csv")
    (tmp_path / "bad.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(NasError, match="cannot read the table"):
        TableEvaluator(tmp_path / "bad.csv.gz")
    with pytest.raises(NasError, match="the table 'none' is not here"):
        load_table("none")


# -- the one that travels with the project -----------------------------------------------------


@pytest.fixture(scope="module")
def table() -> TableEvaluator:
    return load_table("synthetic_speech")


def test_it_holds_its_space_exactly(table: TableEvaluator) -> None:
    space = load_space(SPACE)
    every = {a.hash for a in space.enumerate()}
    assert 400 <= len(every) == space.size().discrete <= 700
    assert {a.hash for a in table.architectures()} == every
    assert len(table.architectures()) == len(every)
    assert table.seeds == (0, 1, 2)
    assert table.path.stat().st_size < 1_500_000


def test_its_columns(table: TableEvaluator) -> None:
    for a in table.architectures():
        for seed in table.seeds:
            row = table.row(a, seed)
            assert list(row.curve) == [0.125, 0.25, 0.5, 1.0]
            for metrics in row.curve.values():
                assert set(metrics) == {"ua", "wa", "loss", "energy"}
                assert 0 <= metrics["ua"] <= 1
                assert metrics["ua"] == metrics["wa"]  # balanced
                assert 1e-9 < metrics["energy"] < 1e-5
                assert metrics["loss"] > 0
            assert {"parameters", "spike_rate", "test_ua", "twin_ua"} <= set(row.full)


def test_its_seeds_agree_and_its_curve_nears_the_end(table: TableEvaluator) -> None:
    every = table.architectures()
    for name in ("ua", "energy"):
        end = np.array([[table(a, 1.0, s)[name] for a in every] for s in table.seeds])
        assert kendalltau(end[0], end[1]).statistic > 0.3
        assert kendalltau(end[1], end[2]).statistic > 0.3
        for fidelity, least in ((0.25, 0.0), (0.5, 0.3)):
            look = [table(a, fidelity, 0)[name] for a in every]
            assert kendalltau(look, end[1]).statistic > least
    mean = np.array([table.row(a).curve[1.0]["ua"] for a in every])
    assert mean.min() < 0.35  # chance is 0.25
    assert 0.6 < mean.max() < 0.95


def test_nothing_dominates_its_front(table: TableEvaluator) -> None:
    truth, front = losses(table.truth(), OBJECTIVES), losses(table.true_front(), OBJECTIVES)
    assert 5 <= len(front) <= 60
    for member in front:
        assert not ((truth <= member).all(1) & (truth < member).any(1)).any()


def test_a_search_on_it_takes_seconds(tmp_path: Path) -> None:
    study = nas.search(
        space=str(SPACE),
        evaluator="nas.tables:synthetic_speech",
        searcher="random",
        budget=30,
        seed=0,
        out=tmp_path / "run",
    )
    done = list(study.evaluations)
    assert len(done) == 30
    assert all(e.ok for e in done)
    first = done[0]
    again = synthetic_speech(first.architecture, first.fidelity, first.seed)
    assert first.objectives == {"ua": again["ua"], "energy": again["energy"]}
