"""Multi-objective TPE (Ozaki et al. 2022) by Optuna, rebuilt from the archive at every ask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna

from nas.archive import Archive
from nas.optuna_space import study_of, suggest
from search_spaces.architecture import Architecture
from search_spaces.space import Space

# Candidates of which the best is proposed: Optuna's 24, and where that one is known already fewer
# and fewer, down to a plain draw from the density of the good ones. In a small space TPE would
# otherwise name the same few architectures for ever.
CANDIDATES = (24, 24, 8, 8, 2, 2, 1, 1, 1, 1)


class TPESearcher:
    """Optuna's multivariate, grouped TPE: made for conditional spaces.

    Args:
        space: Where to search.
        startup: Random architectures before the first model.
        candidates: Of how many the best is proposed, and of how many after that while it is known.
    """

    def __init__(self, space: Space, startup: int, candidates: Sequence[int] = CANDIDATES) -> None:
        self.space = space
        self.startup = startup
        self.candidates = tuple(candidates)

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` architectures that TPE prefers, unseen where it names any."""
        study = study_of(self.space, archive, self._sampler(self.candidates[0], rng))
        taken = set(archive.seen)
        out = []
        for _ in range(n):
            for candidates in self.candidates:
                study.sampler = self._sampler(candidates, rng)
                chosen = suggest(self.space, study.ask())
                if chosen.hash not in taken:
                    break
            taken.add(chosen.hash)
            out.append(chosen)
        return out

    def _sampler(self, candidates: int, rng: np.random.Generator) -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            n_ei_candidates=candidates,
            multivariate=True,
            group=True,
            seed=int(rng.integers(2**31)),
        )
