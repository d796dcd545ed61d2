"""Draw what ``search_quality.py`` measured, and put its tables into docs/search.md.

python benchmarks/search_plot.py        (needs matplotlib: pip install 'nas[bench]')
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import report

mpl.rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
mpl.rcParams["svg.hashsalt"] = "nas"  # the same figures make the same file

DOCS = Path(__file__).parent.parent / "docs"
DRAWN = {
    "random": ("0.5", "--"),
    "DEAP NSGA-II 50": ("tab:brown", "-"),
    "Optuna default": ("tab:orange", "-"),
    "pymoo NSGA-II 20": ("tab:green", "-"),
    "tpe": ("tab:purple", "-"),
    "auto": ("tab:blue", "-"),
    "auto, remeasuring": ("tab:red", "-"),
}
EVERY = 5


def draw(problems: dict[str, Any]) -> None:
    columns = 3
    rows = -(-len(problems) // columns)
    plt.switch_backend("svg")
    figure, axes = plt.subplots(rows, columns, figsize=(11, 2.9 * rows), squeeze=False)
    for axis, (name, found) in zip(axes.flat, problems.items(), strict=False):
        for search, (colour, style) in DRAWN.items():
            if search in found:
                curve = [100 * v for v in found[search]["curve"]]
                units = range(EVERY, EVERY * len(curve) + 1, EVERY)
                axis.plot(units, curve, style, color=colour, label=search, linewidth=1.2)
        last = [100 * found[s]["curve"][1] for s in DRAWN if s in found]
        axis.set_ylim(min(last), 100.5)
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("units of budget")
    for row in axes:
        row[0].set_ylabel("% of best hypervolume")
    for axis in list(axes.flat)[len(problems) :]:
        axis.axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(DOCS / "search.svg", metadata={"Date": None})


def table(found: dict[str, Any]) -> list[str]:
    """Return a table of one problem in Markdown."""
    head = "| | seeds | @25 | @50 | @100 | @200 | to random@200 | to DEAP@200 | lowest p |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for search, row in found.items():
        cells = [
            f"{100 * row[f'hv@{m}'][0]:.1f} ({100 * row[f'hv@{m}'][1]:.1f})"
            for m in (25, 50, 100, 200)
        ]
        units = [_units(row, k) for k in ("to_random@200", "to_deap@200")]
        worse = [row[k] for k in row if k.startswith("worse@")]
        against = [row[k] for k in row if k.startswith("worse_than_auto@")]
        told = f"{min(worse):.2f}" if worse else ""
        told += f"; {min(against):.2f}" if against else ""
        lines.append(f"| {search} | {row['seeds']} | " + " | ".join([*cells, *units, told]) + " |")
    return lines


def _units(row: dict[str, Any], key: str) -> str:
    """Format a median and, where it was told, its interval; never reached is infinite."""
    low, high = row.get(f"{key}_interval") or (None, None)
    between = f" [{low:g}, {'∞' if high is None else f'{high:g}'}]" if low else ""
    return f"{row[key]:g}{between}" if row.get(key) else ""


def main() -> None:
    path = report.RESULTS / "search_quality.json"
    problems = json.loads(path.read_text(encoding="utf-8"))["measured"]["problems"]
    draw(problems)
    body = [
        line for name, found in problems.items() for line in ("", f"### {name}", "", *table(found))
    ]
    document = DOCS / "search.md"
    text = document.read_text(encoding="utf-8")
    begin, end = "<!-- tables -->", "<!-- end -->"
    head, tail = text.split(begin)[0], text.split(end)[1]
    document.write_text(
        f"{head}{begin}\n" + "\n".join(body) + f"\n\n{end}{tail}", encoding="utf-8"
    )
    print(f"-> {document}, {DOCS / 'search.svg'}")


if __name__ == "__main__":
    main()
