"""One weight-sharing ReLU network for a whole space: the proxy that scores in milliseconds.

Every candidate's ReLU twin borrows slices of the same tensors: the first channels of wider
ones, the first blocks of deeper ones, the first prompts of more. Trained once by the sandwich
rule (Yu & Huang, ICCV 2019: the smallest, the largest and some in between at every step), it
scores any candidate with normalisation statistics of its own, as a shared set would fit none
(Yu et al., ICLR 2019). A score, which has to be cheap, takes them from the utterances that it is
of, in the same pass (Nado et al., arXiv 2006.10963); a training that begins from these weights
takes them from training data.

TNAS-ER (arXiv 2512.02459) guides its search so; the sampling and the slices are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from eval.batches import collate, ordered, shuffled
from eval.energy.operations import OperationCounter
from eval.energy.parts import operations_by_part
from eval.folds import Fold, Indices
from eval.recalibration import Batch, recalibrate
from eval.recall import recall
from eval.seeds import derived_seed
from eval.training import Recipe, class_weights
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.family import Family
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.features import Dataset

DRAWN = 300  # architectures that decide how large the shared tensors must be
POOL = 8  # of which the smallest and the largest are taken at every step
BETWEEN = 2  # random ones beside them
CALIBRATION = 128  # utterances that normalisation statistics are taken on again
BATCH = 64  # utterances of one pass that takes them
COUNTED = 2  # utterances that operations are counted on
SCORED = 128  # utterances of the held part that a score is of, however many there are
KEPT_BYTES = 2**26  # of a batch that is kept for the next score


class Supernet:
    """Shared weights of the ReLU twins of a space.

    Args:
        space: The space.
        family: Its network family.
        dataset: The corpus.
        fold: Trained on its fit part, scored on the held one.
        seed: Of weights and sampling.
    """

    def __init__(
        self, space: Space, family: Family, dataset: Dataset, fold: Fold, seed: int
    ) -> None:
        self.space = space
        self.family = family
        self.dataset = dataset
        self.fold = fold
        self.seed = seed
        self.shared: dict[str, Tensor] = {}
        self._scores: dict[str, dict[str, float]] = {}
        self._operations: dict[str, dict[str, float]] = {}
        self._batches: dict[str, Batch] = {}
        rng = np.random.default_rng([seed, 0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "supernet"))
            for _ in range(DRAWN):
                self._make_room(space.sample(rng))

    def train(self, recipe: Recipe, epochs: int) -> None:
        """Train the shared weights by the sandwich rule.

        Args:
            recipe: Batch size, rates and the rest.
            epochs: Passes over the training part.
        """
        fit = self.fold.fit
        self._scores.clear()
        weights = class_weights(self.dataset, fit)
        loss_of = nn.CrossEntropyLoss(weights, label_smoothing=recipe.label_smoothing)
        parameters = [t for t in self.shared.values() if t.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        per_epoch = -(-len(fit) // recipe.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=recipe.learning_rate,
            total_steps=epochs * per_epoch + 1,
            pct_start=recipe.warmup,
        )
        rng = np.random.default_rng([self.seed, 1])
        for _ in range(epochs):
            for batch in shuffled(fit, recipe.batch_size, rng):
                features, lengths, labels = collate(self.dataset, batch)
                optimizer.zero_grad()
                for network in self._sandwich(rng):
                    network.train()
                    logits = functional_call(network, self._borrowed(network), (features, lengths))
                    loss_of(logits, labels).backward()
                nn.utils.clip_grad_norm_(parameters, recipe.clip)
                optimizer.step()
                schedule.step()

    def score(self, architectures: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
        """Return ``wa``, ``ua``, ``macro_f1`` and ``loss`` of each twin on the held part.

        Of a large held part, on 128 utterances spread over it, which give the statistics of
        normalisations as well. Candidates that differ in what only a spiking neuron has share a
        twin, and its score.
        """
        out = []
        for a in architectures:
            twin = Architecture(self.family.twin(a))
            if twin.hash not in self._scores:
                self._scores[twin.hash] = self._score(twin)
            out.append(dict(self._scores[twin.hash]))
        return out

    @torch.no_grad()
    def operations(self, architecture: Mapping[str, Any]) -> dict[str, float]:
        """Count the operations of a twin per utterance, by part of the network."""
        twin = Architecture(self.family.twin(architecture))
        if twin.hash not in self._operations:
            self._operations[twin.hash] = self._count(self._seeded_twin(twin))
        return dict(self._operations[twin.hash])

    def _count(self, network: nn.Module) -> dict[str, float]:
        network.eval()
        with OperationCounter(network).counting() as counter:
            network(*self._batch("counted", _some(self.fold.held, COUNTED)))
        return operations_by_part(counter.table())

    def _batch(self, name: str, indices: Indices) -> Batch:
        """Gather utterances; those of every score only once, unless they would fill the memory."""
        if name in self._batches:
            return self._batches[name]
        features, lengths, _ = collate(self.dataset, indices)
        if features.nbytes <= KEPT_BYTES:
            self._batches[name] = features, lengths
        return features, lengths

    def _seeded_twin(self, twin: Architecture) -> nn.Module:
        """Build a twin whose own weights are always the same, and never zero.

        A sum over zeros would be counted as one over spikes.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # torch.manual_seed looks at every device
            return self.twin(twin)

    def inherit(self, network: nn.Module, architecture: Mapping[str, Any]) -> None:
        """Copy borrowed weights into a candidate or its twin, to begin a training from them.

        A rate-coded network takes those of its ReLU twin; what only it has stays as it is, and
        its normalisation statistics are its own.
        """
        self._lend(network, architecture)
        some = ordered(_some(self.fold.fit, CALIBRATION), BATCH)
        recalibrate(network, (collate(self.dataset, i)[:2] for i in some))

    @torch.no_grad()
    def _lend(self, network: nn.Module, architecture: Mapping[str, Any]) -> None:
        self._mark(network, architecture)
        borrowed = self._borrowed(network)
        for name, parameter in network.named_parameters():
            if name in borrowed:
                parameter.copy_(borrowed[name])

    def twin(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Build the ReLU twin of a candidate."""
        values = self.family.twin(architecture)
        network = self.family.build(values, self.dataset.shape, len(self.dataset.classes))
        self._mark(network, values)
        return network

    def _mark(self, network: nn.Module, values: Mapping[str, Any]) -> None:
        # mechanisms whose tensors have the same names mean different things by them
        network.__dict__["kind"] = str(self.family.filled(values).get("attention.kind", ""))

    def save(self, path: Path) -> None:
        """Write the shared weights."""
        from eval.weights import save_states

        save_states({"supernet": self.shared}, path)

    def load(self, path: Path) -> bool:
        """Read what ``save`` wrote; False where there is nothing that fits."""
        from eval.weights import load_states

        found = load_states(path).get("supernet", {})
        same = {k: v.shape for k, v in found.items()} == {
            k: v.shape for k, v in self.shared.items()
        }
        if not same:
            return False
        self._scores.clear()
        with torch.no_grad():
            for key, tensor in self.shared.items():
                tensor.copy_(found[key])
        return True

    def _make_room(self, architecture: Mapping[str, Any]) -> None:
        try:
            network = self.twin(architecture)
        except NasError:  # cannot be built: nobody will ask for it
            return
        for name, parameter in network.named_parameters():
            key = self._key(network, name)
            have = self.shared.get(key)
            shape = tuple(parameter.shape)
            if have is not None:
                shape = tuple(max(a, b) for a, b in zip(have.shape, shape, strict=True))
                if shape == tuple(have.shape):
                    continue
            if shape == tuple(parameter.shape):
                fresh = parameter.detach().clone()
            else:  # larger than either: keep what there is, small noise around it
                fresh = 0.02 * torch.randn(shape)
                assert have is not None
                fresh[tuple(slice(0, n) for n in have.shape)] = have.detach()
            self.shared[key] = fresh.requires_grad_(parameter.requires_grad)

    def _borrowed(self, network: nn.Module) -> dict[str, Tensor]:
        """Slices of the shared tensors, by the names of the network's parameters."""
        out = {}
        for name, parameter in network.named_parameters():
            shared = self.shared.get(self._key(network, name))
            fits = shared is not None and all(
                a <= b for a, b in zip(parameter.shape, shared.shape, strict=True)
            )
            if shared is not None and fits:
                out[name] = shared[tuple(slice(0, n) for n in parameter.shape)]
        return out

    @staticmethod
    def _key(network: nn.Module, name: str) -> str:
        kind = network.__dict__.get("kind", "") if ".attention." in f".{name}" else ""
        return f"{type(network).__name__} {kind} {name}"

    def _sandwich(self, rng: np.random.Generator) -> list[nn.Module]:
        drawn: list[tuple[int, Architecture]] = []
        while len(drawn) < POOL:
            architecture = self.space.sample(rng)
            try:
                with torch.device("meta"):  # sizes without memory
                    network = self.twin(architecture)
            except NasError:
                continue
            drawn.append((sum(p.numel() for p in network.parameters()), architecture))
        drawn.sort(key=lambda pair: pair[0])
        middle = rng.choice(POOL - 2, size=BETWEEN, replace=False) + 1
        chosen = [0, POOL - 1, *middle.tolist()]
        with torch.random.fork_rng(devices=[]):
            return [self.twin(drawn[i][1]) for i in chosen]

    @torch.no_grad()
    def _score(self, twin: Architecture) -> dict[str, float]:
        network = self._seeded_twin(twin)
        if twin.hash not in self._operations:  # whoever asks for a score asks for these
            self._operations[twin.hash] = self._count(network)
        self._lend(network, twin)
        held = _some(self.fold.held, SCORED)
        network.train(len(held) > 1)  # one value has no statistics
        logits = network(*self._batch("scored", held))
        labels = self.dataset.labels[held]
        found = recall(labels, logits.argmax(1).numpy(), len(self.dataset.classes))
        loss = float(nn.functional.cross_entropy(logits, torch.from_numpy(labels)))
        return {"wa": found.wa, "ua": found.ua, "macro_f1": found.macro_f1, "loss": loss}


def _some(indices: Indices, count: int) -> Indices:
    """Return at most ``count`` of them, spread evenly."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(np.intp)]
