"""How many batches of the reference head a second: our neurons against those of others.

    python benchmarks/throughput.py
    pip install norse sinabs     # to have them in the table; snnTorch is in nas[dev]

The reference head (1.19 million parameters, 256 channels), batches of 32 utterances of 50
frames of 768 features, forward, backward and an optimiser's step. Only the neurons differ: those
of other libraries stand in the places of ours, with their own surrogate gradients. All take
turns within one run; what counts are the ratios. The floor is the products of the head's linear
layers alone, forward and backward; attention's are in the share that the profiler gives.
``PxT`` is P processes of T threads each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import report
import torch
from throughput_nets import BATCH, CLASSES, FRAMES, INPUT, LAYERS, head, installed, layer, way
from torch import Tensor, nn

from eval.autocast import autocast, processor_has_bfloat16
from search_spaces.kernels import native

SHAPES = ((1, 1), (1, 2), (2, 1))  # processes, threads
ROUNDS = 8
SECONDS = 8.0  # of a process that counts batches


def stepper(name: str, dtype: str) -> Callable[[], None]:
    """Return what trains one batch."""
    network = head(name)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    x = torch.randn(BATCH, FRAMES, INPUT)
    lengths, labels = torch.full((BATCH,), FRAMES), torch.arange(BATCH) % CLASSES

    def step() -> None:
        optimizer.zero_grad()
        with autocast(dtype):
            logits = network(x, lengths)
        nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def products() -> Callable[[], None]:
    """Return what makes the matrix products of a batch: forward, and both of backward."""
    network = head("nas")
    seen: list[tuple[Tensor, Tensor, Tensor, bool]] = []

    def noted(module: nn.Module, inputs: Any, output: Tensor) -> None:
        x = inputs[0].detach().flatten(0, -2)
        first = x.shape[-1] == INPUT  # nobody asks for the gradient of the features
        seen.append((x, module.weight.detach(), torch.randn(len(x), output.shape[-1]), first))

    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(noted)
    network(torch.randn(BATCH, FRAMES, INPUT), torch.full((BATCH,), FRAMES))

    def step() -> None:
        for x, weight, grad, first in seen:
            x @ weight.T
            grad.T @ x
            if not first:
                grad @ weight

    return step


def in_turns(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return the least processor time of each [ms], one after the other in every round.

    The least: what other processes on the machine add is no property of the code.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            with way(name):
                began = time.process_time()
                step()
                if turn:  # the first warms up
                    times[name].append(1e3 * (time.process_time() - began))
    return {name: min(values) for name, values in times.items()}


def product_share(step: Callable[[], None], steps: int = 5) -> float:
    """Return the share of a step's time that torch's profiler finds in matrix products."""
    from torch.profiler import ProfilerActivity, profile

    from nas.profile import kind_of

    step()
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        for _ in range(steps):
            step()
    events = [(kind_of(e.key), e.self_cpu_time_total) for e in seen.key_averages()]
    return sum(t for kind, t in events if kind == "matrix products") / sum(t for _, t in events)


def layers(names: list[str], rounds: int) -> dict[str, float]:
    """Time a layer of neurons alone."""
    x, grad = 2 * torch.randn(FRAMES, BATCH, 256), torch.randn(FRAMES, BATCH, 256)

    def of(name: str) -> Callable[[], None]:
        module = layer(name)

        def step() -> None:
            current = x.clone().requires_grad_()
            module(current).backward(grad)

        return step

    return in_turns({name: of(name) for name in names}, rounds)


def count(name: str, dtype: str, threads: int, seconds: float) -> int:
    """Train batches for so long; the process that prints how many."""
    torch.set_num_threads(threads)
    with way(name):
        step = stepper(name, dtype)
        step()
        print("ready", flush=True)
        sys.stdin.readline()
        done, ends = 0, time.perf_counter() + seconds
        while time.perf_counter() < ends:
            step()
            done += 1
    print(done, flush=True)
    return done


def rate(name: str, dtype: str, processes: int, threads: int, seconds: float) -> float:
    """Return batches a second of so many processes at once."""
    command = [sys.executable, __file__, "--count", name, dtype, str(threads), str(seconds)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(int(process.communicate()[0]) for process in running) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each PxT")
    parser.add_argument("--repeats", type=int, default=3, help="of each PxT, in turns")
    parser.add_argument("--count", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        name, dtype, threads, seconds = options.count
        count(name, dtype, int(threads), float(seconds))
        return
    torch.set_num_threads(1)
    names = [n for n in LAYERS if installed(n)]
    print(f"neurons: {native.description()}")
    for name in set(LAYERS) - set(names):
        print(f"{name} is left out: not installed")
    measured: dict[str, Any] = {"neurons": native.description(), "torch": torch.__version__}
    measured["layer_ms"] = alone = layers(names, options.rounds)
    steps = {name: stepper(name, "float32") for name in names}
    measured["head_ms"] = whole = in_turns({**steps, "products": products()}, options.rounds)
    for name in names:
        times = whole[name] / whole["products"]
        print(
            f"{name:<18} a layer {alone[name]:6.2f} ms, {alone[name] / alone['nas']:4.1f} of ours;"
            f" the head {whole[name]:4.0f} ms, {whole[name] / whole['nas']:.2f} of ours,"
            f" {times:.2f} of its matrix products"
        )
    measured["product_share"] = shares = {}
    for name in ("nas", "spikingjelly"):
        with way(name):
            shares[name] = product_share(steps[name])
        print(f"{name}: {100 * shares[name]:.0f} % of a step are matrix products, attention's too")
    measured["bfloat16"] = processor_has_bfloat16()
    dtypes = ["float32", *(["bfloat16"] if processor_has_bfloat16() else [])]
    if len(dtypes) == 1:
        print("this processor has no bfloat16: nothing is measured with it")
    rates: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        for name in ("nas", "spikingjelly"):
            for dtype in dtypes:
                for processes, threads in SHAPES:
                    key = f"{name}, {dtype}, {processes}x{threads}"
                    found = rate(name, dtype, processes, threads, options.seconds)
                    rates.setdefault(key, []).append(found)
    measured["batches_a_second"] = medians = {k: statistics.median(v) for k, v in rates.items()}
    base = medians["spikingjelly, float32, 1x2"]
    for key, value in medians.items():
        print(f"{key:<32} {value:5.2f} batches/s, {value / base:4.1f} times spikingjelly 1x2")
    report.write("throughput", measured)


if __name__ == "__main__":
    main()
