"""Accuracy after a change of the time step without training, by every method.

    python benchmarks/resolution.py && python benchmarks/resolution_plot.py

Spiking heads are trained at one resolution and measured at two and four times as fine and as
coarse a one, on events whose times are known to a millisecond: cochlea spikes of the bundled
Polish recordings (which of six words; each seed holds out another of the five speakers), and
scikit-learn's digits with a spike a pixel. Inputs are counts of events. A
network trained at the finer step itself stands beside those adapted to it, with both trainings'
processor time. Nothing is chosen on test data: sizes and epochs are fixed, ``auto`` and the
compensation read what networks do on training inputs, and no label.
Time-to-first-spike networks change their clock. One thread.
"""

from __future__ import annotations

import argparse
import time
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import report
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from ttfs import TASKS as TTFS_TASKS
from ttfs import Perceptron, sets, train

from eval.audio import SAMPLE_RATE, read_audio
from eval.cochlea import counted, spikes
from eval.corpora import open_corpus
from eval.energy.operations import OperationCounter
from eval.energy.pricing import totals
from eval.energy.profile import DEFAULT_PROFILE, load_profile
from eval.evaluate import build
from eval.features import Dataset
from eval.mapping import Training
from eval.recall import recall
from eval.resolution import COMPARED, at_clock, change_step, choose, compare
from eval.training import Recipe, predict
from search_spaces.ttfs import ReLUView, TTFSView

STEPS = {"words": 20, "digits": 4}  # of the source [ms]
RATIOS = (0.25, 0.5, 2.0, 4.0)
SPAN = 100  # [ms], in which the pixels of a digit fire, bright ones first
HEAD = {
    "input.saturation": 0.0,
    "encoder.depth": 1,
    "encoder.width": 48,
    "encoder.shift": 0.125,
    "encoder.direction": "past",
    "neuron.type": "plif",
    "neuron.tau": 4.0,
    "calibration.kind": "static",
}
RECIPES = {"words": Recipe(epochs=20), "digits": Recipe(epochs=12)}
CLOCKS = (0.25, 0.5, 1.0, 2.0, 4.0)
CLOCK_STEPS = 16

Split = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Task:
    """Events of every item to the millisecond, and who is held out by a seed."""

    def __init__(self, name: str, trains: list[Any], labels: list[str], groups: list[str]) -> None:
        self.name = name
        self.trains = trains
        self.classes = tuple(sorted(set(labels)))
        self.labels = np.array([self.classes.index(x) for x in labels], np.int64)
        self.groups = groups

    def at(self, milliseconds: float) -> Dataset:
        """Count the events into frames of so many milliseconds."""
        frames = [counted(t, milliseconds) for t in self.trains]
        n = len(frames)
        return Dataset(
            name=self.name,
            frames=np.concatenate(frames),
            offsets=np.cumsum([0, *(len(f) for f in frames)]).astype(np.int64),
            labels=self.labels,
            classes=self.classes,
            speakers=tuple(self.groups),
            sessions=(None,) * n,
            splits=(None,) * n,
            paths=tuple(map(str, range(n))),
            frame_rate=1000.0 / milliseconds,
            source={"inputs": "counts"},
            encoder_macs=None,
            digest=self.name,
        )

    def split(self, seed: int) -> Split:
        """Return the items to train on and those held out."""
        everything = np.arange(len(self.labels))
        if self.name == "digits":
            fit, held = train_test_split(
                everything, test_size=0.3, stratify=self.labels, random_state=seed
            )
            return fit, held
        names = sorted(set(self.groups))
        out = np.array([g == names[seed % len(names)] for g in self.groups])
        return everything[~out], everything[out]


def words_task() -> Task:
    """Encode the Polish recordings; the word is the second part of a file's name."""
    us = open_corpus("polish").utterances
    began = time.process_time()
    trains = [spikes(read_audio(u.path), SAMPLE_RATE) for u in us]
    print(f"cochlea: {len(us)} recordings in {time.process_time() - began:.0f} CPU-s")
    words = [u.path.stem.split("_")[1] for u in us]
    return Task("words", trains, words, [u.speaker for u in us])


def digits_task() -> Task:
    """A spike a pixel: at 0 ms where it is white, never where it is black."""
    images, labels = load_digits(return_X_y=True)
    trains = []
    for image in images / 16:
        events = np.zeros((SPAN, image.size), bool)
        lit = np.flatnonzero(image)
        events[np.floor((1 - image[lit]) * SPAN).astype(int), lit] = True
        trains.append(events)
    return Task("digits", trains, [str(label) for label in labels], [""] * len(labels))


def trained(task: Task, milliseconds: float, seed: int) -> tuple[nn.Module, float]:
    """Train a head at one step; return it and the processor time [s]."""
    dataset = task.at(milliseconds)
    fit, _ = task.split(seed)
    shape, classes = dataset.dim, len(dataset.classes)
    network = build(HEAD, "pts_snn", shape, classes, np.random.default_rng(seed))
    began = time.process_time()
    network = Training(network, dataset, fit, RECIPES[task.name], seed).run(1.0)
    return network.eval(), time.process_time() - began


def accuracy(network: nn.Module, dataset: Dataset, held: Any) -> dict[str, float]:
    """Return the recall, and the energy of the default cost model [J per sample]."""
    with OperationCounter(network).counting() as counter:
        predicted = predict(network, dataset, held).argmax(1).numpy()
    energy = totals(counter.table(), load_profile(DEFAULT_PROFILE))["energy"]
    return {
        "ua": recall(dataset.labels[held], predicted, len(dataset.classes)).ua,
        "energy": energy,
    }


def measure(task: Task, seeds: int) -> list[dict[str, Any]]:
    """Return a row per seed, ratio and method."""
    source = STEPS[task.name]
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        fit, held = task.split(seed)
        network, seconds = trained(task, source, seed)
        before = task.at(source)
        own = accuracy(network, before, held)
        rows.append({"seed": seed, "ratio": 1.0, "method": "source", **own, "train": seconds})
        there, cost = trained(task, source / 2, seed)
        ua = accuracy(there, task.at(source / 2), held)
        rows.append({"seed": seed, "ratio": 0.5, "method": "trained", **ua, "train": cost})
        for ratio in RATIOS:
            after = task.at(source * ratio)
            found = compare(network, ratio, before, after, fit[::6], inputs="counts")
            for one in found:
                row = {"seed": seed, "ratio": ratio, "method": one.method, "ua": None}
                if one.network is not None:
                    row |= accuracy(one.network, after, held)
                    row |= {"spikes": dict(one.ratios), "divergence": one.divergence}
                    row |= {"agreement": one.agreement}
                rows.append(row)
            best = choose(found)
            last = next(r for r in rows[::-1] if r["method"] == best.method)
            rows.append({**last, "method": "auto", "chosen": best.method})
        told = {(r["ratio"], r["method"]): r["ua"] for r in rows if r["seed"] == seed}
        print(task.name, seed, {k: round(v, 3) for k, v in told.items() if v is not None})
    return rows


def clocks(seeds: int) -> list[dict[str, Any]]:
    """Change the clock of time-to-first-spike networks on digits."""
    task = next(t for t in TTFS_TASKS if t.name == "digits")
    rows = []
    for seed in range(seeds):
        data = sets(task, seed)
        x, y = data[2].float(), data[3]
        torch.manual_seed(seed)
        network = Perceptron([data[0].shape[1], task.width, int(data[1].max()) + 1])
        train(network, ReLUView(), data, task.epochs, task.rate, task.batch, seed)
        network.eval()
        seen = [(data[0].float(),)]
        network.fit_windows(seen, 9.0)  # as windows stand that were only ever let grow
        network.discretisation = replace(network.discretisation, steps=CLOCK_STEPS)
        network.view = network.spiking_view()
        for ratio in CLOCKS:
            for kind in ("kept window", "refitted", "refitted, rounded down"):
                changed = deepcopy(network)
                fresh = None if kind == "kept window" else seen
                if fresh is not None:
                    changed.discretisation = replace(changed.discretisation, margin=0.1)
                    changed.fit_windows(seen, 0.1)
                at_clock(changed, ratio, fresh)
                if kind.endswith("down"):
                    changed.view = TTFSView(changed.discretisation.steps, rounding="down")
                with torch.no_grad():
                    share = float((changed(x).argmax(1) == y).float().mean())
                rows.append({"seed": seed, "ratio": ratio, "kind": kind, "accuracy": share})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    check = build(HEAD, "pts_snn", 8, 2, np.random.default_rng(0))
    assert change_step(check, 1.0) == []
    began = time.process_time()
    tasks = [words_task(), digits_task()]
    measured = {t.name: measure(t, options.seeds) for t in tasks}
    report.write(
        "resolution",
        {
            "head": HEAD,
            "recipes": {k: r.as_dict() for k, r in RECIPES.items()},
            "steps_ms": STEPS,
            "methods": COMPARED,
            "rows": measured,
            "clock_steps": CLOCK_STEPS,
            "clocks": clocks(options.seeds),
            "cpu_seconds": time.process_time() - began,
        },
    )


if __name__ == "__main__":
    main()
