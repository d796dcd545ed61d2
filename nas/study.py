"""The run's record: one writer, exact budget, resume."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nas import pareto
from nas.archive import Archive
from nas.evaluation import Evaluation, Job
from nas.out_folder import made_whole
from nas.record import (
    JOURNAL,
    WriterLock,
    constraint_attributes,
    open_record,
    open_storage,
    quiet_optuna,
    repair_tail,
)
from nas.run_config import RunConfig
from nas.runs import refuse_existing
from nas.trials import checkpoint_path, new_trial, read_evaluation, read_job
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

STUDY_NAME = "nas"
BASELINES = "baselines.json"


class Study:
    """Everything a run measured, read from and written to its folder.

    Open it for reading with :meth:`open`; for writing, only one process can at a time.
    """

    def __init__(self, folder: Path, config: RunConfig, lock: WriterLock | None) -> None:
        quiet_optuna()
        self.folder = folder
        self.config = config
        self.space = config.space
        self._lock = lock
        self._storage, self._study_id = open_record(folder, STUDY_NAME)
        self._done: list[Evaluation] = []
        self._pending: dict[int, tuple[int, Job]] = {}
        self._load()

    # -- opening ------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, folder: Path, config: RunConfig, files: Mapping[str, str] | None = None
    ) -> Study:
        """Make a run's folder and open it for writing.

        The folder appears whole: built beside its place and renamed, so that a kill leaves
        either no run or one that can be resumed. ``files`` are contents of what else belongs
        to the record, by name.

        Raises:
            NasError: The folder exists, or cannot be made.
        """
        import optuna

        quiet_optuna()
        refuse_existing(folder)
        with made_whole(folder) as making:
            making.mkdir()
            config.write(making)
            for name, content in (files or {}).items():
                (making / name).write_text(content, encoding="utf-8")
            study = optuna.create_study(
                study_name=STUDY_NAME,
                storage=open_storage(making),
                directions=list(config.space.objectives.values()),
            )
            study.set_metric_names(list(config.space.objectives))
        return cls(folder, config, WriterLock(folder))

    @classmethod
    def open(cls, folder: str | Path, *, write: bool = False) -> Study:
        """Open an existing run.

        Raises:
            NasError: No run is there, it was made by another version of the format, or (for
                writing) another process has it open.
        """
        path = Path(folder)
        config = RunConfig.read(path)
        if not (path / JOURNAL).is_file():
            raise NasError("this run has no record", where=str(path / JOURNAL))
        lock = WriterLock(path) if write else None
        if write:
            repair_tail(path / JOURNAL)
        return cls(path, config, lock)

    def close(self) -> None:
        """Stop writing, so that another process can."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # -- looking ------------------------------------------------------------------------------

    @property
    def evaluations(self) -> list[Evaluation]:
        """All finished evaluations, failed ones included, in order of completion."""
        return list(self._done)

    @property
    def pending(self) -> list[Job]:
        """Evaluations that were started and never finished."""
        return [job for _, job in self._pending.values()]

    @property
    def spent(self) -> float:
        """Full-training equivalents charged by finished evaluations."""
        return _exact(e.cost for e in self._done)

    @property
    def committed(self) -> float:
        """Full-training equivalents charged or under way."""
        return _exact([*(e.cost for e in self._done), *(job.cost for job in self.pending)])

    @property
    def started(self) -> int:
        """Number of evaluations ever started."""
        return len(self._done) + len(self._pending)

    def archive(self) -> Archive:
        """Return what a searcher may see."""
        return Archive(self.space, self._done, [j.architecture for j in self.pending])

    def front(self) -> list[Evaluation]:
        """Return the feasible non-dominated architectures, best first objective first.

        Of one that was measured several times the mean counts.
        """
        return self.archive().front

    def knee(self) -> Evaluation | None:
        """Return the front member nearest to the ideal point."""
        return pareto.knee(self.archive().full, self.space.objectives)

    def hypervolume(self, reference: Iterable[float] | None = None) -> float:
        """Return the hypervolume of all measurements, in units of the objectives (as losses).

        With one reference it never falls. Where architectures were measured again, a lucky
        first measurement stays in it, which :meth:`front` takes back.

        Args:
            reference: Worst point as losses (maximised objectives negated); by default the
                worst value of each objective among the evaluations of this run so far.
        """
        able = [e for e in self._done if e.feasible and e.fidelity >= 1.0]
        if not able:
            return 0.0
        values = pareto.losses(able, self.space.objectives)
        worst = pareto.nadir(values) if reference is None else np.array(list(reference))
        return pareto.hypervolume(values, worst)

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Return the simple models measured on the same folds; empty without a corpus."""
        path = self.folder / BASELINES
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def find(self, prefix: str) -> Evaluation:
        """Look an evaluation up by the start of its hash.

        Raises:
            NasError: None or several match.
        """
        by_hash: dict[str, Evaluation] = {}
        for e in sorted(self._done, key=lambda e: (e.ok, e.fidelity)):
            by_hash[e.architecture.hash] = e  # the fullest one of each
        by_hash |= {e.architecture.hash: e for e in self.archive().full}
        found = {h: e for h, e in by_hash.items() if h.startswith(prefix)}
        if len(found) == 1:
            return next(iter(found.values()))
        what = f"{len(found)} architectures start with" if found else "no architecture starts with"
        raise NasError(
            f"{what} {prefix!r}",
            where=str(self.folder),
            hint=f"nas pareto {self.folder} lists the front; give more characters of a hash",
        )

    # -- writing ------------------------------------------------------------------------------

    def start(
        self,
        architecture: Architecture,
        fidelity: float,
        seed: int,
        paid: float = 0.0,
        again: bool = False,
    ) -> Job:
        """Record that an evaluation begins, in one write.

        Args:
            architecture: What is evaluated.
            fidelity: Share of the full training.
            seed: Of everything random in it.
            paid: Fidelity that was charged before.
            again: It was measured in full before; the weights of the first time are kept.
        """
        template = new_trial(self.space, architecture, fidelity, seed, paid, again)
        trial_id = self._storage.create_new_trial(self._study_id, template)
        trial = self._storage.get_trial(trial_id)
        job = read_job(trial, self.folder)
        self._pending[trial.number] = (trial_id, job)
        return job

    def finish(self, e: Evaluation) -> None:
        """Record how an evaluation ended; a kill in between leaves it to be made again."""
        from optuna.trial import TrialState

        trial_id, _ = self._pending[e.number]
        result = {"metrics": e.metrics, "error": e.error, "seconds": e.seconds}
        self._storage.set_trial_user_attr(trial_id, "result", json.loads(json.dumps(result)))
        for key, value in constraint_attributes(self.space, e).items():
            self._storage.set_trial_system_attr(trial_id, key, value)
        values = [e.objectives[name] for name in self.space.objectives] if e.ok else None
        state = TrialState.COMPLETE if e.ok else TrialState.FAIL
        self._storage.set_trial_state_values(trial_id, state, values)
        del self._pending[e.number]
        self._done.append(e)

    def set_budget(self, budget: int) -> None:
        """Change how far the run goes; the searcher keeps the sizes it started with."""
        self.log("budget", before=self.config.budget, now=budget)
        self.config = replace(self.config, budget=budget)
        self.config.write(self.folder)

    def log(self, event: str, **data: Any) -> None:
        """Append an event to ``log.jsonl``."""
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **data}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def keep_baselines(self, figures: dict[str, dict[str, Any]]) -> None:
        """Write the figures of :meth:`baselines`."""
        temporary = self.folder / f".{BASELINES}.partial"
        temporary.write_text(json.dumps(figures, indent=2), encoding="utf-8")
        temporary.replace(self.folder / BASELINES)  # whole or not at all, whenever it is killed

    @contextmanager
    def logging(self, name: str) -> Iterator[None]:
        """Keep in ``log.jsonl`` what the logger ``name`` says meanwhile."""
        handler = _IntoLog(self)
        logger = logging.getLogger(name)
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)

    def checkpoint(self, architecture: Architecture) -> Path:
        """Return where the weights of an architecture are kept."""
        return checkpoint_path(self.folder, architecture)

    # -- reading the journal --------------------------------------------------------------------

    def _load(self) -> None:
        from optuna.trial import TrialState

        trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        running = [t for t in trials if t.state == TrialState.RUNNING]
        self._pending = {t.number: (t._trial_id, read_job(t, self.folder)) for t in running}
        finished = [t for t in trials if t.state.is_finished()]
        finished.sort(key=lambda t: (t.datetime_complete, t.number))
        self._done = [read_evaluation(t, self.space, self.folder) for t in finished]


class _IntoLog(logging.Handler):
    """Writes log records as events of a run."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record."""
        self._study.log("message", source=record.name, text=record.getMessage())


def _exact(costs: Iterable[float]) -> float:
    """Add up; thirds and sevenths of a unit make whole ones."""
    return round(math.fsum(costs), 9)
