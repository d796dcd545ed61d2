"""``nas search``: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nas.cli.fold_options import with_folds
from nas.cli.options import of_recordings, with_workers
from nas.cli.output import Out, shown, with_output


@click.command(
    epilog="""\b
Examples:
  nas search --space pts_snn.yaml --budget 200
  nas search --space pts_snn.yaml --data corpus/ --searcher nsga2 --seed 1
  nas search --space pts_snn.yaml --data ravdess:RAVDESS --protocol 5-fold-by-speaker
  nas search --space pts_snn.yaml --frame-rate 50 --train-rate 25
  nas search --space my.yaml --evaluator measure.py:evaluate --budget 50
  nas search --space pts_snn.yaml --workers 16 --timeout 600
  nas search --space pts_snn.yaml --ray-address head:6379 --workers 64 --gpus-per-worker 0.25
  nas search --resume runs/pts_snn-2026-11-21-1""",
)
@click.option("--space", help="YAML file, or the name of a packaged space.")
@click.option("--budget", type=int, help="Full trainings to spend.  [default: 200]")
@click.option(
    "--data",
    help="Corpus name, a corpus's folder, or LAYOUT:FOLDER."
    "  [default: polish; for event frames synthetic_eyes]",
)
@click.option(
    "--searcher", help="auto, nsga2, tpe, gp, local or random.  [default: the space's, else auto]"
)
@click.option("--seed", type=click.IntRange(0), help="Of everything random.  [default: 0]")
@click.option("--out", "out_folder", help="Folder of the run.  [default: runs/<space>-<date>-<n>]")
@click.option("--resume", metavar="RUN", help="Go on with an interrupted run.")
@click.option("--evaluator", help="file.py:function or package.module:function.")
@click.option("--encoder", help="Name, folder or cochlea.  [default: whisper-tiny.en]")
@click.option("--layer", type=int, help="Hidden layer of the encoder.")
@click.option("--frame-rate", type=float, help="Frames per second after pooling.")
@click.option(
    "--sampling", metavar="Ex-Sy", help="Of events: x frames a clip, y skipped.  [default: E4-S3]"
)
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@with_folds
@of_recordings
@click.option("--test-fold", type=int, help="Outer fold the search never sees.  [default: 0]")
@click.option(
    "--validation-folds",
    type=click.IntRange(1),
    help="Train each candidate on this many folds only.  [default: all]",
)
@click.option(
    "--train-rate",
    type=float,
    metavar="HZ",
    help="Train candidates at fewer frames a second, adapt them and measure as ever.",
)
@click.option(
    "--dtype",
    metavar="FORMAT",
    help="auto, float32 or bfloat16 products in trainings.  [default: auto]",
)
@click.option(
    "--guidance/--no-guidance",
    default=None,
    help="A surrogate learned on the run screens proposals.  [default: yes for auto]",
)
@click.option(
    "--proxy",
    help="supernet, ann or none: ReLU scores it may learn from.  [default: supernet if guided]",
)
@click.option(
    "--warm-start/--no-warm-start",
    default=None,
    help="Begin trainings from a ReLU supernet's weights.  [default: no]",
)
@click.option(
    "--halving/--no-halving",
    default=None,
    help="First looks at one fold (of an eighth of the epochs, where there is one); the best"
    " quarter goes on.  [default: yes if guided on several folds with a budget of 30 or more]",
)
@click.option(
    "--remeasure/--no-remeasure",
    default=None,
    help="Measure contenders again where that is worth more than something new."
    "  [default: yes if guided]",
)
@with_workers("Evaluation")
@with_output
def search(out_folder: str | None, out: Out, **options: Any) -> None:
    """Search a space and record a Pareto front.

    Budget counts full trainings of unique architectures, failed ones included. Ctrl-C and
    kill -9 lose at most the evaluations in flight; the command to go on is printed. More than
    one worker, a cluster or a timeout need Ray, which starts by itself.
    """
    from nas.cli.progress import Progress
    from nas.driver import search as run

    progress = _Resumable(Progress(out))
    try:
        study = run(out=out_folder, observer=progress, say=out.say, **options)
    except KeyboardInterrupt:
        progress.close()
        if progress.folder is not None:
            again = _flags(options)
            out.say(f"interrupted; go on with: nas search --resume {progress.folder}{again}")
        raise
    finally:
        progress.close()
    from nas.cli.pareto import front_document, print_front

    def human() -> None:
        print_front(study, out)
        for name, row in study.baselines().items():
            out.line(f"{name}: wa {shown('wa', row['wa'])} %, ua {shown('ua', row['ua'])} %")
        left = study.config.budget - study.spent
        if left >= 1:
            units = "unit is" if left == 1 else "units are"
            out.line(f"{left:g} {units} left over: nothing new can be drawn from the space")
        if not study.front():
            return
        trained = study.config.evaluator.get("kind") == "corpus"
        confirm = f"nas confirm {study.folder}, " if trained else ""
        out.line(f"next: {confirm}nas export {study.folder} --out best/")

    out.result(front_document(study), human, lambda: [str(study.folder)])
    if not study.front():
        out.say(_nothing(study))
        raise click.exceptions.Exit(1)


def _flags(options: Mapping[str, Any]) -> str:
    """Return the options that a run does not keep, as they were given."""
    names = ("workers", "ray_address", "gpus_per_worker", "cpus_per_worker", "timeout")
    given = [(n, options[n]) for n in names if options.get(n) is not None]
    return "".join(f" --{n.replace('_', '-')} {v}" for n, v in given)


class _Resumable:
    """Progress that remembers the run's folder for the line printed on Ctrl-C."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self.folder: Path | None = None

    def started(self, study: Any) -> None:
        self.folder = study.folder
        self._progress.started(study)

    def evaluated(self, study: Any, evaluation: Any) -> None:
        self._progress.evaluated(study, evaluation)

    def close(self) -> None:
        self._progress.close()


def _nothing(study: Any) -> str:
    if not study.evaluations:
        return (
            "no architecture of the space can be built within its constraints;"
            f" nas space sample shows some, {study.folder}/run.yaml has the space"
        )
    failed = [e for e in study.evaluations if not e.ok]
    if failed and len(failed) == len(study.evaluations):
        return f"every evaluation failed; the last one:\n{failed[-1].error}"
    full = [e for e in study.evaluations if e.fidelity >= 1.0]
    if not any(e.ok for e in full):
        told = f"; the last one:\n{failed[-1].error}" if failed else ""
        return f"no full evaluation succeeded{told}"
    return "no evaluation is within the constraints of the space"
