"""A spiking neuron as a discrete state-space model, and its parameters at another time step.

The neuron is ``v[k+1] = A v[k] + B x[k] + R s[k]``, ``s[k] = C v[k] >= threshold``, in steps of
``dt``. At steps of ``ratio * dt`` (above 1: coarser) it becomes, with
``Phi = (I - A^ratio) (I - A)^-1``:

=============  ==========================  =============================  ==================
method         A                           B of counts                    B of held amplitudes
=============  ==========================  =============================  ==================
integral       ``A^ratio``                 ``Phi B / ratio``              ``Phi B``
expectation    as integral                 as integral                    as integral
euler          ``I + ratio (A - I)``       ``B``                          ``ratio B``
decay          ``A^ratio``                 ``B``                          ``ratio B``
tau            ``A^ratio``                 ``Phi B``                      ``Phi B``
none           ``A``                       ``B``                          ``B``
=============  ==========================  =============================  ==================

Counts are inputs summed over a step, as spikes and sum-binned events are; amplitudes are held
over it, as means, samples and constant currents are. ``Phi B`` is the response to an amplitude
held over the new step, for a whole ratio ``sum_i A^i B``: exactly so many old steps. An event
that arrives at any moment of the step with the same probability adds ``Phi B / ratio`` in the
mean, so that for counts the integral and the expectation are one thing. ``tau`` scales the time
constant of a neuron whose gain is tied to it, ``B = I - A``, and is the reference that fails on
counts: each event brings ``ratio`` times its charge.

``R``, ``C`` and the threshold belong to a spike, not to a step: no method scales them.

Source: Karilanova, Fabre, Neftci, Ozcelikkale (arXiv 2411.04760) map neurons to state-space
models to change their resolution without training, and name integral, expectation and Euler;
the forms here are re-derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasError, nearest

Array = npt.NDArray[np.float64]
Inputs = Literal["counts", "held"]

METHODS = ("integral", "expectation", "euler", "decay", "tau", "none")
INPUTS: tuple[Inputs, ...] = ("counts", "held")

TOLERANCE = 1e-9  # of eigenvalues: a neuron without a leak has one of exactly 1


@dataclass(frozen=True)
class StateSpace:
    """A spiking neuron in discrete time, ``n`` states and ``m`` inputs; see the module.

    Args:
        a: ``[n, n]`` state matrix ``A``.
        b: ``[n, m]`` input matrix ``B``.
        r: ``[n]`` jump ``R`` of the state that each spike causes.
        c: ``[n]`` output vector ``C``; ``C v`` is compared with the threshold.
        threshold: Firing threshold.

    Raises:
        NasError: Shapes that do not fit, numbers that are not finite, an unstable ``A``, or one
            with an eigenvalue on the negative axis or 0, which has no continuous counterpart.
    """

    a: Array
    b: Array
    r: Array
    c: Array
    threshold: float

    def __post_init__(self) -> None:
        for name in "abrc":
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        n = self.a.shape[0] if self.a.ndim == 2 else 0
        shapes = {"A": (self.a, (n, n)), "R": (self.r, (n,)), "C": (self.c, (n,))}
        for letter, (array, shape) in shapes.items():
            if n == 0 or array.shape != shape:
                raise NasError(
                    f"{letter} of a neuron of {n} states has the shape {list(array.shape)}",
                    hint="A is [n, n], B [n, m], R and C [n]",
                )
        if self.b.ndim != 2 or self.b.shape[0] != n:
            raise NasError(f"B has the shape {list(self.b.shape)}", hint=f"write it as [{n}, m]")
        if not all(np.isfinite(x).all() for x in (self.a, self.b, self.r, self.c)):
            raise NasError("a neuron's matrices hold numbers that are not finite")
        _check_eigenvalues(self.a, "A")

    def run(self, x: Array) -> tuple[Array, Array]:
        """Step through an input, from a state of 0.

        Args:
            x: ``[T, m]``.

        Returns:
            States ``[T, n]`` after each step, before its spike's jump; spikes ``[T]``.
        """
        v = np.zeros(len(self.a))
        states, spikes = np.zeros((len(x), len(v))), np.zeros(len(x))
        jump = np.zeros_like(v)
        for k, drive in enumerate(x):
            v = self.a @ v + self.b @ drive + jump
            states[k], spikes[k] = v, self.c @ v >= self.threshold
            jump = self.r * spikes[k]
        return states, spikes


def at_step(
    neuron: StateSpace,
    ratio: float,
    method: str = "integral",
    inputs: Inputs | Sequence[Inputs] = "counts",
) -> StateSpace:
    """Return the neuron at another time step; at the same one, the neuron itself.

    Args:
        neuron: At the source's step.
        ratio: New step over old one; above 1 is coarser. Need not be whole.
        method: One of ``METHODS``; see the module.
        inputs: What each input is, ``counts`` or ``held``; one word for all of them.

    Raises:
        NasError: A ratio that is none, an unknown method or input, or, by ``euler``, a step so
            coarse that the neuron would be unstable or change its sign with every step.
    """
    check_ratio(ratio)
    check_method(method)
    kinds = _input_kinds(inputs, neuron.b.shape[1])
    if ratio == 1 or method == "none":
        return neuron
    identity = np.eye(len(neuron.a))
    if method == "euler":
        a, held = identity + ratio * (neuron.a - identity), ratio * neuron.b
        _check_eigenvalues(a, f"the Euler step I + {ratio:g} (A - I)")
    else:
        a, held = _stepped(neuron.a, neuron.b, ratio)
        if method == "decay":
            held = ratio * neuron.b
    share = np.array([1.0 if method == "tau" or k == "held" else 1.0 / ratio for k in kinds])
    return replace(neuron, a=a, b=held * share)


def check_ratio(ratio: float) -> None:
    """Refuse what is no ratio of two time steps.

    Raises:
        NasError: Not a finite number above 0.
    """
    number = not isinstance(ratio, bool) and isinstance(ratio, int | float | np.number)
    if not number or not math.isfinite(ratio) or ratio <= 0:
        raise NasError(
            f"a ratio of time steps of {ratio!r}",
            hint="new step over old one: a finite number above 0, 2 for half the frame rate",
        )


def check_method(method: str) -> None:
    """Refuse an unknown method.

    Raises:
        NasError: With the nearest one.
    """
    if method not in METHODS:
        raise NasError(f"no method {method!r}", hint=nearest(method, METHODS))


def leaky(decay: float, gain: float, threshold: float = 1.0, *, inputs: int = 1) -> StateSpace:
    """Return a leaky integrate-and-fire neuron, ``v <- decay v + gain x - threshold s``.

    spikingjelly's (P)LIF has ``decay = 1 - 1 / tau`` and ``gain = 1 / tau``. A bias voltage is
    a second input, a constant current: adapt the two with ``inputs=("counts", "held")``.

    Args:
        decay: Share of the membrane kept from one step to the next, in (0, 1].
        gain: Of every input.
        threshold: Firing threshold.
        inputs: How many there are.
    """
    return StateSpace(
        np.array([[decay]]),
        np.full((1, inputs), gain),
        np.array([-threshold]),
        np.array([1.0]),
        threshold,
    )


def adaptive_leaky(
    decay: float,
    decay_w: float,
    coupling: float,
    jump: float,
    threshold: float = 1.0,
) -> StateSpace:
    """Return an adaptive leaky neuron (adLIF) of membrane ``u`` and adaptation ``w``.

    ``u <- decay u + (1 - decay) (x - w) - threshold s``,
    ``w <- decay_w w + (1 - decay_w) coupling u + jump s``, both from the state before. Source:
    Bittar & Garner, Frontiers in Neuroscience 16:865897 (2022), with the update of all states
    at once.

    Args:
        decay: Of the membrane, in (0, 1).
        decay_w: Of the adaptation, in (0, 1).
        coupling: Of the adaptation to the membrane.
        jump: Of the adaptation, caused by a spike.
        threshold: Firing threshold.
    """
    return StateSpace(
        np.array([[decay, decay - 1.0], [(1.0 - decay_w) * coupling, decay_w]]),
        np.array([[1.0 - decay], [0.0]]),
        np.array([-threshold, jump]),
        np.array([1.0, 0.0]),
        threshold,
    )


def _stepped(a: Array, b: Array, ratio: float) -> tuple[Array, Array]:
    """Return ``A^ratio`` and ``Phi B``.

    Both are parts of one power: ``[[A, B], [0, I]]^ratio = [[A^ratio, Phi B], [0, I]]``. A whole
    ratio is that many steps, literally, and a neuron without a leak, whose ``I - A`` has no
    inverse, needs no case of its own.
    """
    from scipy.linalg import fractional_matrix_power

    n, m = b.shape
    scale = float(np.abs(b).max()) or 1.0  # the power knows nothing of the unit of B
    joined = np.block([[a, b / scale], [np.zeros((m, n)), np.eye(m)]])
    if float(ratio).is_integer():
        power = np.linalg.matrix_power(joined, int(ratio))
    else:
        # real but for rounding: no eigenvalue lies on the negative axis
        power = np.real(fractional_matrix_power(joined, ratio))
    return power[:n, :n], power[:n, n:] * scale


def _check_eigenvalues(a: Array, what: str) -> None:
    values = np.linalg.eigvals(a)
    largest = float(np.abs(values).max())
    if largest > 1 + TOLERANCE:
        raise NasError(
            f"{what} is unstable: an eigenvalue of magnitude {largest:.6g}",
            hint="a membrane that grows by itself has no other time step",
        )
    for value in values:
        if value.real <= 0 and abs(value.imag) <= TOLERANCE:
            raise NasError(
                f"{what} has the eigenvalue {value.real:.6g}, on the negative axis or 0",
                hint="a state that changes its sign every step, or forgets all at once, has no"
                " continuous counterpart: give one with decays above 0",
            )


def _input_kinds(inputs: Inputs | Sequence[Inputs], count: int) -> Sequence[str]:
    kinds = [inputs] * count if isinstance(inputs, str) else list(inputs)
    if len(kinds) != count:
        raise NasError(f"{len(kinds)} kinds of input for a neuron of {count}")
    for kind in kinds:
        if kind not in INPUTS:
            raise NasError(f"no kind of input {kind!r}", hint=nearest(kind, INPUTS))
    return kinds
