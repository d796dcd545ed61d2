"""The search as a whole: exact budget, no duplicates, same run again, failures recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from spaces import DOCUMENT, TINY, measure, measure_badly, measure_tiny

import nas
from nas.cli.look import show
from nas.cli.pareto import pareto
from nas.report import build, read_run
from nas.reserved import set_apart
from nas.searchers import SEARCHERS
from nas.study import Study
from search_spaces.errors import NasError


def rows(study: Study) -> list[Any]:
    """Everything of a record that must not depend on when and how often it was interrupted."""
    return [
        (e.number, e.architecture.hash, dict(e.objectives), dict(e.metrics), e.seed, e.cost, e.ok)
        for e in study.evaluations
    ]


@pytest.fixture(params=sorted(set(SEARCHERS) - {"gp"}))  # a second a proposal
def searcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Study]:
    """Unbroken runs of 200 units, one for each searcher, made once."""

    @cache
    def run(searcher: str) -> Study:
        out = tmp_path_factory.mktemp("whole") / searcher
        return nas.search(
            space=DOCUMENT, evaluator=measure, searcher=searcher, budget=200, seed=2, out=out
        )

    return run


def test_200_units_are_200_full_evaluations_of_as_many_architectures(
    searcher: str, whole: Callable[[str], Study]
) -> None:
    study = whole(searcher)
    assert len(study.evaluations) == 200
    again = 200 - len({e.architecture.hash for e in study.evaluations})
    # guided, a first repeat may find out that figures do not depend on the seed
    assert again <= (1 if study.config.remeasure else 0)
    assert sum(e.cost for e in study.evaluations) == 200
    assert study.spent == 200
    assert study.pending == []
    assert all(e.ok and e.fidelity == 1.0 and e.error is None for e in study.evaluations)


def test_the_same_seed_gives_the_same_run_and_another_does_not(
    searcher: str, tmp_path: Path
) -> None:
    def run(seed: int, name: str) -> Study:
        return nas.search(
            space=DOCUMENT,
            evaluator=measure,
            searcher=searcher,
            budget=40,
            seed=seed,
            out=tmp_path / name,
        )

    assert rows(run(5, "a")) == rows(run(5, "b"))
    assert rows(run(6, "c")) != rows(run(5, "d"))


def test_an_interrupted_run_resumes_to_the_same_record_and_budget(
    searcher: str, whole: Callable[[str], Study], tmp_path: Path
) -> None:
    """Interrupted inside an evaluation three times: that evaluation is made again."""
    options: dict[str, Any] = {"space": DOCUMENT, "searcher": searcher, "budget": 200, "seed": 2}
    calls = {"n": 0}

    def breaking(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        calls["n"] += 1
        if calls["n"] in (7, 120, 121):
            raise KeyboardInterrupt
        return measure(architecture, fidelity, seed)

    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        nas.search(evaluator=breaking, out=folder, **options)
    assert len(nas.open_run(folder).evaluations) == 6
    assert len(nas.open_run(folder).pending) == 1
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            nas.search(resume=folder, evaluator=breaking)
    study = nas.search(resume=folder, evaluator=breaking)
    assert rows(study) == rows(whole(searcher))
    assert rows(nas.open_run(folder)) == rows(whole(searcher))
    assert study.spent == 200


def test_a_run_can_be_prolonged_and_keeps_what_it_had(tmp_path: Path) -> None:
    first = nas.search(space=DOCUMENT, evaluator=measure, budget=20, out=tmp_path / "run")
    longer = nas.search(resume=tmp_path / "run", evaluator=measure, budget=30)
    assert rows(longer)[:20] == rows(first)
    assert longer.spent == 30
    assert nas.open_run(tmp_path / "run").config.budget == 30


def test_a_budget_below_what_is_spent_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    nas.search(space=DOCUMENT, evaluator=measure, budget=5, out=tmp_path / "run")
    with pytest.raises(NasError, match="5 units are spent already"):
        nas.search(resume=tmp_path / "run", evaluator=measure, budget=4)
    assert nas.open_run(tmp_path / "run").config.budget == 5


def test_a_finished_run_resumed_does_nothing(tmp_path: Path) -> None:
    first = nas.search(space=DOCUMENT, evaluator=measure, budget=12, out=tmp_path / "run")
    assert rows(nas.search(resume=tmp_path / "run", evaluator=measure)) == rows(first)


def test_a_small_space_is_exhausted_once_and_the_search_ends(
    searcher: str, tmp_path: Path
) -> None:
    """The space has 3 * 2 * 2 = 12 architectures, the budget is 50."""
    study = nas.search(
        space=TINY, evaluator=measure_tiny, searcher=searcher, budget=50, out=tmp_path / "run"
    )
    assert len(study.evaluations) == 12
    assert len({e.architecture.hash for e in study.evaluations}) == 12


def test_failures_are_recorded_charged_and_never_end_a_run(searcher: str, tmp_path: Path) -> None:
    study = nas.search(
        space=DOCUMENT,
        evaluator=measure_badly,
        searcher=searcher,
        budget=60,
        out=tmp_path / "run",
    )
    assert study.spent == 60
    by_width = {e.architecture["width"]: e for e in study.evaluations}
    assert not by_width[16].ok
    assert "ValueError: too narrow" in (by_width[16].error or "")
    assert "Traceback" in (by_width[16].error or "")
    assert "'ua' is nan" in (by_width[32].error or "")
    assert "'energy' is missing" in (by_width[64].error or "")
    assert all(e.architecture["width"] == 128 for e in study.front())
    assert all(e.objectives == {} for e in study.evaluations if not e.ok)
    again = nas.open_run(tmp_path / "run")
    assert [e.error for e in again.evaluations] == [e.error for e in study.evaluations]


@pytest.mark.parametrize(
    "returned",
    [None, 3, {"ua": "high", "energy": 1.0}, {"ua": True, "energy": 1.0}, {"ua": object()}],
)
def test_an_evaluator_that_returns_nonsense_fails_that_evaluation(
    returned: Any, tmp_path: Path
) -> None:
    study = nas.search(
        space=DOCUMENT, evaluator=lambda a, f, s: returned, budget=2, out=tmp_path / "run"
    )
    assert [e.ok for e in study.evaluations] == [False, False]
    assert all(e.error for e in study.evaluations)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"when": np.datetime64("2020-01-01")}, "not datetime.date in 'when'"),
        ({"z": np.complex64(1 + 2j)}, "not builtins.complex in 'z'"),
        ({"deep": [{"z": np.array([1j])}]}, "in 'deep.z'"),
        ({"n": 10**5000}, "'n' is an integer of"),
        ({"energy": sys.float_info.max}, "'energy' is 1.79769e+308: beyond 1e+100"),
        ({"ua": -1e101}, "'ua' is -1e+101"),
        ({"energy": 10**400}, "'energy' is an integer of"),
    ],
)
def test_what_cannot_be_kept_or_compared_fails_that_evaluation(
    more: dict[str, Any], words: str, tmp_path: Path
) -> None:
    study = nas.search(
        space=DOCUMENT,
        evaluator=lambda *_: {"ua": 0.5, "energy": 1.0, **more},
        budget=2,
        out=tmp_path / "run",
    )
    assert [e.ok for e in study.evaluations] == [False, False]
    assert words in (study.evaluations[0].error or "")
    assert "Traceback" not in (study.evaluations[0].error or "")


OWN: list[dict[str, Any]] = [
    {"proxy": 0.3},
    {"proxy": {"ua": 0.3, "operations": 12}},
    {"sd": 0.01},
    {"layers": 5},
    {"layers": ["conv", "pool"]},
    {"layers": [{"layer": "fire", "macs": "many"}]},
    {"classes": 4, "confusion": [[1, 2], [3, 4]]},
    {"classes": ["x", "y"], "confusion": {"tp": 1}},
    {"classes": ["x", "y", "z"], "confusion": [[1, 2], [3, 4]]},
    {"measurements": "many", "train_seconds": "x", "measured_by": "me", "confirmed": True},
    {"macro_f1": "n/a", "spike_rate": [0.1], "wa": {"mean": 0.5}, "latency": "12 ms"},
]


@pytest.mark.parametrize("own", OWN)
def test_names_that_nas_uses_itself_may_mean_another_thing(
    own: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searched, looked at and gone on with; also when an older nas wrote the record."""

    def evaluator(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        return {**measure(architecture, fidelity, seed), **own}

    options: dict[str, Any] = {"space": DOCUMENT, "evaluator": evaluator, "budget": 12}
    with monkeypatch.context() as before:
        before.setattr("nas.evaluation.set_apart", dict)
        with suppress(Exception):  # the guided search could not go on from such a record
            nas.search(**options, out=tmp_path / "old")
    nas.search(**options, out=tmp_path / "new")
    nas.search(resume=tmp_path / "old", evaluator=evaluator, budget=14)
    for name in ("old", "new"):
        study = nas.open_run(tmp_path / name)
        assert all(e.ok for e in study.evaluations)
        for command in (show, pareto):
            knee = ["knee"] if command is show else []
            done = CliRunner().invoke(command, [str(study.folder), *knee])
            assert done.exit_code == 0, done.exception
        build([read_run(study.folder)])
        e = study.evaluations[0]
        assert all(e.metrics.get(k, e.metrics.get(f"own_{k}")) == v for k, v in own.items())


def test_names_that_nas_uses_itself_keep_what_has_their_shape() -> None:
    metrics = {
        "own_sd": 3,
        "sd": {"ua": 0.1},
        "proxy": {"ua": 0.5, "operations": {"a": 1.0}, "energies": {"a": 1e-9}},
        "layers": [{"layer": "fire", "kind": "x", "macs": 1.0, "rate": None}],
        "classes": ["x", 2],
        "confusion": [[1, 0], [0.5, 3]],
        "measurements": 2,
    }
    assert set_apart(metrics) == metrics
    assert list(set_apart({**metrics, "sd": 1})) == ["own_sd", "own_sd_", *list(metrics)[2:]]


def test_numpy_values_are_plain_data_in_the_record(tmp_path: Path) -> None:
    def with_numpy(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        return {"ua": np.float32(0.5), "energy": np.float64(1), "confusion": np.eye(2, dtype=int)}

    nas.search(space=DOCUMENT, evaluator=with_numpy, budget=1, out=tmp_path / "run")
    [e] = nas.open_run(tmp_path / "run").evaluations
    assert e.objectives == {"ua": 0.5, "energy": 1.0}
    assert e.metrics["confusion"] == [[1, 0], [0, 1]]


def test_a_constraint_keeps_an_evaluation_off_the_front(searcher: str, tmp_path: Path) -> None:
    limited = {**DOCUMENT, "constraints": {"parameters": {"max": 5000}}}
    study = nas.search(
        space=limited, evaluator=measure, searcher=searcher, budget=60, out=tmp_path / "run"
    )
    outside = [e for e in study.evaluations if e.metrics["parameters"] > 5000]
    assert outside
    for e in outside:
        assert e.violations == {"parameters": e.metrics["parameters"] - 5000}
        assert not e.feasible
    assert study.front()
    assert all(e.metrics["parameters"] <= 5000 for e in study.front())
    # optuna-dashboard reads the same record: its feasible front is ours
    import optuna

    from nas.record import open_storage

    trials = optuna.load_study(study_name="nas", storage=open_storage(study.folder)).best_trials
    assert {t.user_attrs["hash"] for t in trials} == {e.architecture.hash for e in study.front()}


def test_a_searcher_learns_more_than_chance_would(tmp_path: Path) -> None:
    """A guided search reaches a larger hypervolume than random, mean of five seeds."""

    def mean(name: str) -> float:
        volumes = [
            nas.search(
                space=DOCUMENT,
                evaluator=measure,
                searcher=name,
                budget=100,
                seed=seed,
                out=tmp_path / f"{name}{seed}",
            ).hypervolume(reference=[0.0, 6e-6])
            for seed in range(5)
        ]
        return sum(volumes) / len(volumes)

    chance = mean("random")
    assert mean("nsga2") > chance
    assert mean("tpe") > chance
    assert mean("local") > chance


def test_the_default_folder_is_named_after_space_and_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path))
    first = nas.search(space=TINY, evaluator=measure_tiny, budget=1)
    second = nas.search(space=TINY, evaluator=measure_tiny, budget=1)
    assert first.folder.parent == second.folder.parent == tmp_path
    assert first.folder.name.startswith("tiny-")
    assert first.folder.name.endswith("-1")
    assert second.folder.name.endswith("-2")


def test_every_event_is_in_the_log(tmp_path: Path) -> None:
    nas.search(space=DOCUMENT, evaluator=measure_badly, budget=10, out=tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events[0] == "started"
    assert events[-1] == "finished"
    assert "failed" in events


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    nas.search(space=DOCUMENT, evaluator=measure, budget=3, out=tmp_path / "run")
    holder = Study.open(tmp_path / "run", write=True)
    with pytest.raises(NasError, match="another process is writing"):
        nas.search(resume=tmp_path / "run", evaluator=measure, budget=5)
    holder.close()
    assert nas.search(resume=tmp_path / "run", evaluator=measure, budget=5).spent == 5


def test_a_default_search_tries_every_kind_of_neuron(tmp_path: Path) -> None:
    def counted(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        width = architecture["encoder.width"]
        figures = {"wa": 1 - 1 / width, "ua": 1 - 1 / width, "energy": width * 1e-9}
        return {**figures, "parameters": width}

    study = nas.search(space="pts_snn.yaml", evaluator=counted, budget=40, out=tmp_path / "run")
    tried = {e.architecture["neuron.type"] for e in study.evaluations}
    assert tried == {"plif", "lif", "if", "ttfs"}
