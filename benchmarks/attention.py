"""Latency and memory of every attention kind against length, into ``docs/attention.md``.

Runs ``nas bench attention --seconds 10,25,50,100,200,400``, or renders what an earlier such
run wrote with ``--out`` (give its ``attention.json``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import report

from nas.bench import Point, growth

DOCUMENT = Path(__file__).parents[1] / "docs" / "attention.md"
PHASES = ("forward", "forward+backward")


def measured() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "bench"
        options = ["--seconds", "10,25,50,100,200,400", "--repeats", "3", "--limit-seconds", "40"]
        command = [sys.executable, "-m", "nas", "bench", "attention", *options, "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        document: dict[str, Any] = json.loads((out / "attention.json").read_text())
        return document


def cell(point: dict[str, Any] | None) -> str:
    if point is None or point["status"] != "measured":
        return point["status"] if point else ""
    return f"{1e3 * point['latency']:.0f} / {point['memory'] / 1e6:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="attention.json of an earlier run")
    options = parser.parse_args()
    document = json.loads(options.json.read_text()) if options.json else measured()
    document["environment"].pop("command", None)  # it names a scratch folder
    points = {(p["kind"], p["frames"], p["phase"]): p for p in document["points"]}
    # the fit of today's code, also for an earlier measurement
    document["growth"] = growth(Point(**p) for p in document["points"])
    slopes = {g["kind"]: g for g in document["growth"]}
    kinds = list(dict.fromkeys(p["kind"] for p in document["points"]))
    frames = sorted({p["frames"] for p in document["points"]})
    lines: list[str] = []
    for phase in PHASES:
        lines += ["", f"**{phase.capitalize()}**, ms / MB:", ""]
        lines.append("| kind | " + " | ".join(f"{n:,}" for n in frames) + " | growth |")
        lines.append("|---" * (len(frames) + 2) + "|")
        for kind in kinds:
            cells = [cell(points.get((kind, n, phase))) for n in frames]
            slope = slopes[kind][phase]
            shown = f"{slope['exponent']:.2f}" if slope else ""
            lines.append(f"| {kind} | " + " | ".join(cells) + f" | {shown} |")
    print("\n".join(lines))
    begin, end = "<!-- table -->", "<!-- end -->"
    text = DOCUMENT.read_text(encoding="utf-8")
    body = "\n".join([*lines, "", ""])
    DOCUMENT.write_text(
        text.split(begin)[0] + begin + body + end + text.split(end)[1], encoding="utf-8"
    )
    report.write("attention", document)


if __name__ == "__main__":
    main()
