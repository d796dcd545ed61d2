"""The ReLU proxy of a run: what a candidate's ReLU counterpart scores, before it is trained.

It never ranks candidates by itself: its scores are inputs of the surrogate, which uses them
only while they make its predictions better (``nas.guidance``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.energy import ENERGIES, OBJECTIVE, OPERATIONS
from nas.halving import kendall
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from eval.supernet import Supernet
    from nas.evaluators import CorpusEvaluator

KINDS = ("supernet", "ann", "none")
SUPERNET_FILE = "supernet-{}.safetensors"
SUPERNET_EPOCHS = 4
ANN_FIDELITY = 0.25  # of the epochs, on one validation fold

Scores = Mapping[str, Any]
Say = Callable[[str], None]


class Proxy:
    """Scores candidates by objective; keeps what it has said and what it took.

    Args:
        score: Scores architectures.
        names: Objectives to keep of what it returns.
        seconds: Already spent on making it.
        count: Counts the operations of a ReLU twin by part; None where only scoring tells them.
    """

    def __init__(
        self,
        score: Callable[[Sequence[Architecture]], Sequence[Scores]],
        names: Sequence[str],
        seconds: float = 0.0,
        count: Callable[[Architecture], Mapping[str, float]] | None = None,
    ) -> None:
        self._score = score
        self._names = tuple(names)
        self.seconds = seconds
        self.known: dict[str, dict[str, Any]] = {}
        self._count = count if OBJECTIVE in self._names else None
        self._counted: dict[str, dict[str, Any]] = {}

    def __call__(self, architectures: Sequence[Architecture]) -> list[Scores]:
        """Return ``{objective: score}`` of each, in natural direction.

        Where energy is an objective, also ``operations`` of the ReLU twin by part, if they are
        known: energy is predicted from them (``nas.guidance.energy``).
        """
        new = [a for a in architectures if a.hash not in self.known]
        if new:
            began = time.perf_counter()
            for a in new:
                try:
                    [scores] = self._score([a])
                except NasError:  # it cannot be built; the driver will refuse it
                    scores = {}
                kept: dict[str, Any] = {n: float(scores[n]) for n in self._names if n in scores}
                if OBJECTIVE in self._names and OPERATIONS in scores:
                    kept[OPERATIONS] = dict(scores[OPERATIONS])
                self.known[a.hash] = kept | self._operations(a)
            self.seconds += time.perf_counter() - began
        return [self.known[a.hash] for a in architectures]

    def operations(self, architectures: Sequence[Architecture]) -> Sequence[Scores]:
        """Return the operations alone, where they can be counted without a score."""
        began = time.perf_counter()
        found = [self._operations(a) for a in architectures]
        self.seconds += time.perf_counter() - began
        return found

    def _operations(self, a: Architecture) -> dict[str, Any]:
        if self._count is None:
            return {}
        if a.hash not in self._counted:
            try:
                self._counted[a.hash] = {OPERATIONS: dict(self._count(a))}
            except NasError:
                self._counted[a.hash] = {}
        return self._counted[a.hash]


def make_proxy(
    kind: str, evaluator: CorpusEvaluator, folder: Path, seed: int, say: Say
) -> Proxy | None:
    """Make the proxy of a run; a supernet is trained once and kept in the run's folder.

    Args:
        kind: One of ``KINDS``.
        evaluator: Gives corpus, family and folds; only training and validation speakers of its
            first fold are used.
        folder: Of the run.
        seed: Of the run.
        say: Told what takes time.

    Raises:
        NasError: No such kind.
    """
    if kind not in KINDS:
        raise NasError(f"unknown proxy {kind!r}", hint=nearest(kind, KINDS))
    names = tuple(evaluator.space.objectives)
    if kind == "none":
        return None
    if kind == "ann":
        return Proxy(_brief_training(evaluator, seed), names)
    began = time.perf_counter()
    [net] = supernets(evaluator, folder, seed, say, folds=1).values()
    return Proxy(net.score, names, time.perf_counter() - began, net.operations)


def beside(evaluation: Evaluation, scores: Scores, profile: Any) -> dict[str, Any]:
    """Return what is kept of scores in an evaluation: with its own energy by part, if of use.

    Args:
        evaluation: Of the architecture that was scored.
        scores: What was said of it.
        profile: Cost model of the run, as its record has it.
    """
    kept = dict(scores)
    layers = evaluation.metrics.get("layers")
    if OPERATIONS in kept and layers:
        from eval.energy.parts import energy_by_part
        from eval.energy.profile import load_profile

        kept[ENERGIES] = energy_by_part(layers, load_profile(profile))
    return kept


def proxy_agreement(archive: Archive) -> dict[str, dict[str, Any]]:
    """Return how the proxy's scores and full trainings agree, by objective it scores."""
    out = {}
    for name in archive.space.objectives:
        pairs = [
            (e.metrics["proxy"][name], e.objectives[name])
            for e in archive.full
            if name in e.metrics.get("proxy", {})
        ]
        if pairs:
            out[name] = kendall([a for a, _ in pairs], [b for _, b in pairs])
    return out


def supernets(
    evaluator: CorpusEvaluator, folder: Path, seed: int, say: Say, folds: int | None = None
) -> dict[str, Supernet]:
    """Return a trained supernet for each validation fold, by the fold's name.

    Each is trained on the part of its fold that is not held out, so that whatever begins from
    its weights has not seen what it is measured on. Kept in the run's folder.

    Args:
        evaluator: Gives corpus, family and folds.
        folder: Of the run.
        seed: Of the run.
        say: Told what takes time.
        folds: Only the first so many.
    """
    from eval.supernet import Supernet

    nets = {}
    for i, fold in enumerate(evaluator.folds[:folds]):
        net = Supernet(evaluator.space, evaluator.family, evaluator.dataset, fold, seed)
        path = folder / SUPERNET_FILE.format(i)
        if not net.load(path):
            say(f"training a ReLU supernet without {fold.name} (once)")
            net.train(evaluator.recipe, SUPERNET_EPOCHS)
            net.save(path)
        nets[fold.name] = net
    return nets


def _brief_training(
    evaluator: CorpusEvaluator, seed: int
) -> Callable[[Sequence[Architecture]], list[dict[str, Any]]]:
    from eval.energy.parts import operations_by_part
    from eval.evaluate import evaluate
    from eval.seeds import derived_seed

    def score(architectures: Sequence[Architecture]) -> list[dict[str, Any]]:
        twins = (
            evaluate(
                evaluator.family.twin(a),
                evaluator.dataset,
                evaluator.folds[:1],
                family=evaluator.reference,
                fidelity=ANN_FIDELITY,
                seed=derived_seed(seed, "twin", a.hash),
                recipe=evaluator.recipe,
                profile=evaluator.profile,
            )
            for a in architectures
        )
        # a ReLU network's energy is not that of spikes, its operations tell it
        return [
            {"wa": t["wa"], "ua": t["ua"], "macro_f1": t["macro_f1"], "loss": t["loss"]}
            | {OPERATIONS: operations_by_part(t["layers"])}
            for t in twins
        ]

    return score
