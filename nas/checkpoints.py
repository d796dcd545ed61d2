"""Which weights and training states of a run are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.halving import first_looks, promoted, ranks_of
from nas.study import Study

FEW = 100  # first looks, of which every state is kept
RANKS = 3  # from which an architecture may return to the front when a lucky one is found out


def prune(study: Study) -> None:
    """Delete the weights of what is not on the front, and states that nobody will go on from.

    Where architectures are measured again, what is right behind the front keeps its weights:
    it may come back.
    """
    keep = {e.architecture.hash for e in study.front()}
    if study.config.remeasure:
        keep |= _behind_the_front(study)
    written = {job.architecture.hash for job in study.pending}  # by a worker, at this moment
    for path in (study.folder / "checkpoints").glob("*"):
        stays = path.stem in keep and path.suffix == ".safetensors"
        if not stays and path.stem not in written:
            path.unlink(missing_ok=True)
    for path in _stale_states(study):
        path.unlink(missing_ok=True)


def _behind_the_front(study: Study) -> set[str]:
    import moocore

    archive = study.archive()
    able = [e for e in archive.full if e.feasible]
    ranks = moocore.pareto_rank(archive.losses(able)) if able else []
    return {e.architecture.hash for e, r in zip(able, ranks, strict=True) if r < RANKS}


def _stale_states(study: Study) -> list[Path]:
    """Training states that no promotion will ask for: finished, or in the worse half of many."""
    archive = study.archive()
    looks, done = first_looks(archive), promoted(archive)
    keep = {job.architecture.hash for job in study.pending}
    if looks:
        ranks = ranks_of(looks, archive)
        limit = np.sort(ranks)[min(len(looks), max(len(looks) // 2, FEW)) - 1]
        keep |= {e.architecture.hash for e, r in zip(looks, ranks, strict=True) if r <= limit}
    keep -= done - {job.architecture.hash for job in study.pending}
    return [p for p in (study.folder / "partial").glob("*") if p.stem not in keep]
