"""``nas report``: one page about one run, or about several side by side."""

from __future__ import annotations

from pathlib import Path

import click

from nas.cli.output import Out, with_output

FILE = "report.html"


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", "path", type=click.Path(path_type=Path), help=f"The page.  [default: RUN/{FILE}]"
)
@click.option("--show", multiple=True, metavar="HASH", help="Look into this architecture too.")
@click.option(
    "--figures", type=click.Path(path_type=Path), metavar="DIR", help="Also PNG and SVG of each."
)
@with_output
def report(
    runs: tuple[Path, ...],
    path: Path | None,
    show: tuple[str, ...],
    figures: Path | None,
    out: Out,
) -> None:
    """Write one HTML page about a run that opens without a network.

    Front, hypervolume, the space and which parameters decide, trust in the guides, layers and
    confusion of chosen architectures, test figures, cost, and how to run it again. Of several
    runs it compares what they found; runs that differ in nothing but the seed also give
    attainment surfaces.

    \b
    Examples:
      nas report runs/pts_snn-2026-11-21-1
      nas report RUN --show 3fa9 --figures figures/
      nas report runs/seed-0 runs/seed-1 runs/seed-2 --out seeds.html
    """  # noqa: D301
    from nas.report import build, read_runs
    from nas.report.images import check_images, write_images
    from nas.report.page import render, write_page
    from search_spaces.errors import NasError

    if figures is not None:
        check_images()
    if path is None and len(runs) > 1:
        raise NasError("several runs have no folder in common", hint="give --out report.html")
    target = path if path is not None else runs[0] / FILE
    if not target.absolute().parent.is_dir() and path is not None:
        raise NasError("the folder of the page is not there", where=str(target.parent))
    found = read_runs(runs)
    sections = build(found, show)
    title = "Report of " + ", ".join(r.label for r in found)
    write_page(target, render(title, sections))
    images = []
    if figures is not None:
        out.say("drawing the figures")
        images = write_images(sections, figures)
    panels = [p for s in sections for p in s.panels]
    document = {
        "report": str(target),
        "runs": [str(r) for r in runs],
        "figures": [
            {"key": p.key, "title": p.title, "missing": p.missing or None} for p in panels
        ],
        "images": [str(p) for p in images],
    }

    def human() -> None:
        drawn = sum(p.figure is not None for p in panels)
        out.line(f"{target}: {drawn} figures")
        if figures is not None:
            out.line(f"{figures}: {len(images)} images")

    out.result(document, human, lambda: [str(target), *map(str, images)])
