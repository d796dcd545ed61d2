"""Does training in bfloat16 cost recall? The same trainings in float32 beside it.

    python benchmarks/number_formats.py --seeds 10

On the bundled corpus, two validation folds, the architectures below, with the seeds 0, 1, ...;
networks are measured in float32 in either case. A difference is seen against the spread between
seeds. Times mean nothing on a processor without bfloat16: there its products are emulated.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import report
from scipy.stats import ttest_rel

from eval.autocast import processor_has_bfloat16
from eval.evaluate import evaluate
from eval.training import Recipe
from nas.corpus import corpus_evaluator
from search_spaces.schema import load_space

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "two blocks of 64, static bias": {
        "encoder.width": 64,
        "encoder.depth": 2,
        "encoder.shift": [0.125, 0.125],
        "calibration.kind": "static",
    },
    "one block of 96, prompts with SSLA": {
        "encoder.width": 96,
        "encoder.depth": 1,
        "encoder.shift": [0.25],
        "calibration.kind": "dynamic",
        "attention.kind": "ssla",
    },
}
FORMATS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    evaluator = corpus_evaluator(load_space("pts_snn"), {"validation_folds": 2}, print)
    measured: dict[str, Any] = {"hardware": processor_has_bfloat16()}
    for name, values in ARCHITECTURES.items():
        ua: dict[str, list[float]] = {f: [] for f in FORMATS}
        for seed in range(options.seeds):
            for dtype in FORMATS:
                found = evaluate(
                    values,
                    evaluator.dataset,
                    evaluator.folds,
                    family="pts_snn",
                    seed=seed,
                    recipe=Recipe(dtype=dtype),
                )
                ua[dtype].append(found["ua"])
        lost = np.array(ua["float32"]) - np.array(ua["bfloat16"])
        p = float(ttest_rel(ua["float32"], ua["bfloat16"]).pvalue)
        measured[name] = {
            "ua": ua,
            "lost": float(lost.mean()),
            "sd_of_lost": float(lost.std(ddof=1)),
            "p": p,
        }
        told = ", ".join(
            f"{f} {100 * np.mean(v):.1f} % (s.d. {100 * np.std(v, ddof=1):.1f})"
            for f, v in ua.items()
        )
        print(f"{name}: UA {told}; lost {100 * lost.mean():.1f} points, p {p:.2f}")
    report.write("number_formats", measured)


if __name__ == "__main__":
    main()
