"""Figures on test speakers: architectures, every outer fold, several seeds; resumable."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.evaluation import DiskFull, Evaluation, Job
from nas.executors.workers import Say, Workers, make_executor
from nas.outer_evaluator import TRAININGS, Model, OuterEvaluator
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.folds import Fold
    from eval.training import Recipe

FAILURES = "failures.txt"  # in the work folder: the tracebacks
PARTIAL = "partial"
EVENTS = "tensorboard"
SAME_COMMAND = "the same command"

Key = tuple[str, str, int]
Step = Callable[[int, int], None]


class TrainingsFailed(Exception):
    """Some trainings failed; all others were made.

    Args:
        text: Which, why, and what to do.
        rows: Of the others, in order.
    """

    def __init__(self, text: str, rows: Sequence[dict[str, Any]]) -> None:
        super().__init__(text)
        self.rows = list(rows)


def measure_outer(
    dataset: Dataset,
    models: Sequence[Model],
    seeds: int,
    *,
    recipe: Recipe,
    profile: str | Mapping[str, Any],
    record: Path | None,
    step: Step,
    folds: Sequence[Fold] | None = None,
    work: Path | None = None,
    events: bool = False,
    workers: Workers | None = None,
    again: str = SAME_COMMAND,
    say: Say = lambda _: None,
) -> list[dict[str, Any]]:
    """Train every model on every outer fold with every seed.

    Args:
        dataset: The corpus.
        models: What to measure; of two with one name the last.
        seeds: Seeds per fold: 0, 1, ...
        recipe: How to train.
        profile: Cost model of the energy.
        record: A JSON-lines file that takes each row when it is done; rows in it are not
            measured again. None keeps nothing.
        step: Told (done, all) after every training.
        folds: The outer folds; None for those of the automatic rule.
        work: A folder for the states of trainings while they last, so that those that a kill
            interrupts go on, and for what workers keep. None keeps nothing.
        events: Whether to write TensorBoard events below ``work``.
        workers: Where trainings are made; None for this process.
        again: The command that goes on, for errors to name.
        say: Takes lines for people.

    Returns:
        Rows with ``model``, ``fold``, ``seed`` and the figures of ``test_on_fold``, in order
        of models, folds and seeds, whatever order they were made in.

    Raises:
        TrainingsFailed: Some failed, after all others were made and recorded.
        NasError: The workers are lost, or a file cannot be written.
    """
    from eval.folds import outer_folds

    folds = outer_folds(dataset) if folds is None else folds
    models = list({m.name: m for m in models}.values())
    wanted = [(m.name, f.name, s) for m in models for f in folds for s in range(seeds)]
    kept = {_key(r): r for r in read_rows(record)} if record is not None else {}
    rows = {key: kept[key] for key in wanted if key in kept}
    todo = [key for key in wanted if key not in rows]
    failed: list[Evaluation] = []
    if not todo:
        step(len(rows), len(wanted))
    with ExitStack() as stack:
        if work is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nas-")))
        else:
            place = work.resolve()
        logs = place / EVENTS if events else None
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
        evaluator = OuterEvaluator(dataset, models, folds, recipe, profile, logs)
        executor = make_executor(
            workers or Workers(),
            evaluator,
            TRAININGS,
            place,
            again=again,
            say=say,
            log=functools.partial(_log, say),
        )
        states = place / PARTIAL if work is not None else None
        try:
            with closing(executor.map(_jobs(todo, states))) as results:
                for done in results if todo else ():
                    if not done.ok:
                        failed.append(done)
                    else:
                        row = _row(done, evaluator)
                        rows[_key(row)] = row
                        if record is not None:
                            _append(row, record)
                        if states is not None:
                            _state(states, _key(row)).unlink(missing_ok=True)
                    step(len(rows) + len(failed), len(wanted))
        except (OSError, DiskFull) as error:
            raise NasError(
                f"cannot be written: {error}",
                where=str(record or place),
                hint=f"make room, then go on with: {again}",
            ) from error
    if work is not None:
        (work / FAILURES).unlink(missing_ok=True)  # those of an earlier call
    ordered = [rows[key] for key in wanted if key in rows]
    if failed:
        raise TrainingsFailed(_told(failed, len(wanted), work, again), ordered)
    return ordered


def _log(say: Say, event: str, **about: Any) -> None:
    if event == "lost":
        say(f"a worker was lost: {about['reason']}")


def _key(row: Mapping[str, Any]) -> Key:
    return row["model"], row["fold"], row["seed"]


def _point(key: Key) -> Architecture:
    return Architecture({"model": key[0], "fold": key[1]})


def _state(states: Path, key: Key) -> Path:
    return states / f"{_point(key).hash}-{key[2]}.safetensors"


def _jobs(todo: Sequence[Key], states: Path | None) -> Iterator[Job]:
    for number, key in enumerate(todo):
        state = _state(states, key) if states is not None else None
        yield Job(number, _point(key), fidelity=1.0, seed=key[2], partial=state)


def _row(done: Evaluation, evaluator: OuterEvaluator) -> dict[str, Any]:
    model, figures = str(done.architecture["model"]), dict(done.metrics)
    if "epochs" in figures:
        evaluator.write_epochs(model, figures)
        del figures["epochs"]
    return {"model": model, **figures}


def _append(row: Mapping[str, Any], record: Path) -> None:
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _told(failed: Sequence[Evaluation], total: int, work: Path | None, again: str) -> str:
    """Say what failed and why; where there is a work folder, the tracebacks go there."""
    lines, details = [f"{len(failed)} of {total} trainings failed; the others were made"], []
    for e in failed:
        about = f"{e.architecture['model']}, fold {e.architecture['fold']}, seed {e.seed}"
        # of a traceback the exception, whose further lines are indented as a rule
        said = [x for x in (e.error or "").splitlines() if x[:1].strip()]
        lines.append(f"  {about}: {said[-1] if said else 'no reason is known'}")
        details.append(f"{about}\n{e.error}\n")
    if work is None:
        return "\n".join([*lines, "the first of them:", details[0]])
    work.mkdir(parents=True, exist_ok=True)
    path = work / FAILURES
    path.write_text("\n".join(details), encoding="utf-8")
    return "\n".join([*lines, f"  tracebacks: {path}", f"  to try them again: {again}"])


def summarise(rows: Sequence[Mapping[str, Any]], held_out: str | None) -> list[dict[str, Any]]:
    """Sum rows up, one entry per model in order of appearance.

    Args:
        rows: Of :func:`measure_outer`.
        held_out: The fold that a search never saw; its mean stands apart.
    """
    from eval.confirmation import REPORTED, interval

    out = []
    for name in dict.fromkeys(r["model"] for r in rows):
        mine = [r for r in rows if r["model"] == name]
        entry: dict[str, Any] = {"model": name, "trainings": len(mine)}
        for metric in REPORTED:
            entry[metric] = vars(interval(mine, metric))
            if held_out is not None:
                unseen = [r for r in mine if r["fold"] == held_out]
                entry[f"{metric}_held_out"] = interval(unseen, metric).mean
        out.append(entry)
    return out


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read what an earlier call finished; a line torn by a kill is cut off."""
    if not path.is_file():
        return []
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("rb+") as file:
            file.truncate(end)
    return [json.loads(line) for line in whole[:end].splitlines()]
