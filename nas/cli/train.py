"""``nas train``: an exported architecture, trained in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.cli.confirm import Ticker, interval_cells, told_how_to_go_on
from nas.cli.fold_options import warn, with_folds
from nas.cli.options import same_command, skip_bad, with_trust, with_workers, workers_of
from nas.cli.output import Out, millijoules, percent, with_output


@click.command()
@click.argument("exported", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", help="Corpus name or folder.  [default: the one it was found on]")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@skip_bad
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1))
@click.option(
    "--epochs", type=click.IntRange(1), help="Of each training.  [default: as in the search]"
)
@click.option(
    "--baselines/--no-baselines",
    default=True,
    help="Train the simple baselines beside it, alike.  [default: yes]",
)
@click.option("--out", "folder", type=click.Path(path_type=Path), help="Keep trained weights.")
@with_folds
@with_trust
@with_workers("Training")
@with_output
def train(
    exported: Path,
    data: str | None,
    class_map: str | None,
    skip_bad: bool | None,
    seeds: int,
    epochs: int | None,
    baselines: bool,
    folder: Path | None,
    protocol: str | None,
    folds: str | None,
    speaker_dependent: bool,
    trust: tuple[str, ...],
    out: Out,
    **places: Any,
) -> None:
    """Retrain an exported architecture and report every outer fold.

    The folds are those of the search on its corpus, and the usual ones on another, unless
    --protocol or --folds says otherwise. With --out, it is also trained once on all
    utterances and written as a new folder; the figures in it are those of the folds.

    After Ctrl-C or kill -9 the same command goes on, in the middle of a training. Until all is
    done the work lies in OUT.training/; without --out it stays in runs/train-*. TensorBoard
    shows it: tensorboard --logdir FOLDER.

    \b
    Examples:
      nas train best/ --data polish --seeds 3
      nas train best/ --data my_corpus/ --epochs 40 --out mine/ --workers 4
    """  # noqa: D301
    from nas.retrain import retrain

    split = {"protocol": protocol, "folds": folds, "speaker_dependent": speaker_dependent}
    workers, again = workers_of(places), same_command()
    with told_how_to_go_on(out, again):
        result = retrain(
            exported,
            data,
            seeds,
            folder,
            class_map=class_map,
            trusted=trust,
            split=split,
            skip_bad=skip_bad,
            epochs=epochs,
            baselines=baselines,
            workers=workers,
            again=again,
            say=out.say,
            step=Ticker(out),
        )

    def human() -> None:
        _print(result, out)
        if folder is not None:
            out.line(f"weights trained on all of {result['corpus']} -> {folder}")
        out.line(f"curves: tensorboard --logdir {result['training']}")

    out.result(result, human)


def _print(result: dict[str, Any], out: Out) -> None:
    out.table(
        ["test fold", "seed", "wa %", "ua %", "macro_f1 %"],
        [
            [r["fold"], r["seed"], percent(r["wa"]), percent(r["ua"]), percent(r["macro_f1"])]
            for r in result["folds"]
        ],
    )
    out.line()
    out.table(
        ["model", "wa %", "s.d.", "95 % CI", "ua %", "s.d.", "95 % CI", "mJ"],
        [
            [
                m["model"],
                *interval_cells(m["wa"]),
                *interval_cells(m["ua"]),
                millijoules(m["energy"]["mean"]),
            ]
            for m in [{**result, "model": result["hash"]}, *result["baselines"]]
        ],
    )
    n = len({r["fold"] for r in result["folds"]})
    out.line(
        f"{result['corpus']}, {result['protocol']}: {n} outer folds x {result['seeds']} seeds,"
        f" {result['recipe']['epochs']} epochs; the CI is over the folds."
    )
    warn(out, result)
