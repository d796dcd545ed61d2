"""What operation counts tell a search of the energy of a candidate.

    python benchmarks/energy_guidance.py --candidates 60

Random candidates of ``pts_snn`` on the bundled corpus, a quarter of the epochs on one fold. How
well energies are predicted that the models have not seen: the error of the surrogate's
leave-one-out predictions and their rank correlation with what was measured (Kendall), with the
operations of the ReLU twin and the learned firing rates, and without. ``counts alone`` are the
operations times the rates, with no model behind.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import report
from scipy.stats import kendalltau

from nas.archive import Archive
from nas.corpus import corpus_evaluator
from nas.evaluation import Evaluation
from nas.guidance.encoding import Encoder
from nas.guidance.energy import EnergyModel
from nas.guidance.surrogate import Surrogate
from nas.pareto import Matrix
from nas.proxy import beside, make_proxy
from search_spaces.schema import load_space

FIDELITY = 0.25
SIZES = (20, 40, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--candidates", type=int, default=max(SIZES))
    options = parser.parse_args()
    space = load_space("pts_snn")
    evaluator = corpus_evaluator(space, {"validation_folds": 1}, print)
    with tempfile.TemporaryDirectory() as scratch:
        proxy = make_proxy("supernet", evaluator, Path(scratch), 0, print)
    assert proxy is not None
    rng = np.random.default_rng(0)
    done: list[Evaluation] = []
    while len(done) < options.candidates:
        a = space.sample(rng)
        if evaluator.refuse(a) is not None:
            continue
        metrics = dict(evaluator(a.as_dict(), FIDELITY, len(done)))
        objectives = {name: metrics[name] for name in space.objectives}
        # all of one fidelity: the models are asked about what they have seen
        e = Evaluation(len(done), a, 1.0, 1.0, len(done), objectives, metrics)
        done.append(
            replace(
                e,
                metrics={**metrics, "proxy": beside(e, *proxy.operations([a]), evaluator.profile)},
            )
        )
    measured: dict[str, Any] = {"candidates": len(done), "fidelity": FIDELITY}
    for n in (n for n in SIZES if n <= len(done)):
        some = done[:n]
        target = Surrogate(Archive(space, some), Encoder(space)).targets["energy"]
        alone = np.log(EnergyModel(some).left_out())
        measured[str(n)] = row = {
            "architecture": judged(target.plain.left_out(), target.y),
            "counts alone": judged(alone, np.log([e.objectives["energy"] for e in some])),
        }
        if target.with_proxy is not None:
            row["both"] = judged(target.with_proxy.left_out(), target.y)
        for name, (error, tau) in row.items():
            print(f"{n} evaluations, {name}: error {100 * error:.0f} %, tau {tau:.2f}")
    report.write("energy_guidance", measured)


def judged(predicted: Matrix, real: Matrix) -> list[float]:
    """Return the root mean square error of the logarithms, and Kendall's tau."""
    error = float(np.sqrt(np.mean((predicted - real) ** 2)))
    return [error, float(kendalltau(predicted, real).statistic)]


if __name__ == "__main__":
    main()
