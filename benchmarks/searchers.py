"""Which searcher is the default: hypervolume against budget on an analytic landscape.

The landscape imitates the trade of a spiking head: recall saturates with depth and width,
has an optimum in the shift ratios and the time constant, and energy grows with operations.
It is synthetic and smooth; it ranks searchers on this, not on a corpus. Volumes are given as
shares of the best front any of the searchers found over all seeds.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import report

import nas
from nas import pareto
from nas.searchers import SEARCHERS
from search_spaces.schema import load_space

MARKS = (50, 100, 200)


def landscape(a: dict[str, Any], fidelity: float, seed: int) -> dict[str, float]:
    """Recall and energy of an architecture of ``pts_snn``, made up, with a little noise."""
    depth, width, pooling = a["encoder.depth"], a["encoder.width"], a["input.pooling"]
    size = (1 - math.exp(-0.7 * depth)) * (1 - math.exp(-width * a["encoder.expansion"] / 90))
    shift = sum((s - 0.125) ** 2 for s in a["encoder.shift"]) / depth
    time_constant = a.get("neuron.tau", 8.0)  # no leak is like a long one
    tau = math.log(time_constant / 2.5) ** 2
    ua = 0.34 + 0.4 * size - 4 * shift - 0.03 * tau - 0.02 * (pooling - 1)
    ua += 0.02 * (a["neuron.type"] == "plif") + 0.01 * (a["encoder.direction"] == "both")
    ua += {"none": 0.0, "static": 0.01, "dynamic": 0.03}[a["calibration.kind"]]
    ua -= 0.02 * abs(a["neuron.threshold"] - 0.75) + 0.01 * abs(math.log2(a["input.saturation"]))
    ua += 0.006 * float(np.random.default_rng(seed).normal())
    rate = 0.12 / (a["neuron.threshold"] + 0.5) * (1 + 0.1 * math.log(time_constant))
    hidden = width * a["encoder.expansion"]
    calibrated = {"none": 0.0, "static": 1.0, "dynamic": 5.0}[a["calibration.kind"]]
    operations = 384 * width * 4.6 + depth * 2 * width * hidden * rate * 0.9
    operations += calibrated * width * width * rate * 0.9
    return {"wa": ua, "ua": ua, "energy": operations * 12 / pooling * 1e-12, "parameters": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    space = load_space("pts_snn")
    fronts: dict[tuple[str, int], list[pareto.Matrix]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in SEARCHERS:
            for seed in range(options.seeds):
                study = nas.search(
                    space=space,
                    evaluator=landscape,
                    searcher=name,
                    budget=max(MARKS),
                    seed=seed,
                    out=Path(scratch) / f"{name}-{seed}",
                )
                values = pareto.losses(study.evaluations, space.objectives)
                values[:, -1] = np.log10(values[:, -1])  # energies span two decades
                fronts[name, seed] = [values[:n] for n in MARKS]
    every = np.concatenate([rows[-1] for rows in fronts.values()])
    reference = pareto.nadir(every)
    whole = pareto.hypervolume(every, reference)
    measured: dict[str, Any] = {}
    print("searcher  " + "".join(f"  HV@{n:<12}" for n in MARKS))
    for name in SEARCHERS:
        shares = np.array(
            [
                [pareto.hypervolume(rows, reference) / whole for rows in fronts[name, seed]]
                for seed in range(options.seeds)
            ]
        )
        mean, sd = shares.mean(0), shares.std(0, ddof=1)
        measured[name] = {"marks": MARKS, "mean": mean.tolist(), "sd": sd.tolist()}
        cells = (f"  {100 * m:.1f} (s.d. {100 * s:.1f})" for m, s in zip(mean, sd, strict=True))
        print(f"{name:<10}" + "".join(cells))
    report.write("searchers", {"seeds": options.seeds, **measured})


if __name__ == "__main__":
    main()
