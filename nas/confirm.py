"""Confirm a front: retrain it on every outer fold, where the test speakers come in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nas.corpus import load
from nas.evaluation import Evaluation
from nas.executors.workers import Workers
from nas.folding import described, open_recorded
from nas.outer import PARTIAL, SAME_COMMAND, Step, measure_outer, summarise
from nas.outer_evaluator import Model
from nas.record import LOCK, WriterLock
from nas.study import Study
from search_spaces.errors import NasError
from search_spaces.named import NAMED

FILE = "confirm.jsonl"
WORK = "confirm"  # folder in the run, while it lasts


def confirm(
    study: Study,
    members: Sequence[Evaluation],
    seeds: int,
    *,
    say: Callable[[str], None],
    step: Step,
    workers: Workers | None = None,
    again: str = SAME_COMMAND,
) -> dict[str, Any]:
    """Retrain architectures on every outer fold with several seeds, simple baselines too.

    Each training is appended to ``confirm.jsonl`` when it is done; called again, finished
    ones are not repeated, and those under way go on.

    Args:
        study: A run on a corpus.
        members: Evaluations to confirm.
        seeds: Seeds per fold.
        say: Takes lines about slow preparations.
        step: Told (done, all) after every training.
        workers: Where trainings are made; None for this process.
        again: The command that goes on, for errors to name.

    Returns:
        ``protocol``, ``speaker_dependent``, ``held_out`` (the fold the search never saw),
        ``folds``, ``seeds`` and ``models``: one entry per architecture or baseline with its
        intervals over all folds, and its mean on the held-out fold alone.

    Raises:
        NasError: Not a run on a corpus, or the corpus is no longer the same.
        TrainingsFailed: Some trainings failed; all others are in the record.
    """
    config = dict(study.config.evaluator)
    if config.get("kind") != "corpus":
        raise NasError(
            "this run used its own evaluator, so there are no test speakers to confirm on",
            where=str(study.folder),
        )
    from eval.baselines import SIMPLE
    from eval.process import prepare_cpu
    from eval.training import Recipe

    workers = workers or Workers()
    workers.check()
    prepare_cpu()
    split = open_recorded(config, config, study.folder, say)
    dataset = load(config, say)
    if dataset.digest != config["digest"]:
        raise NasError(
            f"corpus {config['data']!r} is not the one of the search: its content has changed",
            where=str(study.folder),
        )
    folds = split.folding.outer(dataset)
    models = [Model(n, NAMED[n].family, NAMED[n].values) for n in SIMPLE]
    models += [Model(e.architecture.hash, config["family"], e.architecture) for e in members]
    with _at_work(study.folder / WORK, workers) as work:
        rows = measure_outer(
            dataset,
            models,
            seeds,
            recipe=Recipe.of(config["recipe"]),
            profile=config["profile"],
            record=study.folder / FILE,
            step=step,
            folds=folds,
            work=work,
            workers=workers,
            again=again,
            say=say,
        )
    return {
        "run": str(study.folder),
        "corpus": dataset.name,
        **described(config),
        "held_out": config["test"],
        "folds": [f.name for f in folds],
        "seeds": seeds,
        "models": summarise(rows, config["test"]),
    }


@contextmanager
def _at_work(folder: Path, workers: Workers) -> Iterator[Path]:
    """Hand out the folder for what trainings keep while they last; delete it after the last.

    Two processes may confirm different members at once; but one that has workers ends, when it
    begins, those that an earlier one left here.
    """
    lock = None
    if not workers.inline:
        folder.mkdir(exist_ok=True)
        lock = WriterLock(folder)
    try:
        yield folder
        if lock is not None:
            shutil.rmtree(folder / "ray", ignore_errors=True)
            (folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # another process has something in it
            (folder / PARTIAL).rmdir()
        with suppress(OSError):
            folder.rmdir()
    finally:
        if lock is not None:
            lock.release()
