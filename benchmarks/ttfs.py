"""What a time-to-first-spike network keeps of its ReLU twin: time steps, windows, noise, bits.

Multilayer perceptrons on scikit-learn's digits and on yin-yang (Kriener et al., arXiv
2102.08211), trained once as ReLU networks and then measured in every view. Nothing is chosen
on test data: epochs and rates are fixed, and every row of every table is printed. Writes
``docs/ttfs.md`` between its markers.
"""

from __future__ import annotations

import argparse
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
import report
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from ttfs_tables import Rows, energy_lines, exact_lines, tables, write_between

from search_spaces.ttfs import (
    B1Layer,
    ClockedView,
    Discretisation,
    Disturbance,
    Encoder,
    Readout,
    ReLUView,
    Signal,
    TTFSNetwork,
    TTFSView,
    View,
    quantise_weights,
)

STEPS = (8, 16, 32, 64)
MARGIN = 0.1
MARGINS = (0.0, 0.1, 0.5, 9.0)
JITTERS = (0.005, 0.01, 0.02, 0.05, 0.1)
DELETIONS = (0.01, 0.05, 0.1)
BITS = (8, 6, 4, 3)
SIDES = ("all", "hidden")  # which windows are rounded or disturbed
TUNED = {"all": STEPS, "hidden": STEPS[:2]}
TUNING = {"epochs": 10, "rate": 1e-3}

Sets = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """A data set and the fixed recipe of its networks."""

    name: str
    depths: tuple[int, ...]
    width: int
    epochs: int
    batch: int
    rate: float


TASKS = (
    Task("digits", (1, 3), width=64, epochs=40, batch=50, rate=3e-3),
    Task("yin-yang", (1, 3, 6), width=60, epochs=80, batch=100, rate=2e-2),
)


def yin_yang(points: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return ``[N, 4]`` points of the disc and their classes: yin 0, yang 1, dot 2, as many each.

    The disc has radius 1/2 round (1/2, 1/2). A dot of radius 1/10 sits at (1/4, 1/2) and one at
    (3/4, 1/2). Yin is the upper half, with the left half-size disc and without the right one.
    """
    generator = np.random.default_rng(seed)
    xy = generator.random((20 * points, 2))
    xy = xy[np.hypot(*(xy - 0.5).T) <= 0.5]
    left, right = (np.hypot(xy[:, 0] - c, xy[:, 1] - 0.5) for c in (0.25, 0.75))
    yin = (left <= 0.25) | ((xy[:, 1] > 0.5) & (right > 0.25))
    classes = np.where(np.minimum(left, right) <= 0.1, 2, np.where(yin, 0, 1))
    shares = [len(part) for part in np.array_split(np.arange(points), 3)]
    kept = np.concatenate([np.flatnonzero(classes == c)[:n] for c, n in enumerate(shares)])
    kept = generator.permutation(kept)
    assert len(kept) == points
    inputs = np.concatenate([xy[kept], 1 - xy[kept]], 1)
    return torch.tensor(inputs), torch.tensor(classes[kept])


def sets(task: Task, seed: int) -> Sets:
    """Return training and test inputs and classes in double precision; no point is in both."""
    if task.name == "yin-yang":
        x, y = yin_yang(5000, 2 * seed)
        x_test, y_test = yin_yang(2000, 2 * seed + 1)
        return x, y, x_test, y_test
    digits = load_digits()
    parts = train_test_split(
        digits.data / 16, digits.target, test_size=0.3, stratify=digits.target, random_state=seed
    )
    x, x_test, y, y_test = (torch.tensor(p) for p in parts)
    return x, y, x_test, y_test


class Perceptron(TTFSNetwork):
    """Linear maps and ReLUs.

    With ``analogue`` the input is no spikes but a current: the first hidden layer is then an
    encoder of ``W x + b``, with the same window, and nothing rounds or disturbs the input.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__(Discretisation(steps=16))
        pairs = pairwise(widths[:-1])
        self.encoder = Encoder()
        self.hidden = nn.ModuleList(B1Layer(nn.Linear(a, b)) for a, b in pairs)
        self.readout = Readout(nn.Linear(widths[-2], widths[-1]))
        self.driven = Encoder(self.hidden[0].window)
        self.analogue = False

    def windows_in_series(self) -> int:
        """Return the windows from input to readout."""
        return len(self.hidden) + (not self.analogue)

    def signals(self, x: Tensor) -> list[Signal]:
        """Return what every layer of neurons sends."""
        if self.analogue:
            sent = [self.driven(self.hidden[0].synapses(x), self.view)]
        else:
            sent = [self.encoder(x, self.view)]
            sent.append(self.hidden[0](sent[-1]))
        for layer in list(self.hidden)[1:]:
            sent.append(layer(sent[-1]))
        return sent

    def forward(self, x: Tensor) -> Tensor:
        """``[N, D]`` values -> ``[N, C]`` logits."""
        return self.readout(self.signals(x)[-1])


def train(
    net: Perceptron, view: View, data: Sets, epochs: int, rate: float, batch: int, seed: int
) -> None:
    """AdamW, cosine decay to 0, in the given view and in single precision."""
    x, y = data[0].float(), data[1]
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, fused=True)
    total = epochs * math.ceil(len(x) / batch)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
    with net.viewed(view):
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=order).split(batch):
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                optimiser.step()
                decay.step()


@torch.no_grad()
def logits(net: Perceptron, view: View, x: Tensor) -> Tensor:
    with net.viewed(view):
        return net(x)


def accuracy(net: Perceptron, view: View, x: Tensor, y: Tensor) -> float:
    return 100 * float((logits(net, view, x).argmax(1) == y).double().mean())


def on(net: Perceptron, side: str) -> Perceptron:
    """Choose whether the input is spikes (``all``) or a current (``hidden``)."""
    net.analogue = side == "hidden"
    return net


def exactness(net: Perceptron, x: Tensor) -> tuple[Rows, Rows]:
    """Return sums and maxima of how far views differ that should not."""
    relu, clipped, times = (
        logits(net, v, x) for v in (ReLUView(), ReLUView(clip=True), TTFSView())
    )
    assert torch.equal(clipped.argmax(1), times.argmax(1)), "spike times are no clipped ReLU"
    differing = {
        "predictions": float(len(x)),
        "ReLU and continuous times": float((relu.argmax(1) != times.argmax(1)).sum()),
    }
    largest = {
        "ReLU and continuous times": float((relu - times).abs().max()),
        "clipped ReLU and continuous times": float((clipped - times).abs().max()),
    }
    single = deepcopy(net).float()
    for steps in STEPS:
        for rounding in ("nearest", "down"):
            closed, clocked = (
                logits(net, v, x)
                for v in (TTFSView(steps, rounding), ClockedView(steps, rounding))
            )
            key = f"closed form and clock, S={steps}, {rounding}"
            differing[key] = float((closed.argmax(1) != clocked.argmax(1)).sum())
            largest[key] = float((closed - clocked).abs().max())
        closed, clocked = (
            logits(single, v, x.float()) for v in (TTFSView(steps), ClockedView(steps))
        )
        key = f"closed form and clock, S={steps}, nearest, float32"
        differing[key] = float((closed.argmax(1) != clocked.argmax(1)).sum())
    return differing, largest


@torch.no_grad()
def activity(net: Perceptron, x: Tensor) -> Rows:
    """Return spikes, and the operations of a sample by the rules of docs/ttfs.md."""
    rows: Rows = {}
    fan_outs = [m.out_features for m in net.modules() if isinstance(m, nn.Linear)]
    for steps in (None, *STEPS):
        with net.viewed(TTFSView(steps)):
            sent = net.signals(x)
        fired = [s.fired().double() for s in sent]
        name = "continuous" if steps is None else f"S={steps}"
        rows[f"spikes: a hidden neuron, {name}"] = float(torch.cat(fired[1:], 1).mean())
        rows[f"spikes: an input, {name}"] = float(fired[0].mean())
        if steps is None:
            dead = ~torch.cat(fired[1:], 1).any(0)
            rows["spikes: hidden neurons that never fire, share"] = float(dead.double().mean())
            continue
        spikes = [float(f.sum(1).mean()) for f in fired]
        climbs = 0.0
        for s in sent:
            step = s.data - (s.end - s.span)
            climbs += float(torch.where(s.fired(), step + 1, s.span).sum(1).mean())
        name = f"operations: {name}"
        rows[f"{name}, synaptic accumulates"] = sum(
            n * f for n, f in zip(spikes, fan_outs, strict=True)
        )
        rows[f"{name}, integration accumulates"] = float(steps * sum(fan_outs))
        rows[f"{name}, ramp accumulates, and as many compares"] = climbs
        rows[f"{name}, latency in steps"] = float(steps * net.windows_in_series())
    rows["operations: ReLU twin, multiply-accumulates"] = float(
        sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Linear))
    )
    return rows


def measure(task: Task, depth: int, seed: int) -> tuple[Rows, Rows, Rows]:
    """Train one network and return its rows, and what should not differ but might."""
    data = sets(task, seed)
    x, y, x_test, y_test = data
    torch.manual_seed(seed)
    trained = Perceptron([x.shape[1], *[task.width] * depth, int(y.max()) + 1])
    train(trained, ReLUView(), data, task.epochs, task.rate, task.batch, seed)
    trained.fit_windows([(x.float(),)], MARGIN)
    net = deepcopy(trained).double()
    net.fit_windows([(x,)], MARGIN)
    rows: Rows = {
        "unrounded: ReLU, training data": accuracy(net, ReLUView(), x, y),
        "unrounded: ReLU": accuracy(net, ReLUView(), x_test, y_test),
        "unrounded: continuous times": accuracy(net, TTFSView(), x_test, y_test),
    }
    differing, largest = exactness(net, x_test)
    rows |= activity(net, x_test)

    # a control of fine-tuning: as many epochs more, without rounding
    longer = deepcopy(trained)
    train(longer, ReLUView(), data, **TUNING, batch=task.batch, seed=seed)
    longer.double().fit_windows([(x,)], MARGIN)
    rows["unrounded: ReLU, more epochs"] = accuracy(longer, ReLUView(), x_test, y_test)
    for steps in STEPS:
        view = TTFSView(steps)
        on(net, "all")
        for rounded in (TTFSView(steps, "down"), view):
            coarse = net.encoder(x_test, rounded).values()
            key = f"input: S={steps}, {rounded.rounding}"
            rows[key] = accuracy(net, TTFSView(), coarse, y_test)
        for side in SIDES:
            key = f"{side}: S={steps}"
            on(net, side)
            rows[f"{key}, down"] = accuracy(net, TTFSView(steps, "down"), x_test, y_test)
            rows[f"{key}, nearest"] = accuracy(net, view, x_test, y_test)
            if steps not in TUNED[side]:
                continue
            rows[f"{key}, nearest, more epochs"] = accuracy(on(longer, side), view, x_test, y_test)
            tuned = on(deepcopy(trained), side)
            train(tuned, ReLUView(steps=steps), data, **TUNING, batch=task.batch, seed=seed)
            rows[f"{key}, nearest, QAT"] = accuracy(tuned.double(), view, x_test, y_test)

    for side in SIDES:
        on(net, side)
        disturbed = {f"jitter {100 * j:g} %": Disturbance(jitter=j) for j in JITTERS}
        disturbed |= {f"deletion {100 * d:g} %": Disturbance(deletion=d) for d in DELETIONS}
        for name, noise in disturbed.items():
            noise = replace(noise, generator=torch.Generator().manual_seed(seed))
            rows[f"{side} spikes: {name}"] = accuracy(
                net, TTFSView(disturbance=noise), x_test, y_test
            )
    for bits in BITS:
        small = on(deepcopy(net), "all")
        quantise_weights(small, bits)
        small.fit_windows([(x,)], MARGIN)
        rows[f"weights: {bits} bits"] = accuracy(small, TTFSView(), x_test, y_test)
    for margin in MARGINS:
        on(net, "all").fit_windows([(x,)], margin)
        rows[f"margin: {margin:g}, continuous"] = accuracy(net, TTFSView(), x_test, y_test)
        apart = (logits(net, ReLUView(), x_test) - logits(net, TTFSView(), x_test)).abs().max()
        largest[f"ReLU and continuous times, margin {margin:g}"] = float(apart)
        for side in SIDES:
            rows[f"margin: {margin:g}, S=16, {side}"] = accuracy(
                on(net, side), TTFSView(16), x_test, y_test
            )
    return rows, differing, largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, used = time.perf_counter(), time.process_time()
    measured: dict[str, dict[str, dict[str, float]]] = {}
    differing: Rows = {}
    largest: Rows = {}
    for task in TASKS:
        for depth in task.depths:
            runs = []
            for seed in range(options.seeds):
                rows, apart, most = measure(task, depth, seed)
                runs.append(rows)
                differing = {k: differing.get(k, 0.0) + v for k, v in apart.items()}
                largest = {k: max(largest.get(k, 0.0), v) for k, v in most.items()}
            measured[f"{task.name}, {depth}"] = {
                key: {
                    "mean": float(np.mean([r[key] for r in runs])),
                    "sd": float(np.std([r[key] for r in runs], ddof=1)) if len(runs) > 1 else 0.0,
                }
                for key in runs[0]
            }
            print(f"{task.name}, {depth}: {time.perf_counter() - began:.0f} s", flush=True)
    seconds = {"wall": time.perf_counter() - began, "cpu": time.process_time() - used}
    exact = {"differing": dict(differing), "largest_logit_difference": largest}
    lines = [*tables(measured), *exact_lines(differing, largest), ""]
    print("\n".join(lines))
    costs = energy_lines(measured)
    print("\n".join(costs))
    write_between("<!-- table -->", "<!-- end -->", lines)
    write_between("<!-- costs -->", "<!-- end of costs -->", costs)
    recipe = {"tasks": [asdict(t) for t in TASKS], "margin": MARGIN, "fine_tuning": TUNING}
    report.write(
        "ttfs",
        {"seeds": options.seeds, "recipe": recipe, "seconds": seconds, **exact, **measured},
    )


if __name__ == "__main__":
    main()
