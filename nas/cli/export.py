"""``nas export`` and ``nas train``: from a front to a folder, and from a folder to figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.cli.fold_options import warn, with_folds
from nas.cli.options import skip_bad
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


@click.command()
@click.argument("exported", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", help="Corpus name or folder.  [default: the one it was found on]")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@skip_bad
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1))
@click.option("--out", "folder", type=click.Path(path_type=Path), help="Keep trained weights.")
@with_folds
@with_output
def train(
    exported: Path,
    data: str | None,
    class_map: str | None,
    skip_bad: bool | None,
    seeds: int,
    folder: Path | None,
    protocol: str | None,
    folds: str | None,
    speaker_dependent: bool,
    out: Out,
) -> None:
    """Retrain an exported architecture and report every outer fold.

    The folds are those of the search on its corpus, and the usual ones on another, unless
    --protocol or --folds says otherwise. With --out, it is also trained once on all
    utterances and written as a new folder; the figures in it are those of the folds.

    \b
    Examples:
      nas train best/ --data polish --seeds 3
      nas train best/ --data my_corpus/ --out mine/
    """  # noqa: D301
    from nas.retrain import retrain

    split = {"protocol": protocol, "folds": folds, "speaker_dependent": speaker_dependent}
    result = retrain(
        exported,
        data,
        seeds,
        folder,
        class_map=class_map,
        split=split,
        skip_bad=skip_bad,
        say=out.say,
    )

    def human() -> None:
        rows = [
            [r["fold"], r["seed"], percent(r["wa"]), percent(r["ua"]), percent(r["macro_f1"])]
            for r in result["folds"]
        ]
        out.table(["test fold", "seed", "wa %", "ua %", "macro_f1 %"], rows)
        for metric in ("wa", "ua"):
            out.line(f"{metric}: {_interval(result[metric])}")
        out.line(f"{result['corpus']}, {result['protocol']}")
        warn(out, result)
        if folder is not None:
            out.line(f"weights trained on all of {result['corpus']} -> {folder}")

    out.result(result, human)


def _interval(i: dict[str, Any]) -> str:
    return (
        f"mean {percent(i['mean'])} %, s.d. {percent(i['sd'])},"
        f" 95 % CI {percent(i['low'])} to {percent(i['high'])}"
    )
