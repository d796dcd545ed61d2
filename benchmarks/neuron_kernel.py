"""Why the CPU kernel of the neuron is ours: its cost over spikingjelly's own.

Forward and backward of one PLIF layer, one thread, the two taken in turn within one run; the
figure is the ratio of the medians. Spikes of both are compared first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import report
import torch
from spikingjelly.activation_based import neuron, surrogate

from search_spaces.neurons import SURROGATE_ALPHA, SpikingNeurons

REPEATS = 30


def seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for steps, batch, width in [(10, 32, 64), (20, 32, 128), (40, 32, 256), (100, 32, 256)]:
        ours = SpikingNeurons("plif", 2.0, 1.0)
        theirs = neuron.ParametricLIFNode(
            init_tau=2.0,
            surrogate_function=surrogate.ATan(SURROGATE_ALPHA),
            detach_reset=True,
            step_mode="m",
        )
        x = 2 * torch.randn(steps, batch, width, generator=generator)
        x.requires_grad_()

        def run_ours(layer: SpikingNeurons = ours, x: torch.Tensor = x) -> torch.Tensor:
            spikes: torch.Tensor = layer(x)
            spikes.sum().backward()
            return spikes

        def run_theirs(layer: torch.nn.Module = theirs, x: torch.Tensor = x) -> torch.Tensor:
            layer.reset()  # type: ignore[operator]
            spikes: torch.Tensor = layer(x)
            spikes.sum().backward()
            return spikes

        differing = float((run_ours() != run_theirs()).float().mean())
        pairs = [(seconds(run_ours), seconds(run_theirs)) for _ in range(REPEATS)]
        a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
        rows.append(
            {"steps": steps, "batch": batch, "width": width}
            | {"ms_ours": 1e3 * a, "ms_spikingjelly": 1e3 * b, "ratio": b / a}
            | {"differing_spikes": differing}
        )
        print(
            f"[{steps}, {batch}, {width}] ours {1e3 * a:.2f} ms, spikingjelly {1e3 * b:.2f} ms:"
            f" {b / a:.1f} times; {100 * differing:.4f} % of the spikes differ (float32 ties)"
        )
    report.write("neuron_kernel", {"rows": rows})


if __name__ == "__main__":
    main()
