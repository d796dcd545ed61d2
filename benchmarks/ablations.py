"""Ablations of the re-derived PTS-SNN reference on the bundled corpus, and the baselines.

Every variant is trained on every outer fold with five seeds (``nas baselines`` does the same
for any corpus). Writes ``docs/ablations.md``. Finished trainings are kept in
``results/ablations.jsonl``, so that an interrupted run goes on; delete it to start afresh.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import report
import torch

from eval.confirmation import interval
from eval.energy.profile import DEFAULT_PROFILE
from eval.features import load_dataset
from eval.training import Recipe
from nas.outer import Model, measure_outer, summarise
from search_spaces.named import NAMED

DOCUMENT = Path(__file__).parents[1] / "docs" / "ablations.md"


def difference(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Return the interval of UA minus the reference's, paired by fold and seed."""
    reference = {(r["fold"], r["seed"]): r["ua"] for r in rows if r["model"] == "reference"}
    paired = [
        {"fold": r["fold"], "ua": r["ua"] - reference[r["fold"], r["seed"]]}
        for r in rows
        if r["model"] == name
    ]
    return vars(interval(paired, "ua"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset()
    names = ["reference", *(n for n in NAMED if n != "reference")]
    report.RESULTS.mkdir(exist_ok=True)
    rows = measure_outer(
        dataset,
        [Model(n, NAMED[n].family, NAMED[n].values) for n in names],
        options.seeds,
        recipe=Recipe(),
        profile=DEFAULT_PROFILE,
        record=report.RESULTS / "ablations.jsonl",
        step=lambda done, total: print(f"\r{done}/{total}", end="", flush=True),
    )
    print()
    models = summarise(rows, None)
    table = [
        "| model | WA % | UA % | 95 % CI | UA - reference | 95 % CI | energy mJ | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for m in models:
        d = difference(rows, m["model"])
        m["ua_difference"] = d
        gap = ["", ""]
        if m["model"] != "reference":
            gap = [f"{100 * d['mean']:+.1f}", f"{100 * d['low']:+.1f} to {100 * d['high']:+.1f}"]
        table.append(
            f"| {m['model']} | {100 * m['wa']['mean']:.1f} | {100 * m['ua']['mean']:.1f}"
            f" | {100 * m['ua']['low']:.1f} to {100 * m['ua']['high']:.1f} | {gap[0]} | {gap[1]}"
            f" | {1e3 * m['energy']['mean']:.5f} | {NAMED[m['model']].about} |"
        )
    print("\n".join(table))
    spread = np.mean(
        [
            np.std([r["ua"] for r in rows if (r["model"], r["fold"]) == key], ddof=1)
            for key in {(r["model"], r["fold"]) for r in rows}
        ]
    )
    print(f"standard deviation over the seeds of one model on one fold: {100 * spread:.1f} points")
    begin, end = "<!-- table -->", "<!-- end -->"
    text = DOCUMENT.read_text(encoding="utf-8")
    body = "\n".join(
        ["", *table, "", f"Seeds of one model on one fold: s.d. {100 * spread:.1f}.", ""]
    )
    head, tail = text.split(begin)[0], text.split(end)[1]
    DOCUMENT.write_text(f"{head}{begin}{body}{end}{tail}", encoding="utf-8")
    report.write("ablations", {"seeds": options.seeds, "seed_sd": spread, "models": models})


if __name__ == "__main__":
    main()
