"""Draw what ``resolution.py`` measured, and put its tables into docs/resolution.md.

python benchmarks/resolution_plot.py        (needs matplotlib: pip install 'nas[bench]')
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import report

mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "nas"

DOCS = Path(__file__).parent.parent / "docs"
DRAWN = {
    "integral": ("tab:blue", "-"),
    "compensated": ("tab:orange", "-"),
    "euler": ("tab:green", "-"),
    "decay": ("tab:purple", "-"),
    "substeps": ("tab:brown", "-"),
    "auto": ("tab:red", "--"),
    "tau": ("0.3", ":"),
    "none": ("0.6", ":"),
}
Rows = list[dict[str, Any]]


def figures(rows: Rows, ratio: float, method: str, key: str = "ua") -> list[float]:
    """Return a figure of every seed that has it, in %."""
    found = [r for r in rows if r["ratio"] == ratio and r["method"] == method]
    return [100 * r[key] for r in found if r[key] is not None]


def cell(values: list[float], seeds: int) -> str:
    if not values:
        return "refused"
    spread = f" ({np.std(values, ddof=1):.1f})" if len(values) > 1 else ""
    part = "" if len(values) == seeds else f", {len(values)} of {seeds}"
    return f"{np.mean(values):.1f}{spread}{part}"


def draw(measured: dict[str, Any]) -> None:
    plt.switch_backend("svg")
    tasks = measured["rows"]
    figure, axes = plt.subplots(1, len(tasks), figsize=(4.6 * len(tasks), 3.4), sharey=True)
    for axis, (name, rows) in zip(np.atleast_1d(axes), tasks.items(), strict=True):
        source = float(np.mean(figures(rows, 1.0, "source")))
        for method, (colour, style) in DRAWN.items():
            told = {
                r: figures(rows, r, method) for r in sorted({x["ratio"] for x in rows} - {1.0})
            }
            points = {1.0: source} | {r: float(np.mean(v)) for r, v in told.items() if v}
            order = sorted(points)
            ys = [points[r] for r in order]
            axis.plot(order, ys, style, color=colour, marker="o", markersize=3, label=method)
        axis.set_xscale("log", base=2)
        axis.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        axis.set_xlabel(f"new step over old ({measured['steps_ms'][name]} ms)")
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.3)
    np.atleast_1d(axes)[0].set_ylabel("UA %")
    np.atleast_1d(axes)[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(DOCS / "resolution.svg", metadata={"Date": None})


def table(name: str, rows: Rows, milliseconds: float) -> list[str]:
    seeds = len({r["seed"] for r in rows})
    ratios = sorted({r["ratio"] for r in rows} - {1.0})
    heads = [f"{milliseconds * r:g} ms" for r in ratios]
    source = cell(figures(rows, 1.0, "source"), seeds)
    lines = [
        f"**{name}**, trained at {milliseconds:g} ms: UA {source} %.",
        "",
        f"| | {' | '.join(heads)} |",
        "|---|" + "---|" * len(ratios),
    ]
    for method in DRAWN:
        label = {"integral": "integral = expectation"}.get(method, method)
        cells = [cell(figures(rows, r, method), seeds) for r in ratios]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    picked = [r["chosen"] for r in rows if r["method"] == "auto"]
    counts = {m: picked.count(m) for m in sorted(set(picked))}
    told = ", ".join(f"{m} {n}" for m, n in counts.items())
    return [*lines, "", f"`auto` took: {told}.", ""]


def saved(name: str, rows: Rows, milliseconds: float) -> str:
    """Return the row of training at the coarse step and adapting to the fine one."""
    seeds = len({r["seed"] for r in rows})
    cost = {
        m: sum(r["train"] for r in rows if r["method"] == m and r.get("train") is not None)
        for m in ("source", "trained")
    }
    there, adapted = figures(rows, 0.5, "trained"), figures(rows, 0.5, "auto")
    lost = [a - b for a, b in zip(there, adapted, strict=True)]
    return (
        f"| {name}, {milliseconds / 2:g} ms | {cell(there, seeds)} | {cell(adapted, seeds)} |"
        f" {cell(lost, seeds)} | {cost['source'] / cost['trained']:.2f} |"
    )


def prices(name: str, rows: Rows) -> list[str]:
    """Return the energy of the methods over the source's, and how often they decide alike."""
    ratios = sorted({r["ratio"] for r in rows} - {1.0})
    source = {r["seed"]: r["energy"] for r in rows if r["method"] == "source"}
    lines = []
    for method in DRAWN:
        cells = []
        for ratio in ratios:
            found = [r for r in rows if r["ratio"] == ratio and r["method"] == method]
            found = [r for r in found if r["ua"] is not None]
            if not found:
                cells.append("refused")
                continue
            energy = np.mean([r["energy"] / source[r["seed"]] for r in found])
            same = 100 * np.mean([r["agreement"] for r in found])
            cells.append(f"{energy:.2f}, {same:.0f} %")
        lines.append(f"| {name}, {method} | {' | '.join(cells)} |")
    return lines


def clock_lines(rows: Rows, steps: int) -> list[str]:
    ratios = sorted({r["ratio"] for r in rows})
    heads = [f"S = {round(steps / r)}" for r in ratios]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---|" * len(ratios)]
    for kind in dict.fromkeys(r["kind"] for r in rows):
        found = [
            [100 * r["accuracy"] for r in rows if r["kind"] == kind and r["ratio"] == ratio]
            for ratio in ratios
        ]
        lines.append(f"| {kind} | {' | '.join(cell(v, len(v)) for v in found)} |")
    return lines


def main() -> None:
    path = report.RESULTS / "resolution.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    measured = document["measured"]
    draw(measured)
    lines: list[str] = []
    for name, rows in measured["rows"].items():
        lines += table(name, rows, measured["steps_ms"][name])
    lines += ["Energy over the source's, and recordings on which both decide alike:", ""]
    lines += ["| step over old | 1/4 | 1/2 | 2 | 4 |", "|---|---|---|---|---|"]
    for name, rows in measured["rows"].items():
        lines += prices(name, rows)
    lines += [
        "",
        "Trained at half the rate and adapted, beside trained at the rate itself:",
        "",
        "| | UA % trained there | UA % adapted (`auto`) | lost, paired | training time |",
        "|---|---|---|---|---|",
    ]
    lines += [saved(n, rows, measured["steps_ms"][n]) for n, rows in measured["rows"].items()]
    lines += ["", "Time to first spike on digits, accuracy %:", ""]
    lines += clock_lines(measured["clocks"], measured["clock_steps"])
    path = DOCS / "resolution.md"
    text, begin, end = path.read_text(encoding="utf-8"), "<!-- tables -->", "<!-- end -->"
    head, tail = text.split(begin)[0], text.split(end)[1]
    body = "\n".join(lines)
    path.write_text(f"{head}{begin}\n\n{body}\n\n{end}{tail}", encoding="utf-8")
    print(f"-> {path}, {DOCS / 'resolution.svg'}")


if __name__ == "__main__":
    main()
