"""What people read of an attention benchmark, on a terminal and on its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.bench import PHASES

COLUMNS = (
    "kind", "s", "frames", "forward ms", "forward+backward ms", "forward MB",
    "forward+backward MB",
)  # fmt: skip
MUCH_SYSTEM = 0.5
MUCH_SECONDS = 0.1  # below, a clock of the system is too coarse for a share
VALUES = ("latency", "memory")
METHOD = (
    "latency: median of the repeats after one pass of warm-up; memory: growth of the peak"
    " during a pass in a process of its own, without the module and its input;"
    " forward: evaluation mode, no gradients; growth: exponent of latency over length, fitted"
    " over all lengths from 1000 frames (1 is linear, 2 quadratic)"
)


def rows(document: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Return the columns and one row a kind and length, formatted for people."""
    found: dict[tuple[str, float, int], dict[str, Mapping[str, Any]]] = {}
    for p in document["points"]:
        found.setdefault((p["kind"], p["seconds"], p["frames"]), {})[p["phase"]] = p
    lines = []
    for (kind, seconds, frames), phases in found.items():
        cells = [_cell(phases.get(phase), value) for value in VALUES for phase in PHASES]
        lines.append([kind, f"{seconds:g}", str(frames), *cells])
    return COLUMNS, lines


def _cell(p: Mapping[str, Any] | None, value: str) -> str:
    if p is None:
        return "-"
    if p["status"] != "measured":
        return str(p["status"]) if value == "latency" else "-"
    if p[value] is None:
        return "unknown"
    return f"{1e3 * p[value]:#.4g}" if value == "latency" else f"{p[value] / 1e6:.1f}"


def growth_rows(document: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Return the columns and one row a kind: its exponents, over which lengths."""
    columns, lines = ["kind"], []
    for phase in PHASES:
        columns += [f"growth {phase}", "over frames"]
    for g in document["growth"]:
        row = [g["kind"]]
        for phase in PHASES:
            slope = g[phase]
            row += (
                [f"{slope['exponent']:.2f}", "{} to {}".format(*slope["frames"])]
                if slope
                else ["-", "-"]
            )
        lines.append(row)
    return columns, lines


def stops(document: Mapping[str, Any]) -> list[str]:
    """Say where a kind stopped and why."""
    lines = []
    for p in document["points"]:
        if p["status"] in ("measured", "skipped"):
            continue
        text = f"{p['kind']}: {p['phase']} {p['status']} at {p['frames']} frames ({p['detail']})"
        longer = any(
            q["kind"] == p["kind"] and q["status"] == "skipped" and q["frames"] > p["frames"]
            for q in document["points"]
        )
        lines.append(f"{text}; longer lengths skipped" if longer else text)
    return lines


def notes(document: Mapping[str, Any]) -> list[str]:
    """Say which latencies are the allocator's rather than the mechanism's."""
    if document["settings"]["device"] != "cpu":
        return []
    found = [
        f"{p['kind']} {p['phase']} at {p['frames']} frames ({100 * p['system']:.0f} %)"
        for p in document["points"]
        if p["latency"] and p["latency"] > MUCH_SECONDS and (p["system"] or 0) > MUCH_SYSTEM
    ]
    if not found:
        return []
    return [
        "most of the processor time went to the system, which takes back memory between"
        f" operations: {', '.join(found)}"
    ]


def machine(document: Mapping[str, Any]) -> str:
    """Say on what, with what and how it was measured."""
    s, e = document["settings"], document["environment"]
    measured = [p for p in document["points"] if p["status"] == "measured"]

    def used(name: str) -> str:
        return ", ".join(dict.fromkeys(p[name] for p in measured if p[name])) or "none"

    malloc = [f"{k}={v}" for k, v in sorted(e["malloc"].items())]
    device = used("device") if s["device"] == "cuda" else e["machine"]["processor"]
    return "; ".join(
        [
            f"{device} ({s['device']})",
            f"torch {e['versions'].get('torch')}",
            f"{s['threads']} of {e['machine']['cores']} threads",
            f"back end: {used('backend')}",
            f"memory by {used('gauge')}",
            f"width {s['width']}, heads {s['heads']}, batch {s['batch']},"
            f" {'causal' if s['causal'] else 'bidirectional'}, {s['repeats']} repeats",
            *malloc,
        ]
    )


def bare(document: Mapping[str, Any]) -> list[str]:
    """Return the rows without formatting: values with tabs between them."""
    return ["\t".join(row) for row in rows(document)[1]]
