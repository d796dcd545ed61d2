"""One quantity as the surrogate models it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.guidance.gp import GaussianProcess, Settings
from nas.guidance.inputs import Inputs
from nas.pareto import Matrix

Rows = npt.NDArray[np.bool_]

DECADES = 10.0  # a positive quantity that spans this factor is modelled by its logarithm
GAIN = 0.95  # an extra input must lower the leave-one-out error to this share
PAIRS = 15


@dataclass(frozen=True)
class Scale:
    """How a measured quantity is turned into what is modelled: a loss, in log if it spans decades.

    Args:
        sign: 1 to minimise the quantity, -1 to maximise it.
        log: Whether the logarithm is modelled.
    """

    sign: float
    log: bool

    @classmethod
    def of(cls, losses: Matrix, sign: float) -> Scale:
        """Choose by the values seen, given as losses."""
        log = sign > 0 and losses.min() > 0 and losses.max() > DECADES * losses.min()
        return cls(sign, bool(log))

    def __call__(self, losses: Matrix) -> Matrix:
        """Map losses to what is modelled."""
        return np.log(np.maximum(losses, 1e-300)) if self.log else losses


class Target:
    """One modelled quantity: a Gaussian process over architecture, fidelity and proxy score.

    Args:
        name: Of the quantity.
        inputs: ``[N, D]`` architectures and log fidelity.
        y: ``[N]`` values.
        given: Hyper-parameters by name of the process; those missing are fitted. Where those
            of the plain process are there, whether the scores are of use was decided with them.
        proxy: ``[N]`` scores, NaN where there is none.

    Attributes:
        plain: The process without scores.
        with_proxy: The one with them, None unless they lower the leave-one-out error enough.
        gain: By which share they lower it, NaN while too few are known.
        settings: Hyper-parameters of every process that was fitted.
    """

    def __init__(
        self,
        name: str,
        inputs: Inputs,
        y: Matrix,
        given: Mapping[str, Settings],
        proxy: Matrix,
    ) -> None:
        self.name, self.y = name, y
        self._inputs = inputs
        self._given = given
        self.settings: dict[str, Settings] = {}
        self.plain = self._fit(name, inputs, y)
        self.with_proxy: GaussianProcess | None = None
        self._scored: GaussianProcess | None = None
        self.gain = float("nan")
        known = np.isfinite(proxy)
        if known.sum() < PAIRS or np.ptp(proxy[known]) == 0.0:
            return
        decided = f"{name} with score" in given if name in given else None
        if self._helps(proxy, known) if decided is None else decided:
            self._use(proxy, known)

    def _fit(self, role: str, inputs: Inputs, y: Matrix) -> GaussianProcess:
        process = GaussianProcess(inputs, y, self._given.get(role))
        self.settings[role] = process.settings
        return process

    def _helps(self, proxy: Matrix, known: Rows) -> bool:
        """Whether the scores explain what the architecture does not."""
        inputs, y = self._inputs.rows(known), self.y[known]
        without = self.plain if known.all() else GaussianProcess(inputs, y)
        scored = GaussianProcess(inputs.more(proxy[known]), y)
        if known.all():
            self._scored = scored
        errors = [float(np.sqrt(np.mean((g.left_out() - y) ** 2))) for g in (without, scored)]
        self.gain = 1.0 - errors[1] / errors[0] if errors[0] > 0 else 0.0
        return errors[1] <= GAIN * errors[0]

    def _use(self, proxy: Matrix, known: Rows) -> None:
        filled = proxy.copy()
        if not known.all():  # what was never scored gets the score its architecture suggests
            scores = self._fit(f"{self.name} score", self._inputs.rows(known), proxy[known])
            filled[~known] = scores.predict(self._inputs.x[~known])[0]
        if self._scored is not None:  # fitted to the same when it was tried
            self.with_proxy = self._scored
            self.settings[f"{self.name} with score"] = self._scored.settings
            return
        more = self._inputs.more(filled)
        self.with_proxy = self._fit(f"{self.name} with score", more, self.y)
