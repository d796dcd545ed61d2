"""Multi-objective TPE (Ozaki et al. 2022) by Optuna, rebuilt from the archive at every ask."""

from __future__ import annotations

import numpy as np
import optuna

from nas.archive import Archive
from nas.optuna_space import study_of, suggest
from search_spaces.architecture import Architecture
from search_spaces.space import Space


class TPESearcher:
    """Optuna's multivariate, grouped TPE: made for conditional spaces.

    Args:
        space: Where to search.
        startup: Random architectures before the first model.
    """

    def __init__(self, space: Space, startup: int) -> None:
        self.space = space
        self.startup = startup

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` architectures that TPE prefers given the archive."""
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            multivariate=True,
            group=True,
            seed=int(rng.integers(2**31)),
        )
        study = study_of(self.space, archive, sampler)
        return [suggest(self.space, study.ask()) for _ in range(n)]
