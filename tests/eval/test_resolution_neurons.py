"""One neuron at another time step."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from eval.resolution import METHODS, StateSpace, adaptive_leaky, at_step, leaky
from search_spaces.errors import NasError

PROPOSED = ("integral", "expectation", "euler", "decay")


@st.composite
def stable(draw: st.DrawFn, angle: float = 0.3) -> StateSpace:
    """A neuron of up to 4 states that decay, turning by less than ``angle`` a step."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    field = rng.standard_normal((n, n))
    # by Bendixson, the parts of the eigenvalues lie between those of these two
    symmetric, turning = (field + field.T) / 2, (field - field.T) / 2
    decaying = symmetric - (np.linalg.eigvalsh(symmetric).max() + 0.01) * np.eye(n)
    decaying *= 0.3 / max(1.0, np.abs(decaying).max())
    turning *= angle / max(1.0, n * np.abs(turning).max())
    return StateSpace(
        expm(decaying + turning),
        rng.standard_normal((n, m)),
        rng.standard_normal(n),
        rng.standard_normal(n),
        1.0,
    )


@settings(max_examples=60, deadline=None)
@given(stable(), st.integers(2, 9), st.integers(0, 99))
def test_whole_ratios_are_so_many_steps_of_the_source_under_held_input(neuron, m, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((6, neuron.b.shape[1]))
    coarse = at_step(neuron, m, "integral", "held")
    silent = StateSpace(neuron.a, neuron.b, 0 * neuron.r, neuron.c, math.inf)
    fine, _ = silent.run(np.repeat(x, m, axis=0))
    states, _ = StateSpace(coarse.a, coarse.b, 0 * coarse.r, coarse.c, math.inf).run(x)
    assert np.allclose(states, fine[m - 1 :: m], rtol=0, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(stable(), st.floats(0.2, 3), st.floats(0.2, 3), st.sampled_from(["counts", "held"]))
def test_ratios_compose(neuron, first, second, inputs):
    for method in ("integral", "expectation", "euler", "decay"):
        try:
            twice = at_step(at_step(neuron, first, method, inputs), second, method, inputs)
            once = at_step(neuron, first * second, method, inputs)
        except NasError:
            assert method == "euler"  # too coarse for it
            continue
        assert np.allclose(twice.a, once.a, atol=1e-9)
        assert np.allclose(twice.b, once.b, atol=1e-8 * (1 + np.abs(once.b).max()))


@settings(max_examples=30, deadline=None)
@given(stable(), st.floats(0.1, 10), st.sampled_from(METHODS))
def test_jumps_output_and_threshold_belong_to_a_spike_and_stay(neuron, ratio, method):
    try:
        new = at_step(neuron, ratio, method)
    except NasError:
        assert method == "euler"
        return
    assert np.array_equal(new.r, neuron.r)
    assert np.array_equal(new.c, neuron.c)
    assert new.threshold == neuron.threshold


@settings(max_examples=30, deadline=None)
@given(stable(), st.sampled_from(METHODS), st.sampled_from(["counts", "held"]))
def test_the_same_step_is_the_same_neuron(neuron, method, inputs):
    assert at_step(neuron, 1, method, inputs) is neuron


@settings(max_examples=30, deadline=None)
@given(stable(), st.floats(0.2, 5))
def test_the_mean_over_moments_of_arrival_is_the_integral(neuron, ratio):
    """Of a count in a whole ratio's step: at any of its old steps with equal probability."""
    for inputs in ("counts", "held"):
        a, b = (at_step(neuron, ratio, m, inputs) for m in ("integral", "expectation"))
        assert np.array_equal(a.b, b.b)
    m = 3
    powers = [np.linalg.matrix_power(neuron.a, i) @ neuron.b for i in range(m)]
    assert np.allclose(at_step(neuron, m, "expectation", "counts").b, np.mean(powers, 0))


def test_a_leaky_neuron_by_hand():
    """Decay 1/4 a step: at half the step 1/2, and a count of 1 adds (1 - 1/2) / (1 - 1/4) / (1/2)
    of what it did, 4/3 times 3/4; at the double step 1/16 and (1 + 1/4) / 2 of it."""
    neuron = leaky(0.25, 0.75)
    expected = {
        ("integral", "counts"): (0.5, 1.0),
        ("integral", "held"): (0.5, 0.5),
        ("euler", "counts"): (0.625, 0.75),
        ("euler", "held"): (0.625, 0.375),
        ("decay", "counts"): (0.5, 0.75),
        ("decay", "held"): (0.5, 0.375),
        ("tau", "counts"): (0.5, 0.5),
        ("tau", "held"): (0.5, 0.5),
        ("none", "counts"): (0.25, 0.75),
    }
    for (method, inputs), (a, b) in expected.items():
        new = at_step(neuron, 0.5, method, inputs)
        assert (new.a.item(), new.b.item()) == pytest.approx((a, b)), (method, inputs)
    coarse = at_step(neuron, 2, "integral", "counts")
    assert (coarse.a.item(), coarse.b.item()) == pytest.approx((1 / 16, 0.75 * 1.25 / 2))


def test_an_adaptive_neuron_by_hand():
    """Two steps of ``u' = u/2 - w/2``, ``w' = u/8 + 3w/4``."""
    neuron = adaptive_leaky(0.5, 0.75, coupling=0.5, jump=0.2)
    assert np.allclose(neuron.a, [[0.5, -0.5], [0.125, 0.75]])
    new = at_step(neuron, 2, "integral", "held")
    assert np.allclose(new.a, [[0.1875, -0.625], [0.15625, 0.5]])
    assert np.allclose(new.b, [[0.75], [0.0625]])  # (I + A) (1/2, 0)
    assert np.allclose(new.r, [-1.0, 0.2])
    back = at_step(new, 0.5, "integral", "held")
    assert np.allclose(back.a, neuron.a)
    assert np.allclose(back.b, neuron.b)


def test_a_neuron_without_a_leak_keeps_the_charge_of_an_event():
    for method in PROPOSED:
        for ratio in (0.5, 1.7, 3):
            new = at_step(leaky(1.0, 1.0), ratio, method, "counts")
            assert (new.a.item(), new.b.item()) == pytest.approx((1.0, 1.0))
            assert at_step(leaky(1.0, 1.0), ratio, method, "held").b.item() == pytest.approx(ratio)


def test_a_bias_voltage_is_a_current_beside_the_counts():
    neuron = at_step(leaky(0.25, 0.75, inputs=2), 0.5, "integral", ("counts", "held"))
    assert neuron.b.tolist() == [pytest.approx([1.0, 0.5])]
    # under the bias alone the membrane rests where it did: b / (1 - a) of it
    states, _ = neuron.run(np.tile([0.0, 0.4], (60, 1)))
    assert states[-1, 0] == pytest.approx(0.4)


def test_spikes_of_a_finer_neuron_follow_those_of_the_source_and_tau_loses_them():
    """Events at a quarter of the step: the same charge, so about the same spikes."""
    rng = np.random.default_rng(0)
    source = leaky(math.exp(-1 / 20), 1 - math.exp(-1 / 20))
    events = (rng.random((8000, 1)) < 0.05) * 30.0
    coarse = events.reshape(-1, 4).sum(1, keepdims=True)
    expected = source.run(coarse)[1].sum()
    assert expected > 200
    for method in PROPOSED:
        spikes = at_step(source, 0.25, method, "counts").run(events)[1].sum()
        assert spikes == pytest.approx(expected, rel=0.1), method
    assert at_step(source, 0.25, "tau", "counts").run(events)[1].sum() < 0.5 * expected


@pytest.mark.parametrize("ratio", [0, -1, math.nan, math.inf, True, "2", None])
def test_what_is_no_ratio_is_refused(ratio):
    with pytest.raises(NasError, match="a ratio of time steps of"):
        at_step(leaky(0.5, 0.5), ratio)


def test_neurons_without_another_step_are_refused():
    r, c = np.zeros(1), np.ones(1)
    with pytest.raises(NasError, match=r"A is unstable: an eigenvalue of magnitude 1\.1"):
        StateSpace(np.array([[1.1]]), np.ones((1, 1)), r, c, 1.0)
    for value in (-0.5, 0.0):
        with pytest.raises(NasError, match="on the negative axis or 0"):
            StateSpace(np.array([[value]]), np.ones((1, 1)), r, c, 1.0)
    with pytest.raises(NasError, match="not finite"):
        StateSpace(np.array([[math.nan]]), np.ones((1, 1)), r, c, 1.0)
    with pytest.raises(NasError, match=r"R of a neuron of 1 states has the shape \[2\]"):
        StateSpace(np.array([[0.5]]), np.ones((1, 1)), np.zeros(2), c, 1.0)
    with pytest.raises(NasError, match=r"B has the shape \[1\]"):
        StateSpace(np.array([[0.5]]), np.ones(1), r, c, 1.0)
    with pytest.raises(NasError, match=r"A of a neuron of 0 states"):
        StateSpace(np.array([0.5]), np.ones((1, 1)), r, c, 1.0)


def test_a_step_too_coarse_for_euler_is_refused_and_the_others_take_it():
    neuron = leaky(0.5, 0.5)
    with pytest.raises(NasError, match=r"the Euler step.*unstable"):
        at_step(neuron, 5, "euler")
    with pytest.raises(NasError, match=r"the Euler step.*negative axis"):
        at_step(neuron, 3, "euler")
    assert at_step(neuron, 5, "integral").a.item() == pytest.approx(0.5**5)


def test_unknown_words_name_the_nearest():
    with pytest.raises(NasError, match="did you mean 'integral'"):
        at_step(leaky(0.5, 0.5), 2, "integrall")
    with pytest.raises(NasError, match="did you mean 'counts'"):
        at_step(leaky(0.5, 0.5), 2, inputs="count")
    with pytest.raises(NasError, match="2 kinds of input for a neuron of 1"):
        at_step(leaky(0.5, 0.5), 2, inputs=("counts", "held"))
