"""What every searcher must keep to, run against each of them."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.searchers import SEARCHERS, Searcher, make_searcher
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space
from search_spaces.space import Space

SPACE = load_space(
    {
        "name": "contract",
        "parameters": {
            "depth": {"int": [0, 3]},
            "width": {"choice": [8, 16, 32]},
            "shift": {"choice": [0, 0.25], "repeat": "depth"},
            "kind": {"choice": ["a", "b"]},
            "tau": {"float": [1.1, 8], "log": True, "when": {"kind": "a"}},
            "gain": {"float": [0.0, 1.0], "step": 0.25, "when": {"kind": "b"}},
            "bias": "bool",
        },
        "objectives": {"ua": "maximize", "energy": "minimize", "latency": "minimize"},
        "constraints": {"energy": {"max": 60}},
    }
)


@pytest.fixture(params=sorted(SEARCHERS))
def searcher(request: pytest.FixtureRequest) -> Searcher:
    return make_searcher(str(request.param), SPACE, budget=100)


def evaluated(number: int, a: Architecture, **changes: Any) -> Evaluation:
    energy = float(a["width"]) * (1 + float(a["depth"]))  # type: ignore[arg-type]
    objectives = {"ua": 1 - 1 / (1 + energy), "energy": energy, "latency": float(a["bias"])}  # type: ignore[arg-type]
    violations = {"energy": energy - 60} if energy > 60 else {}
    base: dict[str, Any] = {"objectives": objectives, "violations": violations}
    return Evaluation(number, a, 1.0, 1.0, 0, **{**base, **changes})


def failed(number: int, a: Architecture) -> Evaluation:
    return evaluated(number, a, objectives={}, violations={}, error="broken")


def archive(n: int, make: Any = evaluated) -> Archive:
    rng = np.random.default_rng(7)
    drawn = {a.hash: a for a in (SPACE.sample(rng) for _ in range(4 * n))}
    return Archive(SPACE, [make(i, a) for i, a in enumerate(list(drawn.values())[:n])])


ARCHIVES = {
    "empty": archive(0),
    "one": archive(1),
    "some": archive(12),
    "many": archive(90),
    "all failed": archive(30, failed),
    "all infeasible": archive(
        30, lambda i, a: evaluated(i, a, violations={"energy": float(i + 1)})
    ),
    "all equal": archive(
        30,
        lambda i, a: evaluated(i, a, objectives={"ua": 0.5, "energy": 1.0, "latency": 0.0}),
    ),
    "with pending": Archive(
        SPACE, archive(30).evaluations, [SPACE.sample(np.random.default_rng(1))]
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("n", [1, 3])
def test_it_proposes_architectures_of_the_space(searcher: Searcher, name: str, n: int) -> None:
    proposed = searcher.propose(ARCHIVES[name], n, np.random.default_rng(0))
    assert 1 <= len(proposed) <= n
    for a in proposed:
        assert SPACE.architecture(a.as_dict()) == a


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_proposal_is_a_function_of_archive_and_generator(searcher: Searcher, name: str) -> None:
    """Neither what was asked before, nor the global generators, nor pickling matter."""
    first = searcher.propose(ARCHIVES[name], 2, np.random.default_rng(3))
    searcher.propose(ARCHIVES["many"], 2, np.random.default_rng(9))
    random.seed(11)
    np.random.seed(11)  # noqa: NPY002
    copy: Archive = pickle.loads(pickle.dumps(ARCHIVES[name]))
    assert searcher.propose(copy, 2, np.random.default_rng(3)) == first


def test_another_generator_gives_another_proposal(searcher: Searcher) -> None:
    drawn = {
        searcher.propose(ARCHIVES["some"], 1, np.random.default_rng(seed))[0].hash
        for seed in range(12)
    }
    assert len(drawn) > 1


def test_it_leaves_the_archive_and_the_global_generators_alone(searcher: Searcher) -> None:
    before = pickle.dumps((ARCHIVES["many"].evaluations, random.getstate()))
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]  # noqa: NPY002
    searcher.propose(ARCHIVES["many"], 2, np.random.default_rng(0))
    assert pickle.dumps((ARCHIVES["many"].evaluations, random.getstate())) == before
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]  # noqa: NPY002


def test_a_space_of_one_architecture_is_no_trap() -> None:
    single: Space = load_space(
        {
            "name": "one",
            "parameters": {"a": {"choice": [1]}},
            "objectives": {"ua": "maximize"},
        }
    )
    only = single.sample(np.random.default_rng(0))
    done = [
        Evaluation(0, only, 1.0, 1.0, 0, {"ua": 0.5}),
        Evaluation(1, only, 1.0, 1.0, 0, {"ua": 0.5}),
    ]
    for name in SEARCHERS:
        proposed = make_searcher(name, single, 20).propose(
            Archive(single, done), 1, np.random.default_rng(0)
        )
        assert proposed == [only]
