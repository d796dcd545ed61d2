"""What a report reads of a run: its record, its log and its clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from nas.archive import Archive
from nas.confirm import FILE as CONFIRMED
from nas.evaluation import Evaluation
from nas.record import open_storage
from nas.run_log import LOG, json_lines
from nas.study import STUDY_NAME, Study
from search_spaces.errors import NasError
from search_spaces.space import Direction


@dataclass(frozen=True)
class RunData:
    """A run as a report sees it.

    Args:
        label: Names it in the report; no other run there has the same.
        study: Its record, open for reading.
        events: Of its log, in order.
        clock: Seconds on the run's own clock when each evaluation ended, by its number. The
            clock stands still while no process drives the run.
        wall: Seconds it ran in all.
    """

    label: str
    study: Study
    events: Sequence[Mapping[str, Any]] = ()
    clock: Mapping[int, float] = field(default_factory=dict)
    wall: float = 0.0

    @cached_property
    def archive(self) -> Archive:
        """Every evaluation; of architectures measured several times also the mean."""
        return self.study.archive()

    @cached_property
    def measured(self) -> list[Evaluation]:
        """Feasible measurements of full trainings, each by itself, in order of completion."""
        return [e for e in self.archive.evaluations if e.feasible and e.fidelity >= 1.0]

    @cached_property
    def knee(self) -> Evaluation | None:
        """The front member nearest to the ideal point."""
        return self.study.knee()

    @cached_property
    def baselines(self) -> dict[str, dict[str, Any]]:
        """Simple models on the same folds that have every objective."""
        found = self.study.baselines()
        return {n: row for n, row in found.items() if all(o in row for o in self.objectives)}

    @property
    def objectives(self) -> Mapping[str, Direction]:
        """Objective to direction."""
        return self.study.space.objectives

    @property
    def front(self) -> list[Evaluation]:
        """Feasible architectures that no other dominates."""
        return self.archive.front

    @property
    def corpus(self) -> bool:
        """Whether it trained networks on a corpus."""
        return self.study.config.evaluator.get("kind") == "corpus"

    @property
    def confirmed(self) -> list[dict[str, Any]]:
        """Trainings that ``nas confirm`` measured on test speakers."""
        return json_lines(self.study.folder / CONFIRMED)


def read_runs(folders: Sequence[str | Path]) -> list[RunData]:
    """Open runs for one report.

    Raises:
        NasError: None given, one twice, one that is no run, or runs of different objectives.
    """
    if not folders:
        raise NasError("no run given", hint="nas runs lists them")
    paths = [Path(f) for f in folders]
    places = [p.resolve() for p in paths]
    again = next((p for i, p in enumerate(paths) if places[i] in places[:i]), None)
    if again is not None:
        raise NasError("this run is given twice", where=str(again))
    names = [p.name for p in places]
    runs = [
        read_run(path, label=name if names.count(name) == 1 else str(path))
        for path, name in zip(paths, names, strict=True)
    ]
    for run in runs[1:]:
        if dict(run.objectives) != dict(runs[0].objectives):
            raise NasError(
                f"its objectives {_named(run)} are not {_named(runs[0])} of {runs[0].label}",
                where=str(run.study.folder),
                hint="only runs of the same objectives can be compared",
            )
    return runs


def read_run(folder: str | Path, label: str | None = None) -> RunData:
    """Open a run.

    Raises:
        NasError: It is none.
    """
    study = Study.open(folder)
    events = json_lines(study.folder / LOG)
    ended = completions(study.folder)
    clock, wall = running_clock(ended, events)
    return RunData(label or study.folder.resolve().name, study, events, clock, wall)


def completions(folder: Path) -> dict[int, datetime]:
    """Return when each evaluation of a run ended, by its number."""
    import optuna

    study = optuna.load_study(study_name=STUDY_NAME, storage=open_storage(folder))
    trials = study.get_trials(deepcopy=False)
    return {t.number: _utc(t.datetime_complete) for t in trials if t.datetime_complete}


def running_clock(
    ended: Mapping[int, datetime], events: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, float], float]:
    """Return the seconds a run had been driven when each evaluation ended, and in all.

    Pauses between the end of one driving process and the start of the next do not count. Of
    a process that was killed, the last evaluation is the end.

    Args:
        ended: Time of completion by number.
        events: Of the log: ``started``, ``stopped`` and ``finished`` bound the processes.
    """
    starts = [_time(e) for e in events if e.get("event") == "started"]
    stops = [_time(e) for e in events if e.get("event") in ("stopped", "finished")]
    order = sorted(ended.values())
    if not starts and order:
        starts = [order[0]]  # a lost log: the first evaluation begins the clock
    clock: dict[int, float] = {}
    passed = 0.0
    for i, start in enumerate(starts):
        following = starts[i + 1] if i + 1 < len(starts) else None
        mine = {
            n: t
            for n, t in ended.items()
            if (t >= start or i == 0) and (following is None or t < following)
        }
        last = [t for t in stops if t >= start and (following is None or t <= following)]
        for number, t in mine.items():
            clock[number] = passed + max(0.0, (t - start).total_seconds())
        end = max([start, *last, *mine.values()])
        passed += (end - start).total_seconds()
    return clock, passed


def chosen(run: RunData, show: Sequence[str] = ()) -> list[tuple[str, Evaluation]]:
    """Return the architectures that a report looks into, with what they are.

    Args:
        run: The run.
        show: Starts of hashes beside the knee and the best of every objective.

    Raises:
        NasError: A hash that is not there, or whose evaluation failed.
    """
    roles: dict[str, list[str]] = {}
    found: dict[str, Evaluation] = {}

    def add(role: str, e: Evaluation) -> None:
        found[e.architecture.hash] = e
        roles.setdefault(e.architecture.hash, []).append(role)

    if run.knee is not None:
        add("knee", run.knee)
    for name, direction in run.objectives.items():
        if run.front:
            sign = 1.0 if direction == "minimize" else -1.0
            add(
                f"best {name}", min(run.front, key=lambda e: (sign * e.objectives[name], e.number))
            )
    for prefix in show:
        e = run.study.find(prefix)
        if not e.ok:
            raise NasError(
                f"{prefix} failed; there is nothing to draw of it",
                where=str(run.study.folder),
                hint=f"nas show {run.study.folder} {prefix} prints the error",
            )
        if e.architecture.hash not in found:
            add("shown", e)
    return [(", ".join(roles[name]), e) for name, e in found.items()]


def _named(run: RunData) -> str:
    return ", ".join(f"{n} ({d})" for n, d in run.objectives.items())


def _time(event: Mapping[str, Any]) -> datetime:
    return _utc(datetime.fromisoformat(event["time"]))


def _utc(t: datetime) -> datetime:
    return t if t.tzinfo is not None else t.replace(tzinfo=UTC)
