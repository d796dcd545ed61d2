"""Several evaluations under way: the budget, what waits, and the files of those under way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from spaces import DOCUMENT, TINY, measure, measure_tiny

from nas.checkpoints import prune
from nas.evaluation import Job, make_evaluation
from nas.jobs import jobs_of
from nas.run_config import RunConfig
from nas.searchers import make_searcher
from nas.study import Study
from search_spaces.schema import load_space


def study_of(folder: Path, document: dict[str, Any], budget: int, halving: bool = False) -> Study:
    space = load_space(document)
    evaluator = {"kind": "function", "reference": "<f>", "sha256": None}
    return Study.create(
        folder, RunConfig(space, "random", budget, budget, 0, evaluator, halving=halving)
    )


def jobs(study: Study) -> Iterator[Job | None]:
    return jobs_of(study, make_searcher("random", study.space, study.config.budget), None)


def finish(study: Study, job: Job, evaluator: Any) -> None:
    study.finish(make_evaluation(job, evaluator, study.space))


@pytest.mark.parametrize("halving", [False, True])
def test_what_is_under_way_never_exceeds_the_budget(halving: bool, tmp_path: Path) -> None:
    study = study_of(tmp_path / "run", DOCUMENT, 5, halving)
    source = jobs(study)
    begun = list(islice(source, 100))  # nobody finishes: no more may begin than can be paid
    assert study.committed == pytest.approx(5.0)
    assert sum(job.cost for job in begun if job) == pytest.approx(5.0)
    assert len({job.architecture.hash for job in begun if job}) == len(begun)
    study.close()


def test_the_end_of_the_space_waits_for_looks_that_may_be_promoted(tmp_path: Path) -> None:
    """All twelve architectures are being looked at: more can begin only when one is done."""
    study = study_of(tmp_path / "run", TINY, 6, halving=True)
    source = jobs(study)
    looks = list(islice(source, 12))
    assert all(job is not None and job.fidelity < 1.0 for job in looks)
    assert next(source) is None
    assert looks[0] is not None
    finish(study, looks[0], measure_tiny)
    promoted = next(source)
    assert promoted is not None
    assert (promoted.architecture, promoted.fidelity) == (looks[0].architecture, 1.0)
    assert next(source) is None
    study.close()


def test_a_resumed_run_begins_with_all_that_was_under_way(tmp_path: Path) -> None:
    study = study_of(tmp_path / "run", DOCUMENT, 6)
    begun = [job for job in islice(jobs(study), 4) if job]
    finish(study, begun[1], measure)
    study.close()
    again = Study.open(tmp_path / "run", write=True)
    rest = [job for job in jobs(again) if job]
    left = [begun[0], begun[2], begun[3]]
    assert [(j.number, j.architecture, j.seed) for j in rest[:3]] == [
        (j.number, j.architecture, j.seed) for j in left
    ]
    assert len(rest) == 5
    assert again.committed == 6
    again.close()


def test_files_of_an_evaluation_under_way_are_not_pruned(tmp_path: Path) -> None:
    """A worker may have written its weights before its result is in the record."""
    study = study_of(tmp_path / "run", DOCUMENT, 4)
    first, second = [job for job in islice(jobs(study), 2) if job]
    for job in (first, second):
        assert job.checkpoint is not None
        job.checkpoint.parent.mkdir(exist_ok=True)
        job.checkpoint.touch()
        job.checkpoint.with_suffix(".partial").touch()  # another worker is just writing it
    finish(study, first, measure)
    prune(study)
    assert first.checkpoint is not None
    assert second.checkpoint is not None
    assert first.checkpoint.exists()  # on the front
    assert not first.checkpoint.with_suffix(".partial").exists()
    assert second.checkpoint.exists()
    assert second.checkpoint.with_suffix(".partial").exists()
    study.close()
