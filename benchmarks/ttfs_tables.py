"""What ``benchmarks/ttfs.py`` measured, as the tables of ``docs/ttfs.md``."""

from __future__ import annotations

from pathlib import Path

from eval.energy.profile import load_profile

DOCUMENT = Path(__file__).parents[1] / "docs" / "ttfs.md"

Rows = dict[str, float]  # "table: row" -> figure

# An earlier measurement of ours, in numpy, on yin-yang with 1, 3 and 6 hidden layers.
EARLIER = {
    "unrounded: ReLU": "98.4 / 99.5 / 99.5",
    "unrounded: continuous times": "98.4 / 99.5 / 99.5",
    "hidden: S=8, down": "81.4 / 71.8 / 37.9",
    "hidden: S=8, nearest": "93.3 / 93.6 / 93.3",
    "hidden: S=8, nearest, QAT": "94.6 / 96.3 / 96.3",
    "hidden: S=16, down": "90.9 / 90.1 / 60.6",
    "hidden: S=16, nearest": "96.8 / 96.4 / 96.4",
    "hidden: S=16, nearest, QAT": "97.1 / 97.4 / 97.5",
    "hidden: S=32, down": "95.4 / 96.1 / 96.4",
    "hidden: S=32, nearest": "97.9 / 98.0 / 98.2",
    "hidden: S=64, down": "97.3 / 98.1 / 98.7",
    "hidden: S=64, nearest": "98.4 / 99.0 / 99.1",
    "input: S=8, nearest": "80.2 / 79.5 / 79.5",
    "input: S=16, nearest": "94.7 / 94.8 / 94.9",
    "input: S=32, nearest": "97.4 / 97.8 / 97.1",
    "margin: 0.5, S=16, all": "92.3 / 93.5 / 92.8",
    "margin: 9, S=16, all": "58.1 / 39.1 / 38.5",
    "all spikes: jitter 0.5 %": "98.4 / 98.2 / 98.1",
    "all spikes: jitter 1 %": "97.1 / 96.4 / 96.2",
    "all spikes: jitter 2 %": "93.6 / 92.5 / 92.1",
    "all spikes: jitter 5 %": "82.4 / 80.4 / 80.8",
    "all spikes: jitter 10 %": "67.3 / 64.0 / 64.4",
    "hidden spikes: deletion 1 %": "97.0 / 97.6 / 97.6",
    "hidden spikes: deletion 5 %": "92.6 / 93.4 / 92.5",
    "hidden spikes: deletion 10 %": "87.3 / 88.9 / 87.2",
    "spikes: a hidden neuron, continuous": "0.50 / 0.39 / 0.30",
}
TITLES = {
    "unrounded": "Accuracy without rounding, %",
    "all": "Accuracy in S steps, input and hidden layers, %",
    "hidden": "Accuracy in S steps, hidden layers only (the input is a current), %",
    "input": "Accuracy in S steps, input only, %",
    "margin": "Accuracy against the margin of the windows, %",
    "all spikes": "Accuracy with every spike disturbed, continuous time, %",
    "hidden spikes": "Accuracy with hidden spikes disturbed, continuous time, %",
    "weights": "Accuracy with small weights, continuous time, %",
    "spikes": "Spikes",
    "operations": "Operations a sample",
}


def tables(measured: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return the Markdown of every row: mean (s.d.) over the seeds, a network a column."""
    places = {"spikes": 2, "operations": 0}
    lines: list[str] = []
    for table, title in TITLES.items():
        keys = [k for k in next(iter(measured.values())) if k.split(": ")[0] == table]
        earlier = any(k in EARLIER for k in keys)
        heads = ["", *measured, *(["earlier"] if earlier else [])]
        lines += ["", f"**{title}**", ""]
        lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        for key in keys:
            cells = [key.split(": ")[1]]
            for figures in measured.values():
                mean, sd = figures[key]["mean"], figures[key]["sd"]
                d = places.get(table, 1)
                cells.append(f"{mean:,.{d}f}" + (f" ({sd:.{d}f})" if d == 1 else ""))
            cells += [EARLIER.get(key, "")] if earlier else []
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def exact_lines(differing: Rows, largest: Rows) -> list[str]:
    """Return the Markdown of what should not differ, summed over networks and seeds."""
    total = f"{differing.pop('predictions'):,.0f}"
    lines = ["", f"**Views that should agree**, over {total} predictions", ""]
    lines += ["| | predictions that differ | largest logit difference |", "|---|---|---|"]
    for key in [*differing, *(k for k in largest if k not in differing)]:
        count = f"{differing[key]:.0f}" if key in differing else ""
        apart = f"{largest[key]:.1e}" if key in largest else ""
        lines.append(f"| {key} | {count} | {apart} |")
    return lines


def energy_lines(measured: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return the Markdown of the operations priced, beside those of the ReLU twin."""
    prices = load_profile().prices
    mac, ac, compare = (prices[name] for name in ("mac", "ac", "compare"))
    heads = ["", "steps", "accumulates of spikes", "all accumulates and compares"]
    lines = ["", "| " + " | ".join([*heads, "nJ", "nJ of the ReLU twin"]) + " |", "|---" * 6 + "|"]
    for name, figures in measured.items():
        twin = figures["operations: ReLU twin, multiply-accumulates"]["mean"]
        for steps in (16, 64):
            of = f"operations: S={steps}, "
            spikes = figures[f"{of}synaptic accumulates"]["mean"]
            ramp = figures[f"{of}ramp accumulates, and as many compares"]["mean"]
            accumulates = spikes + figures[f"{of}integration accumulates"]["mean"] + ramp
            joules = accumulates * ac.joules + ramp * compare.joules
            cells = [name, str(steps), f"{spikes:,.0f}", f"{accumulates + ramp:,.0f}"]
            cells += [f"{1e9 * joules:.1f}", f"{1e9 * twin * mac.joules:.1f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def write_between(begin: str, end: str, lines: list[str]) -> None:
    """Replace what stands between two marks of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, tail = text.split(begin)[0], text.split(end)[1]
    body = "\n".join(lines)
    DOCUMENT.write_text(f"{head}{begin}{body}{end}{tail}", encoding="utf-8")
