"""First looks and promotions: exact budget, same run again, better than nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spaces import DOCUMENT, TINY, measure, measure_tiny

import nas
from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.halving import LOW, Halving, agreement, first_looks, in_order, ranked, trusted
from nas.study import Study
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space

SPACE = load_space(TINY)


def noisy(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    """The truth at fidelity 1; before, noise of a tenth on the recall."""
    figures = measure(architecture, fidelity, seed)
    if fidelity < 1.0:
        figures["ua"] += 0.1 * float(np.random.default_rng(seed).standard_normal())
    return figures


def upside_down(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    figures = measure(architecture, fidelity, seed)
    return figures if fidelity == 1.0 else {**figures, "ua": 1 - figures["ua"]}


def rows(study: Study) -> list[Any]:
    return [
        (e.number, e.architecture.hash, e.fidelity, e.cost, dict(e.objectives), e.seed)
        for e in study.evaluations
    ]


@pytest.fixture(scope="module", params=["random", "nsga2", "tpe", "local"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return nas.search(
        space=DOCUMENT,
        evaluator=noisy,
        budget=30,
        searcher=request.param,
        halving=True,
        out=tmp_path_factory.mktemp("halved") / "run",
    )


def test_the_budget_is_charged_by_fidelity_and_met(run: Study) -> None:
    assert run.spent == sum(e.cost for e in run.evaluations) == 30
    per: dict[str, float] = {}
    for e in run.evaluations:
        per[e.architecture.hash] = per.get(e.architecture.hash, 0.0) + e.cost
    assert set(per.values()) <= {LOW, 1.0}  # a promotion charges the rest, nothing twice
    full = {e.architecture.hash for e in run.evaluations if e.fidelity == 1.0}
    assert len(full) >= 18
    assert len(per) > 30  # more architectures were seen than the budget could train


def test_a_promotion_goes_on_with_the_seed_of_its_first_look(run: Study) -> None:
    looks = {e.architecture.hash: e for e in run.evaluations if e.fidelity < 1.0}
    for e in run.evaluations:
        if e.cost == 1.0 - LOW:
            assert e.seed == looks[e.architecture.hash].seed
            assert looks[e.architecture.hash].number < e.number
    numbers = [e.architecture.hash for e in run.evaluations if e.cost != 1.0 - LOW]
    assert len(numbers) == len(set(numbers))  # no architecture is begun twice


def test_only_full_trainings_reach_the_front(run: Study) -> None:
    assert run.front()
    assert all(e.fidelity == 1.0 for e in run.front())
    found = run.find(run.front()[0].architecture.hash)
    assert found.fidelity == 1.0


def test_a_resumed_run_decides_as_the_unbroken_one(run: Study, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        nas.search(
            space=DOCUMENT,
            evaluator=noisy,
            budget=30,
            searcher=run.config.searcher,
            halving=True,
            observer=StopAfter(25),
            out=tmp_path / "run",
        )
    resumed = nas.search(resume=tmp_path / "run", evaluator=noisy)
    assert rows(resumed) == rows(run)


class StopAfter:
    """An observer that interrupts."""

    def __init__(self, evaluations: int) -> None:
        self.left = evaluations

    def started(self, study: Study) -> None:
        pass

    def evaluated(self, study: Study, evaluation: Evaluation) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_exhausted_space_finishes_what_was_begun(tmp_path: Path) -> None:
    study = nas.search(
        space=TINY, evaluator=measure_tiny, budget=50, halving=True, out=tmp_path / "run"
    )
    assert study.spent == 12  # 3 x 2 x 2 architectures, each in full
    assert sum(e.fidelity == 1.0 for e in study.evaluations) == 12


def test_first_looks_that_mislead_stop_deciding(tmp_path: Path) -> None:
    runs = {
        name: nas.search(
            space=DOCUMENT,
            evaluator=f,
            budget=60,
            halving=True,
            searcher="random",
            out=tmp_path / name,
        )
        for name, f in (("noisy", noisy), ("upside down", upside_down))
    }
    assert trusted(runs["noisy"].archive())
    assert not trusted(runs["upside down"].archive())
    found = agreement(runs["upside down"].archive())
    assert found["ua"]["tau"] < 0 < found["energy"]["tau"]
    whole = [e for e in runs["upside down"].evaluations if e.cost == 1.0]
    assert len(whole) > 10  # new architectures are trained in full again
    assert not [e for e in runs["noisy"].evaluations if e.cost == 1.0]


def look(number: int, ua: float, energy: float, fidelity: float = LOW) -> Evaluation:
    return Evaluation(
        number=number,
        architecture=Architecture({"a": 1 + number % 3, "b": "x", "c": bool(number // 3)}),
        fidelity=fidelity,
        cost=fidelity,
        seed=number,
        objectives={"ua": ua, "energy": energy},
    )


def test_the_best_quarter_is_that_of_the_non_dominated_ranks() -> None:
    """Six first looks; 0 and 1 dominate 2, which dominates 3, 4 and 5: the two are 0 and 1."""
    looks = [
        look(0, 0.9, 2.0),
        look(1, 0.6, 1.0),
        look(2, 0.5, 2.5),
        look(3, 0.4, 3.0),
        look(4, 0.3, 3.5),
        look(5, 0.2, 4.0),
    ]
    archive = Archive(SPACE, looks)
    assert {e.number for e in ranked(looks, archive)} == {0, 1}
    assert [e.number for e in ranked(looks[1:], archive)] == [1]
    assert ranked(looks[2:], archive) == []
    rng = np.random.default_rng(1)
    steps = [Halving(warmup=6).next(archive, 20.0, rng) for _ in range(40)]
    chosen = [s.promote.number for s in steps if s is not None and s.promote is not None]
    assert len(chosen) == 40
    assert chosen.count(0) + chosen.count(1) > 25  # the others are the ones drawn at random
    step = Halving(warmup=7).next(archive, 20.0, rng)
    assert step is not None
    assert step.promote is None
    assert step.fidelity == LOW


@pytest.mark.parametrize(("doubted", "fidelity"), [(True, 1.0), (False, LOW)])
def test_of_looks_that_are_a_guess_more_go_on(doubted: bool, fidelity: float) -> None:
    """One of six has gone on: a third of them is two, a quarter is one."""
    looks = [look(i, 0.9 - 0.1 * i, 1.0 + i) for i in range(6)]
    done = replace(looks[0], number=6, fidelity=1.0, cost=1.0 - LOW)
    schedule = Halving(warmup=6, doubted=doubted)
    step = schedule.next(Archive(SPACE, [*looks, done]), 20.0, np.random.default_rng(1))
    assert step is not None
    assert step.fidelity == fidelity


def test_failed_looks_are_never_promoted_and_what_is_outside_goes_last() -> None:
    looks = [look(i, 0.5 + 0.1 * i, 1.0) for i in range(4)]
    bad = Evaluation(6, looks[0].architecture, LOW, LOW, 0, error="no")
    far, near = (
        replace(look(n, 1.0, 0.1), violations={"x": amount}) for n, amount in ((4, 2.0), (5, 1.0))
    )
    archive = Archive(SPACE, [*looks, bad, far, near])
    assert first_looks(archive) == [*looks, far, near]
    assert [e.number for e in in_order(first_looks(archive), archive)] == [3, 2, 1, 0, 5, 4]
    assert [e.number for e in ranked(first_looks(archive), archive)] == [3, 2]
    nobody_inside = Archive(SPACE, [bad, far, near])
    assert [e.number for e in ranked(first_looks(nobody_inside), nobody_inside)] == [5]


def test_what_a_part_of_the_data_says_is_outside_the_constraints_can_be_inside(
    tmp_path: Path,
) -> None:
    """Measured on a part, everything costs a tenth more than it does."""

    def dearer(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        figures = measure_tiny(architecture, fidelity, seed)
        return {**figures, "energy": figures["energy"] * (1.1 if fidelity < 1.0 else 1.0)}

    energies = sorted(
        measure_tiny(a.as_dict(), 1.0, 0)["energy"] for a in load_space(TINY).enumerate()
    )
    bound = {**TINY, "constraints": {"energy": {"max": energies[0] * 1.05}}}
    study = nas.search(
        space=bound, evaluator=dearer, budget=20, halving=True, out=tmp_path / "run"
    )
    assert study.front()
    assert not [e for e in study.evaluations if e.fidelity < 1.0 and e.feasible]


def test_nothing_new_left_the_better_looks_are_finished_first(tmp_path: Path) -> None:
    space = {
        "name": "forty",
        "parameters": {"x": {"int": [1, 40]}},
        "objectives": {"ua": "maximize"},
    }

    def score(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        return {"ua": architecture["x"] / 40}

    study = nas.search(
        space=space,
        evaluator=score,
        budget=20,
        halving=True,
        searcher="random",
        out=tmp_path / "run",
    )
    finished = [e.architecture["x"] for e in study.evaluations if e.fidelity == 1.0]
    last = finished[-5:]  # long after the best quarter
    assert last == sorted(last, reverse=True)
    assert min(last) > 20


@pytest.mark.parametrize(("left", "fidelity"), [(0.1, None), (0.125, LOW), (0.9, 1.0), (5.0, 1.0)])
def test_the_end_of_the_budget_is_met(left: float, fidelity: float | None) -> None:
    archive = Archive(SPACE, [look(i, 0.1 * i, 1.0) for i in range(6)])
    step = Halving(warmup=6).next(archive, left, np.random.default_rng(1))
    assert (step.fidelity if step else None) == fidelity
