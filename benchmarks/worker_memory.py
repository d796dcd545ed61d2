"""Memory of a worker on a corpus of IEMOCAP's size: 5,531 utterances of 768-wide features.

    python benchmarks/worker_memory.py

Features are noise, of lengths as a 12.5 Hz encoder gives for 2 to 7 seconds, in a file as the
cache holds it. A worker of Ray, a fresh process each time, makes one evaluation of the reference
head (an epoch on one fold of five); the peak is what the system says of the process from its
start, everything resident counted: libraries and pages of the file too. Three ways to read:

handed back     as it is: pages of the mapped file are let go of after every batch
mapped          pages stay until the system wants them
read            no map: the file is read by offset into memory of the process's own

What each way costs is processor time of gathering all batches of an epoch, the ways in turn, the
file in the system's cache; the least of fifteen rounds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import report

from eval.batches import collate, shuffled
from eval.dataset import Dataset
from eval.evaluate import evaluate
from eval.folds import outer_folds
from eval.process import prepare_cpu
from eval.training import Recipe
from nas.evaluation import Job
from nas.executors.ray import RayExecutor
from nas.executors.workers import Workers
from search_spaces.architecture import Architecture
from search_spaces.named import NAMED
from search_spaces.schema import load_space

UTTERANCES, WIDTH, RATE, SPEAKERS = 5531, 768, 12.5, 10
WAYS = ("handed back", "mapped", "read")
ROUNDS = 15
SPACE = {"name": "one", "parameters": {"a": {"int": [0, 1]}}, "objectives": {"ua": "maximize"}}


def made(folder: Path) -> Dataset:
    """Write the features, piece by piece, and map them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(round(2 * RATE), round(7 * RATE), UTTERANCES)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    path, shape = folder / "frames.npy", (int(offsets[-1]), WIDTH)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for begin in range(0, len(written), 4096):
        piece = written[begin : begin + 4096]
        piece[:] = rng.standard_normal(piece.shape, dtype=np.float32)
    del written
    speakers = tuple(f"s{i % SPEAKERS}" for i in range(UTTERANCES))
    return Dataset(
        name="as large as IEMOCAP",
        frames=np.load(path, mmap_mode="r"),
        offsets=offsets,
        labels=rng.integers(0, 4, UTTERANCES),
        classes=("a", "b", "c", "d"),
        speakers=speakers,
        sessions=tuple(f"{i % SPEAKERS // 2}" for i in range(UTTERANCES)),
        splits=(None,) * UTTERANCES,
        paths=tuple(map(str, range(UTTERANCES))),
        frame_rate=RATE,
        source={},
        encoder_macs=None,
        digest="",
    )


class Measured:
    """Evaluates the reference head in a worker, and says what memory that took [bytes]."""

    family = NAMED["reference"].family  # says to a worker that this trains

    def __init__(self, dataset: Dataset, way: str) -> None:
        self.dataset = dataset
        self.way = way

    def __call__(self, architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        """Evaluate; what is to be evaluated is always the same."""
        before = status()
        with reading(self.dataset, self.way):
            result = evaluate(
                NAMED["reference"].values,
                self.dataset,
                outer_folds(self.dataset)[:1],
                family=self.family,
                recipe=Recipe(epochs=1),
            )
        return {
            "ua": result["ua"],
            "loss": result["loss"],
            "train_seconds": result["train_seconds"],
            "before": before,
            "after": status(),
        }


def status() -> dict[str, float]:
    """Return what the system says of this process [bytes]."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {k: 1024 * float(found[k].split()[0]) for k in ("VmHWM", "RssAnon", "RssFile")}


@contextmanager
def reading(dataset: Dataset, way: str) -> Iterator[None]:
    """Let a dataset be read in another way."""
    frames: Any = dataset.frames
    width = frames.shape[1] * frames.itemsize
    file = os.open(frames.filename, os.O_RDONLY)

    def by_offset(self: Dataset, i: int) -> Any:
        first, end = (int(v) * width for v in self.offsets[i : i + 2])
        content = os.pread(file, end - first, frames.offset + first)
        return np.frombuffer(content, frames.dtype).reshape(-1, frames.shape[1])

    as_it_is = Dataset.utterance, Dataset.hand_back
    if way != "handed back":
        Dataset.hand_back = lambda self: None  # type: ignore[method-assign]
    if way == "read":
        Dataset.utterance = by_offset  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dataset.utterance, Dataset.hand_back = as_it_is  # type: ignore[method-assign]
        os.close(file)


def gathering(dataset: Dataset) -> dict[str, float]:
    """Return the processor time of the batches of an epoch, read in each way [s]."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(ROUNDS):
        for way in WAYS[seed % 3 :] + WAYS[: seed % 3]:
            dataset.hand_back()
            with reading(dataset, way):
                for k in range(2):  # the second time, pages that stay are there already
                    rng = np.random.default_rng([seed, k])
                    began = time.process_time()
                    for batch in shuffled(np.arange(len(dataset)), Recipe().batch_size, rng):
                        collate(dataset, batch)
                    taken = time.process_time() - began
            seconds[way].append(taken)
    return {way: min(found) for way, found in seconds.items()}  # what other jobs disturbed least


def in_a_worker(dataset: Dataset, way: str, folder: Path) -> dict[str, Any]:
    """Return what an evaluation in a worker of its own measured."""
    folder.mkdir()
    job = Job(0, Architecture({"a": 0}), 1.0, 0)
    executor = RayExecutor(
        Measured(dataset, way), load_space(SPACE), Workers(1), folder, say=print
    )
    with closing(executor.map([job])) as made:
        [evaluation] = made
    if evaluation.error is not None:
        raise SystemExit(evaluation.error)
    return dict(evaluation.metrics)


def main() -> None:
    prepare_cpu()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = made(Path(scratch))
        batches = gathering(dataset)
        workers = {way: in_a_worker(dataset, way, Path(scratch) / way) for way in WAYS}
        size = dataset.frames.nbytes
    same = len({(w["ua"], w["loss"]) for w in workers.values()}) == 1
    print(f"features {size / 1e6:.0f} MB; figures of all ways the same: {same}")
    for way, found in workers.items():
        print(
            f"{way}: peak {found['after']['VmHWM'] / 1e6:.0f} MB, of its own"
            f" {found['after']['RssAnon'] / 1e6:.0f} MB, before the evaluation"
            f" {found['before']['VmHWM'] / 1e6:.0f} MB; batches of an epoch"
            f" {batches[way] / batches['mapped']:.2f} times the processor time of mapped"
        )
    told = {"features": size, "same": same, "workers": workers, "batches_seconds": batches}
    report.write("worker_memory", told)


if __name__ == "__main__":
    main()
