"""Every real-valued mechanism against its published recurrence, written step by step.

The references walk over utterances, heads and frames, and count the multiply-accumulates of
every matrix-vector product, outer product, decay and convolution tap they make on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, sigmoid, silu, softplus

from search_spaces.attention import Attention, AttentionSettings, build_attention

D, H = 8, 2
LENGTHS = (37, 1, 2, 18)


class Counter:
    """Linear algebra on vectors that counts its multiply-accumulates."""

    def __init__(self) -> None:
        self.macs = 0

    def product(self, matrix: Tensor, x: Tensor) -> Tensor:
        self.macs += matrix.numel()
        return matrix @ x

    def rows(self, matrix: Tensor, x: Tensor) -> Tensor:
        return torch.stack([self.product(matrix, row) for row in x])

    def outer(self, a: Tensor, b: Tensor) -> Tensor:
        self.macs += a.numel() * b.numel()
        return a[:, None] * b[None, :]

    def decay(self, gate: Tensor | float, state: Tensor) -> Tensor:
        self.macs += state.numel()
        return gate * state

    def scaled(self, weight: Tensor, x: Tensor) -> Tensor:
        self.macs += x.numel()
        return weight * x


def per_head(core: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    split = [part.chunk(H, -1) for part in parts]
    return torch.cat([core(h, *(s[h] for s in split)) for h in range(H)], -1)


def directions(core: Callable[..., Tensor], parts: tuple[Tensor, ...], causal: bool) -> Tensor:
    ahead = core(*parts)
    return ahead if causal else ahead + core(*(p.flip(0) for p in parts)).flip(0)


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def rms_heads(x: Tensor, weight: Tensor) -> Tensor:
    return torch.cat([rms(part, weight) for part in x.chunk(H, -1)], -1)


def attended(c: Counter, q: Tensor, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """One query over (key, value, extra logit) triples."""
    logits = [c.product(k[None], q)[0] / math.sqrt(len(q)) + extra for k, _, extra in pairs]
    weights = torch.stack(logits).softmax(0)
    return sum((c.scaled(w, v) for w, (_, v, _) in zip(weights, pairs, strict=True)), 0 * q)


def softmax(a: Attention, x: Tensor, causal: bool, c: Counter) -> Tensor:
    def core(h: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = []
        for i in range(len(q)):
            seen = range(i + 1 if causal else len(q))
            out.append(attended(c, q[i], [(k[j], v[j], torch.zeros(())) for j in seen]))
        return torch.stack(out)

    parts = [c.rows(p.weight, x) for p in (a.query, a.key, a.value)]
    return c.rows(a.output.weight, per_head(core, *parts))


def retnet(a: Attention, x: Tensor, causal: bool, c: Counter) -> Tensor:
    def rotated(u: Tensor, t: int) -> Tensor:
        half = len(u) // 2
        turn = t * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        z = torch.complex(u[:half], u[half:]) * torch.polar(torch.ones_like(turn), turn)
        return torch.cat((z.real, z.imag))

    def core(h: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        state, out = torch.zeros(q.shape[1], q.shape[1], dtype=q.dtype), []
        for t in range(len(q)):
            state = c.decay(1 - 2.0 ** (-5 - h), state) + c.outer(rotated(k[t], t), v[t])
            out.append(c.product(state.T, rotated(q[t], t)) / math.sqrt(q.shape[1]))
        return torch.stack(out)

    parts = tuple(c.rows(p.weight, x) for p in (a.query, a.key, a.value))
    mixed = directions(lambda *p: per_head(core, *p), parts, causal)
    gated = rms_heads(mixed, a.norm.weight) * silu(c.rows(a.gate.weight, x))
    return c.rows(a.output.weight, gated)


def lightnet(a: Attention, x: Tensor, causal: bool, c: Counter) -> Tensor:
    def core(h: int, q: Tensor, kappa: Tensor, v: Tensor) -> Tensor:
        state, out = torch.zeros(q.shape[1], q.shape[1], dtype=q.dtype), []
        for t in range(len(q)):
            z = kappa[: t + 1].logsumexp(0) if causal else kappa.logsumexp(0)
            if causal:
                last = kappa[:t].logsumexp(0)  # -inf before the first frame: a gate of 0
                state = c.decay((last - z).exp()[:, None], state)
            state = state + c.outer((kappa[t] - z).exp(), v[t])
            out.append(state)
        read = out if causal else [state] * len(q)
        return torch.stack(
            [c.product(s.T, u) / math.sqrt(len(u)) for s, u in zip(read, q, strict=True)]
        )

    q, kappa, v = (c.rows(p.weight, x) for p in (a.query, a.key, a.value))
    gate = c.rows(a.gate[1].weight, c.rows(a.gate[0].weight, x))
    mixed = per_head(core, silu(q), kappa, v)
    return c.rows(a.output.weight, rms(mixed, a.norm.weight) * silu(gate))


def gsa(a: Attention, x: Tensor, causal: bool, c: Counter) -> Tensor:
    def core(h: int, q: Tensor, k: Tensor, v: Tensor, f: Tensor) -> Tensor:
        keys = values = torch.zeros(q.shape[1], q.shape[1], dtype=q.dtype)
        out = []
        for t in range(len(q)):
            alpha = (logsigmoid(f[t]) / 8).exp()
            keys = c.decay(alpha[:, None], keys) + c.outer(1 - alpha, k[t])
            values = c.decay(alpha[:, None], values) + c.outer(1 - alpha, v[t])
            out.append(c.product(values.T, c.product(keys, q[t]).softmax(0)))
        return torch.stack(out)

    q, k, v, f = (c.rows(p.weight, x) for p in (a.query, a.key, a.value, a.forget))
    parts = (silu(q), silu(k), silu(v), f)
    mixed = directions(lambda *p: per_head(core, *p), parts, causal)
    return c.rows(a.output.weight, rms(silu(mixed), a.norm.weight))


def fox(a: Attention, x: Tensor, causal: bool, c: Counter) -> Tensor:
    def core(h: int, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        out = []
        for i in range(len(q)):
            seen = [(k[j], v[j], g[j + 1 : i + 1].sum()) for j in range(i + 1)]
            out.append(attended(c, q[i], seen))
        return torch.stack(out)

    q, k, v = (c.rows(p.weight, x) for p in (a.query, a.key, a.value))
    forget = logsigmoid(c.rows(a.forget.weight, x) + a.forget.bias)
    mixed = directions(lambda *p: per_head(core, *p), (q, k, v, forget), causal)
    return c.rows(a.output.weight, mixed)


def kda(a: Attention, x: Tensor, causal: bool, c: Counter) -> Tensor:
    def convolved(u: Tensor, weight: Tensor) -> Tensor:
        zero, out = torch.zeros_like(u[0]), []
        for t in range(len(u)):
            taps = [c.scaled(weight[3 - n], u[t - n] if t >= n else zero) for n in range(4)]
            out.append(silu(sum(taps, zero)))
        return torch.stack(out)

    def core(h: int, q: Tensor, k: Tensor, v: Tensor, f: Tensor, beta: Tensor) -> Tensor:
        state, out = torch.zeros(q.shape[1], q.shape[1], dtype=q.dtype), []
        for t in range(len(q)):
            unit_q = q[t] / (q[t].square().sum() + 1e-6).sqrt()
            unit_k = k[t] / (k[t].square().sum() + 1e-6).sqrt()
            gate = (-a.log_rate[h].exp() * softplus(f[t])).exp()
            state = c.decay(gate[:, None], state)
            error = v[t] - c.product(state.T, unit_k)
            state = state + c.outer(beta[t] * unit_k, error)
            out.append(c.product(state.T, unit_q) / math.sqrt(len(unit_q)))
        return torch.stack(out)

    def one_direction(*parts: Tensor) -> Tensor:
        q, k, v, f, beta = parts
        mixes = (a.mix_query, a.mix_key, a.mix_value)
        q, k, v = (convolved(u, m.weight) for u, m in zip((q, k, v), mixes, strict=True))
        return per_head(core, q, k, v, f, beta)

    q, k, v = (c.rows(p.weight, x) for p in (a.query, a.key, a.value))
    f = c.rows(a.decay[1].weight, c.rows(a.decay[0].weight, x)) + a.decay_bias
    gate = c.rows(a.gate[1].weight, c.rows(a.gate[0].weight, x)) + a.gate[1].bias
    parts = (q, k, v, f, sigmoid(c.rows(a.write.weight, x)))
    mixed = directions(one_direction, parts, causal)
    return c.rows(a.output.weight, rms_heads(mixed, a.norm.weight) * sigmoid(gate))


REFERENCES = {f.__name__: f for f in (softmax, retnet, lightnet, gsa, fox, kda)}


def batch(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    generator = torch.Generator().manual_seed(7)
    return torch.randn(*mask.shape, D, dtype=torch.float64, generator=generator), mask


def built(kind: str, *, spread: float = 3.0, **settings: object) -> Attention:
    torch.manual_seed(1)
    a = build_attention(kind, AttentionSettings(D, H, **settings)).double()
    with torch.no_grad():  # far from the tame values of the start
        for p in a.parameters():
            p.mul_(spread)
    return a


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", REFERENCES)
def test_values_and_operations_are_those_of_the_recurrence(kind: str, causal: bool) -> None:
    x, mask = batch(LENGTHS)
    counter = Counter()
    a = built(kind, causal=causal)
    expected = [REFERENCES[kind](a, x[b, :n], causal, counter) for b, n in enumerate(LENGTHS)]
    for chunk in (1, 3, 16, 64):
        a = built(kind, causal=causal, chunk=chunk)
        y = a(x, mask)
        for b, n in enumerate(LENGTHS):
            torch.testing.assert_close(y[b, :n], expected[b], atol=1e-9, rtol=1e-9)
    done = a.operations(x, mask)
    assert (done.macs, done.acs, done.spikes, done.neuron_steps) == (counter.macs, 0, 0, 0)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", REFERENCES)
def test_gradients_are_those_of_the_recurrence(kind: str, causal: bool) -> None:
    x, mask = batch((21,))
    a = built(kind, causal=causal, chunk=8)
    weight = torch.randn(21, D, dtype=torch.float64)
    names, parameters = zip(*a.named_parameters(), strict=True)
    ours = torch.autograd.grad((a(x, mask)[0] * weight).sum(), parameters)
    naive = REFERENCES[kind](a, x[0], causal, Counter())
    theirs = torch.autograd.grad((naive * weight).sum(), parameters)
    for name, got, expected in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-8, rtol=1e-8, msg=name)


@pytest.mark.parametrize("kind", ["gsa", "lightnet", "kda", "fox"])
def test_gates_that_forget_everything_stay_exact_and_finite(kind: str) -> None:
    x, mask = batch((37,))
    a = built(kind, spread=40.0, causal=True)
    if kind == "kda":  # a rate of its own: 40 times a logarithm is no number at all
        a.log_rate.data.fill_(4.0)
    expected = REFERENCES[kind](a, x[0], True, Counter())
    torch.testing.assert_close(a(x, mask)[0], expected, atol=1e-7, rtol=1e-7)
    a = a.float()
    a(x.float(), mask).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in a.parameters())
