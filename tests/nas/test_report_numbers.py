"""The numbers behind a report's figures, each against something computed by other means."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from spaces import DOCUMENT, measure

import nas
from eval.energy.profile import load_profile
from nas.evaluation import Evaluation
from nas.report.attained import staircase
from nas.report.compare import attainment, box_of, growth, seeds_of_one
from nas.report.data import chosen, read_run, read_runs, running_clock
from nas.report.facts import proxy_seconds
from nas.report.importance import LEAST, importance, quantile
from nas.report.layers import layer_energies
from nas.report.spaces import columns, measured_axis, parameter_axis
from nas.report.style import axis
from nas.study import Study
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

POINTS = {1: (0.2, 1.0), 2: (0.6, 2.0), 3: (0.5, 3.0), 4: (1.0, 5.0)}
SPACE: dict[str, Any] = {
    "name": "line",
    "parameters": {"a": {"int": [1, 4]}},
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


def on_a_line(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    ua, energy = POINTS[architecture["a"]]
    return {"ua": ua, "energy": energy}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four points: the third is dominated by the second."""
    folder = tmp_path_factory.mktemp("line") / "run"
    nas.search(space=SPACE, evaluator=on_a_line, searcher="random", budget=4, out=folder)
    return folder


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("toys")
    for seed in (0, 1):
        nas.search(
            space=DOCUMENT, evaluator=measure, searcher="random", budget=60, seed=seed,
            out=folder / f"seed{seed}",
        )  # fmt: skip
    return [folder / "seed0", folder / "seed1"]


def test_hypervolume_of_four_points_by_hand(line: Path) -> None:
    """The box is ua 0.2 to 1, energy 1 to 5; scaled, losses (1, 0), (1/2, 1/4), (0, 1).

    Up to (1, 1) the first and the last dominate nothing, the second 1/2 * 3/4.
    """
    run = read_run(line)
    box = box_of([run])
    assert box is not None
    assert growth(run, box).measured[-1] == pytest.approx(0.375)
    assert run.archive.front[0].objectives["ua"] == 1.0
    assert len(run.front) == 3


def test_hypervolume_grows_with_units_and_with_the_clock(toys: list[Path]) -> None:
    run = read_run(toys[0])
    box = box_of([run])
    assert box is not None
    g = growth(run, box)
    assert g.units == [float(i) for i in range(1, 61)]
    assert g.measured == sorted(g.measured)
    assert g.measured == g.front
    assert not g.repeated
    assert g.seconds == sorted(g.seconds)
    assert all(math.isfinite(s) for s in g.seconds)


def test_a_lucky_first_measurement_stays_in_one_line_and_leaves_the_other(
    line: Path, tmp_path: Path
) -> None:
    """The second point is measured as 1.0 and then as 0.2: on the front it counts as 0.6."""
    study = Study.create(tmp_path / "run", Study.open(line).config)
    for a, ua, energy, again in ((1, 0.2, 1, 0), (4, 1.0, 5, 0), (2, 1.0, 2, 0), (2, 0.2, 2, 1)):
        job = study.start(Architecture({"a": a}), 1.0, again, again=bool(again))
        study.finish(job.outcome(objectives={"ua": ua, "energy": float(energy)}))
    study.close()
    run = read_run(tmp_path / "run")
    box = box_of([run])
    assert box is not None
    g = growth(run, box)
    assert g.repeated
    assert g.measured == pytest.approx([0, 0, 0.75, 0.75])
    assert g.front == pytest.approx([0, 0, 0.75, 0.375])
    assert g.units == [1, 2, 3, 4]


def test_importance_is_what_optuna_says_of_the_study_on_disk(toys: list[Path]) -> None:
    run = read_run(toys[0])
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(toys[0] / "study.journal"))
    )
    study = optuna.load_study(study_name="nas", storage=storage)
    for name, loss in (("ua", lambda t: -t.values[0]), ("energy", lambda t: t.values[1])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            theirs = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=loss
            )
        mine = importance(run.archive, name)
        assert mine == pytest.approx(theirs)
        assert sum(mine.values()) == pytest.approx(1)
        assert max(mine, key=lambda p: mine[p]) in ("depth", "width", "neuron", "steps", "tau")


def test_importance_of_too_few_is_not_told(line: Path) -> None:
    assert LEAST > 4
    assert importance(read_run(line).archive, "ua") == {}
    assert quantile(50) == 0.1
    assert quantile(10) * 10 == 5  # at least five good ones


def test_attainment_of_two_runs_by_hand(tmp_path: Path) -> None:
    """A run that found points 1 and 4, one that found 2: both have ua 0.6 at energy 5 only."""
    runs = []
    for seed, allowed in enumerate(((1, 4), (2,))):
        space = {**SPACE, "parameters": {"a": {"choice": list(allowed)}}}
        nas.search(
            space=space, evaluator=on_a_line, searcher="random", budget=len(allowed), seed=seed,
            out=tmp_path / str(seed),
        )  # fmt: skip
        runs.append(read_run(tmp_path / str(seed)))
    found = attainment(runs, ("energy", "ua"))
    assert found["best"].tolist() == [[1.0, -0.2], [2.0, -0.6], [5.0, -1.0]]
    assert found["worst"].tolist() == [[2.0, -0.2], [5.0, -0.6]]
    assert found["median"].tolist() == found["best"].tolist()  # half of two is one


def test_only_runs_that_differ_in_the_seed_are_grouped(toys: list[Path], line: Path) -> None:
    runs = [read_run(toys[0]), read_run(line), read_run(toys[1])]
    assert [[r.label for r in g] for g in seeds_of_one(runs)] == [["seed0", "seed1"], ["run"]]


def test_corners_of_a_staircase_by_hand() -> None:
    corners = staircase(np.array([[2.0, 1.0], [1.0, 3.0]]), (4.0, 5.0))
    assert corners == [(1, 5), (1, 3), (2, 3), (2, 1), (4, 1)]


def test_the_clock_stands_still_between_processes() -> None:
    zero = datetime(2026, 1, 1, tzinfo=UTC)

    def at(seconds: float) -> datetime:
        return zero + timedelta(seconds=seconds)

    def event(name: str, seconds: float) -> dict[str, Any]:
        return {"event": name, "time": at(seconds).isoformat()}

    ended = {0: at(10), 1: at(20), 2: at(1015), 3: at(2010)}
    # stopped at 25, gone on at 1000, killed after 1015, gone on at 2000
    events = [event("started", 0), event("stopped", 25), event("started", 1000)]
    events += [event("started", 2000), event("finished", 2012)]
    clock, wall = running_clock(ended, events)
    assert clock == {0: 10, 1: 20, 2: 25 + 15, 3: 25 + 15 + 10}
    assert wall == 25 + 15 + 12
    assert running_clock({}, []) == ({}, 0.0)
    assert running_clock(ended, [])[0][1] == 10  # no log: from the first evaluation on


def test_seconds_of_the_proxy_add_up_over_processes() -> None:
    said = [{"proxy_seconds": s} for s in (3.0, 7.0, 2.0, 4.0)]
    assert proxy_seconds([{"event": "started"}, *said]) == 11.0
    assert proxy_seconds([{"event": "started"}]) is None


def test_an_architecture_of_several_roles_is_shown_once(line: Path) -> None:
    run = read_run(line)
    found = {role: e.objectives["ua"] for role, e in chosen(run)}
    assert found == {"knee": 0.6, "best ua": 1.0, "best energy": 0.2}
    first = run.front[0].architecture.hash
    assert len(chosen(run, [first])) == 3
    with pytest.raises(NasError, match="no architecture starts with"):
        chosen(run, ["zzz"])


def test_axes_of_conditional_and_repeated_parameters(toys: list[Path]) -> None:
    run = read_run(toys[0])
    members = run.archive.full
    shift, tau = run.study.space.parameter("shift"), run.study.space.parameter("tau")
    blocks = columns(shift, members)
    assert [name for name, _ in blocks] == ["shift.0", "shift.1", "shift.2", "shift.3"]
    depths = [e.architecture["depth"] for e in members]
    assert [v is not None for v in blocks[3][1]] == [d == 4 for d in depths]
    made = parameter_axis(shift, "shift.3", blocks[3][1])
    assert made["ticktext"] == ["off", "0", "0.125", "0.25"]
    assert {v: p for v, p in zip(blocks[3][1], made["values"], strict=True)}[None] == -1
    [(name, values)] = columns(tau, members)
    made = parameter_axis(tau, name, values)
    for value, place in zip(values, made["values"], strict=True):
        if value is None:
            assert place == made["tickvals"][0] < math.log10(tau.low)
        else:
            assert place == pytest.approx(math.log10(value))


@pytest.mark.parametrize("name", ["cost", "energy"])
def test_ticks_end_with_what_a_number_can_hold(name: str) -> None:
    """Of old records: such an objective fails now."""
    member = Evaluation(0, Architecture({"a": 1}), 1.0, 1.0, 0, {name: sys.float_info.max})
    for other in (1.0, -sys.float_info.max):
        made = measured_axis(name, name, [member, replace(member, objectives={name: other})])
        assert all(map(math.isfinite, made["values"]))
    for values in ([1.0, sys.float_info.max], [5e-324, 1.0]):
        ticks = axis(name, "minimize", values)["tickvals"]
        assert ticks
        assert all(0.0 < t < math.inf for t in ticks)


def test_energies_of_the_layers_by_hand_and_their_sum() -> None:
    layers = [
        {"layer": "a", "kind": "x", "macs": 10.0, "acs": 100.0, "spikes": 0, "neuron_steps": 0},
        {"layer": "b", "kind": "x", "macs": 0.0, "acs": 1.0, "compares": 2.0, "rate": 0.25,
         "spikes": 1.0, "neuron_steps": 4.0},
    ]  # fmt: skip
    metrics = {"layers": layers, "energy_profile": "45nm_fp32"}
    e = Evaluation(0, Architecture({"a": 1}), 1.0, 1.0, 0, metrics=metrics)
    rows = layer_energies(e, load_profile("45nm_fp32"))
    # Horowitz 2014: 4.6 pJ a multiply-accumulate, 0.9 pJ an accumulate or a comparison
    assert [r["energy"] for r in rows] == pytest.approx([136e-12, 2.7e-12], rel=1e-9, abs=0)
    assert sum(rows[0]["parts"].values()) == pytest.approx(136e-12, rel=1e-9, abs=0)
    assert rows[1]["parts"]["comparisons"] == pytest.approx(1.8e-12, rel=1e-9, abs=0)
    assert [r["rate"] for r in rows] == [None, 0.25]


def test_runs_that_cannot_stand_side_by_side_are_refused(line: Path, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="given twice"):
        read_runs([line, line])
    other = {**SPACE, "objectives": {"ua": "maximize"}}
    nas.search(space=other, evaluator=on_a_line, searcher="random", budget=1, out=tmp_path / "o")
    with pytest.raises(NasError, match="objectives"):
        read_runs([line, tmp_path / "o"])
