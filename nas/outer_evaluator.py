"""A training on an outer fold as a job that any executor can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.event_log import EventLog, place
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.features import Dataset
    from eval.folds import Fold
    from eval.training import Epoch, Recipe

# An executor checks what comes back against a space; of this one a point is a model on a fold.
TRAININGS = Space("trainings", (), {"wa": "maximize", "ua": "maximize", "energy": "minimize"})


@dataclass(frozen=True)
class Model:
    """Something to measure.

    Args:
        name: In the table and the record.
        family: Network family.
        values: Its parameters.
    """

    name: str
    family: str
    values: Mapping[str, Any]


class OuterEvaluator:
    """Trains a model on all but an outer fold and measures it there. Crosses process borders.

    Args:
        dataset: The corpus.
        models: What can be asked for, by name.
        folds: On which folds, by name.
        recipe: How to train.
        profile: Cost model of the energy: name, path or content.
        logs: An absolute folder for TensorBoard events; None writes none.
    """

    checkpoints = True

    def __init__(
        self,
        dataset: Dataset,
        models: Sequence[Model],
        folds: Sequence[Fold],
        recipe: Recipe,
        profile: str | Mapping[str, Any],
        logs: Path | None,
    ) -> None:
        from eval.energy.profile import load_profile

        self.dataset = dataset
        self.models = {m.name: m for m in models}
        self.folds = {f.name: f for f in folds}
        self.recipe = recipe
        self.profile = load_profile(profile).spec  # the file need not be where a worker is
        self.logs = logs

    def __call__(
        self,
        architecture: Mapping[str, Any],
        fidelity: float,
        seed: int,
        checkpoint: Path | None = None,
        partial: Path | None = None,
    ) -> dict[str, Any]:
        """Make the training of ``architecture["model"]`` on ``architecture["fold"]``.

        Returns:
            What ``test_on_fold`` does; where events are wanted and their folder is on another
            machine, also the epochs, for :meth:`write_epochs`.
        """
        from eval.confirmation import test_on_fold

        model, fold = self.models[architecture["model"]], self.folds[architecture["fold"]]
        here = self.logs is not None and self.logs.is_dir()
        log = self._log(model.name, fold.name, seed) if here else None
        epochs: list[Epoch] = []
        figures = test_on_fold(
            model.values,
            self.dataset,
            fold,
            family=model.family,
            seed=seed,
            recipe=self.recipe,
            profile=self.profile,
            partial=partial,
            watch=log.epoch if log is not None else epochs.append,
        )
        if log is not None:
            log.end(self.recipe.epochs, figures)
        elif self.logs is not None:
            figures["epochs"] = [asdict(e) for e in epochs]
        return figures

    def write_epochs(self, model: str, figures: Mapping[str, Any]) -> None:
        """Write the events of a training whose worker could not."""
        from eval.training import Epoch

        log = self._log(model, figures["fold"], figures["seed"])
        for epoch in figures["epochs"]:
            log.epoch(Epoch(**epoch))
        log.end(self.recipe.epochs, figures)

    def _log(self, model: str, fold: str, seed: int) -> EventLog:
        assert self.logs is not None
        return EventLog(self.logs / place(model, list(self.folds).index(fold), fold, seed))
