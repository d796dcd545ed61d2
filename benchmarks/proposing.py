"""What a proposal of ``auto`` costs: the models, and the supernet's scores beside them.

    python benchmarks/proposing.py

On ``pts_snn`` with its three objectives, whose values are made up (``search_problems``), and on
the bundled corpus for the supernet. Milliseconds of processor time of one proposal, with 200
and with 1,000 evaluations in the archive; the scoring of what is evaluated is included. Apart:
without a proxy, with one whose scores are of no use (every third evaluation is scored, and the
operations of up to two candidates of every proposal are counted, for their energy), and with
one whose scores are (up to two candidates of every proposal are scored). The hyper-parameters
are fitted anew at every 32nd evaluation, and at every 128th from 512 on, where models learn of
eight evaluations at once. The means include both; ``worst`` is the first. A score by itself is
timed as well.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import optuna
import report
from search_problems import problems

from eval.supernet import Supernet
from nas.archive import Archive
from nas.corpus import corpus_evaluator
from nas.evaluation import Evaluation
from nas.proxy import Proxy
from nas.searchers import make_searcher
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space

SIZES = (200, 1000)
PROPOSALS = 128
SAMPLE = 200  # scores that are timed by themselves
FRONT_NOISE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--proposals", type=int, default=PROPOSALS)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a line for every proposal
    space = load_space("pts_snn.yaml")
    made_up = problems()["landscape"]()
    evaluator = corpus_evaluator(space, {}, print)
    # untrained: how long a score takes does not hang on the weights
    net, other = (
        Supernet(space, evaluator.family, evaluator.dataset, evaluator.folds[0], 0)
        for _ in range(2)
    )
    rng = np.random.default_rng(0)
    drawn: dict[str, Any] = {}
    while len(drawn) < max(SIZES) + options.proposals:
        a = space.sample(rng)
        if evaluator.refuse(a) is None:
            drawn[a.hash] = a
    counted = {a.hash: net.operations(a) for a in drawn.values()}
    # by another one: what this one scores it knows
    measured: dict[str, Any] = {"a score": score_alone(other, list(drawn.values())[:SAMPLE])}
    print(f"a score, one after the other: {measured['a score']['mean']:.0f}")
    for kind in ("no proxy", "useless proxy", "useful proxy"):
        done = []
        for i, a in enumerate(drawn.values()):
            truth = made_up.truth(a) or {}
            ua = truth["ua"] + FRONT_NOISE * float(rng.normal())
            noise = float(rng.normal())
            said = noise if kind == "useless proxy" else ua
            if kind == "useful proxy":  # something the architecture does not tell
                ua += 0.1 * noise
                said = ua
            parts = energies(counted[a.hash], rng)
            values = {
                "wa": ua + FRONT_NOISE * float(rng.normal()),
                "ua": ua,
                "energy": sum(parts.values()),
            }
            told = {"operations": counted[a.hash], "energies": parts}
            scores = {"proxy": {"ua": said, "wa": said, **told}} if kind != "no proxy" else {}
            done.append(Evaluation(i, a, 1.0, 1.0, 0, values, scores))
        for n in SIZES:
            measured[f"{kind}, {n}"] = row = one(
                space, done, n, options.proposals, None if kind == "no proxy" else net
            )
            figures = ", ".join(f"{k} {v:.0f}" for k, v in row.items())
            print(f"{kind}, {n} evaluations: {figures}")
    report.write("proposing", measured)


def score_alone(net: Supernet, architectures: list[Any]) -> dict[str, float]:
    """Time scores one after the other, the counts of operations that come with them included."""
    began = time.process_time()
    net.score(architectures)
    spent = 1000 * (time.process_time() - began)
    return {"mean": spent / len({Architecture(net.family.twin(a)).hash for a in architectures})}


def energies(operations: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Joules by part: all operations in front of the first spike, some of those behind it."""
    digital = ("pool", "saturate", "project")
    return {
        part: count * 4.6e-12 * (1.0 if part in digital else float(rng.uniform(0.02, 0.1)))
        for part, count in operations.items()
    }


def one(space: Any, done: list[Evaluation], n: int, count: int, net: Any) -> dict[str, float]:
    """Time proposals one after the other, as a search makes them."""
    names = list(space.objectives)
    proxy = Proxy(net.score, names, count=net.operations) if net is not None else None
    searcher: Any = make_searcher("auto", space, n, proxy=proxy)
    searcher.propose(Archive(space, done[: n - 1]), 1, np.random.default_rng(0))
    times, scored = [], 0
    for i in range(count):
        archive = Archive(space, done[: n + i])
        known = len(proxy.known) if proxy is not None else 0
        began = time.process_time()
        [chosen] = searcher.propose(archive, 1, np.random.default_rng(i))
        if proxy is not None:
            (proxy if searcher.wants_score(archive) else proxy.operations)([chosen])
        times.append(1000 * (time.process_time() - began))
        scored += len(proxy.known) - known if proxy is not None else 0
    return {
        "mean": float(np.mean(times)),
        "median": float(np.median(times)),
        "worst": float(np.max(times)),
        "scores a proposal": scored / count,
    }


if __name__ == "__main__":
    main()
