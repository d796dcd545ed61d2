"""``nas export``: from a front to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.cli.output import Out, percent, with_output


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--best", metavar="WHICH", help="knee, or an objective's name.  [default: knee]")
@click.option("--trial", metavar="HASH", help="Start of an architecture's hash.")
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Load it again and reproduce its figures.")
@with_output
def export(
    run: Path, best: str | None, trial: str | None, folder: Path, verify: bool, out: Out
) -> None:
    """Write one architecture of a run as a folder.

    \b
    Examples:
      nas export runs/pts_snn-2026-11-21-1 --best knee --out best/
      nas export RUN --trial 3fa9 --out small/ --verify
    """  # noqa: D301
    from nas.export import choose
    from nas.export import export as write
    from nas.study import Study

    study = Study.open(run)
    chosen = choose(study, best, trial)
    path = write(study, chosen, folder, out.say)
    files = sorted(p.name for p in path.iterdir())
    if "model.safetensors" not in files:
        out.say("no weights are kept for this one (they are for the front of a corpus run)")

    verified: dict[str, Any] = {}
    if verify:
        from nas.verify import verify as measure_again

        verified = {"verified": measure_again(path, out.say, [study.space.family or ""])}

    def human() -> None:
        out.line(f"{chosen.architecture.hash} -> {path}: {', '.join(files)}")
        for row in verified.values():
            out.line(
                f"verified on {row['measured_on']}: wa {percent(row['wa'][1])} %,"
                f" ua {percent(row['ua'][1])} %, as recorded"
            )
        out.line(f"next: nas train {path} --data CORPUS")

    out.result(
        {"hash": chosen.architecture.hash, "folder": str(path), "files": files, **verified},
        human,
        lambda: [str(path)],
    )
