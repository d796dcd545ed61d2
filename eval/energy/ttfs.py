"""Operations of time-to-first-spike layers, with the costs that are easily left out.

A layer of ``N`` neurons whose windows have ``S`` clock steps, fed by spikes:

* an accumulate for every spike and synapse. Near the border of an image a spike has fewer
  synapses; they are counted as they are. A skip connection's are added.
* ``N S`` accumulates while the input's window lasts: a spike switches a current on, and the
  current must be added to the membrane at every step (the alternative is a multiplication by
  the time left for every spike and synapse);
* in its own window, for every step until it fires (``k + 1`` of them at step ``k``, ``S`` when
  it stays silent), an accumulate for the climb and a comparison with the threshold.

The first spike of a pooling region passes through a latch, a delay through a buffer, a value
is read off a spike by a counter: none of them is arithmetic, none is counted. Average pooling
is a layer of neurons as any other. A readout integrates but never compares.

The same layer as ReLU arithmetic costs one multiply-accumulate for every synapse.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eval.energy.head import stored
from eval.energy.table import LayerOperations
from search_spaces.ttfs import B1Layer, Readout, ReLUView, Signal, TTFSView


def count_encoder(row: LayerOperations, output: Signal) -> None:
    """Count neurons that a current from outside drives: a climb, comparisons, spikes."""
    row.states = output.data[0].numel()
    if isinstance(output.view, ReLUView):
        row.digital = True
        return
    _window(row, output)


def count_layer(
    row: LayerOperations,
    module: B1Layer,
    inputs: tuple[Signal, ...],
    skip: Signal | None,
    output: Signal,
) -> None:
    """Count a layer of B1 neurons."""
    reached = [(signal, module.synapses) for signal in inputs]
    if skip is not None and module.skip is not None:
        reached.append((skip, module.skip))
    row.states = output.data[0].numel()
    row.weights = max(1, stored(module))  # average pooling has one weight, which is fixed
    row.buffer = inputs[0].data[0].numel() + row.states
    row.convolution = not isinstance(module.synapses, nn.Linear | nn.Identity)
    row.outputs += float(output.data.numel())
    for signal, synapses in reached:
        products = synapse_count(signal, synapses, dense=True)
        _take_in(row, signal, products)
        if isinstance(output.view, ReLUView):
            row.digital = True
            row.macs += products
        else:
            events = synapse_count(signal, synapses, dense=False)
            row.acs += events
            row.synops += events
    if row.digital:
        return
    integrating = float(output.data.numel()) * _steps(output)
    row.acs += integrating
    row.updates += integrating
    row.neuron_steps += integrating
    _window(row, output)


def count_readout(
    row: LayerOperations, module: Readout, signal: Signal, membranes: Tensor
) -> None:
    """Count membranes that never fire; pooling in front composes with the weights."""
    outputs = module.linear.out_features
    products = float(signal.data.numel() * outputs)
    row.states, row.weights = outputs, stored(module)
    row.buffer = signal.data[0].numel() + outputs
    row.outputs += float(membranes.numel())
    _take_in(row, signal, products)
    if isinstance(signal.view, ReLUView):
        row.digital = True
        row.macs += products
        return
    integrating = float(membranes.numel()) * _steps(signal)
    events = float(signal.fired().sum()) * outputs
    row.synops += events
    row.updates += integrating
    row.acs += events + integrating


def synapse_count(signal: Signal, synapses: nn.Module, *, dense: bool) -> float:
    """Count synapses behind a signal: of every value, or only of those that spiked."""
    sent = signal.fired()
    if dense:
        sent = torch.ones_like(sent)
    if isinstance(synapses, nn.Identity):
        return float(sent.sum())
    if isinstance(synapses, nn.Linear):
        return float(sent.sum()) * synapses.out_features
    return float((sent.sum(0) * fan_out(synapses, tuple(sent.shape[1:]))).sum(dtype=torch.float64))


def fan_out(synapses: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return ``[C, H, W]``, how many outputs each input of a convolution or pooling reaches."""
    with torch.enable_grad():
        x = torch.zeros(1, *shape, requires_grad=True)
        if isinstance(synapses, nn.Conv1d | nn.Conv2d):
            y = synapses._conv_forward(x, torch.ones_like(synapses.weight, dtype=x.dtype), None)
        elif isinstance(synapses, nn.AvgPool1d | nn.AvgPool2d):
            size = synapses.kernel_size
            sides = size if isinstance(size, tuple) else (size,) * (len(shape) - 1)
            y = synapses(x) * float(torch.tensor(sides).prod())
        else:
            raise RuntimeError(f"no rule for the synapses of {type(synapses).__name__}")
        (reached,) = torch.autograd.grad(y.sum(), x)
    return reached[0].round()


def _take_in(row: LayerOperations, signal: Signal, products: float) -> None:
    row.inputs += float(signal.fired().sum())
    row.values += float(signal.fired().numel())
    row.dense += products


def _window(row: LayerOperations, output: Signal) -> None:
    """Count the neurons' own window: the climb and the comparisons until they fire."""
    steps = _steps(output)
    step = output.data - (output.end - output.span)
    climbed = float((step + 1).clamp(max=steps).sum(dtype=torch.float64))
    row.acs += climbed
    row.updates += climbed
    row.compares += climbed
    row.neuron_steps += climbed
    row.spikes += float(output.fired().sum())
    row.neurons += float(output.data.numel())


def _steps(signal: Signal) -> int:
    view = signal.view
    if not isinstance(view, TTFSView) or view.steps is None:
        raise RuntimeError("operations are those of clock steps: count in TTFSView(steps=...)")
    return view.steps
