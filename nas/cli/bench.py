"""``nas bench``: how fast and how large the parts are, on this machine."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.bench_report import METHOD, bare, growth_rows, machine, notes, rows, stops
from nas.cli.output import Out, finite, with_output
from nas.out_folder import refuse_existing, writing
from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from nas.bench import Point, Setting

SECONDS = "10,25,50,100,200,400"
POSITIVE = click.FloatRange(min=0, min_open=True)


@click.group()
def bench() -> None:
    """Measure the parts on this machine."""


@bench.command(
    epilog="""\b
Examples:
  nas bench attention
  nas bench attention --seconds 10,50 --kinds softmax,gsa --causal
  nas bench attention --device cuda --out bench/""",
)
@click.option("--seconds", default=SECONDS, show_default=True, help="Lengths of speech.")
@click.option("--frame-rate", default=50.0, show_default=True, type=POSITIVE, help="Per second.")
@click.option("--width", default=256, show_default=True, type=click.IntRange(1), help="Channels.")
@click.option("--heads", default=4, show_default=True, type=click.IntRange(1))
@click.option("--batch", default=1, show_default=True, type=click.IntRange(1))
@click.option("--kinds", default="all", show_default=True, help='Kinds with commas, or "all".')
@click.option("--causal/--bidirectional", default=False, help="[default: bidirectional]")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="auto: cuda where there is one.",
)
@click.option(
    "--limit-seconds",
    default=60.0,
    show_default=True,
    type=POSITIVE,
    help="Of a single pass; a kind that takes longer is not tried on longer lengths.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    help="New folder for attention.json and attention.html.",
)
@with_output
def attention(
    seconds: str,
    frame_rate: float,
    kinds: str,
    device: str,
    limit_seconds: float,
    folder: Path | None,
    out: Out,
    **settings: Any,
) -> None:
    """Measure latency and peak memory of attention against sequence length.

    Every point is measured in a process of its own, forward alone (as in inference) and
    forward with backward (as in training). A point that is too slow or runs out of memory is
    recorded as that. Ctrl-C prints and writes what was measured so far.
    """
    from nas.bench import Setting, measure

    _finite("--frame-rate", frame_rate)
    _finite("--limit-seconds", limit_seconds)
    lengths = _lengths(seconds, frame_rate)
    _check_heads(settings["width"], settings["heads"])
    names = _kinds(kinds)
    setting = Setting(device=_device(device), limit=limit_seconds, **settings)
    if folder is not None:
        _make(folder)
    points: list[Point] = []
    interrupted = False
    try:
        for point in measure(names, lengths, setting, out.say):
            points.append(point)
    except KeyboardInterrupt:
        interrupted = True
        out.say("interrupted; what was measured so far:")
    document = _document(setting, frame_rate, points, interrupted)
    out.result(document, lambda: _print(document, out), lambda: bare(document))
    if folder is not None:
        _write(document, folder)
        out.say(f"written: {folder / 'attention.json'}, {folder / 'attention.html'}")
    if interrupted:
        raise click.exceptions.Exit(130)
    if not any(p.status == "measured" for p in points):
        out.say("nothing could be measured")
        raise click.exceptions.Exit(1)


def _finite(option: str, value: float) -> None:
    if not math.isfinite(value):
        raise NasError(f"{option} must be a finite number, got {value:g}")


def _make(folder: Path) -> None:
    """Make the output folder before hours are spent on what goes there."""
    refuse_existing(folder)
    with writing(folder):
        folder.mkdir(parents=True)


def _lengths(text: str, frame_rate: float) -> list[tuple[float, int]]:
    """Read ``--seconds``: ``(seconds, frames)``, growing, no length twice."""
    frames: dict[int, float] = {}
    for part in text.split(","):
        try:
            seconds = float(part)
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds > 0):
            raise NasError(
                f"--seconds: {part.strip()!r} is not a length",
                hint=f"positive numbers with commas, for example {SECONDS}",
            )
        count = round(seconds * frame_rate)
        if count < 1:
            raise NasError(
                f"--seconds: {seconds:g} s is less than a frame at {frame_rate:g} frames/s",
                hint="choose longer lengths or a higher --frame-rate",
            )
        frames.setdefault(count, seconds)
    return [(seconds, count) for count, seconds in sorted(frames.items())]


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        divisors = [n for n in range(1, width + 1) if width % n == 0]
        fitting = min(divisors, key=lambda n: abs(n - heads))
        raise NasError(
            f"--width {width} is not divisible by --heads {heads}", hint=f"try --heads {fitting}"
        )


def _kinds(text: str) -> list[str]:
    from search_spaces.attention import KINDS

    if text.strip() == "all":
        return list(KINDS)
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in KINDS:
            raise NasError(
                f"--kinds: no attention is called {name!r}", hint=nearest(name, [*KINDS, "all"])
            )
    return names


def _device(name: str) -> str:
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise NasError("there is no CUDA device", hint="use --device cpu")
    return "cpu"


def _document(
    setting: Setting, frame_rate: float, points: Sequence[Point], interrupted: bool
) -> dict[str, Any]:
    """Everything as plain data; seconds and bytes."""
    from nas.bench import growth
    from nas.run_config import describe_environment

    return {
        "settings": {"frame_rate": frame_rate, **asdict(setting)},
        "environment": {
            **describe_environment(),
            "malloc": {k: v for k, v in os.environ.items() if k.startswith("MALLOC_")},
        },
        "interrupted": interrupted,
        "points": [asdict(p) for p in points],
        "growth": growth(points),
    }


def _print(document: Mapping[str, Any], out: Out) -> None:
    out.table(*rows(document))
    out.line()
    out.table(*growth_rows(document))
    out.line()
    for text in [*stops(document), *notes(document), machine(document), METHOD]:
        out.line(text)


def _write(document: Mapping[str, Any], folder: Path) -> None:
    from nas.report.attention import attention_figure
    from nas.report.page import render, write_page
    from nas.report.panel import Panel, Section, Table

    parts: list[Panel | Table] = [
        Panel("attention", "Latency and memory", figure=attention_figure(document["points"])),
        Table(*growth_rows(document), title="Growth with length"),
        Table(*rows(document), title="All figures"),
    ]
    page = render(
        "Attention: latency and memory against length",
        [Section("figures", "Figures", parts)],
        [machine(document), METHOD, *stops(document), *notes(document)],
    )
    text = json.dumps(finite(document), indent=2, ensure_ascii=False)
    (folder / "attention.json").write_text(text + "\n", encoding="utf-8")
    write_page(folder / "attention.html", page)
