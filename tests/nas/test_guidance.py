"""Encoding, surrogate and screening, against other libraries and brute force."""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.encoding import Encoder
from nas.guidance.gp import GaussianProcess, Settings
from nas.guidance.improvement import boxes, expected_improvement
from nas.guidance.inputs import Columns, Inputs
from nas.guidance.screening import FLOOR, lower_bound, rank_correlation, trust
from nas.guidance.surrogate import Surrogate, chosen
from nas.pareto import Matrix
from nas.searchers import make_searcher
from nas.searchers.screened import Screened
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space
from search_spaces.space import Space

SPACE = load_space(
    {
        "name": "guided",
        "parameters": {
            "depth": {"int": [1, 3]},
            "width": {"choice": [8, 16, 32]},
            "shift": {"choice": [0, 0.25], "repeat": "depth"},
            "kind": {"choice": ["a", "b"]},
            "tau": {"float": [1.0, 4.0], "log": True, "when": {"kind": "a"}},
            "bias": "bool",
        },
        "objectives": {"ua": "maximize", "energy": "minimize"},
        "constraints": {"parameters": {"max": 40}},
    }
)


def value(a: Architecture) -> dict[str, float]:
    width, depth = float(a["width"]), float(a["depth"])  # type: ignore[arg-type]
    tau = float(a.get("tau", 2.0))  # type: ignore[arg-type]
    ua = 0.9 - 1 / width - 0.1 / depth - 0.05 * np.log(tau / 2) ** 2
    return {"ua": ua, "energy": width * width * depth, "parameters": width * depth}


def evaluated(number: int, a: Architecture, **changes: Any) -> Evaluation:
    v = value(a)
    base: dict[str, Any] = {
        "objectives": {"ua": v["ua"], "energy": v["energy"]},
        "metrics": v,
        "fidelity": 1.0,
    }
    return Evaluation(number, a, cost=1.0, seed=0, **{**base, **changes})


def archive(n: int, make: Any = evaluated, space: Space = SPACE, seed: int = 5) -> Archive:
    rng = np.random.default_rng(seed)
    drawn = {a.hash: a for a in (space.sample(rng) for _ in range(4 * n))}
    return Archive(space, [make(i, a) for i, a in enumerate(list(drawn.values())[:n])])


# -- encoding ---------------------------------------------------------------------------------


def vector(**changes: Any) -> Matrix:
    base = {"depth": 2, "width": 16, "shift": (0, 0.25), "kind": "a", "tau": 2.0, "bias": True}
    values = {k: v for k, v in {**base, **changes}.items() if v is not None}
    row: Matrix = Encoder(SPACE)([SPACE.architecture(values)])[0]
    return row


def test_numbers_are_scaled_choices_one_hot_and_bools_bits() -> None:
    encoder = Encoder(SPACE)
    row = vector()
    by_group = [row[encoder.groups == g].tolist() for g in range(encoder.groups.max() + 1)]
    assert by_group[0] == [0.5]  # depth 2 of 1..3
    assert by_group[1] == [0, 1, 0, 0.5]  # width: one-hot, and its place among the numbers
    assert by_group[2] == [1, 0, 1]  # first shift, there
    assert by_group[3] == [0, 1, 1]
    assert by_group[4] == [0.5, 0.5, 0]  # the third is not
    assert by_group[5] == [0.5, 0.5]  # shares over the blocks there are
    assert by_group[6] == [1, 0]
    assert by_group[7] == [0.5, 1]  # tau 2 of 1..4 is half-way in log
    assert by_group[8] == [1]


def test_what_is_inactive_is_neutral_and_flagged() -> None:
    encoder = Encoder(SPACE)
    off = vector(kind="b", tau=None)
    assert off[encoder.groups == 7].tolist() == [0.5, 0]


def test_the_summary_of_a_repeated_parameter_has_no_order() -> None:
    one, other = vector(shift=(0, 0.25)), vector(shift=(0.25, 0))
    differing = set(Encoder(SPACE).groups[one != other].tolist())
    assert differing == {2, 3}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_different_architectures_have_different_vectors_in_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = SPACE.sample(rng), SPACE.sample(rng)
    rows = Encoder(SPACE)([a, b, a])
    assert ((rows >= 0) & (rows <= 1)).all()
    assert (rows[0] == rows[2]).all()
    assert (rows[0] == rows[1]).all() == (a == b)


# -- the Gaussian process ---------------------------------------------------------------------


def plane(n: int = 30, noise: float = 0.1) -> tuple[Matrix, Matrix, Columns]:
    rng = np.random.default_rng(0)
    x = rng.random((n, 4))
    y = np.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2] + noise * rng.normal(size=n)
    return x, y, Columns(np.arange(4), np.zeros(4, dtype=bool))


def fitted(x: Matrix, y: Matrix, columns: Columns) -> GaussianProcess:
    return GaussianProcess(Inputs(x, columns), y)


@pytest.mark.parametrize("smooth", [1.0, 0.6])
def test_it_predicts_what_scikit_learn_predicts(smooth: float) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

    x, y, columns = plane()
    ours = GaussianProcess(Inputs(x, columns), y, Settings(smooth, 0.7, 0.05, 0.0))
    scaled = (x - x.mean(0)) / x.std(0) / 2  # four groups share a variance of 1
    kernel = ConstantKernel(smooth) * Matern(0.7, nu=2.5)
    if smooth < 1:
        kernel = kernel + ConstantKernel(1 - smooth) * DotProduct(1e-9)
    z = (y - y.mean()) / y.std()
    theirs = GaussianProcessRegressor(kernel, alpha=0.05 + 1e-8, optimizer=None).fit(scaled, z)
    new = np.random.default_rng(1).random((7, 4))
    mean, deviation = theirs.predict((new - x.mean(0)) / x.std(0) / 2, return_std=True)
    got, spread = ours.predict(new)
    np.testing.assert_allclose(got, y.mean() + y.std() * mean, rtol=1e-6)
    np.testing.assert_allclose(spread, y.std() * deviation * np.sqrt(ours.variance), rtol=1e-5)


def test_left_out_predictions_are_those_of_refits() -> None:
    x, y, columns = plane(20)
    process = GaussianProcess(Inputs(x, columns), y, Settings(0.5, 0.6, 0.1, 0.0))
    points, z = process._points, process._z
    kernel = process._kernel(points, points, process._phi, process._phi)
    expected = []
    for i in range(len(y)):
        rest = np.delete(np.arange(len(y)), i)
        inner = kernel[np.ix_(rest, rest)] + (0.1 + 1e-8) * np.eye(len(rest))
        expected.append(kernel[i, rest] @ np.linalg.solve(inner, z[rest]))
    np.testing.assert_allclose(
        process.left_out(), process.mean + process.spread * np.array(expected), rtol=1e-6
    )


def test_it_estimates_the_noise() -> None:
    quiet, loud = (fitted(*plane(80, noise)) for noise in (0.01, 0.5))
    assert quiet.noise < 0.1
    assert 0.3 < loud.noise < 0.7


def test_irrelevant_columns_are_found_out() -> None:
    rng = np.random.default_rng(3)
    x = rng.random((60, 12))
    y = 3 * x[:, 0] + np.sin(5 * x[:, 1])
    process = fitted(x, y, Columns(np.arange(12), np.ones(12, dtype=bool)))
    assert process.settings.relevance > 0
    new = rng.random((50, 12))
    error = process.predict(new)[0] - (3 * new[:, 0] + np.sin(5 * new[:, 1]))
    assert np.sqrt(np.mean(error**2)) < 0.15 * y.std()


def test_equal_values_are_no_trap() -> None:
    x, _, columns = plane(10)
    mean, deviation = fitted(x, np.full(10, 2.5), columns).predict(x)
    np.testing.assert_allclose(mean, 2.5)
    assert np.isfinite(deviation).all()


# -- expected hypervolume improvement ---------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 3])
def test_boxes_hold_what_the_front_leaves(m: int) -> None:
    rng = np.random.default_rng(m)
    front = rng.random((12, m))
    low, high = boxes(front, np.ones(m))
    floored = np.maximum(low, 0.0)
    inside = np.maximum(high - floored, 0.0).prod(1).sum()
    dominated = moocore.hypervolume(front, ref=np.ones(m))
    assert inside == pytest.approx(1.0 - dominated)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("log", [False, True])
def test_expected_improvement_is_that_of_samples(m: int, log: bool) -> None:
    rng = np.random.default_rng(10 + m)
    front, reference = 0.2 + rng.random((6, m)), np.full(m, 1.3)
    mean, deviation = rng.random((3, m)), np.full((3, m), 0.3)
    logs = np.zeros(m, dtype=bool)
    if log:
        logs[0] = True
        mean[:, 0] = np.log(0.2 + mean[:, 0])
    got = expected_improvement(mean, deviation, *boxes(front, reference), logs)
    before = moocore.hypervolume(front, ref=reference)
    for i in range(3):
        draws = mean[i] + deviation[i] * rng.normal(size=(2000, m))
        draws = np.where(logs, np.exp(draws), draws)
        gains = [moocore.hypervolume(np.vstack([front, d]), ref=reference) - before for d in draws]
        assert got[i] == pytest.approx(
            np.mean(gains), abs=1e-6 + 5 * np.std(gains) / np.sqrt(2000)
        )


def test_certain_improvement_is_the_volume_added() -> None:
    front, reference = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([1.0, 1.0])
    corners = boxes(front, reference)
    mean = np.array([[0.3, 0.3], [0.9, 0.9]])
    gain = expected_improvement(mean, np.full((2, 2), 1e-9), *corners)
    after = moocore.hypervolume(np.vstack([front, mean[:1]]), ref=reference)
    np.testing.assert_allclose(gain, [after - moocore.hypervolume(front, ref=reference), 0.0])


# -- the surrogate of an archive --------------------------------------------------------------


def test_it_predicts_unseen_architectures() -> None:
    surrogate = Surrogate(archive(60), Encoder(SPACE))
    new = [e.architecture for e in archive(40, seed=99).evaluations]
    predicted = surrogate.predict(new)
    truth = np.array([[-value(a)["ua"], np.log(value(a)["energy"])] for a in new])
    for j in range(2):
        assert rank_correlation(predicted.mean[:, j], truth[:, j]) > 0.95
    assert surrogate.scales[1].log


def test_partial_trainings_help_and_predictions_are_of_full_ones() -> None:
    def at(i: int, a: Architecture) -> Evaluation:
        fidelity = 0.1 if i % 4 else 1.0
        v = value(a)
        ua = v["ua"] + 0.15 * np.log10(fidelity)  # worse by 0.15 after a tenth of the epochs
        return evaluated(i, a, fidelity=fidelity, objectives={"ua": ua, "energy": v["energy"]})

    mixed = archive(48, at)
    surrogate = Surrogate(mixed, Encoder(SPACE))
    new = [e.architecture for e in archive(40, seed=99).evaluations]
    truth = np.array([value(a)["ua"] for a in new])
    predicted = -surrogate.predict(new).mean[:, 0]
    assert np.abs(predicted - truth).mean() < 0.03
    alone = Surrogate(Archive(SPACE, mixed.full), Encoder(SPACE))
    error = np.abs(predicted - truth).mean()
    assert error < np.abs(-alone.predict(new).mean[:, 0] - truth).mean()


def test_what_breaks_a_constraint_or_fails_is_told_from_what_does_not() -> None:
    def limited(i: int, a: Architecture) -> Evaluation:
        if a["bias"]:
            return evaluated(i, a, objectives={}, metrics={}, error="broken")
        outside = value(a)["parameters"] - 40
        return evaluated(i, a, violations={"parameters": outside} if outside > 0 else {})

    surrogate = Surrogate(archive(80, limited), Encoder(SPACE))
    new = [e.architecture for e in archive(60, seed=99).evaluations]
    good = np.array([not a["bias"] and value(a)["parameters"] <= 40 for a in new])
    feasible = surrogate.predict(new).feasible
    assert feasible[good].min() > 0.5
    assert feasible[~good].max() < 0.5


def test_of_many_evaluations_the_best_and_the_last_are_learned_from() -> None:
    space = load_space(
        {
            "name": "wide",
            "parameters": {"x": {"float": [0, 1]}, "y": {"float": [0, 1]}},
            "objectives": {"f": "minimize", "g": "minimize"},
        }
    )

    def point(i: int, a: Architecture) -> Evaluation:
        return Evaluation(i, a, 1.0, 1.0, 0, {"f": a["x"], "g": a["y"]})  # type: ignore[dict-item]

    many = archive(700, point, space)
    picked = {e.number for e in chosen(many, 120)}
    assert len(picked) == 120
    assert {e.number for e in many.front} <= picked
    assert {e.number for e in many.evaluations[-20:]} <= picked


# -- proxies and trust ------------------------------------------------------------------------


def with_proxy(kind: str, n: int = 60, noise: float = 0.05) -> Archive:
    """An objective half of which no parameter explains, and a proxy that may know it."""
    rng = np.random.default_rng(4)

    def make(i: int, a: Architecture) -> Evaluation:
        hidden = noise * float(rng.normal())
        v = value(a)
        score = {"knows": hidden, "opposite": -hidden, "noise": float(rng.normal())}[kind]
        metrics = {**v, **({"proxy": {"ua": score}} if i % 5 else {})}
        objectives = {"ua": v["ua"] + hidden, "energy": v["energy"]}
        return evaluated(i, a, objectives=objectives, metrics=metrics)

    return archive(n, make)


@pytest.mark.parametrize(("kind", "used"), [("knows", True), ("opposite", True), ("noise", False)])
def test_a_proxy_is_used_while_it_explains_more_than_the_architecture(
    kind: str, used: bool
) -> None:
    surrogate = Surrogate(with_proxy(kind), Encoder(SPACE))
    assert bool(surrogate.heeded) == used
    assert (surrogate.targets["ua"].gain > 0.05) == used
    new = [e.architecture for e in archive(2, seed=99).evaluations]
    low, high = (surrogate.predict(new, [{"ua": s}] * 2).mean[:, 0] for s in (-0.05, 0.05))
    if kind == "knows":
        assert (high < low).all()
    elif kind == "opposite":
        assert (high > low).all()
    else:
        np.testing.assert_array_equal(low, high)


def test_trust_is_high_for_what_is_predicted_and_below_the_floor_for_noise() -> None:
    rng = np.random.default_rng(1)

    def random_recall(i: int, a: Architecture) -> Evaluation:
        return evaluated(
            i, a, objectives={"ua": float(rng.random()), "energy": value(a)["energy"]}
        )

    noisy = archive(60, random_recall)
    verdict = trust(Surrogate(noisy, Encoder(SPACE)))
    assert verdict["energy"]["steers"]
    assert verdict["energy"]["correlation"] > 0.95
    assert not verdict["ua"]["steers"]
    assert verdict["ua"]["floor"] < FLOOR
    assert verdict["ua"]["n"] == 60


def test_a_bound_is_below_its_correlation_and_nears_it() -> None:
    bounds = [lower_bound(0.5, n) for n in (6, 20, 100, 10_000)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(0.5, abs=0.01)
    assert lower_bound(1.0, 50) < 1.0


# -- learning of many -------------------------------------------------------------------------


def test_of_many_evaluations_models_learn_a_few_at_a_time() -> None:
    whole = archive(400)

    def told(n: int) -> dict[str, Any]:
        searcher = make_searcher("auto", SPACE, 1000)
        assert isinstance(searcher, Screened)
        return searcher.trust(Archive(SPACE, whole.evaluations[:n]))

    assert told(399) == told(398) == told(397) == told(396) != told(400)
    assert told(201) != told(200)


def test_what_models_know_does_not_hang_on_what_they_were_asked_before() -> None:
    whole = archive(300)
    early, late = (Archive(SPACE, whole.evaluations[:n]) for n in (288, 299))
    asked, fresh = (make_searcher("auto", SPACE, 1000) for _ in range(2))
    asked.propose(early, 1, np.random.default_rng(0))
    proposed = [s.propose(late, 8, np.random.default_rng(1)) for s in (asked, fresh)]
    assert proposed[0] == proposed[1]


def test_where_few_but_the_last_succeeded_models_learn_of_the_last() -> None:
    done = archive(303).evaluations
    failed = [Evaluation(e.number, e.architecture, 1.0, 1.0, 0, error="no") for e in done[:292]]
    searcher = make_searcher("auto", SPACE, 1000)
    assert isinstance(searcher, Screened)
    assert searcher.trust(Archive(SPACE, [*failed, *done[292:]]))["energy"]["n"] == 11
