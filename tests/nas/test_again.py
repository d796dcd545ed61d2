"""Several measurements of one architecture, and when one more is worth it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import nas
from nas import pareto
from nas.archive import Archive
from nas.checkpoints import prune
from nas.cli import cli
from nas.evaluation import Evaluation
from nas.guidance.again import Again
from nas.guidance.encoding import Encoder
from nas.guidance.gp import GaussianProcess, Settings
from nas.guidance.inputs import Columns, Inputs
from nas.guidance.surrogate import Prediction, Surrogate
from nas.measurements import merged
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.schema import load_space

SPACE = load_space(
    {
        "name": "noisy",
        "parameters": {
            "width": {"int": [1, 12]},
            "kind": {"choice": ["a", "b", "c"]},
            "rate": {"choice": [0.1, 0.2, 0.4, 0.8]},
        },
        "objectives": {"ua": "maximize", "energy": "minimize"},
    }
)
NOISE = 0.05


def truth(a: Any) -> dict[str, float]:
    bonus = {"a": 0.0, "b": 0.02, "c": 0.05}[a["kind"]]
    return {"ua": 0.5 + 0.03 * a["width"] + bonus - 0.1 * a["rate"], "energy": float(a["width"])}


def exactly(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, float]:
    return truth(architecture)


def noisily(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, float]:
    values = truth(architecture)
    return {**values, "ua": values["ua"] + NOISE * float(np.random.default_rng(seed).normal())}


def measured(number: int, a: Architecture, ua: float, energy: float, **more: Any) -> Evaluation:
    values: dict[str, Any] = {"objectives": {"ua": ua, "energy": energy}, "metrics": {"ua": ua}}
    values |= {"fidelity": 1.0, "cost": 1.0, "seed": number}
    return Evaluation(number, a, **{**values, **more})


def some(n: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    drawn = {a.hash: a for a in (SPACE.sample(rng) for _ in range(10 * n))}
    return list(drawn.values())[:n]


def noisy_archive(n: int = 40) -> list[Evaluation]:
    rng = np.random.default_rng(3)
    out = []
    for i, a in enumerate(some(n)):
        t = truth(a)
        out.append(measured(i, a, t["ua"] + NOISE * float(rng.normal()), t["energy"]))
    return out


# -- taking measurements together ---------------------------------------------------------------


def test_several_measurements_count_by_their_mean() -> None:
    a, b = some(2)
    full = {"metrics": {"ua": 0.6, "name": "x", "spikes": 10}}
    found = merged(
        [
            measured(0, a, 0.6, 2.0, **full),
            measured(1, b, 0.5, 1.0),
            measured(2, a, 0.4, 4.0, metrics={"ua": 0.4, "name": "y", "spikes": 20}),
            measured(3, a, 0.0, 0.0, error="out of memory", objectives={}),
            measured(4, a, 0.9, 0.1, fidelity=0.5),
        ]
    )
    assert [e.number for e in found] == [0, 1]
    assert found[0].objectives == pytest.approx({"ua": 0.5, "energy": 3.0})
    assert found[0].metrics["measurements"] == 2
    assert found[0].metrics["sd"] == pytest.approx({"ua": np.sqrt(0.02), "energy": np.sqrt(2.0)})
    assert (found[0].metrics["name"], found[0].metrics["spikes"]) == ("x", 15.0)
    assert "measurements" not in found[1].metrics


def test_a_constraint_broken_once_is_broken() -> None:
    [a] = some(1)
    broken = measured(1, a, 0.9, 1.0, violations={"parameters": 3.0})
    [e] = merged([measured(0, a, 0.9, 1.0), broken])
    assert not e.feasible
    assert e.violations == {"parameters": 3.0}


def test_a_lucky_measurement_leaves_the_front_when_it_is_found_out() -> None:
    lucky, good = some(2)
    one = [measured(0, lucky, 0.9, 1.0), measured(1, good, 0.7, 1.0)]
    assert [e.architecture for e in Archive(SPACE, one).front] == [lucky]
    two = [*one, measured(2, lucky, 0.3, 1.0)]
    assert [e.architecture for e in Archive(SPACE, two).front] == [good]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 7),  # which architecture, so that some are measured again
            st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9]),  # with ties
            st.sampled_from([1.0, 2.0, 3.0]),
            st.booleans(),  # whether it failed
        ),
        min_size=1,
        max_size=25,
    )
)
def test_reported_volume_never_falls_and_the_front_dominates_the_rest(
    rows: list[tuple[int, float, float, bool]],
) -> None:
    architectures = some(8)
    done, before = [], 0.0
    for number, (which, ua, energy, failed) in enumerate(rows):
        e = measured(number, architectures[which], ua, energy)
        if failed:
            e = measured(number, architectures[which], 0, 0, objectives={}, error="failed")
        done.append(e)
        able = [e for e in done if e.feasible]
        losses = pareto.losses(able, SPACE.objectives)
        volume = pareto.hypervolume(losses, [0.0, 4.0])
        assert volume >= before - 1e-12
        before = volume
        archive = Archive(SPACE, done)
        front = {e.number for e in archive.front}
        for e in archive.full:
            mine = archive.losses([e])[0]
            beaten = any(
                (other <= mine).all() and (other < mine).any()
                for other in archive.losses(archive.full)
            )
            assert (e.number in front) == (not beaten)


# -- what one more is worth ---------------------------------------------------------------------


def test_a_process_without_some_rows_is_the_one_refitted_without_them() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(20, 3)), np.zeros((3, 3))])
    y = x @ [1.0, -0.5, 0.2] + 0.1 * rng.normal(size=23)
    columns = Columns(np.arange(3), np.ones(3, dtype=bool))
    chosen = Settings(smooth=0.5, length=1.0, noise=0.1)
    owners = np.r_[np.arange(20), [20, 20, 20]]
    process = GaussianProcess(Inputs(x, columns, owners), y, chosen)
    alone = GaussianProcess(Inputs(x, columns), y, chosen)
    assert process.left_out()[:20] == pytest.approx(alone.left_out()[:20])
    [mean] = {round(m, 9) for m in process.left_out()[20:]}
    deviation = process.left_out_deviation()[20]
    # by the definition: condition on the other rows, with the features and scales of all
    points = process._points
    kernel = process._kernel(points, points, process._phi, process._phi)
    noisy = kernel + (chosen.noise + 1e-8) * np.eye(23)
    cross = kernel[20, :20]
    weights = np.linalg.solve(noisy[:20, :20], process._z[:20])
    variance = kernel[20, 20] - cross @ np.linalg.solve(noisy[:20, :20], cross)
    assert mean == pytest.approx(process.mean + process.spread * float(cross @ weights))
    wanted = process.spread * np.sqrt(process.variance * variance)
    assert deviation == pytest.approx(wanted, rel=1e-5)


def value_of(done: list[Evaluation]) -> Again:
    archive = Archive(SPACE, done)
    return Again(archive, Surrogate(archive, Encoder(SPACE)))


def repeated(done: list[Evaluation], times: int, sd: float) -> list[Evaluation]:
    """Measure everything some more times, with noise around what was measured first."""
    rng = np.random.default_rng(1)
    return [
        measured(
            100 + i,
            e.architecture,
            e.objectives["ua"] + sd * float(rng.normal()),
            e.objectives["energy"],
        )
        for i, e in enumerate(done * times)
    ]


def test_the_choice_and_its_worth_are_those_of_brute_force() -> None:
    """Every architecture moved by thousands of draws; the code moves a few by sixteen."""
    value = value_of(noisy_archive())
    chosen, gain = value.best()
    now = pareto.hypervolume(value._mean, value._reference)
    half = np.random.default_rng(0).normal(size=(1000, 2))
    draws = np.concatenate([half, -half])  # or the first order would drown the second
    gains = []
    for i, shift in enumerate(value._shift):
        volumes = []
        for draw in draws:
            after = value._mean.copy()
            after[i] += shift * draw
            volumes.append(pareto.hypervolume(after, value._reference))
        gains.append(np.mean(volumes) - now)
    row = next(i for i, e in enumerate(value._first) if e is chosen)
    assert gains[row] > 0.85 * max(gains)
    assert gain == pytest.approx(gains[row], rel=0.25)


def test_the_worth_of_a_new_one_is_that_of_samples() -> None:
    value = value_of(noisy_archive())
    low = value._mean.min(0)
    new = Prediction(low[None] + [[0.02, -0.5]], np.array([[0.05, 0.3]]), np.array([0.7]))
    rng = np.random.default_rng(0)
    spread = np.hypot(new.deviation[0], value._own)
    told = spread**2 / np.hypot(spread, value.noise)
    now = pareto.hypervolume(value._mean, value._reference)
    after = [
        pareto.hypervolume(np.vstack([value._mean, new.mean[0] + told * z]), value._reference)
        for z in rng.normal(size=(4000, 2))
    ]
    assert value.of_new(new)[0] == pytest.approx(0.7 * (np.mean(after) - now), rel=0.05)


def test_every_measurement_more_is_worth_less() -> None:
    done = noisy_archive()
    done += repeated(done, 2, NOISE)  # so that the noise is known
    one = done[5].architecture
    shifts = []
    for i in range(4):
        value = value_of(done)
        row = next(i for i, e in enumerate(value._first) if e.architecture == one)
        shifts.append(float(value._shift[row, 0]))
        done.append(measured(300 + i, one, 0.6 + 0.05 * (-1) ** i, float(one["width"])))
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[-1] < 0.8 * shifts[0]


def test_measurements_that_agree_to_the_last_digit_are_not_repeated() -> None:
    done = noisy_archive()
    assert value_of(done).worthwhile
    again = measured(99, done[0].architecture, **dict(done[0].objectives))
    value = value_of([*done, again])
    assert not value.worthwhile
    assert (value.noise == 0.0).all()


def test_the_noise_is_what_repeated_measurements_show() -> None:
    done = noisy_archive()
    done += repeated(done, 3, 0.2)
    groups: dict[str, list[float]] = {}
    for e in done:
        groups.setdefault(e.architecture.hash, []).append(e.objectives["ua"])
    pooled = np.sqrt(np.mean([np.var(v, ddof=1) for v in groups.values()]))
    assert value_of(done).noise[0] == pytest.approx(pooled, rel=0.05)
    assert value_of(done).noise[1] == 0.0  # the energy never scatters


# -- in a search ----------------------------------------------------------------------------------


def search(folder: Path, evaluator: Any, **options: Any) -> nas.Study:
    return nas.search(
        space=SPACE, evaluator=evaluator, budget=70, seed=1, out=folder / "run", **options
    )


def test_contenders_are_measured_again_with_other_seeds(tmp_path: Path) -> None:
    study = search(tmp_path, noisily, remeasure=True)
    assert study.spent == 70
    groups: dict[str, list[Evaluation]] = {}
    for e in study.evaluations:
        groups.setdefault(e.architecture.hash, []).append(e)
    again = [g for g in groups.values() if len(g) > 1]
    assert again
    assert all(len({e.seed for e in g}) == len(g) for g in again)
    known = study.archive().full
    measurements = {e.architecture.hash: e.metrics.get("measurements", 1) for e in known}
    assert measurements == {h: len(g) for h, g in groups.items()}


def test_how_often_and_how_far_is_shown(tmp_path: Path) -> None:
    study = search(tmp_path, noisily, remeasure=True)
    folder = str(study.folder)
    runner = CliRunner()
    front = runner.invoke(cli, ["pareto", folder, "--json"])
    assert front.exit_code == 0, front.output
    members = json.loads(front.stdout)["front"]
    found = {m["hash"]: m["metrics"].get("measurements", 1) for m in members}
    printed = runner.invoke(cli, ["pareto", folder]).stdout
    assert ("measurements" in printed) == (max(found.values()) > 1)
    several = next(e for e in study.archive().full if "measurements" in e.metrics)
    shown = runner.invoke(cli, ["show", folder, several.architecture.hash]).stdout
    assert f"measurements: {several.metrics['measurements']}" in shown
    assert (
        f"s.d. of ua % between the measurements: {100 * several.metrics['sd']['ua']:.1f}" in shown
    )


def test_what_does_not_scatter_is_hardly_ever_measured_again(tmp_path: Path) -> None:
    study = search(tmp_path, exactly, remeasure=True)
    hashes = [e.architecture.hash for e in study.evaluations]
    assert len(hashes) - len(set(hashes)) <= 1


def test_what_may_come_back_to_the_front_keeps_its_weights(tmp_path: Path) -> None:
    """Every evaluation leaves a file; the front and what is right behind it still has one."""
    for on in (False, True):
        study = search(tmp_path / str(on), noisily, remeasure=on)
        folder = study.folder / "checkpoints"
        folder.mkdir()
        for e in study.evaluations:
            (folder / f"{e.architecture.hash}.safetensors").touch()
        prune(study)
        kept = {p.stem for p in folder.iterdir()}
        front = {e.architecture.hash for e in study.front()}
        assert kept > front if on else kept == front
        assert len(kept) < 60


def test_promotions_do_not_keep_contenders_from_being_measured_again(tmp_path: Path) -> None:
    study = search(tmp_path, noisily, remeasure=True, halving=True)
    assert study.spent <= 70
    full = [e.architecture.hash for e in study.evaluations if e.fidelity == 1.0]
    assert len(full) > len(set(full))


def test_without_it_or_guidance_every_architecture_comes_once(tmp_path: Path) -> None:
    for asked in ({"remeasure": False}, {"searcher": "nsga2"}):
        study = search(tmp_path / next(iter(asked)), noisily, **asked)
        assert len({e.architecture.hash for e in study.evaluations}) == 70


def test_it_is_the_default_with_guidance(tmp_path: Path) -> None:
    assert search(tmp_path, noisily).config.remeasure


def test_without_guidance_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="nothing is guided"):
        search(tmp_path, noisily, searcher="random", remeasure=True)


def test_a_resumed_run_measures_again_what_the_unbroken_one_did(tmp_path: Path) -> None:
    calls = 0

    def dies(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 41:
            raise KeyboardInterrupt
        return noisily(architecture, fidelity, seed)

    whole = search(tmp_path / "whole", noisily, remeasure=True)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, dies, remeasure=True)
    resumed = nas.search(resume=tmp_path / "run", evaluator=dies)
    wanted = [(e.architecture.hash, e.seed) for e in whole.evaluations]
    assert [(e.architecture.hash, e.seed) for e in resumed.evaluations] == wanted
