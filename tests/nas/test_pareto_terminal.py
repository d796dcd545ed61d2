"""``nas pareto``: filters, order, and the plot in characters."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command import nas as command

import nas
from nas.cli.pareto import pareto
from nas.cli.scatter import Series, scatter
from nas.cli.where import conditions
from nas.evaluation import Evaluation
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

SPACE: dict[str, Any] = {
    "name": "terminal",
    "parameters": {
        "depth": {"int": [1, 3]},
        "kind": {"choice": ["lif", "ttfs"]},
        "shift": {"choice": [0, 0.5], "repeat": "depth"},
        "wide": "bool",
        "tau": {"choice": [1.5, 3.0], "when": {"kind": "lif"}},
    },
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


def measured(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    """Every depth is on the front; what else differs costs a little."""
    worse = sum(architecture["shift"]) + architecture["wide"] + architecture.get("tau", 1.0)
    depth = architecture["depth"]
    return {"ua": depth / 4, "energy": 1e-7 * depth + 1e-9 * worse, "profile": "table"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pareto") / "run"
    nas.search(space=SPACE, evaluator=measured, searcher="random", budget=84, out=folder)
    return folder


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(pareto, [str(a) for a in arguments])


def depths(*arguments: str | Path) -> list[int]:
    done = called(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return [m["architecture"]["depth"] for m in json.loads(done.stdout)["front"]]


def test_the_front_has_one_of_every_depth(run: Path) -> None:
    assert depths(run) == [3, 2, 1]


@pytest.mark.parametrize(
    ("where", "left"),
    [
        (["energy<0.25e-6"], [2, 1]),
        (["energy < 0.25e-6, ua>0.3"], [2]),
        (["energy<0.25e-6", "ua > 0.3"], [2]),
        (["ua>=0.75"], [3]),
        (["ua<=.25"], [1]),
        (["depth=2"], [2]),
        (["depth!=2"], [3, 1]),
        (["depth==2.0"], [2]),
        (["kind=ttfs"], [3, 2, 1]),
        (["kind='ttfs'"], [3, 2, 1]),
        (["kind!=ttfs"], []),
        (["wide=false"], [3, 2, 1]),
        (["wide=true"], []),
        (["shift=0"], [3, 2, 1]),  # of every block
        (["shift.2=0"], [3]),  # where there is a third block
        (["shift>0"], []),
        (["tau<9"], []),  # off in all of them
        (["tau!=9"], []),
        (["profile=table"], [3, 2, 1]),
    ],
)
def test_filters(run: Path, where: list[str], left: list[int]) -> None:
    assert depths(run, *(part for w in where for part in ("--where", w))) == left


def test_a_comma_inside_a_value_is_part_of_it() -> None:
    [first, second] = conditions(["kind=a,b,depth<3"], ["kind", "depth"])
    assert (first.name, first.value, second.name, second.value) == ("kind", "a,b", "depth", 3.0)


def test_of_several_blocks_all_must_pass() -> None:
    architecture = Architecture({"shift": (0, 0.5), "depth": 2})
    e = Evaluation(0, architecture, 1.0, 1.0, 0, objectives={"ua": 0.5})
    names = ["shift", "shift.0", "depth", "ua"]
    said = {t: conditions([t], names)[0].holds(e) for t in ("shift=0", "shift<=0.5", "shift.0=0")}
    assert said == {"shift=0": False, "shift<=0.5": True, "shift.0=0": True}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "enery<1"], ["nothing is called 'enery'", "did you mean 'energy'"]),
        (["--where", "energy"], ["cannot read the condition 'energy'"]),
        (["--where", "energy<"], ["cannot read"]),
        (["--where", "<1"], ["cannot read"]),
        (["--where", "energy=<1"], ["cannot read"]),
        (["--where", "energy<1,"], []),
        (["--where", "kind<3"], ["compares numbers", "use = or !="]),
        (["--where", "energy<little"], ["compares numbers"]),
        (["--where", "energy<nan"], ["compares numbers"]),
        (["--where", "__import__('os').system('true')<1"], ["nothing is called"]),
        (["--sort", "depht"], ["did you mean 'depth'"]),
        (["--descending"], ["needs --sort"]),
        (["--axes", "ua,ua"], ["two axes"]),
        (["--axes", "ua,power"], ["no objective 'power'"]),
        (["--csv", "/nowhere/front.csv"], ["cannot write the CSV"]),
    ],
)
def test_mistakes_are_named(run: Path, arguments: list[str], words: list[str]) -> None:
    done = called(run, *arguments)
    assert isinstance(done.exception, NasError), done.output
    assert all(w in str(done.exception) for w in words), str(done.exception)


def test_a_mistake_ends_with_2_and_no_traceback(run: Path) -> None:
    assert "did you mean" in command("pareto", run, "--where", "enery<1", code=2).stderr


def test_order(run: Path) -> None:
    assert depths(run, "--sort", "energy") == [1, 2, 3]
    assert depths(run, "--sort", "ua", "--descending") == [3, 2, 1]
    assert depths(run, "--sort", "shift.1") == [3, 2, 1]  # what has no second block comes last
    assert depths(run, "--sort", "shift.1", "--descending")[-1] == 1


def test_csv_holds_what_was_picked(run: Path, tmp_path: Path) -> None:
    assert called(run, "--where", "depth>1", "--csv", tmp_path / "f.csv").exit_code == 0
    with (tmp_path / "f.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["depth"] for r in rows] == ["3", "2"]
    assert float(rows[1]["energy"]) == pytest.approx(2.01e-7, rel=1e-9)


def test_a_plot_of_three_points_by_hand() -> None:
    """x from 0 to 10 in 11 cells, y from 0 to 4 in 5: each point on its own cell."""
    lines = scatter(
        [
            Series(".", "evaluated", [(10.0, 0.0)]),
            Series("o", "front", [(0.0, 1.0), (10.0, 4.0)]),
            Series("K", "knee", [(4.0, 3.0)]),
        ],
        "energy mJ",
        "ua %",
        width=23,
        height=5,
    )
    assert lines == [
        "ua %",
        "        4 +          o",
        "          |    K",
        "        2 +",
        "          |o",
        "        0 +          .",
        "          +-----------",
        "           0    5   10",
        "           energy mJ",
        "           . evaluated, o fron"[:23],
    ]


def test_scales_of_a_plot() -> None:
    assert scatter([Series("o", "front", [])], "x", "y") == []
    single = scatter([Series("o", "front", [(2.0, 3.0)])], "x", "y")
    assert sum("o" in line for line in single[:-1]) == 1
    assert any("3 +" in line for line in single)
    decades = scatter([Series("o", "front", [(1, 1), (10, 2), (100, 3)])], "x", "y", width=33)
    assert decades[-2].strip() == "x (log)"
    places = sorted(line.index("o") for line in decades[1:21] if "o" in line)
    assert places == [11, 21, 31]  # equal factors, equal distances
    assert all(len(line) <= 33 for line in decades)


def test_a_plot_comes_on_a_terminal_only(run: Path) -> None:
    marks = "o front"
    assert marks not in called(run).stdout
    assert marks in called(run, "--plot").stdout
    assert marks not in called(run, "--plot", "--quiet").stdout
    json.loads(called(run, "--plot", "--json").stdout)
    assert marks in on_a_terminal(run)
    assert marks not in on_a_terminal(run, "--no-plot")


def test_what_a_filter_leaves_out_stays_visible_on_the_plot(run: Path) -> None:
    shown = called(run, "--plot", "--where", "depth<3").stdout
    assert "- front, not shown" in shown
    assert "2 shown; 3 on the front of 84 evaluated" in shown


def on_a_terminal(*arguments: str | Path) -> str:
    """What the command prints where its output is a terminal of 80 columns."""
    outer, inner = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "nas", "pareto", *map(str, arguments)],
        stdout=inner,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
    )
    os.close(inner)
    text = b""
    while True:
        try:
            part = os.read(outer, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(outer)
    assert done.wait(60) == 0
    return text.decode()
