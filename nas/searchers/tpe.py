"""Multi-objective TPE (Ozaki et al. 2022) by Optuna, rebuilt from the archive at every ask."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from nas.archive import Archive
from nas.optuna_space import flat, suggest
from nas.record import constraint_attributes
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
        study = optuna.create_study(
            directions=list(self.space.objectives.values()), sampler=sampler
        )
        for e in archive.evaluations:
            if e.fidelity < 1.0:
                continue
            params, distributions = flat(self.space, e.architecture)
            study.add_trial(
                create_trial(
                    state=TrialState.COMPLETE if e.ok else TrialState.FAIL,
                    values=[e.objectives[name] for name in self.space.objectives]
                    if e.ok
                    else None,
                    params=params,
                    distributions=distributions,
                    system_attrs=constraint_attributes(self.space, e),
                )
            )
        for architecture in archive.pending:
            params, distributions = flat(self.space, architecture)
            study.add_trial(
                create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
            )
        return [suggest(self.space, study.ask()) for _ in range(n)]
