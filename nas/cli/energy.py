"""``nas energy``: a run or an export under other cost models, without training anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.output import Out, millijoules, shown, with_output

if TYPE_CHECKING:
    from eval.energy.profile import Profile


@click.command()
@click.argument("source", metavar="[RUN|DIR]", required=False, type=click.Path(path_type=Path))
@click.argument("hash", metavar="[HASH]", required=False)
@click.option(
    "--profiles",
    default="all",
    show_default=True,
    metavar="NAMES",
    help="all (with that of the search), or names and YAML files with commas between.",
)
@click.option("--layers", is_flag=True, help="One architecture, layer by layer.")
@click.option("--list", "listed", is_flag=True, help="The profiles: sources, what they exclude.")
@with_output
def energy(
    source: Path | None, hash: str | None, profiles: str, layers: bool, listed: bool, out: Out
) -> None:
    """Price a finished run or an exported folder under other cost models.

    RUN alone: the front under every profile, what moves, and who stays on it. With HASH (its
    start, or "knee") or for an exported DIR: one architecture beside its ReLU twin, a
    quantised network, and itself with the encoder.

    \b
    Examples:
      nas energy runs/pts_snn-2026-11-21-1
      nas energy RUN --profiles 45nm_int8,loihi,mine.yaml --json
      nas energy RUN knee --layers --profiles loihi
      nas energy best/
      nas energy --list
    """  # noqa: D301
    from nas.energy_report import choose_profiles
    from search_spaces.errors import NasError

    chosen = choose_profiles(profiles)
    if listed:
        _list(chosen, out)
        return
    if source is None:
        raise NasError(
            "which run or folder?", hint="nas runs lists them; nas energy --list the profiles"
        )
    exported = (source / "config.json").is_file()
    if exported and hash is not None:
        raise NasError("an exported folder holds one architecture; leave the hash out")
    if not exported and hash is None:
        if layers:
            raise NasError(
                "layer by layer is for one architecture", hint=f"nas energy {source} knee --layers"
            )
        _run(source, chosen, out)
        return
    _one(source, hash, chosen, profiles == "all", layers, out)


def _list(profiles: Sequence[Profile], out: Out) -> None:
    def human() -> None:
        for p in profiles:
            out.line(f"{p.name}: {p.title} ({p.node}, {p.precision})")
            for name, price in p.prices.items():
                out.line(f"  {name} {1e12 * price.joules:g} pJ: {price.source}")
            if p.memory is not None:
                out.line(f"  memory accesses: {p.memory.source}")
            if p.host is not None:
                out.line(f"  host: {p.host.name}, for what has no price here")
            for name, why in p.unpriced.items():
                out.line(f"  {name} unpriced: {why}")
            for line in p.disputed:
                out.line(f"  sources differ: {line}")
            for line in p.excludes:
                out.line(f"  left out: {line}")

    data = [
        {
            "name": p.name,
            "title": p.title,
            "node": p.node,
            "precision": p.precision,
            "source": p.source,
            "prices": {
                n: {"joules": x.joules, "source": x.source, "also": [list(a) for a in x.also]}
                for n, x in p.prices.items()
            },
            "host": p.host.name if p.host is not None else None,
            "unpriced": dict(p.unpriced),
            "disputed": list(p.disputed),
            "excludes": list(p.excludes),
        }
        for p in profiles
    ]
    out.result(data, human, lambda: [p.name for p in profiles])


def _run(folder: Path, profiles: Sequence[Profile], out: Out) -> None:
    from nas.repricing import reprice_run, run_profile, summary
    from nas.study import Study

    study = Study.open(folder)
    ordered = _own_first(run_profile(study), profiles, folder)
    document = summary(study, reprice_run(study, ordered))
    out.result(
        document,
        lambda: _print_run(document, out),
        lambda: [m["hash"] for m in document["members"] if m["every"]],
    )


def _own_first(own: Profile, profiles: Sequence[Profile], where: Path) -> list[Profile]:
    """Put the profile that something was searched with in front of the others."""
    from search_spaces.errors import NasError

    if any(p.name == own.name and p != own for p in profiles):
        raise NasError(
            f"the run was searched with another profile named {own.name!r}",
            where=str(where),
            hint="give yours another name in its file",
        )
    return [own, *(p for p in profiles if p.name != own.name)]


def _print_run(document: Mapping[str, Any], out: Out) -> None:
    names = list(document["profiles"])
    if not document["members"]:
        out.line("nothing is on the front under any profile")
        return
    others = [n for n in document["members"][0] if n not in ("hash", "energy", "front", "every")]
    rows = []
    for m in document["members"]:
        cells = [shown(n, m[n]) for n in others]
        for name in names:
            value = m["energy"][name]
            mark = "*" if name in m["front"] else ""
            cells.append("-" if value is None else f"{millijoules(value)}{mark}")
        rows.append([m["hash"], *cells, "every" if m["every"] else ""])
    out.table(["hash", *others, *(f"{n} mJ" for n in names), "front"], rows)
    out.line("* on the front under that profile; every: under all of them")
    reference = document["reference"]
    for name, p in document["profiles"].items():
        if name != reference:
            tau = p["kendall_tau"][reference]
            moved = ", ".join(f"{m['hash']} {m['from']}->{m['to']}" for m in p["moved"])
            agreed = "-" if tau is None else f"{tau:.3f}"
            out.line(f"{name}: tau {agreed} with {reference}; moved: {moved or 'none'}")
        if p["not_priced"]:
            out.line(
                f"{name}: {p['not_priced']} evaluations not priced, their records lack"
                f" {', '.join(p['lacking'])}"
            )
        for line in p["disputed"]:
            out.line(f"{name}, sources differ: {line}")


def _one(
    source: Path,
    hash: str | None,
    profiles: Sequence[Profile],
    every: bool,
    layers: bool,
    out: Out,
) -> None:
    from nas.cli.energy_tables import layer_rows, print_layers, print_report
    from nas.energy_report import absent, report
    from search_spaces.errors import NasError

    metrics, name, own, network = _recorded(source, hash)
    if every and own is not None and own not in profiles:  # that of the search is one of all
        profiles = _own_first(own, profiles, source)
    found = report(metrics, profiles, **network)
    if not found.comparisons:
        lacking = next(iter(found.lacking.values()))
        raise NasError(f"{name} cannot be priced: {absent(lacking)}", where=str(source))
    document: dict[str, Any] = {"hash": name, **found.as_dict()}
    if layers:
        document["layers"] = layer_rows(metrics["layers"], profiles)

    def human() -> None:
        out.line(f"{name}")
        print_report(found, out)
        if layers:
            print_layers(document["layers"], list(found.comparisons), out)

    values = [f"{n} {c.energy!r}" for n, c in found.comparisons.items()]
    out.result(document, human, lambda: values)


def _recorded(
    source: Path, hash: str | None
) -> tuple[Mapping[str, Any], str, Profile | None, dict[str, Any]]:
    """Return what was measured, a name, the profile of the search and what network it was."""
    from eval.energy.profile import load_profile
    from nas.cli.look import named
    from nas.energy_report import family_values, times_held
    from nas.export import read_folder
    from nas.repricing import run_profile
    from nas.study import Study
    from search_spaces.errors import NasError

    if hash is None:
        model = read_folder(source)
        try:
            metrics = json.loads((source / "metrics.json").read_text(encoding="utf-8"))
            if not isinstance(metrics, dict):
                raise ValueError("no object")
        except (OSError, ValueError) as error:
            raise NasError(f"cannot read the figures: {error}", where=str(source)) from None
        values = model.config.get("values")
        values = values if isinstance(values, dict) else None
        told = {"values": values, "times_held": times_held(model.config)}
        spec = model.config.get("profile")
        own = load_profile(spec) if spec is not None else None
        return metrics, model.architecture.hash, own, told
    study = Study.open(source)
    e = named(study, hash)
    if not e.ok:
        raise NasError(f"{e.architecture.hash} failed; it has no energy", where=str(source))
    values = family_values(study.space, e.architecture)
    return e.metrics, e.architecture.hash, run_profile(study), {"values": values}
