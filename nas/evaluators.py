"""Evaluators: the built-in one on a corpus, and a person's own function."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.folding import FILE as FOLDS_FILE
from nas.train_rate import make_train_rate
from search_spaces.errors import NasError, nearest
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.evaluate import Looks
    from eval.features import Dataset
    from eval.supernet import Supernet
    from nas.folding import Split

Say = Callable[[str], None]


class FunctionEvaluator:
    """A person's own ``function(architecture, fidelity, seed) -> dict``.

    Args:
        function: Returns every objective of the space by name.
        reference: ``file.py:function`` or ``package.module:function``, for the record.
    """

    def __init__(self, function: Callable[..., Mapping[str, Any]], reference: str) -> None:
        self.function = function
        self.reference = reference

    def __call__(
        self, architecture: dict[str, Any], fidelity: float, seed: int
    ) -> Mapping[str, Any]:
        """Call the function."""
        result = self.function(architecture, fidelity, seed)
        if not isinstance(result, Mapping):
            raise TypeError(
                f"{self.reference} must return a dict of objectives, not {type(result).__name__}"
            )
        return result

    def describe(self) -> dict[str, Any]:
        """Return what the record keeps; a changed source file counts as another evaluator."""
        source = getattr(sys.modules.get(self.function.__module__), "__file__", None)
        digest = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None
        return {"kind": "function", "reference": self.reference, "sha256": digest}


def load_function(reference: str) -> FunctionEvaluator:
    """Load an evaluator given as ``file.py:function`` or ``package.module:function``.

    Raises:
        NasError: No such file, module or function; or it fails while loading.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise NasError(
            f"cannot read evaluator {reference!r}",
            hint="give file.py:function or package.module:function",
        )
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the result of the command
            module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    except NasError:
        raise
    except (Exception, SystemExit) as error:
        raise NasError(
            f"the evaluator fails while loading: {type(error).__name__}: {error}", where=place
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise NasError(f"no function {name!r}", where=place, hint=nearest(name, names))
    if place.endswith(".py"):
        place = str(Path(place).resolve())  # a run may be resumed from another folder
    return FunctionEvaluator(function, f"{place}:{name}")


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise NasError("the evaluator's file is not there", where=str(path))
    # A name of its own: a file called like an installed module must not replace it.
    name = f"nas_evaluator_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that it can import what lies beside it
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise NasError(f"no module {error.name!r}", where=name) from None
        raise


class CorpusEvaluator:
    """Trains and measures a network family on the search part of a corpus.

    Only training and validation speakers are seen here; the test speakers are held by the
    outer fold and touched by ``nas confirm`` alone.

    Args:
        dataset: Frame features.
        space: Names the family.
        request: How the dataset was asked for; plain data that makes it again.
        test_fold: Which outer fold holds the test speakers.
        inner: At most this many validation folds, None for all.
        profile: Cost model of the energy: name, path or content; None for the space's, else
            the default.
        split: How the corpus is split; None for the automatic rule.
        train_rate: Steps a second that networks are trained at [Hz], before they are adapted
            to the rate of the dataset and measured there; None trains them at that.
        dtype: Number format of trainings, as for ``eval.autocast.resolve``.
        bucket: Of the recipe, where a run began with another; None for the recipe's.
        looks: What a fidelity below 1 leaves out, as for ``eval.evaluate.evaluate``; None for
            folds where there are several.
    """

    checkpoints = True

    def __init__(
        self,
        dataset: Dataset,
        space: Space,
        request: Mapping[str, Any],
        *,
        test_fold: int = 0,
        inner: int | None = None,
        profile: str | Mapping[str, Any] | None = None,
        split: Split | None = None,
        train_rate: float | None = None,
        dtype: str | None = None,
        bucket: int | None = None,
        looks: Looks | None = None,
    ) -> None:
        from eval.autocast import resolve
        from eval.energy.pricing import refuse_without_encoder
        from eval.energy.profile import DEFAULT_PROFILE, load_profile
        from eval.process import prepare_cpu
        from eval.protocols import Folding
        from eval.splitters import Automatic
        from eval.training import Recipe
        from search_spaces.families import get_family

        prepare_cpu()
        self.dataset = dataset
        self.space = space
        self.family = get_family(space.family)
        self.reference = str(space.family)  # by which one of a person's own is found again
        self.family.check_space(space)
        self.request = dict(request)
        price = load_profile(profile or space.profile or DEFAULT_PROFILE)
        if "energy_with_encoder" in {*space.objectives, *(c.quantity for c in space.constraints)}:
            refuse_without_encoder(price)  # every evaluation would fail
        self.profile = price.spec
        recipe = Recipe(dtype=resolve(dtype))
        self.recipe = recipe if bucket is None else replace(recipe, bucket=bucket)
        folding = split.folding if split is not None else Folding(Automatic())
        outer = folding.outer(dataset)
        if not 0 <= test_fold < len(outer):
            raise NasError(
                f"there is no outer fold {test_fold}", hint=f"give 0 to {len(outer) - 1}"
            )
        self.train_rate = make_train_rate(dataset, space, train_rate)
        self.test_fold = test_fold
        self.outer = outer[test_fold]
        self.inner = inner
        self.warm: Mapping[str, Supernet] | None = None
        self.folds = folding.inner(dataset, self.outer.fit, inner)
        self.protocol = folding.name
        self.speaker_dependent = folding.mixed(dataset, [*outer, *self.folds])
        self.looks: Looks = looks or ("folds" if len(self.folds) > 1 else "epochs")
        self._folds_digest = split.digest() if split is not None else None
        # what the record needs beside what `describe` returns, by file name
        self.files = {} if split is None else {FOLDS_FILE: split.file(dataset)}
        self._limit = next((c for c in space.constraints if c.quantity == "parameters"), None)

    def __call__(
        self,
        architecture: dict[str, Any],
        fidelity: float,
        seed: int,
        checkpoint: Path | None = None,
        partial: Path | None = None,
    ) -> Mapping[str, Any]:
        """Measure an architecture on the validation speakers."""
        from eval.evaluate import evaluate

        return evaluate(
            architecture,
            self.dataset,
            self.folds,
            family=self.reference,
            fidelity=fidelity,
            seed=seed,
            recipe=self.recipe,
            profile=self.profile,
            checkpoint=checkpoint,
            partial=partial,
            warm=self.warm,
            train_rate=self.train_rate,
            looks=self.looks,
        )

    def refuse(self, architecture: Mapping[str, Any]) -> str | None:
        """Say why an architecture need not be trained.

        It cannot be built (heads that do not divide the width), or building it shows that it
        breaks the constraint on parameters.
        """
        import torch

        from eval.evaluate import count_parameters

        n_classes = len(self.dataset.classes)
        try:
            with torch.device("meta"):  # shapes without memory
                network = self.family.build(architecture, self.dataset.shape, n_classes)
        except NasError as error:
            return error.what
        n = count_parameters(network)
        broken = self._limit is not None and self._limit.violation(n) > 0
        return f"{n} parameters" if broken else None

    def baselines(self, seed: int) -> dict[str, dict[str, Any]]:
        """Measure the linear probe and the mean-pool MLP on the same folds."""
        from eval.baselines import baselines

        return baselines(
            self.dataset, self.folds, seed=seed, recipe=self.recipe, profile=self.profile
        )

    def how(self) -> dict[str, str]:
        """Return what trainings are made with on this machine, for the log."""
        from search_spaces.kernels.native import description

        return {"dtype": self.recipe.dtype, "neurons": description()}

    def describe(self) -> dict[str, Any]:
        """Return what the record keeps."""
        return {
            "kind": "corpus",
            **self.request,
            "digest": self.dataset.digest,
            "source": dict(self.dataset.source),
            "classes": list(self.dataset.classes),
            "input_shape": self.dataset.shape,
            "family": self.reference,
            "protocol": self.protocol,
            "speaker_dependent": self.speaker_dependent,
            "folds": self._folds_digest,
            "test_fold": self.test_fold,
            "test": self.outer.name,
            "validation_folds": self.inner,
            "validation": [f.name for f in self.folds],
            "recipe": self.recipe.as_dict(),
            "looks": self.looks,
            "profile": self.profile,
            # older records do not know it
            **({} if self.train_rate is None else {"train_rate": self.train_rate.rate}),
        }
