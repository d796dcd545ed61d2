"""Energy predicted from operation counts and learned firing rates."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.encoding import Encoder
from nas.guidance.energy import EnergyModel
from nas.guidance.surrogate import Surrogate
from nas.proxy import Proxy, beside
from nas.searchers.random import RandomSearcher
from nas.searchers.screened import ASKED, Screened
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.schema import load_space

SPACE = load_space(
    {
        "name": "toy",
        "parameters": {
            "neuron.type": {"choice": ["plif", "ttfs"]},
            "width": {"int": [1, 64]},
            "depth": {"int": [1, 4]},
        },
        "objectives": {"ua": "maximize", "energy": "minimize"},
    }
)


def evaluation(
    number: int, neuron: str, operations: dict[str, float] | None, energies: dict[str, float]
) -> Evaluation:
    a = Architecture({"neuron.type": neuron, "width": number + 1, "depth": 1})
    told = {"operations": operations, "energies": energies} if operations else {}
    return Evaluation(
        number=number,
        architecture=a,
        fidelity=1.0,
        cost=1.0,
        seed=0,
        objectives={"ua": 0.5, "energy": sum(energies.values())},
        metrics={"proxy": told},
    )


def test_by_hand() -> None:
    """Two PLIF networks: 2 and 4 J an operation of `body` (mean 3), 1 of `head`; neurons add.

    The first has 5 J outside of those parts on 20 + 5, the second none: factors 1.2 and 1.
    A candidate of 10 `body` and 2 `head`: (3 * 10 + 1 * 2) * 1.1 = 35.2.
    """
    model = EnergyModel(
        [
            evaluation(0, "plif", {"body": 10.0, "head": 5.0}, {"body": 20, "head": 5, "fire": 5}),
            evaluation(1, "plif", {"body": 1.0, "head": 1.0}, {"body": 4, "head": 1}),
        ]
    )
    operations = {"body": 10.0, "head": 2.0}
    assert model.predict({"neuron.type": "plif"}, operations) == pytest.approx(35.2)
    # of each, what the other says: (4 * 10 + 1 * 5) * 1 and (2 * 1 + 1 * 1) * 1.2
    assert model.left_out() == pytest.approx([45.0, 3.6])


def test_another_kind_of_neuron_has_rates_of_its_own_once_there_are_any() -> None:
    plif = evaluation(0, "plif", {"body": 1.0}, {"body": 2.0})
    ttfs = evaluation(1, "ttfs", {"body": 1.0}, {"body": 8.0})
    assert EnergyModel([plif]).predict({"neuron.type": "ttfs"}, {"body": 3.0}) == 6.0
    both = EnergyModel([plif, ttfs])
    assert both.predict({"neuron.type": "ttfs"}, {"body": 3.0}) == 24.0
    assert both.predict({"neuron.type": "lif"}, {"body": 3.0}) == 15.0  # of all, as nobody knows


def test_nothing_is_made_up_where_nothing_is_known() -> None:
    silent = evaluation(0, "plif", None, {"body": 1.0})
    alone = evaluation(1, "plif", {"body": 1.0}, {"body": 2.0})
    model = EnergyModel([silent, alone])
    assert np.isnan(model.left_out()).all()  # nobody else told of the second
    assert model.predict({"neuron.type": "plif"}, {"other": 1.0}) is None
    assert EnergyModel([silent]).predict({}, {"body": 1.0}) is None


def energies(a: Architecture, rng: np.random.Generator) -> dict[str, float]:
    """A part whose firing rate nobody can read off the architecture, and a fixed one."""
    rate = 0.1 * (2.0 if a["neuron.type"] == "ttfs" else 1.0) * float(rng.uniform(0.9, 1.1))
    return {"body": operations(a)["body"] * rate, "head": operations(a)["head"]}


def operations(a: Architecture) -> dict[str, float]:
    odd = 1 + (a["width"] * 7919 + a["depth"] * 104729) % 13  # rugged: a model must be told
    return {"body": float(odd * a["depth"]), "head": 1.0}


def archive(n: int) -> Archive:
    rng = np.random.default_rng(0)
    done: dict[str, Evaluation] = {}
    while len(done) < n:
        a = SPACE.sample(rng)
        spent = energies(a, rng)
        done[a.hash] = Evaluation(
            number=len(done),
            architecture=a,
            fidelity=1.0,
            cost=1.0,
            seed=0,
            objectives={"ua": float(rng.random()), "energy": sum(spent.values())},
            metrics={"proxy": {"ua": 0.5, "operations": operations(a), "energies": spent}},
        )
    return Archive(SPACE, list(done.values()))


def test_the_surrogate_heeds_it_where_it_helps_and_predicts_better() -> None:
    seen = archive(40)
    surrogate = Surrogate(seen, Encoder(SPACE))
    assert surrogate.heeded == {"energy"}
    rng = np.random.default_rng(1)
    new = [a for a in (SPACE.sample(rng) for _ in range(60)) if a.hash not in seen.seen]
    real = [sum(energies(a, rng).values()) for a in new]
    told = surrogate.predict(new, [{"operations": operations(a)} for a in new]).mean[:, 1]
    untold = surrogate.predict(new).mean[:, 1]
    assert kendalltau(told, real).statistic > 0.85 > kendalltau(untold, real).statistic


class Counting:
    """A proxy that notes what it was asked."""

    def __init__(self) -> None:
        self.scored = self.counted = 0

    def __call__(self, architectures: Any) -> Any:
        self.scored += len(architectures)
        return [{"ua": 0.0, "operations": operations(a)} for a in architectures]

    def operations(self, architectures: Any) -> Any:
        self.counted += len(architectures)
        return [{"operations": operations(a)} for a in architectures]


def test_a_search_counts_instead_of_scoring_where_energy_alone_is_told() -> None:
    proxy = Counting()
    searcher = Screened(SPACE, RandomSearcher(SPACE), startup=5, unscreened=0.0, proxy=proxy)
    seen = archive(40)
    searcher.propose(seen, 1, np.random.default_rng(0))
    assert (proxy.scored, proxy.counted) == (0, ASKED)
    assert not searcher.wants_score(Archive(SPACE, seen.evaluations[:40]))  # 40 is no third
    assert searcher.wants_score(Archive(SPACE, seen.evaluations[:39]))


def test_counting_is_done_once_and_survives_what_cannot_be_built() -> None:
    asked: list[str] = []

    def count(a: Architecture) -> dict[str, float]:
        asked.append(a.hash)
        if a["width"] == 1:
            raise NasError("heads do not divide the width")
        return {"body": 2.0}

    proxy = Proxy(lambda many: [{"ua": 0.4} for _ in many], ["ua", "energy"], count=count)
    good = Architecture({"neuron.type": "plif", "width": 2, "depth": 1})
    bad = Architecture({"neuron.type": "plif", "width": 1, "depth": 1})
    told = {"operations": {"body": 2.0}}
    assert proxy.operations([good, bad, good]) == [told, {}, told]
    assert proxy([good]) == [{"ua": 0.4, "operations": {"body": 2.0}}]
    assert asked.count(good.hash) == 1
    # a space without energy has no use for it
    assert Proxy(lambda many: [{} for _ in many], ["ua"], count=count).operations([good]) == [{}]


def test_an_evaluations_own_energies_are_kept_by_part() -> None:
    """45 nm, 32 bit: 4.6 pJ a multiply-accumulate, 0.9 an accumulate or comparison."""
    layers = [
        {"layer": "blocks.0.fire", "macs": 1.0, "acs": 2.0, "compares": 1.0},
        {"layer": "blocks.1.expand", "macs": 0.0, "acs": 10.0, "compares": 0.0},
        {"layer": "project", "macs": 3.0, "acs": 0.0, "compares": 0.0},
    ]
    rows = [{**row, "spikes": 0.0, "neuron_steps": 0.0} for row in layers]
    e = evaluation(0, "plif", None, {"x": 1.0})
    e.metrics.update(layers=rows, energy_profile="45nm_fp32")
    kept = beside(e, {"ua": 0.3, "operations": {"blocks": 4.0}}, "45nm_fp32")
    assert kept["energies"] == pytest.approx(
        {"blocks": (4.6 + 13 * 0.9) * 1e-12, "project": 13.8e-12}
    )
    assert beside(e, {"ua": 0.3}, None) == {"ua": 0.3}


def test_without_kinds_of_neurons_each_is_predicted_from_the_others_alone() -> None:
    """Rates 2, 4 and 9: of each the mean of the other two; a single one tells itself nothing."""
    three = [evaluation(i, "", {"body": 1.0}, {"body": r}) for i, r in enumerate((2.0, 4.0, 9.0))]
    assert EnergyModel(three).left_out() == pytest.approx([6.5, 5.5, 3.0])
    assert np.isnan(EnergyModel(three[:1]).left_out()).all()


@pytest.mark.parametrize(
    ("answers", "asked", "picked"),
    [
        ([4.5, 9.0], [0], 0),  # still ahead of what the next is expected to be
        ([2.0, 3.5], [0, 1], 1),
        ([2.0, 1.0], [0, 1], 0),  # two at most, though the third is expected to beat it
    ],
)
def test_candidates_are_asked_about_while_one_could_still_be_picked(
    monkeypatch: pytest.MonkeyPatch, answers: list[float], asked: list[int], picked: int
) -> None:
    """Expected worths are 5, 4, 3; an answer replaces what was expected."""
    children = [Architecture({"neuron.type": "plif", "width": w, "depth": 1}) for w in range(3)]
    told: list[int] = []

    class Told:
        heeded: ClassVar = {"energy"}

        def predict(self, some: Any, answers: Any = None) -> Any:
            expected = [[5.0, 4.0, 3.0][a["width"]] for a in some]
            return np.array(expected if answers is None else answers)

    class Asked:
        def operations(self, some: Any) -> list[float]:
            told.extend(a["width"] for a in some)
            return [answers[a["width"]] for a in some]

    screened = Screened(SPACE, RandomSearcher(SPACE), startup=5, unscreened=0.0, proxy=Asked())  # type: ignore[arg-type]
    monkeypatch.setattr(screened, "_models", lambda _: (Told(), {}))
    monkeypatch.setattr(screened, "_candidates", lambda *_: children)
    monkeypatch.setattr("nas.searchers.screened.steers", lambda *_: np.array([True]))
    monkeypatch.setattr("nas.searchers.screened.Merit", lambda *_: lambda worth: worth)
    assert screened.propose(archive(40), 1, np.random.default_rng(0)) == [children[picked]]
    assert told == asked
