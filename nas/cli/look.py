"""``nas runs``, ``nas show``: what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.fold_options import warn
from nas.cli.output import Out, heading, shown, with_output
from nas.folding import described

if TYPE_CHECKING:
    from nas.evaluation import Evaluation
    from nas.study import Study


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

    if folder is not None and not folder.is_dir():
        raise NasError(
            "there is no such folder",
            where=str(folder),
            hint="give the folder that holds the runs",
        )
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
@click.argument("hash", metavar="HASH")
@with_output
def show(run: Path, hash: str, out: Out) -> None:
    """Show one architecture: its parameters, metrics and operations per layer.

    HASH is the start of an architecture's hash, or "knee".

    Example: nas show runs/pts_snn-2026-11-21-1 3fa9
    """
    import yaml

    from nas.measurements import part_of
    from nas.study import Study

    study = Study.open(run)
    e = named(study, hash)

    def human() -> None:
        out.line(f"{e.architecture.hash} of {study.folder}")
        out.line(yaml.safe_dump(e.architecture.as_dict(), sort_keys=False).rstrip())
        if not e.ok:
            out.line(f"\nfailed after {e.seconds:.1f} s:\n{e.error}")
            return
        out.line("")
        if part := part_of(e, study.config.evaluator):
            out.line(f"measured by {part} only")
        for name, value in e.metrics.items():
            if isinstance(value, int | float | str):
                out.line(f"{heading(name)}: {shown(name, value)}")
        for name, spread in e.metrics.get("sd", {}).items():
            out.line(f"s.d. of {heading(name)} between the measurements: {shown(name, spread)}")
        for name, amount in e.violations.items():
            so_far = f" in {part}" if part else ""
            out.line(f"outside the constraint on {name} by {amount:g}{so_far}")
        _print_confusion(e, out)
        _print_layers(e, out)
        _print_energy(study, e, out)
        warn(out, study.config.evaluator)

    document = {**evaluation_document(e), **described(study.config.evaluator)}
    out.result(document, human, lambda: [e.architecture.hash])


def named(study: Study, name: str) -> Evaluation:
    """Return an evaluation by ``knee`` or the start of its hash.

    Raises:
        NasError: None or several match, or there is no knee.
    """
    from search_spaces.errors import NasError

    if name != "knee":
        return study.find(name)
    knee = study.knee()
    if knee is None:
        raise NasError(
            "the front of this run is empty, so it has no knee",
            where=str(study.folder),
            hint="no full evaluation succeeded within the constraints; a hash shows any other",
        )
    return knee


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


def _print_confusion(e: Evaluation, out: Out) -> None:
    classes, confusion = e.metrics.get("classes"), e.metrics.get("confusion")
    if classes and confusion:
        out.line("\nconfusion (true class by row)")
        names = [str(c) for c in classes]
        rows = [[c, *row] for c, row in zip(names, confusion, strict=True)]
        out.table(["", *names], rows)


def _print_layers(e: Evaluation, out: Out) -> None:
    layers = e.metrics.get("layers")
    if not isinstance(layers, list) or not layers:
        return
    out.line("\noperations per sample")
    rows = [
        [
            row["layer"],
            row.get("kind", ""),
            f"{row['macs']:,.0f}" if "macs" in row else "",
            f"{row['acs']:,.0f}" if "acs" in row else "",
            f"{row.get('compares', 0.0):,.0f}",
            f"{row['spikes']:,.1f}" if row.get("neuron_steps") and "spikes" in row else "",
            f"{100 * row['rate']:.1f}" if row.get("rate") is not None else "",
            f"{row['parameters']:,}" if "parameters" in row else "",
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
    from nas.energy_report import absent, family_values, report
    from nas.repricing import run_profile

    profile = run_profile(study)
    found = report(e.metrics, [profile], values=family_values(study.space, e.architecture))
    out.line("")
    if found.lacking:
        out.line(f"no comparisons of its energy: {absent(found.lacking[profile.name])}")
        for line in found.warnings:
            out.line(f"warning: {line}")
        return
    print_report(found, out)
    out.line(f"other profiles: nas energy {study.folder} {e.architecture.hash}")
