"""``nas runs``, ``nas pareto``, ``nas show``: what came out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
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
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@with_output
def runs(folder: Path | None, out: Out) -> None:
    """List the runs under FOLDER (by default NAS_RUNS, else runs/).

    Example: nas runs
    """
    from nas.runs import list_runs
    from nas.study import Study
    from search_spaces.errors import NasError

    rows: list[dict[str, Any]] = []
    for path in list_runs(folder):
        try:
            study = Study.open(path)
        except NasError as error:
            rows.append({"run": str(path), "problem": error.what})
            continue
        rows.append(
            {
                "run": str(path),
                "space": study.space.name,
                "searcher": study.config.searcher,
                "seed": study.config.seed,
                "spent": study.spent,
                "budget": study.config.budget,
                "failed": sum(not e.ok for e in study.evaluations),
                "front": len(study.front()),
                "started": study.config.created.get("date"),
            }
        )

    def human() -> None:
        good = [r for r in rows if "problem" not in r]
        if good:
            out.table(list(good[0]), [list(r.values()) for r in good])
        for r in rows:
            if "problem" in r:
                out.line(f"{r['run']}: {r['problem']}")
        if not rows:
            out.line("no runs yet; start one: nas search --space pts_snn.yaml --budget 200")

    out.result(rows, human, lambda: [r["run"] for r in rows])


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write a CSV.")
@with_output
def pareto(run: Path, csv_file: Path | None, out: Out) -> None:
    """Show the front of a run; the knee is marked.

    \b
    Examples:
      nas pareto runs/pts_snn-2026-11-21-1
      nas pareto RUN --csv front.csv
      nas pareto RUN --json | jq '.front[0].architecture'
    """  # noqa: D301
    from nas.study import Study

    study = Study.open(run)
    document = front_document(study)
    if csv_file is not None:
        _write_csv(document, csv_file)
    out.result(
        document, lambda: print_front(study, out), lambda: [m["hash"] for m in document["front"]]
    )


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("hash", metavar="HASH")
@with_output
def show(run: Path, hash: str, out: Out) -> None:
    """Show one architecture: its parameters, metrics and operations per layer.

    HASH is the start of an architecture's hash, or "knee".

    Example: nas show runs/pts_snn-2026-11-21-1 3fa9
    """
    import yaml

    from nas.study import Study

    study = Study.open(run)
    knee = study.knee() if hash == "knee" else None
    e = knee or study.find(hash)

    def human() -> None:
        out.line(f"{e.architecture.hash} of {study.folder}")
        out.line(yaml.safe_dump(e.architecture.as_dict(), sort_keys=False).rstrip())
        if not e.ok:
            out.line(f"\nfailed after {e.seconds:.1f} s:\n{e.error}")
            return
        out.line("")
        for name, value in e.metrics.items():
            if isinstance(value, int | float | str):
                out.line(f"{heading(name)}: {shown(name, value)}")
        for name, spread in e.metrics.get("sd", {}).items():
            out.line(f"s.d. of {heading(name)} between the measurements: {shown(name, spread)}")
        for name, amount in e.violations.items():
            out.line(f"outside the constraint on {name} by {amount:g}")
        _print_confusion(e, out)
        _print_layers(e, out)
        _print_energy(study, e, out)
        warn(out, study.config.evaluator)

    document = {**evaluation_document(e), **described(study.config.evaluator)}
    out.result(document, human, lambda: [e.architecture.hash])


def evaluation_document(e: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain data."""
    return {
        "hash": e.architecture.hash,
        "architecture": e.architecture.as_dict(),
        "objectives": dict(e.objectives),
        "metrics": dict(e.metrics),
        "fidelity": e.fidelity,
        "seed": e.seed,
        "feasible": e.feasible,
        "error": e.error,
        "seconds": e.seconds,
    }


def front_document(study: Study) -> dict[str, Any]:
    """Return the front of a run as plain data."""
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
            for e in study.front()
        ],
    }


def print_front(study: Study, out: Out) -> None:
    """Print the front for people."""
    members, knee = study.front(), study.knee()
    extra = [n for n in EXTRA_COLUMNS if members and n in members[0].metrics]
    extra = [n for n in extra if n not in study.space.objectives]
    names = [*study.space.objectives, *extra]
    if any("measurements" in e.metrics for e in members):
        names.append("measurements")
    rows = []
    for e in members:
        known = {"measurements": 1, **e.metrics, **e.objectives}
        values = [shown(n, known.get(n)) for n in names]
        rows.append(
            [e.architecture.hash, *values, "knee" if knee and e.number == knee.number else ""]
        )
    out.table(["hash", *map(heading, names), ""], rows)
    failed = sum(not e.ok for e in study.evaluations)
    profile = members[0].metrics.get("energy_profile") if members else None
    parts = [
        f"{len(members)} on the front of {len(study.evaluations)} evaluated",
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


def _print_confusion(e: Evaluation, out: Out) -> None:
    classes, confusion = e.metrics.get("classes"), e.metrics.get("confusion")
    if classes and confusion:
        out.line("\nconfusion (true class by row)")
        rows = [[c, *row] for c, row in zip(classes, confusion, strict=True)]
        out.table(["", *classes], rows)


def _print_layers(e: Evaluation, out: Out) -> None:
    layers = e.metrics.get("layers")
    if not isinstance(layers, list) or not layers:
        return
    out.line("\noperations per sample")
    rows = [
        [
            row["layer"],
            row["kind"],
            f"{row['macs']:,.0f}",
            f"{row['acs']:,.0f}",
            f"{row.get('compares', 0.0):,.0f}",
            f"{row['spikes']:,.1f}" if row["neuron_steps"] else "",
            f"{100 * row['rate']:.1f}" if row.get("rate") is not None else "",
            f"{row['parameters']:,}",
            "digital" if row.get("digital") else "",
        ]
        for row in layers
    ]
    names = ["layer", "kind", "macs", "acs", "compares", "spikes", "rate %", "parameters", ""]
    out.table(names, rows)


def _print_energy(study: Study, e: Evaluation, out: Out) -> None:
    """Print what the energy has to be compared with, under the run's own profile."""
    if not e.metrics.get("layers"):
        return
    from nas.cli.energy_tables import print_report
    from nas.energy_report import absent, report
    from nas.repricing import run_profile

    profile = run_profile(study)
    found = report(e.metrics, [profile], family=study.space.family, architecture=e.architecture)
    out.line("")
    if found.lacking:
        out.line(f"no comparisons of its energy: {absent(found.lacking[profile.name])}")
        for line in found.warnings:
            out.line(f"warning: {line}")
        return
    print_report(found, out)
    out.line(f"other profiles: nas energy {study.folder} {e.architecture.hash}")


def _write_csv(document: dict[str, Any], path: Path) -> None:
    """Write one row per front member: hash, objectives, metrics, parameters, knee, split."""
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
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
