"""Train every architecture of a small space, so that searches can be measured in seconds.

Writes ``tables/<space>.csv.gz``, which `nas.tables` replays; `tables/README.md` explains the
columns. An architecture is trained on the training voices of the corpus and measured on its
validation voices, after 1, 2, 4 and all 8 epochs of one training, which is what a search sees at
these fidelities. Its ReLU twin is trained for a quarter of the epochs, as a proxy would. Test
voices are only ever predicted.

Interrupt it at any time, even by kill -9: measurements are kept one a line, and the same command
goes on where it was.

    python benchmarks/make_table.py            # measure what is missing, then write the table
    python benchmarks/make_table.py --summary  # what the committed table says
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
from scipy.stats import kendalltau

from eval.energy.profile import DEFAULT_PROFILE
from eval.evaluate import Trained, measure, train_fold
from eval.features import Dataset, load_dataset
from eval.folds import Fold, inner_folds, outer_folds
from eval.process import prepare_cpu
from eval.recall import recall
from eval.seeds import derived_seed
from eval.training import Recipe, predict
from nas.tables import Row, TableEvaluator
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.schema import load_space
from search_spaces.space import Space

HERE = Path(__file__).parent
TABLE = HERE / "tables/synthetic_speech.csv.gz"
SPACE = HERE / "tables/synthetic_speech.yaml"
CORPUS = "synthetic_speech"

SEEDS = (0, 1, 2)
FIDELITIES = (0.125, 0.25, 0.5, 1.0)
TWIN_FIDELITY = 0.25

CURVE = ("ua", "wa", "loss", "energy")  # at every fidelity
FULL = ("macs", "acs", "compares", "spikes", "spike_rate", "parameters")
DIGITS = 6


def rounded(value: float, digits: int = DIGITS) -> float:
    return float(f"{value:.{digits}g}")


def twin_of(architecture: Mapping[str, Any]) -> Architecture:
    """The same network with ReLUs; what only spiking neurons have falls away."""
    slots = get_family("pts_snn").only_when
    dropped = {
        n for n, (on, values) in slots.items() if on == "neuron.type" and "relu" not in values
    }
    kept = {n: v for n, v in architecture.items() if n not in dropped}
    return Architecture({**kept, "neuron.type": "relu"})


class Bench:
    """The corpus, its one split, and how a network is measured on it."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.dataset: Dataset = load_dataset(CORPUS, say=lambda t: print(t, file=sys.stderr))
        [outer] = outer_folds(self.dataset)
        [self.fold] = inner_folds(self.dataset, outer.fit)
        self.test: Fold = outer
        self.recipe = Recipe()

    def setting(self) -> dict[str, Any]:
        """What a kept measurement is worth nothing without."""
        return {
            "space": dict(self.space.definition),
            "digest": self.dataset.digest,
            "recipe": self.recipe.as_dict(),
            "profile": DEFAULT_PROFILE,
            "fidelities": list(FIDELITIES),
            "twin_fidelity": TWIN_FIDELITY,
        }

    def train(
        self, architecture: Architecture, seed: int, fidelity: float, before: Trained | None
    ) -> Trained:
        """Train up to a fidelity, from where an earlier training of the same kind stopped."""
        return train_fold(
            architecture,
            self.dataset,
            self.fold,
            family="pts_snn",
            fidelity=fidelity,
            seed=derived_seed(self.space.name, architecture.hash, seed),
            recipe=self.recipe,
            before=None if before is None else before.state,
            resumable=True,
        )

    def measure(self, architecture: Architecture, seed: int) -> dict[str, float]:
        """A row of the table, but for the twin: one training, looked at on its way."""
        row: dict[str, float] = {}
        trained = None
        for fidelity in FIDELITIES:
            trained = self.train(architecture, seed, fidelity, trained)
            result = measure([trained], self.dataset, DEFAULT_PROFILE)
            row |= {f"{name}@{fidelity:g}": rounded(result[name]) for name in CURVE}
        assert trained is not None
        row |= {name: rounded(result[name]) for name in FULL}
        said = predict(trained.network, self.dataset, self.test.held).argmax(1).numpy()
        true = self.dataset.labels[self.test.held]
        return {**row, "test_ua": rounded(recall(true, said, len(self.dataset.classes)).ua)}

    def measure_twin(self, twin: Architecture, seed: int) -> dict[str, float]:
        """The columns of a ReLU twin."""
        trained = self.train(twin, seed, TWIN_FIDELITY, None)
        result = measure([trained], self.dataset, DEFAULT_PROFILE)
        return {f"twin_{name}": rounded(result[name]) for name in ("ua", "loss", "energy")}


class Kept:
    """Measurements on disk, one a line; a line cut short by a kill is dropped."""

    def __init__(self, path: Path, setting: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[tuple[str, int], dict[str, float]] = {}
        text = json.dumps(setting, sort_keys=True)
        mark = hashlib.sha256(text.encode()).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            key, seed, row = json.loads(line)
            if key == "setting" and row != mark:
                raise NasError(
                    "measured with another space, corpus or recipe",
                    where=str(path),
                    hint="give another --work file, or delete this one",
                )
            if key != "setting":
                self.rows[key, seed] = row
        os.truncate(path, whole)
        if not whole:
            self._append("setting", 0, mark)

    def add(self, key: str, seed: int, row: dict[str, float]) -> None:
        """Keep one, on disk before anything else happens."""
        self.rows[key, seed] = row
        self._append(key, seed, row)

    def _append(self, key: str, seed: int, row: object) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, seed, row]) + "\n")


def jobs(space: Space) -> Iterator[tuple[Architecture, bool, int]]:
    """Every training, seed by seed, twins first: an unfinished run is of use."""
    every = sorted(space.enumerate(), key=lambda a: a.hash)
    twins = sorted({twin_of(a) for a in every}, key=lambda a: a.hash)
    for seed in SEEDS:
        yield from ((t, True, seed) for t in twins)
        yield from ((a, False, seed) for a in every)


def write_table(space: Space, kept: Kept, path: Path) -> None:
    """One row an architecture and seed, sorted; the same measurements give the same bytes."""
    names = [p.name for p in space.parameters]
    rows = []
    for a in sorted(space.enumerate(), key=lambda a: json.dumps(a.as_dict(), sort_keys=True)):
        values = {n: json.dumps(v) for n, v in a.as_dict().items()}
        for seed in SEEDS:
            measured = kept.rows[a.hash, seed] | kept.rows[twin_of(a).hash, seed]
            rows.append({"architecture": a.hash, **values, "seed": seed, **measured})
    text = io.StringIO()
    columns = ["architecture", *names, "seed", *measured]
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.getvalue().encode())
    print(f"-> {path}: {len(rows)} rows, {path.stat().st_size / 1e3:.0f} kB")


def run(work: Path, table: Path) -> None:
    prepare_cpu()
    space = load_space(SPACE)
    bench = Bench(space)
    kept = Kept(work, bench.setting())
    todo = [(a, t, s) for a, t, s in jobs(space) if (a.hash, s) not in kept.rows]
    print(f"{len(kept.rows)} measured, {len(todo)} to go", file=sys.stderr, flush=True)
    started = time.monotonic()
    done = 0.0
    weight = {True: TWIN_FIDELITY, False: max(FIDELITIES)}
    whole = sum(weight[t] for _, t, _ in todo)
    for i, (architecture, twin, seed) in enumerate(todo):
        measured = (bench.measure_twin if twin else bench.measure)(architecture, seed)
        kept.add(architecture.hash, seed, measured)
        done += weight[twin]
        if i % 20 == 19 or i + 1 == len(todo):
            spent = time.monotonic() - started
            left = spent / done * (whole - done)
            print(
                f"{i + 1}/{len(todo)}  {spent:.0f} s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
    write_table(space, kept, table)


def summary(path: Path) -> dict[str, Any]:
    """How the table is made: ranges, noise, and what cheap looks are worth."""
    table = TableEvaluator(path)
    every = table.architectures()
    means = [table.row(a) for a in every]
    each = [[table.row(a, s) for a in every] for s in range(len(table.seeds))]

    def agree(name: str, others: Sequence[Sequence[Row]], other: str) -> float:
        """Kendall's tau with the mean of the finished trainings, averaged over ``others``."""
        true = column(means, f"{name}@1")
        return rounded(np.mean([kendalltau(true, column(r, other)).statistic for r in others]), 3)

    measured: dict[str, Any] = {"architectures": len(every), "seeds": len(table.seeds)}
    for name in ("ua", "energy"):
        finished = np.stack([column(rows, f"{name}@1") for rows in each])
        between = [kendalltau(a, b).statistic for a, b in itertools.combinations(finished, 2)]
        looks = [*(f"{name}@{f:g}" for f in FIDELITIES), f"twin_{name}"]
        measured[name] = {
            "quartiles": [rounded(q, 4) for q in np.quantile(finished.mean(0), np.arange(5) / 4)],
            "s.d. of architectures": rounded(finished.mean(0).std(ddof=1), 3),
            "s.d. of seeds": rounded(np.sqrt(finished.var(0, ddof=1).mean()), 3),
            "tau between seeds": rounded(np.mean(between), 3),
            "tau of one seed with the mean": {look: agree(name, each, look) for look in looks},
        }
    measured["tau of test_ua with ua"] = agree("ua", [means], "test_ua")
    measured["front"] = [
        {k: rounded(v, 4) for k, v in e.objectives.items()} | e.architecture.as_dict()
        for e in table.true_front()
    ]
    return measured


def column(rows: Sequence[Row], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One column of a table, ``ua@0.5`` or ``test_ua``."""
    metric, at, fidelity = name.partition("@")
    return np.array([(r.curve[float(fidelity)] if at else r.full)[metric] for r in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("runs/table-synthetic_speech.jsonl"))
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--summary", action="store_true", help="only tell what the table says")
    options = parser.parse_args()
    if not options.summary:
        run(options.work, options.table)
    measured = summary(options.table)
    print(json.dumps(measured, indent=2))
    report.write("make_table", measured)


if __name__ == "__main__":
    main()
