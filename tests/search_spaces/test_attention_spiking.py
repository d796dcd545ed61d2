"""The spiking mechanisms against their equations, spike by spike, and their event counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from search_spaces.attention import (
    SPIKING_KINDS,
    Attention,
    AttentionOperations,
    AttentionSettings,
    build_attention,
)
from search_spaces.attention.ssla import largest
from search_spaces.neurons import NEURONS

D, H = 8, 2
LENGTHS = (21, 1, 6)


def fired(node: torch.nn.Module, current: list[list[float]], log: dict[str, float]) -> list:
    """Neurons with hard reset, one channel and frame at a time; or plain rectifiers."""
    if isinstance(node, torch.nn.ReLU):
        return [[max(0.0, x) for x in frame] for frame in current]
    leaky = hasattr(node, "w")
    gain = 1 / (1 + math.exp(-float(node.w.detach()))) if leaky else 1.0
    membrane, out = [0.0] * len(current[0]), []
    for frame in current:
        row = []
        for n, x in enumerate(frame):
            membrane[n] += gain * (x - (membrane[n] if leaky else 0.0))
            row.append(1.0 if membrane[n] >= node.v_threshold else 0.0)
            membrane[n] *= 1 - row[-1]
        out.append(row)
        log["neuron_steps"] += len(row)
        log["spikes"] += sum(row)
    return out


COUNTS = ("macs", "acs", "spikes", "neuron_steps", "synops", "dense")


def meet(a: Attention, log: dict[str, float], *values: float) -> None:
    """Count values that meet: an event where all are spikes, a product anyhow otherwise."""
    if a.settings.neuron == "relu":
        log["macs"] += 1
    else:
        log["acs"] += all(values)
        log["dense"] += 1


def projected(
    layer: torch.nn.Module, x: list[list[float]], log: dict[str, float], real: bool = False
) -> list:
    """A linear map and the batch norm of inference; counts spikes that meet a weight."""
    weight, norm = layer.linear.weight.tolist(), layer.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = (norm.bias - norm.running_mean * scale).tolist()
    scale = scale.tolist()
    out = []
    for frame in x:
        row = []
        for n in range(D):
            total = 0.0
            for m in range(D):
                total += weight[n][m] * frame[m]
                if real:
                    log["macs"] += 1
                else:  # a stored weight; the twin multiplies by it whatever came in
                    log["acs"] += frame[m] == 1.0
                    log["synops"] += frame[m] == 1.0
                    log["dense"] += 1
            row.append(total * scale[n] + shift[n])
        out.append(row)
    return out


def kept(context: list[list[float]], sparsity: float) -> set[tuple[int, int]]:
    entries = [(-abs(g), i, j) for i, row in enumerate(context) for j, g in enumerate(row)]
    keep = max(1, len(entries) - round(sparsity * len(entries)))
    return {(i, j) for _, i, j in sorted(entries)[:keep]}


def ssla(a: Attention, q: list, k: list, v: list, log: dict[str, float]) -> list:
    causal, sparsity, dim, n = a.settings.causal, a.settings.sparsity, D // H, len(q)
    current = [[0.0] * D for _ in range(n)]
    for h in range(H):
        head = range(h * dim, (h + 1) * dim)
        sums, contexts = [[0.0] * dim for _ in head], []
        for t in range(n):
            for i, ki in enumerate(head):
                for j, vj in enumerate(head):
                    sums[i][j] += k[t][ki] * v[t][vj]
                    meet(a, log, k[t][ki], v[t][vj])
            contexts.append([row[:] for row in sums])
        for t in range(n):
            context, frames = (contexts[t], t + 1) if causal else (contexts[-1], n)
            stay = kept(context, sparsity)
            for i, qi in enumerate(head):
                for j, out in enumerate(head):
                    if (i, j) in stay:
                        current[t][out] += q[t][qi] * context[i][j] / frames / math.sqrt(dim)
                        meet(a, log, q[t][qi])
    log["macs"] += n * D if causal else 0
    return fired(a.fire_attention, current, log)


def sdsa(a: Attention, q: list, k: list, v: list, log: dict[str, float]) -> list:
    sums, running = [0.0] * D, []
    for t in range(len(q)):
        for n in range(D):
            sums[n] += k[t][n] * v[t][n]
            meet(a, log, k[t][n], v[t][n])
        running.append(sums[:])
    opened = fired(a.fire_attention, running if a.settings.causal else running[-1:], log)
    # a mask of spikes costs nothing, of values a product
    log["macs" if a.settings.neuron == "relu" else "dense"] += len(q) * D
    opened = opened if a.settings.causal else opened * len(q)
    return [[x * y for x, y in zip(*rows, strict=True)] for rows in zip(q, opened, strict=True)]


def reference(kind: str, a: Attention, x: Tensor, log: dict[str, float]) -> Tensor:
    layers = ((a.query, a.fire_query), (a.key, a.fire_key), (a.value, a.fire_value))
    spikes = [fired(node, projected(layer, x.tolist(), log), log) for layer, node in layers]
    mixed = {"ssla": ssla, "sdsa": sdsa}[kind](a, *spikes, log)
    return torch.tensor(
        projected(a.output, mixed, log, a.settings.neuron == "relu"), dtype=torch.float64
    )


def built(kind: str, **settings: object) -> Attention:
    """Inference mode, with statistics and thresholds that let about half the neurons fire."""
    torch.manual_seed(3)
    a = build_attention(kind, AttentionSettings(D, H, threshold=0.2, tau=1.5, **settings))
    for layer in (a.query, a.key, a.value, a.output):
        layer.norm.weight.data.uniform_(0.5, 2.0)
        layer.norm.bias.data.uniform_(0.0, 0.4)
        layer.norm.running_mean.uniform_(-0.1, 0.1)
        layer.norm.running_var.uniform_(0.05, 0.2)
    for node in (a.fire_query, a.fire_key, a.fire_value, a.fire_attention):
        for w in node.parameters():
            w.data += torch.randn(()) * 0.3
    return a.double().eval()


def batch() -> tuple[Tensor, Tensor]:
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    generator = torch.Generator().manual_seed(5)
    spikes = torch.rand(*mask.shape, D, generator=generator) < 0.4
    return spikes.double(), mask


CASES = [("sdsa", 0.0), ("ssla", 0.0), ("ssla", 0.3), ("ssla", 0.75), ("ssla", 0.99)]


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("kind", "sparsity"), CASES)
def test_values_and_events_are_those_of_the_equations(
    kind: str, sparsity: float, causal: bool, neuron: str
) -> None:
    x, mask = batch()
    log = dict.fromkeys(COUNTS, 0.0)
    for chunk in (1, 4, 64):
        a = built(kind, sparsity=sparsity, causal=causal, chunk=chunk, neuron=neuron)
        y = a(x, mask)
        for b, n in enumerate(LENGTHS):
            expected = reference(kind, a, x[b, :n], log if chunk == 1 else dict(log))
            torch.testing.assert_close(y[b, :n], expected, atol=1e-9, rtol=1e-9)
    assert a.operations(x, mask) == AttentionOperations(**log)
    # neither silent nor saturated, or the comparison says nothing
    if neuron != "relu":
        assert 0.1 < log["spikes"] / log["neuron_steps"] < 0.95
    assert y.std() > 0.1


@pytest.mark.parametrize("kind", SPIKING_KINDS)
def test_real_valued_input_is_counted_as_multiplications(kind: str) -> None:
    x, mask = batch()
    a = built(kind)
    binary, real = a.operations(x, mask), a.operations(x + 0.5, mask)
    assert binary.macs == 0
    assert real.macs == sum(LENGTHS) * D * 3 * D


@pytest.mark.parametrize("kind", SPIKING_KINDS)
def test_counting_changes_neither_statistics_nor_mode(kind: str) -> None:
    x, mask = batch()
    a = built(kind).train()
    a.key.eval()
    before = {name: value.clone() for name, value in a.state_dict().items()}
    assert a.operations(x, mask) == built(kind).operations(x, mask)
    assert all(torch.equal(value, before[name]) for name, value in a.state_dict().items())
    assert a.training
    assert a.query.training
    assert not a.key.training


def test_context_is_the_mean_outer_product_of_keys_and_values() -> None:
    x, mask = batch()
    a = built("ssla")
    log = dict.fromkeys(COUNTS, 0.0)
    context = a.context(x, mask)
    assert context.shape == (3, H, D // H, D // H)
    for b, n in enumerate(LENGTHS):
        rows = x[b, :n].tolist()
        k = torch.tensor(fired(a.fire_key, projected(a.key, rows, log), log))
        v = torch.tensor(fired(a.fire_value, projected(a.value, rows, log), log))
        for h, (key, value) in enumerate(zip(k.chunk(H, 1), v.chunk(H, 1), strict=True)):
            expected = sum(torch.outer(s, u) for s, u in zip(key, value, strict=True)) / n
            torch.testing.assert_close(context[b, h], expected.double())
    torch.testing.assert_close(built("ssla", causal=True).context(x, mask), context)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_the_largest_magnitudes_stay_and_ties_go_to_the_first(sparsity: float) -> None:
    matrices = torch.randint(-3, 4, (5, 4, 6), generator=torch.Generator().manual_seed(0)).float()
    chosen = largest(matrices, sparsity)
    for matrix, stays in zip(matrices, chosen, strict=True):
        assert {(i, j) for i, j in stays.nonzero().tolist()} == kept(matrix.tolist(), sparsity)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", SPIKING_KINDS)
@pytest.mark.parametrize(
    ("neuron", "count"), [("plif", 264_196), ("lif", 264_192), ("if", 264_192)]
)
def test_trainable_parameters(kind: str, causal: bool, neuron: str, count: int) -> None:
    a = build_attention(kind, AttentionSettings(256, 4, causal=causal, neuron=neuron))
    assert sum(p.numel() for p in a.parameters() if p.requires_grad) == count
