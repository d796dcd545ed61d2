"""``nas baselines``: simple models and named architectures on test speakers."""

from __future__ import annotations

from typing import Any

import click

from nas.cli.confirm import Ticker, interval_cells
from nas.cli.fold_options import warn, with_folds
from nas.cli.options import of_recordings, same_command, with_workers, workers_of
from nas.cli.output import Out, millijoules, with_output


@click.command()
@click.option(
    "--data", help="Corpus name, a corpus's folder, or LAYOUT:FOLDER.  [default: polish]"
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--only", multiple=True, metavar="NAME", help="These only; ablations by name too.")
@click.option("--encoder", help="Name, folder or cochlea.  [default: whisper-tiny.en]")
@click.option("--layer", type=int, help="Hidden layer of the encoder.")
@click.option("--frame-rate", type=float, help="Frames per second after pooling.")
@click.option(
    "--sampling", metavar="Ex-Sy", help="Of events: x frames a clip, y skipped.  [default: E4-S3]"
)
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@with_folds
@of_recordings
@with_workers("Training")
@with_output
def baselines(
    data: str | None,
    seeds: int,
    only: tuple[str, ...],
    encoder: str | None,
    layer: int | None,
    frame_rate: float | None,
    sampling: str | None,
    class_map: str | None,
    protocol: str | None,
    folds: str | None,
    speaker_dependent: bool,
    precision: str | None,
    max_seconds: float | None,
    skip_bad: bool | None,
    out: Out,
    **places: Any,
) -> None:
    """Measure what a spiking head must be compared with, on every outer fold.

    Linear probe, mean-pool MLP, the ReLU twin of the re-derived reference, a vanilla LIF
    network: ordinary named architectures, trained and measured like every other.

    \b
    Examples:
      nas baselines --data polish --seeds 3
      nas baselines --only reference --only no_shift
      nas baselines --data emodb:EMODB --protocol 5-fold-by-speaker --workers 4
    """  # noqa: D301
    from nas.outer import TrainingsFailed, measure_outer, summarise
    from nas.outer_evaluator import Model
    from search_spaces.errors import NasError, nearest
    from search_spaces.named import BASELINES, NAMED

    for name in only:
        if name not in NAMED:
            raise NasError(f"no named architecture {name!r}", hint=nearest(name, NAMED))
    chosen = only or tuple(BASELINES)

    from eval.energy.profile import DEFAULT_PROFILE
    from eval.process import prepare_cpu
    from eval.training import Recipe
    from nas.corpus import load
    from nas.folding import open_split

    workers = workers_of(places)
    workers.check()
    prepare_cpu()
    request: dict[str, Any] = {"data": data, "encoder": encoder, "layer": layer}
    request |= {"frame_rate": frame_rate, "sampling": sampling, "class_map": class_map}
    asked = {"protocol": protocol, "folds": folds, "speaker_dependent": speaker_dependent}
    folding = open_split({**request, **asked}, out.say).folding
    request |= {"precision": precision, "max_seconds": max_seconds, "skip_bad": skip_bad}
    dataset = load(request, out.say)
    outer = folding.outer(dataset)
    failed: TrainingsFailed | None = None
    try:
        rows = measure_outer(
            dataset,
            [Model(name, NAMED[name].family, NAMED[name].values) for name in chosen],
            seeds,
            recipe=Recipe(),
            profile=DEFAULT_PROFILE,
            record=None,
            step=Ticker(out),
            folds=outer,
            workers=workers,
            again=same_command(),
            say=out.say,
        )
    except TrainingsFailed as some:  # nothing is kept, so that the others are shown now
        rows, failed = some.rows, some
    models = summarise(rows, None)
    split = {
        "protocol": folding.name,
        "speaker_dependent": folding.mixed(dataset, outer),
    }

    def human() -> None:
        out.table(
            ["model", "wa %", "s.d.", "95 % CI", "ua %", "s.d.", "95 % CI", "mJ", ""],
            [
                [
                    m["model"],
                    *interval_cells(m["wa"]),
                    *interval_cells(m["ua"]),
                    millijoules(m["energy"]["mean"]),
                    NAMED[m["model"]].about,
                ]
                for m in models
            ],
        )
        out.line(
            f"{dataset.name}, {folding.name}: {len(outer)} outer folds x {seeds} seeds;"
            " the CI is over the folds."
        )
        warn(out, split)

    document = {"corpus": dataset.name, **split, "seeds": seeds, "models": models, "rows": rows}
    out.result(document, human)
    if failed is not None:
        click.echo(f"error: {failed}", err=True)
        raise click.exceptions.Exit(1)
