"""Gaussian processes by Optuna's ``GPSampler``, rebuilt from the archive at every ask.

Good and slow: about a second a proposal, which a training of minutes does not notice. In a small
space the processes name what is known already again and again, however often they are asked; an
untried neighbour of it is taken then.
"""

from __future__ import annotations

import warnings

import numpy as np
import optuna

from nas.archive import Archive
from nas.optuna_space import study_of, suggest
from nas.searchers.local import beside
from search_spaces.architecture import Architecture
from search_spaces.space import Space


class GPSearcher:
    """Log expected hypervolume improvement under Optuna's Gaussian processes.

    Args:
        space: Where to search.
        startup: Random architectures before the first model.
    """

    def __init__(self, space: Space, startup: int) -> None:
        self.space = space
        self.startup = startup

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` architectures that the processes prefer, or untried ones beside them."""
        seed = int(rng.integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.GPSampler(
                seed=seed,
                n_startup_trials=self.startup,
                deterministic_objective=False,
                warn_independent_sampling=False,  # of what hangs on other parameters, at every ask
            )
        study = study_of(self.space, archive, sampler)
        taken = set(archive.seen)
        out = []
        for _ in range(n):
            chosen = suggest(self.space, study.ask())
            if chosen.hash in taken:
                chosen = beside(self.space, chosen, taken, rng)
            taken.add(chosen.hash)
            out.append(chosen)
        return out
