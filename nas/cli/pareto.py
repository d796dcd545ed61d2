"""``nas pareto``: the front of a run as a table, a plot in characters, CSV or JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.fold_options import warn
from nas.cli.output import Out, heading, shown, with_output
from nas.folding import described

if TYPE_CHECKING:
    from nas.evaluation import Evaluation
    from nas.study import Study

EXTRA_COLUMNS = ("macro_f1", "parameters", "spikes", "spike_rate", "latency", "latency_steps")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only those with NAME OPERATOR VALUE, in the units of the record (J, shares of one).",
)
@click.option("--sort", metavar="NAME", help="In order of this value.  [default: first objective]")
@click.option("--descending", is_flag=True, help="Largest first, with --sort.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write a CSV.")
@click.option("--axes", metavar="X,Y", help="Objectives of the plot.")
@click.option("--plot/--no-plot", default=None, help="[default: plot on a terminal]")
@with_output
def pareto(
    run: Path,
    where: tuple[str, ...],
    sort: str | None,
    descending: bool,
    csv_file: Path | None,
    axes: str | None,
    plot: bool | None,
    out: Out,
) -> None:
    """Show the front of a run; the knee is marked.

    Objectives, parameters and metrics have names in conditions. --where picks members of the
    front; it makes no new front of those that are left. What has no such value (a parameter
    that is off) is left out.

    \b
    Examples:
      nas pareto runs/pts_snn-2026-11-21-1
      nas pareto RUN --where "energy<0.1e-3,ua>=0.6" --where neuron.type=ttfs
      nas pareto RUN --sort energy --descending --csv front.csv
      nas pareto RUN --json | jq '.front[0].architecture'
    """  # noqa: D301
    from nas.study import Study
    from search_spaces.errors import NasError

    study = Study.open(run)
    if descending and sort is None:
        raise NasError("--descending needs --sort", hint="such as --sort energy --descending")
    pair = _pair(study, axes)
    members = _picked(study, where, sort, descending)
    document = front_document(study, members)
    if csv_file is not None:
        _write_csv(document, csv_file)

    def human() -> None:
        print_front(study, out, members)
        if plot or (plot is None and sys.stdout.isatty()):
            for line in _plot(study, members, pair):
                out.line(line)

    out.result(document, human, lambda: [m["hash"] for m in document["front"]])


def front_document(study: Study, members: Sequence[Evaluation] | None = None) -> dict[str, Any]:
    """Return the front of a run, or some of its members, as plain data."""
    knee = study.knee()
    return {
        "run": str(study.folder),
        **described(study.config.evaluator),
        "objectives": dict(study.space.objectives),
        "front": [
            {
                "hash": e.architecture.hash,
                "architecture": e.architecture.as_dict(),
                "objectives": dict(e.objectives),
                "metrics": dict(e.metrics),
                "knee": knee is not None and e.number == knee.number,
            }
            for e in (study.front() if members is None else members)
        ],
    }


def print_front(study: Study, out: Out, members: Sequence[Evaluation] | None = None) -> None:
    """Print the front, or some of its members, for people."""
    front, knee = study.front(), study.knee()
    drawn = front if members is None else members
    extra = [n for n in EXTRA_COLUMNS if drawn and n in drawn[0].metrics]
    extra = [n for n in extra if n not in study.space.objectives]
    names = [*study.space.objectives, *extra]
    if any("measurements" in e.metrics for e in drawn):
        names.append("measurements")
    rows = []
    for e in drawn:
        known = {"measurements": 1, **e.metrics, **e.objectives}
        values = [shown(n, known.get(n)) for n in names]
        rows.append(
            [e.architecture.hash, *values, "knee" if knee and e.number == knee.number else ""]
        )
    out.table(["hash", *map(heading, names), ""], rows)
    failed = sum(not e.ok for e in study.evaluations)
    full = {e.architecture.hash for e in study.evaluations if e.fidelity >= 1.0}
    looks = len({e.architecture.hash for e in study.evaluations} - full)
    profile = front[0].metrics.get("energy_profile") if front else None
    parts = [
        f"{len(drawn)} shown" if len(drawn) < len(front) else "",
        f"{len(front)} on the front of {len(full)} evaluated",
        f"{looks} others had a first look" if looks else "",
        f"{study.spent:g} of {study.config.budget} units spent",
        f"{failed} failed" if failed else "",
        f"energy: head only, {profile}" if profile else "",
        _measured_on(study.config.evaluator),
    ]
    out.line("; ".join(p for p in parts if p))
    warn(out, study.config.evaluator)


def _measured_on(evaluator: Mapping[str, Any]) -> str:
    if evaluator.get("kind") != "corpus":
        return ""
    split = described(evaluator)
    what = "utterances" if split["speaker_dependent"] else "speakers"
    return f"validation {what}, {split['protocol']}"


def _picked(
    study: Study, where: Sequence[str], sort: str | None, descending: bool
) -> list[Evaluation]:
    from nas.cli.where import check_name, conditions, names_in, ordered

    members = study.front()
    if not where and sort is None:
        return members
    names = names_in(study.evaluations, study.space.objectives)
    names = list(dict.fromkeys([*names, *(p.name for p in study.space.parameters)]))
    wanted = conditions(where, names)
    members = [e for e in members if all(c.holds(e) for c in wanted)]
    if sort is not None:
        check_name(sort, names, "--sort")
        members = ordered(members, sort, descending)
    return members


def _pair(study: Study, axes: str | None) -> tuple[str, str] | None:
    """The objectives of the plot: by default the first to minimise and the first to maximise."""
    from search_spaces.errors import NasError, nearest

    objectives = study.space.objectives
    if axes is None:
        low = [n for n, d in objectives.items() if d == "minimize"]
        high = [n for n, d in objectives.items() if d == "maximize"]
        order = [*low[:1], *high[:1]] if low and high else list(objectives)[:2]
        return (order[0], order[1]) if len(order) == 2 else None
    given = [part.strip() for part in axes.split(",")]
    for name in given:
        if name not in objectives:
            raise NasError(
                f"no objective {name!r}", where="--axes", hint=nearest(name, objectives)
            )
    if len(given) != 2 or given[0] == given[1]:
        raise NasError("a plot has two axes", where="--axes", hint="such as --axes energy,ua")
    return given[0], given[1]


def _plot(study: Study, members: Sequence[Evaluation], pair: tuple[str, str] | None) -> list[str]:
    from nas.cli.scatter import Series, scatter
    from nas.report.units import factor

    if pair is None:
        return []
    kept, front = {e.number for e in members}, {e.number for e in study.front()}
    knee = study.knee()

    def points(chosen: Sequence[Evaluation]) -> list[tuple[float, float]]:
        x, y = pair
        return [(factor(x) * e.objectives[x], factor(y) * e.objectives[y]) for e in chosen]

    able = [e for e in study.archive().full if e.feasible]
    dropped = [e for e in able if e.number in front - kept]
    series = [
        Series(".", "evaluated", points([e for e in able if e.number not in front])),
        Series("-", "front, not shown", points(dropped)),
        Series("o", "front", points([e for e in able if e.number in kept])),
        Series("K", "knee", points([knee] if knee is not None and knee.number in kept else [])),
    ]
    return scatter(series, heading(pair[0]), heading(pair[1]))


def _write_csv(document: dict[str, Any], path: Path) -> None:
    """Write one row per front member: hash, objectives, numbers, parameters, knee, split."""
    from search_spaces.errors import NasError

    rows = []
    split = {k: document[k] for k in ("protocol", "speaker_dependent") if k in document}
    for m in document["front"]:
        metrics = {
            k: v
            for k, v in m["metrics"].items()
            if isinstance(v, int | float | str) and k not in m["objectives"]
        }
        row = {"hash": m["hash"], **m["objectives"], **metrics, **m["architecture"]}
        rows.append({**row, "knee": m["knee"], **split})
    names = list(dict.fromkeys(k for r in rows for k in r)) or ["hash"]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise NasError(f"cannot write the CSV: {error.strerror}", where=str(path)) from None
