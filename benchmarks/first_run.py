"""The README's first command: how long, how much memory, how good.

Runs ``nas search --space pts_snn.yaml --budget 200`` in a process of its own on the bundled
corpus and reports wall time (fetching, conversion and encoding apart), peak memory, the front,
and the baselines on the same folds. With ``--confirm``, also ``nas confirm RUN --seeds 3``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import report

import nas

NAS = [sys.executable, "-m", "nas"]


def run(*arguments: str) -> Any:
    """Run a command of nas and return its JSON document."""
    done = subprocess.run([*NAS, *arguments, "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--confirm", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run("data", "fetch", "polish")
        folder = str(Path(scratch) / "run")
        began = time.perf_counter()
        arguments = ["--space", "pts_snn.yaml", "--budget", str(options.budget)]
        document = run("search", *arguments, "--out", folder)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        baselines = json.loads((Path(folder) / "baselines.json").read_text())
        study = nas.open_run(folder)
        neurons = Counter(str(e.architecture["neuron.type"]) for e in study.evaluations)
        confirmed = run("confirm", folder, "--seeds", "3") if options.confirm else {}
        confirmed.pop("run", None)  # a scratch folder
    front = document["front"]
    best = max(front, key=lambda m: m["objectives"]["ua"])
    knee = next(m for m in front if m["knee"])
    measured = {
        "budget": options.budget,
        "seconds_after_download": seconds,
        "peak_memory_gb": peak,
        "front": len(front),
        "neurons_evaluated": dict(neurons),
        "neurons_on_the_front": dict(Counter(m["architecture"]["neuron.type"] for m in front)),
        "best_ua": best["objectives"],
        "knee": knee["objectives"],
        "baselines": baselines,
        "confirmed": confirmed,
    }
    print(f"{options.budget} units in {seconds:.0f} s, peak memory {peak:.2f} GB")
    print(f"neurons evaluated: {measured['neurons_evaluated']}")
    print(f"best UA on validation speakers {100 * best['objectives']['ua']:.1f} %")
    for name, row in baselines.items():
        print(f"{name} {100 * row['ua']:.1f} %")
    if confirmed:
        for m in confirmed["models"]:
            u = m["ua"]
            print(
                f"{m['model']:>14}: test UA {100 * u['mean']:.1f} %"
                f" [{100 * u['low']:.1f}, {100 * u['high']:.1f}]"
            )
    report.write("first_run", measured)


if __name__ == "__main__":
    main()
