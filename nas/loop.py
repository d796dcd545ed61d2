"""The loop of a search: what comes back is recorded, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any, Protocol

from nas.checkpoints import prune
from nas.evaluation import DiskFull, Evaluation
from nas.executors.workers import Workers, make_executor
from nas.halving import agreement
from nas.jobs import jobs_of
from nas.proxy import Proxy, beside, make_proxy, proxy_agreement, supernets
from nas.searchers import Searcher, make_searcher
from nas.study import Study
from search_spaces.errors import NasError

TRUST_EVERY = 20

Say = Callable[[str], None]


class Observer(Protocol):
    """Watches a search; the command line's progress is one."""

    def started(self, study: Study) -> None:
        """The run's folder is there and the first evaluation is about to begin."""
        ...

    def evaluated(self, study: Study, evaluation: Evaluation) -> None:
        """An evaluation is in the record."""
        ...


def run(
    study: Study, evaluator: Any, workers: Workers, observer: Observer | None, say: Say
) -> None:
    """Spend what is left of a run's budget.

    Args:
        study: Open for writing.
        evaluator: Measures an architecture.
        workers: How many do, and where.
        observer: Told about progress.
        say: Takes one line about slow preparations.

    Raises:
        NasError: The record cannot be written, or the workers are lost.
    """
    config = study.config
    refuse = getattr(evaluator, "refuse", None)
    study.log("started", finished=len(study.evaluations), budget=config.budget)
    if observer is not None:
        observer.started(study)
    if hasattr(evaluator, "baselines") and not study.baselines():
        study.keep_baselines(evaluator.baselines(config.seed))
    proxy = None
    try:
        with study.logging("search_spaces"):  # which attention back end runs, and why
            if config.warm_start:
                evaluator.warm = supernets(evaluator, study.folder, config.seed, say)
            if config.proxy != "none":
                proxy = make_proxy(config.proxy, evaluator, study.folder, config.seed, say)
            searcher = make_searcher(
                config.searcher, study.space, config.planned, config.guidance, proxy
            )
            executor = make_executor(
                workers,
                evaluator,
                study.space,
                study.folder,
                again=f"nas search --resume {study.folder}",
                say=say,
                log=study.log,
            )
            with closing(executor.map(jobs_of(study, searcher, refuse))) as results:
                for made in results:
                    evaluation = _with_scores(made, study, searcher, proxy)
                    study.finish(evaluation)
                    if not evaluation.ok:
                        failed = evaluation.architecture.hash
                        study.log("failed", hash=failed, error=evaluation.error)
                    prune(study)
                    if len(study.evaluations) % TRUST_EVERY == 0:
                        _log_trust(study, searcher, proxy)
                    if observer is not None:
                        observer.evaluated(study, evaluation)
    except BaseException as stop:
        with suppress(OSError):
            study.log("stopped", reason=type(stop).__name__, spent=study.spent)
        if isinstance(stop, OSError | DiskFull):
            raise NasError(
                f"the run cannot be written: {stop}",
                where=str(study.folder),
                hint=f"make room, then go on with: nas search --resume {study.folder}",
            ) from stop
        raise
    _log_trust(study, searcher, proxy)
    study.log("finished", spent=study.spent)


def _with_scores(
    evaluation: Evaluation, study: Study, searcher: Searcher, proxy: Proxy | None
) -> Evaluation:
    """Keep what the proxy says of an architecture beside what came out.

    The searcher says which ones to score; chosen by the proxy's help or not, or the pairs would
    not show what it is worth. Operations are counted of all.
    """
    wanted = getattr(searcher, "wants_score", None)
    if proxy is None or wanted is None or not evaluation.ok:
        return evaluation
    ask = proxy if wanted(study.archive()) else proxy.operations
    [scores] = ask([evaluation.architecture])
    if not scores:
        return evaluation
    kept = beside(evaluation, scores, study.config.evaluator.get("profile"))
    return replace(evaluation, metrics={**evaluation.metrics, "proxy": kept})


def _log_trust(study: Study, searcher: Searcher, proxy: Proxy | None) -> None:
    """Record how far the guides agree with the evaluations so far."""
    archive = study.archive()
    told: dict[str, Any] = {}
    if hasattr(searcher, "trust"):
        told["surrogate"] = searcher.trust(archive)
    if proxy is not None:
        told["proxy"] = proxy_agreement(archive)
        told["proxy_seconds"] = proxy.seconds
    if study.config.halving:
        of_folds = study.config.evaluator.get("looks") == "folds"
        told["first_looks"] = agreement(archive, of_folds)
    if told:
        study.log("trust", evaluations=len(study.evaluations), **told)
