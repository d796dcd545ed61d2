"""Candidates trained at half the frame rate and adapted, beside the same trained at the rate.

    python benchmarks/train_rate.py

Draws architectures of ``pts_snn`` with all frames kept (no input pooling) and trains each three
times on the bundled Polish corpus: at the rate it is measured at, the same with another seed, and
at half the rate with ``compensated`` after it. Two encoders, Whisper's layer 2 at the default rate
and the cochlea at 50 a second.
The second seed says how far two trainings of one candidate differ without any change of rate, in
recall and in how they rank candidates: no cheaper training can be asked to do better. Validation
folds only; the adaptation reads training inputs and no label. Processor time, one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import report
import torch
import yaml
from scipy import stats

from nas.corpus import corpus_evaluator
from search_spaces.schema import load_space, packaged_spaces
from search_spaces.space import Space

ENCODERS: dict[str, dict[str, Any]] = {
    "cochlea": {"encoder": "cochlea", "frame_rate": 50.0},
    "whisper": {"frame_rate": 12.5},
}
DOCS = Path(__file__).parent.parent / "docs" / "resolution.md"
BEGIN, END = "<!-- train rate -->", "<!-- end of train rate -->"
FOLDS = 2  # validation folds, of four
ROWS = report.RESULTS / "train_rate.jsonl"  # finished candidates, so that it can go on


def space() -> Space:
    """Return ``pts_snn`` without pooling, and neurons that remember from frame to frame."""
    definition = yaml.safe_load(packaged_spaces()["pts_snn"].read_text(encoding="utf-8"))
    parameters = definition["parameters"]
    del parameters["input.pooling"]
    for name in [n for n in parameters if n.startswith("ttfs.")]:
        del parameters[name]
    parameters["neuron.type"] = {"choice": ["plif", "lif", "if"]}
    return load_space(definition)


def measured(evaluator: Any, architecture: Any, seed: int) -> dict[str, Any]:
    began = time.process_time()
    found = evaluator(architecture.as_dict(), 1.0, seed)
    kept = {k: found[k] for k in ("ua", "wa", "energy", "loss")}
    return {**kept, "seconds": time.process_time() - began}


def compared(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Compare a way of training with the full one, candidate by candidate."""
    full, other = [r["full"] for r in rows], [r[name] for r in rows]
    lost = np.array([100 * (a["ua"] - b["ua"]) for a, b in zip(full, other, strict=True)])
    half = stats.t.ppf(0.975, len(lost) - 1) * lost.std(ddof=1) / np.sqrt(len(lost))
    told: dict[str, Any] = {
        "ua_lost": lost.mean(),
        "ua_lost_ci": [lost.mean() - half, lost.mean() + half],
        "ua_lost_sd": lost.std(ddof=1),
        "time": sum(r["seconds"] for r in other) / sum(r["seconds"] for r in full),
    }
    for figure in ("ua", "energy"):
        tau = stats.kendalltau([r[figure] for r in full], [r[figure] for r in other])
        told[f"tau_{figure}"] = float(tau.statistic)
    return told


def finished(name: str) -> list[dict[str, Any]]:
    if not ROWS.is_file():
        return []
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    return [r for r in rows if r["encoder"] == name]


def candidates(evaluator: Any, count: int) -> list[Any]:
    rng, drawn = np.random.default_rng(0), []
    while len(drawn) < count:
        architecture = evaluator.space.sample(rng)
        if evaluator.refuse(architecture) is None:
            drawn.append(architecture)
    return drawn


def measure(name: str, count: int) -> list[dict[str, Any]]:
    rows = finished(name)
    if len(rows) >= count:
        return rows[:count]
    request = {"data": "polish", "validation_folds": FOLDS, **ENCODERS[name]}
    full = corpus_evaluator(space(), request, print)
    rate = ENCODERS[name]["frame_rate"] / 2
    coarse = corpus_evaluator(space(), {**request, "train_rate": rate}, print)
    drawn = candidates(full, count)
    # frames are put together once a run of `nas search`: before the first candidate here
    measured(coarse, drawn[0], 0)
    for architecture in drawn[len(rows) :]:
        row = {
            "encoder": name,
            "architecture": architecture.as_dict(),
            "full": measured(full, architecture, 0),
            "again": measured(full, architecture, 1),
            "coarse": measured(coarse, architecture, 0),
        }
        rows.append(row)
        with ROWS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        ways = ("full", "again", "coarse")
        print(
            name,
            len(rows),
            *(f"{row[w]['ua']:.3f} {row[w]['seconds']:.1f} s" for w in ways),
            flush=True,
        )
    return rows


def table(found: dict[str, Any]) -> str:
    """Return what was found as a Markdown table."""
    lines = [
        "| | candidates | UA % | | UA lost (95 % CI) | training time | tau, UA | tau, energy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        rate = ENCODERS[name]["frame_rate"]
        for way, what in (("coarse", f"trained at {rate / 2:g}"), ("again", "another seed")):
            c = one[way]
            low, high = c["ua_lost_ci"]
            lines.append(
                f"| {name}, {rate:g} a second | {one['candidates']} | {one['ua']:.1f} | {what} |"
                f" {c['ua_lost']:.1f} ({low:.1f} to {high:.1f}) | {c['time']:.2f} |"
                f" {c['tau_ua']:.2f} | {c['tau_energy']:.2f} |"
            )
    return "\n".join(lines)


def publish(found: dict[str, Any]) -> None:
    """Put the table into docs/resolution.md."""
    text = DOCS.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    DOCS.write_text(f"{head}{BEGIN}\n\n{table(found)}\n\n{END}{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--report", action="store_true", help="Write what is finished by now.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name in ENCODERS:
        rows = finished(name) if options.report else measure(name, options.candidates)
        found[name] = {
            "candidates": len(rows),
            "ua": float(np.mean([100 * r["full"]["ua"] for r in rows])),
            **{way: compared(rows, way) for way in ("again", "coarse")},
        }
        print(name, found[name])
    publish(found)
    report.write("train_rate", {"folds": FOLDS, "encoders": ENCODERS, "found": found})


if __name__ == "__main__":
    main()
