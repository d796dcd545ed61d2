r"""Replay a table of finished trainings, so that a search is measured in seconds.

A table holds every architecture of a small space, trained with several seeds, with its learning
curve. ``benchmarks/make_table.py`` makes one; ``benchmarks/tables/README.md`` describes the
columns.

    nas search --space benchmarks/tables/synthetic_speech.yaml \
        --evaluator nas.tables:synthetic_speech
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nas.evaluation import Evaluation
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError, nearest
from search_spaces.space import Direction

ARCHITECTURE, SEED = "architecture", "seed"  # parameters stand between these columns

OBJECTIVES: dict[str, Direction] = {"ua": "maximize", "energy": "minimize"}

# What a search does not get to see: other voices, and trainings of another network.
_HIDDEN = ("test_", "twin_")

TABLES = Path(__file__).resolve().parent.parent / "benchmarks" / "tables"


@dataclass(frozen=True)
class Row:
    """What one training gave.

    Args:
        curve: Fidelity to the metrics at it.
        full: Metrics of the finished training alone.
    """

    curve: Mapping[float, Mapping[str, float]]
    full: Mapping[str, float]

    def at(self, fidelity: float) -> dict[str, float]:
        """Return the metrics at the nearest recorded fidelity that is not above ``fidelity``.

        Below the lowest there is the lowest, as training lasts one epoch at least.
        """
        known = max((f for f in self.curve if f <= fidelity + 1e-9), default=min(self.curve))
        shown = {k: v for k, v in self.full.items() if not k.startswith(_HIDDEN)}
        if known < max(self.curve):
            shown = {k: v for k, v in shown.items() if k == "parameters"}
        return {**self.curve[known], **shown, "recorded_fidelity": known}


class TableEvaluator:
    """An evaluator that looks up what was measured before.

    Args:
        path: The table, ``.csv`` or ``.csv.gz``.
        mode: ``seed`` replays one of the recorded seeds, chosen by the seed asked for (modulo
            their number); ``mean`` the mean over all of them, free of noise.

    Raises:
        NasError: No such file, or it is no table.
    """

    def __init__(self, path: str | Path, mode: Literal["seed", "mean"] = "seed") -> None:
        self.path = Path(path)
        self.mode = mode
        self.seeds: tuple[int, ...] = ()
        self._values: dict[str, Architecture] = {}
        self._rows: dict[str, dict[int, Row]] = defaultdict(dict)
        self._read()
        self._mean = {key: _mean(list(rows.values())) for key, rows in self._rows.items()}

    def __call__(
        self, architecture: Mapping[str, Any], fidelity: float = 1.0, seed: int = 0
    ) -> dict[str, float]:
        """Return the metrics of an architecture, objectives among them.

        Raises:
            NasError: The table does not hold it.
        """
        return self.row(architecture, None if self.mode == "mean" else seed).at(fidelity)

    def row(self, architecture: Mapping[str, Any], seed: int | None = None) -> Row:
        """Return all that is recorded of an architecture, what a search may not see included.

        Args:
            architecture: Its values.
            seed: Any number; None for the mean over the seeds.

        Raises:
            NasError: The table does not hold it.
        """
        key = Architecture(architecture).hash
        if key not in self._rows:
            raise self._unknown(architecture)
        if seed is None:
            return self._mean[key]
        return self._rows[key][self.seeds[seed % len(self.seeds)]]

    def architectures(self) -> list[Architecture]:
        """Return every architecture of the table, in its order."""
        return list(self._values.values())

    def truth(self, objectives: Mapping[str, Direction] | None = None) -> list[Evaluation]:
        """Return every architecture with its objectives, means over the seeds."""
        return [
            Evaluation(
                number=i,
                architecture=architecture,
                fidelity=1.0,
                cost=1.0,
                seed=0,
                objectives={n: metrics[n] for n in objectives or OBJECTIVES},
                metrics=metrics,
            )
            for i, architecture in enumerate(self.architectures())
            for metrics in (self.row(architecture).at(1.0),)
        ]

    def true_front(self, objectives: Mapping[str, Direction] | None = None) -> list[Evaluation]:
        """Return what no other architecture of the table dominates, by means over the seeds."""
        from nas.pareto import front

        return front(self.truth(objectives), objectives or OBJECTIVES)

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> None:
        opener = gzip.open if self.path.suffix == ".gz" else open
        try:
            with opener(self.path, "rt", encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                columns = list(reader.fieldnames or ())
                if ARCHITECTURE not in columns or SEED not in columns:
                    raise NasError(
                        f"no table: it needs the columns {ARCHITECTURE!r} and {SEED!r}",
                        where=f"{self.path}:1",
                    )
                names = columns[columns.index(ARCHITECTURE) + 1 : columns.index(SEED)]
                for cells in reader:
                    self._add(f"{self.path}:{reader.line_num}", names, cells)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise NasError(
                f"cannot read the table: {getattr(error, 'strerror', None) or error}",
                where=str(self.path),
            ) from error
        if not self._rows:
            raise NasError("the table has no rows", where=str(self.path))
        self.seeds = tuple(sorted({seed for rows in self._rows.values() for seed in rows}))
        for key, rows in self._rows.items():
            if set(rows) != set(self.seeds):
                raise NasError(
                    f"{key} has {len(rows)} of the {len(self.seeds)} seeds of the table",
                    where=str(self.path),
                    hint="finish the run of benchmarks/make_table.py",
                )

    def _add(self, where: str, names: Sequence[str], cells: Mapping[str, str]) -> None:
        try:
            values = Architecture({n: json.loads(cells[n]) for n in names if cells[n]})
            seed = int(cells[SEED])
            curve: defaultdict[float, dict[str, float]] = defaultdict(dict)
            full = {}
            for column, cell in cells.items():
                if column in (ARCHITECTURE, SEED, *names):
                    continue
                metric, at, fidelity = column.partition("@")
                if at:
                    curve[float(fidelity)][metric] = float(cell)
                else:
                    full[metric] = float(cell)
        except (ValueError, TypeError) as error:
            raise NasError(f"cannot read this row: {error}", where=where) from None
        if cells[ARCHITECTURE] != values.hash:
            raise NasError(
                f"the values are those of {values.hash}, not of {cells[ARCHITECTURE]}", where=where
            )
        if seed in self._rows[values.hash]:
            raise NasError(f"{values.hash} with seed {seed} stands here twice", where=where)
        if not curve:
            raise NasError("no column METRIC@FIDELITY", where=where)
        self._values[values.hash] = values
        self._rows[values.hash][seed] = Row(dict(curve), full)

    def _unknown(self, architecture: Mapping[str, Any]) -> NasError:
        known: defaultdict[str, set[str]] = defaultdict(set)
        for values in self._values.values():
            for name, value in values.items():
                known[name].add(json.dumps(value))
        hint = "search the space that the table was made from"
        for name, value in Architecture(architecture).items():
            if name not in known:
                hint = f"no parameter {name!r} in it; {nearest(name, known)}"
            elif json.dumps(value) not in known[name]:
                hint = f"{name} is one of {', '.join(sorted(known[name]))} in it"
            else:
                continue
            break
        what = Architecture(architecture)
        return NasError(f"the table does not hold {what!r}", where=str(self.path), hint=hint)


def _mean(rows: Sequence[Row]) -> Row:
    def mean(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {k: math.fsum(p[k] for p in parts) / len(parts) for k in parts[0]}

    curve = {f: mean([r.curve[f] for r in rows]) for f in rows[0].curve}
    return Row(curve, mean([r.full for r in rows]))


@cache
def load_table(name: str) -> TableEvaluator:
    """Load a table of ``benchmarks/tables`` once.

    Raises:
        NasError: There is no such table here.
    """
    path = TABLES / f"{name}.csv.gz"
    if not path.is_file():
        raise NasError(
            f"the table {name!r} is not here",
            where=str(path),
            hint="tables travel with the repository, not with the installed package: clone it",
        )
    return TableEvaluator(path)


def synthetic_speech(
    architecture: Mapping[str, Any], fidelity: float, seed: int
) -> dict[str, float]:
    """Replay ``benchmarks/tables/synthetic_speech.csv.gz``; an evaluator for ``--evaluator``.

    Raises:
        NasError: The table does not hold the architecture, or is not here.
    """
    return load_table("synthetic_speech")(architecture, fidelity, seed)
