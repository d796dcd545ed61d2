"""Studies in memory, against those that Optuna makes itself."""

from __future__ import annotations

import copy

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.optuna_space import distribution, flat, study_of
from search_spaces.schema import load_space

SPACE = load_space(
    {
        "name": "told",
        "parameters": {
            "depth": {"int": [1, 3]},
            "shift": {"choice": [0, 0.25], "repeat": "depth"},
            "kind": {"choice": ["a", "b"]},
            "tau": {"float": [1.0, 4.0], "log": True, "when": {"kind": "a"}},
        },
        "objectives": {"ua": "maximize", "energy": "minimize"},
        "constraints": {"energy": {"max": 0.5}},
    }
)


def test_a_study_holds_the_trials_that_optuna_would_make() -> None:
    rng = np.random.default_rng(0)
    drawn = list({a.hash: a for a in (SPACE.sample(rng) for _ in range(60))}.values())
    done = [
        Evaluation(i, a, 1.0, 1.0, 0, {"ua": 0.1 * i, "energy": 0.1 * i})
        if i % 5
        else Evaluation(i, a, 1.0, 1.0, 0, error="no")
        for i, a in enumerate(drawn[:12])
    ]
    study = study_of(SPACE, Archive(SPACE, done, drawn[12:14]), optuna.samplers.RandomSampler(0))
    trials = study.get_trials()
    assert [t.number for t in trials] == list(range(14))
    for trial, e in zip(trials, done, strict=False):
        params, distributions = flat(SPACE, e.architecture)
        expected = create_trial(
            state=TrialState.COMPLETE if e.ok else TrialState.FAIL,
            values=[e.objectives["ua"], e.objectives["energy"]] if e.ok else None,
            params=params,
            distributions=distributions,
        )
        assert type(trial) is FrozenTrial
        assert (trial.state, trial.params) == (expected.state, expected.params)
        assert trial.distributions == expected.distributions
        assert trial.values == expected.values
    assert [t.state for t in trials[12:]] == [TrialState.RUNNING] * 2
    assert all(
        t.params == flat(SPACE, a)[0] for t, a in zip(trials[12:], drawn[12:], strict=False)
    )


def test_what_is_told_is_not_changed_by_the_study() -> None:
    a = SPACE.sample(np.random.default_rng(1))
    known = {p.name: distribution(p) for p in SPACE.parameters}
    params, distributions = flat(SPACE, a, known)
    assert (params, distributions) == flat(SPACE, a)
    kept = copy.deepcopy(params)
    done = Evaluation(0, a, 1.0, 1.0, 0, {"ua": 0.5, "energy": 0.5})
    archive = Archive(SPACE, [done])
    one, two = (study_of(SPACE, archive, optuna.samplers.RandomSampler(0)) for _ in range(2))
    held = one.get_trials(deepcopy=False)[0]
    held.params["depth"] = 99
    assert two.get_trials(deepcopy=False)[0].params == kept
