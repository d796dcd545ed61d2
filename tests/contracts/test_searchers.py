"""What every searcher must keep to, run against each of them."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.searchers import GUIDED, SEARCHERS, Searcher, make_searcher
from nas.searchers.screened import Screened
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space
from search_spaces.space import Space

DOCUMENT: dict[str, Any] = {
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
SPACE = load_space(DOCUMENT)
ONE = load_space({**DOCUMENT, "objectives": {"energy": "minimize"}})


NAMES = sorted(SEARCHERS) + [name + GUIDED for name in sorted(SEARCHERS) if name != "auto"]
# gp needs about a second a proposal, whatever is in the archive: it has a test of its own below
QUICK = [name for name in NAMES if not name.startswith("gp")]


@pytest.fixture(params=QUICK)
def searcher(request: pytest.FixtureRequest) -> Searcher:
    return make_searcher(str(request.param), SPACE, budget=100)


def evaluated(number: int, a: Architecture, **changes: Any) -> Evaluation:
    energy = float(a["width"]) * (1 + float(a["depth"]))  # type: ignore[arg-type]
    objectives = {"ua": 1 - 1 / (1 + energy), "energy": energy, "latency": float(a["bias"])}  # type: ignore[arg-type]
    violations = {"energy": energy - 60} if energy > 60 else {}
    base: dict[str, Any] = {
        "objectives": objectives,
        "violations": violations,
        "fidelity": 1.0,
        "cost": 1.0,
    }
    return Evaluation(number, a, seed=0, **{**base, **changes})


def failed(number: int, a: Architecture) -> Evaluation:
    return Evaluation(number, a, 1.0, 1.0, 0, error="broken")


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
    "first looks": archive(
        40, lambda i, a: evaluated(i, a, fidelity=0.125 if i % 4 else 1.0, cost=0.125)
    ),
    "first looks only": archive(20, lambda i, a: evaluated(i, a, fidelity=0.125, cost=0.125)),
    "some failed": archive(30, lambda i, a: failed(i, a) if i % 3 == 0 else evaluated(i, a)),
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
@pytest.mark.parametrize("searcher_name", QUICK)
def test_one_objective_is_enough(searcher_name: str, name: str) -> None:
    """Not every sort and volume of a library takes a single column."""
    several = ARCHIVES[name]
    alone = [
        replace(e, objectives={k: v for k, v in e.objectives.items() if k == "energy"})
        for e in several.evaluations
    ]
    archive = Archive(ONE, alone, several.pending)
    proposed = make_searcher(searcher_name, ONE, 100).propose(archive, 2, np.random.default_rng(0))
    assert 1 <= len(proposed) <= 2
    for a in proposed:
        assert ONE.architecture(a.as_dict()) == a


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_proposal_is_a_function_of_archive_and_generator(searcher: Searcher, name: str) -> None:
    """Neither what was asked before, nor the global generators, nor pickling matter."""
    first = searcher.propose(ARCHIVES[name], 2, np.random.default_rng(3))
    searcher.propose(ARCHIVES["some"], 2, np.random.default_rng(9))
    random.seed(11)
    np.random.seed(11)  # noqa: NPY002
    copy: Archive = pickle.loads(pickle.dumps(ARCHIVES[name]))
    assert searcher.propose(copy, 2, np.random.default_rng(3)) == first


def test_another_generator_gives_another_proposal(searcher: Searcher) -> None:
    drawn = {
        searcher.propose(ARCHIVES["one"], 1, np.random.default_rng(seed))[0].hash
        for seed in range(12)
    }
    assert len(drawn) > 1


def test_it_leaves_the_archive_and_the_global_generators_alone(searcher: Searcher) -> None:
    before = pickle.dumps((ARCHIVES["many"].evaluations, random.getstate()))
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]  # noqa: NPY002
    searcher.propose(ARCHIVES["many"], 2, np.random.default_rng(0))
    assert pickle.dumps((ARCHIVES["many"].evaluations, random.getstate())) == before
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]  # noqa: NPY002


def small(objectives: dict[str, str]) -> Space:
    return load_space(
        {
            "name": "small",
            "parameters": {
                "a": {"choice": [1, 2, 3]},
                "b": {"int": [0, 3]},
                "c": {"choice": ["x", "y"], "when": {"a": [2, 3]}},
            },
            "objectives": objectives,
        }
    )


def searched(name: str, space: Space, budget: int, **options: Any) -> tuple[list[Evaluation], int]:
    """Search without the driver's help; return what was evaluated, and how often in vain."""
    chosen = make_searcher(name, space, budget, **options)
    evaluations: list[Evaluation] = []
    vain = 0
    for number in range(3 * budget):
        archive = Archive(space, evaluations)
        [a] = chosen.propose(archive, 1, np.random.default_rng([1, number]))
        if any(e.architecture == a for e in evaluations):
            vain += 1
            continue
        values = {"f": float(a["a"]) - float(a["b"]), "g": float(a["b"]) ** 2}  # type: ignore[arg-type]
        proxy = options.get("proxy")
        wanted = proxy is not None and isinstance(chosen, Screened) and chosen.wants_score(archive)
        metrics = {"proxy": proxy([a])[0]} if wanted and proxy is not None else {}
        objectives = {k: values[k] for k in space.objectives}
        evaluations.append(Evaluation(len(evaluations), a, 1.0, 1.0, 0, objectives, metrics))
        if len(evaluations) == budget:
            break
    return evaluations, vain


@pytest.mark.parametrize("name", ["random", "local", "local+", "auto"])
@pytest.mark.parametrize("objectives", [{"f": "minimize"}, {"f": "minimize", "g": "maximize"}])
def test_a_small_space_is_searched_to_its_end(name: str, objectives: dict[str, str]) -> None:
    """Of 20 architectures many are found without help, and being done is no trap."""
    space = small(objectives)
    found, _ = searched(name, space, 20)
    assert len(found) >= 16
    everything = [
        Evaluation(i, a, 1.0, 1.0, 0, found[0].objectives) for i, a in enumerate(space.enumerate())
    ]
    proposed = make_searcher(name, space, 20).propose(
        Archive(space, everything), 2, np.random.default_rng(0)
    )
    assert proposed


def test_gp_is_a_function_of_archive_and_generator() -> None:
    space = small({"f": "minimize"})
    done, _ = searched("random", space, 11)
    chosen = make_searcher("gp", space, 20)
    archive = Archive(space, [*done, failed(11, done[0].architecture)], [done[3].architecture])
    first, again = (chosen.propose(archive, 1, np.random.default_rng(5)) for _ in range(2))
    assert first == again
    assert space.architecture(first[0].as_dict()) == first[0]


def test_gp_proposes_what_is_new_in_a_small_space() -> None:
    """Optuna's processes name the best of twenty, which is known."""
    space = small({"f": "minimize"})
    best = next(a for a in space.enumerate() if (a["a"], a["b"]) == (1, 3))
    others = [a for a in space.enumerate() if a["a"] == 3 and a["c"] == "x"]
    near = [a for a in space.enumerate() if a["a"] == 1 and a != best]
    done = [
        Evaluation(i, a, 1.0, 1.0, 0, {"f": float(a["a"]) - float(a["b"])})  # type: ignore[arg-type]
        for i, a in enumerate([best, *near, *others])
    ]
    archive = Archive(space, done)
    proposed = [
        a
        for seed in range(2)
        for a in make_searcher("gp", space, 20).propose(archive, 3, np.random.default_rng(seed))
    ]
    assert not {a.hash for a in proposed} & archive.seen


@pytest.mark.parametrize("name", ["auto", "local", "local+", "nsga2+"])
def test_nothing_is_proposed_twice_while_there_is_something_new(name: str) -> None:
    chosen = make_searcher(name, SPACE, 100)
    for seed in range(10):
        proposed = chosen.propose(ARCHIVES["many"], 3, np.random.default_rng(seed))
        assert len({a.hash for a in proposed} - ARCHIVES["many"].seen) == 3


def test_guidance_is_asked_for_by_name_or_by_argument() -> None:
    for name, guided, screened in [
        ("auto", None, True),
        ("auto", False, False),
        ("nsga2", None, False),
        ("nsga2", True, True),
        ("tpe+", None, True),
    ]:
        made = make_searcher(name, SPACE, 50, guided)
        assert isinstance(made, Screened) == screened


def test_auto_without_guidance_is_local() -> None:
    for seed in range(5):
        one, other = (
            make_searcher(name, SPACE, 100, guided=False).propose(
                ARCHIVES["many"], 4, np.random.default_rng(seed)
            )
            for name in ("auto", "local")
        )
        assert one == other


def test_local_search_goes_between_members_of_the_front_as_well_as_beside_them() -> None:
    space = load_space(
        {
            "name": "ends",
            "parameters": {f"p{i}": {"int": [0, 9]} for i in range(6)},
            "objectives": {"f": "minimize", "g": "minimize"},
        }
    )
    ends = [space.architecture({f"p{i}": v for i in range(6)}) for v in (0, 9)]
    done = [
        Evaluation(i, a, 1.0, 1.0, 0, {"f": float(i), "g": 1.0 - i}) for i, a in enumerate(ends)
    ] + [Evaluation(i, ends[1], 1.0, 1.0, 0, error="none") for i in range(2, 20)]
    chosen = make_searcher("local", space, 40).propose(
        Archive(space, done), 20, np.random.default_rng(0)
    )
    apart = [min(sum(a[k] != e[k] for k in a) for e in ends) for a in chosen]
    assert {1, 2, 3} == set(apart)
    assert all(set(a.values()) == {0, 9} for a, d in zip(chosen, apart, strict=True) if d > 1)


def test_a_guided_searcher_finds_more() -> None:
    """One-max in disguise: what guidance is for, in a few evaluations."""
    space = load_space(
        {
            "name": "sum",
            "parameters": {f"p{i}": {"int": [0, 7]} for i in range(8)},
            "objectives": {"f": "maximize"},
        }
    )

    def best(name: str, seed: int) -> float:
        chosen, done = make_searcher(name, space, 40), []
        for number in range(40):
            rng = np.random.default_rng([seed, number])
            [a] = chosen.propose(Archive(space, done), 1, rng)
            total = float(sum(int(v) for v in a.values()))  # type: ignore[arg-type]
            done.append(Evaluation(number, a, 1.0, 1.0, 0, {"f": total}))
        return max(e.objectives["f"] for e in done)

    guided = [best("auto", seed) for seed in range(2)]
    plain = [best("local", seed) for seed in range(2)]
    assert min(guided) > max(plain)


@pytest.mark.parametrize("helps", [True, False])
def test_the_proxy_is_asked_while_it_is_scarce_or_helps_and_else_now_and_then(helps: bool) -> None:
    asked: list[int] = []
    space = load_space(
        {
            "name": "hidden",
            "parameters": {f"p{i}": {"int": [0, 7]} for i in range(4)},
            "objectives": {"f": "minimize"},
        }
    )

    def secret(a: Any) -> float:  # nothing that the architecture's vector tells
        return float(int(a.hash, 16) % 1000)

    def proxy(architectures: Any) -> list[dict[str, float]]:
        asked.append(len(architectures))
        unlike = {a.hash: float(int(a.hash[::-1], 16) % 1000) for a in architectures}
        return [{"f": secret(a) if helps else unlike[a.hash]} for a in architectures]

    chosen = make_searcher("auto", space, 60, proxy=proxy)
    assert isinstance(chosen, Screened)
    done: list[Evaluation] = []
    wanted = []
    for number in range(60):
        archive = Archive(space, done)
        [a] = chosen.propose(archive, 1, np.random.default_rng([2, number]))
        wanted.append(chosen.wants_score(archive))
        metrics = {"proxy": proxy([a])[0]} if wanted[-1] else {}
        done.append(Evaluation(number, a, 1.0, 1.0, 0, {"f": secret(a)}, metrics))
    assert max(asked) <= 3
    assert all(wanted[:15])
    late = sum(wanted[30:])
    assert late == 30 if helps else 10 <= late < 25


@pytest.mark.parametrize("name", ["empty", "some", "many", "all failed", "first looks only"])
def test_trust_is_plain_data(name: str) -> None:
    chosen = make_searcher("auto", SPACE, 100)
    assert isinstance(chosen, Screened)
    told = json.loads(json.dumps(chosen.trust(ARCHIVES[name])))
    assert set(told) == set(SPACE.objectives)
    for verdict in told.values():
        assert set(verdict) == {"correlation", "n", "floor", "steers"}


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
    for name in sorted(set(NAMES) - {"gp+"}):
        proposed = make_searcher(name, single, 20).propose(
            Archive(single, done), 1, np.random.default_rng(0)
        )
        assert proposed == [only]


def test_in_a_small_space_what_cannot_be_built_does_not_make_the_search_random() -> None:
    """Nothing says that the best cannot be built: it must not be all that is proposed."""
    space = small({"f": "minimize", "g": "maximize"})
    everything = list(space.enumerate())
    values = {a.hash: (float(a["a"]) - float(a["b"]), float(a["b"]) ** 2) for a in everything}  # type: ignore[arg-type]
    done = [
        Evaluation(i, a, 1.0, 1.0, 0, dict(zip("fg", values[a.hash], strict=True)))
        for i, a in enumerate(everything[:12])
    ]
    chosen = make_searcher("auto", space, 40)
    archive = Archive(space, done)
    asked = {
        chosen.propose(archive, 1, np.random.default_rng(i))[0].hash for i in range(40)
    } - archive.seen
    assert len(asked) >= 3
