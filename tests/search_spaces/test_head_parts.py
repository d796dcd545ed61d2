"""Prompts, bias voltage, lateral inhibition, residual shift, steps per frame, neuron switch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate

from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.frames import Frames, Projection
from search_spaces.inhibition import LateralInhibition
from search_spaces.neurons import IntegrateAndFire, make_neurons
from search_spaces.prompts import BiasVoltage, PromptContext
from search_spaces.temporal_shift import TemporalShift

DYNAMIC = {"calibration.kind": "dynamic", "prompt.length": 3}
VARIANTS: dict[str, dict[str, Any]] = {
    "static": {"calibration.kind": "static"},
    "ssla": DYNAMIC,
    "ssla sparse": {**DYNAMIC, "attention.sparsity": 0.5},
    "mean context": {**DYNAMIC, "attention.kind": "none"},
    "softmax": {**DYNAMIC, "attention.kind": "softmax"},
    "causal retnet": {**DYNAMIC, "attention.kind": "retnet", "attention.causal": True},
    "alpha": {"encoder.residual": "alpha"},
    "inhibition": {"normalization": "lateral_inhibition"},
    "if": {"neuron.type": "if", **DYNAMIC},
    "relu": {"neuron.type": "relu", **DYNAMIC},
    "two steps": {"neuron.steps_per_frame": 2, **DYNAMIC},
    "no saturation": {"input.saturation": 0},
}


def head(name: str, **changes: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    values = {"encoder.width": 8, "encoder.depth": 1, **VARIANTS[name], **changes}
    return get_family("pts_snn").build(values, 6, 3).double()


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 9, 6, generator=generator, dtype=torch.double) * 3, torch.tensor(
        [9, 4, 1, 6]
    )


def test_padding_changes_no_logit_statistic_or_gradient(variant: str) -> None:
    x, lengths = batch()
    padded = torch.full((4, 17, 6), float("nan"), dtype=torch.double)
    for row, n in enumerate(lengths):
        padded[row, :n] = x[row, :n]
    outcomes = []
    for features in (x, padded):
        network = head(variant)
        logits = network(features, lengths)
        logits.square().sum().backward()
        grads = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        outcomes.append((logits.detach(), grads, dict(network.named_buffers())))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=0, atol=1e-9)


def test_an_utterance_alone_equals_its_row_in_a_batch(variant: str) -> None:
    x, lengths = batch()
    network = head(variant).train()
    network(x, lengths)  # so that running statistics and initialisation are not the defaults
    network.eval()
    together = network(x, lengths)
    for row, n in enumerate(lengths):
        alone = network(x[row : row + 1, :n], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-9)
    torch.testing.assert_close(network(x, lengths), together, rtol=0, atol=0)


def test_every_parameter_gets_a_finite_gradient(variant: str) -> None:
    x, lengths = batch()
    network = head(variant)
    network(x, lengths).square().sum().backward()
    for name, p in network.named_parameters():
        if p.requires_grad:
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name


def test_no_frames_is_a_clear_error(variant: str) -> None:
    with pytest.raises(NasError, match="hold no frame"):
        head(variant)(torch.zeros(2, 0, 6, dtype=torch.double))


def test_the_bias_enters_the_membrane_before_the_threshold() -> None:
    """A constant voltage of 2 with tau 2: H = 1, 1, ... so a neuron without input fires.

    H[1] = 0 + (0 + 2 - 0) / 2 = 1 >= 1: a spike at every step; with a voltage of 1 the
    membrane climbs 0.5, 0.75, 0.875 and never fires.
    """
    layer = make_neurons("plif", 2.0, 1.0).double()
    current = torch.zeros(3, 1, 2, dtype=torch.double)
    voltage = torch.tensor([[2.0, 1.0]], dtype=torch.double)
    assert layer(current + voltage)[:, 0].tolist() == [[1.0, 0.0]] * 3


def test_the_static_bias_is_one_for_all_and_the_dynamic_one_depends_on_the_prompts() -> None:
    torch.manual_seed(0)
    assert BiasVoltage(4, dynamic=False)(None).tolist() == [[0.0] * 4]
    dynamic = BiasVoltage(4, dynamic=True)
    prompts = torch.randn(2, 3, 4)
    mean = prompts.mean(1)
    first, _, second = dynamic.maps
    by_hand = torch.tanh(mean @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(dynamic(prompts), by_hand)
    assert not torch.allclose(dynamic(prompts)[0], dynamic(prompts)[1])


def test_prompts_stand_behind_the_last_real_frame_and_enter_as_spikes() -> None:
    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            self.x, self.mask = x, mask
            return x + 10

    spy = Spy()
    context = PromptContext(2, 3, spy, spiking=True)
    with torch.no_grad():
        context.prompts.copy_(torch.tensor([[1.0, -1.0, 0.5], [-0.1, 0.2, -3.0]]))
    spikes = torch.ones(3, 2, 3)  # the second utterance has one real frame
    out = context(spikes, Frames(torch.tensor([3, 1]), 3))
    p = [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    one, none = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
    assert spy.x.tolist() == [[one, one, one, *p], [one, *p, none, none]]
    assert spy.mask.tolist() == [[True] * 5, [True, True, True, False, False]]
    expected = context.prompts + torch.tensor(p) + 10
    torch.testing.assert_close(out, expected.expand(2, -1, -1))


def test_without_attention_each_prompt_gets_the_mean_frame() -> None:
    context = PromptContext(2, 3, None, spiking=True)
    spikes = torch.tensor([[[1.0, 0, 1]], [[0, 0, 1]], [[1, 1, 1]]])
    out = context(spikes, Frames(torch.tensor([2]), 3))
    torch.testing.assert_close(out[0], context.prompts + torch.tensor([0.5, 0.0, 1.0]))


def test_lateral_inhibition_is_the_documented_circuit() -> None:
    torch.manual_seed(0)
    layer = LateralInhibition(5, 8).double().eval()
    with torch.no_grad():
        layer.subtract.copy_(torch.randn(8, 2))
        layer.divide.copy_(torch.randn(8, 2))
    layer.requires_grad_(False)
    x = torch.randn(3, 5, dtype=torch.double)
    drive = torch.randn(3, 8, dtype=torch.double)
    out = layer(drive, x)
    for n in range(3):
        r = [max(0.0, float(v)) for v in layer.to_inhibitory(x[n]).detach()]
        for i in range(8):
            subtracted = sum(abs(float(layer.subtract[i, j])) * r[j] for j in range(2))
            divisor = 0.1 + sum(abs(float(layer.divide[i, j])) * r[j] for j in range(2))
            assert float(out[n, i]) == pytest.approx((float(drive[n, i]) - subtracted) / divisor)


def test_lateral_inhibition_starts_normalised_and_keeps_no_batch_statistics() -> None:
    torch.manual_seed(0)
    layer = Projection(5, 8, spiking=False, normalization="lateral_inhibition").double()
    x = 4 * torch.randn(200, 5, dtype=torch.double) + 3
    y = layer(x, Frames(torch.tensor([200]), 200))[:, 0]
    torch.testing.assert_close(y.mean(0), torch.zeros(8).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(y.std(0, unbiased=False), torch.ones(8).double())
    alone = layer(x[:3], Frames(torch.tensor([3]), 3))[:, 0]
    torch.testing.assert_close(alone, y[:3])  # training, and still the same function


def test_the_residual_shift_adds_alpha_times_the_shifted_spikes() -> None:
    network = head("alpha", **{"encoder.shift": [0.25]})
    seen = {}
    block = network.blocks[0]
    block.expand.register_forward_hook(lambda m, i, o: seen.update(packed=i[0], trains=i[2]))
    x, lengths = batch()
    network(x, lengths)
    stayed, moved = seen["trains"]
    assert block.alpha.item() == 0.5
    torch.testing.assert_close(seen["packed"], stayed + 0.5 * moved)
    assert set(stayed.unique().tolist()) <= {0.0, 1.0}


def test_a_frame_of_k_steps_is_shifted_by_k_steps_and_held() -> None:
    """One channel to the past, two steps a frame: frames 1 2 3 become 0 1 2."""
    x = torch.tensor([1.0, 1, 2, 2, 3, 3])[:, None, None].expand(6, 1, 2).clone()
    shifted = TemporalShift(0.5, "past", steps=2)(x)
    assert shifted[:, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert shifted[:, 0, 1].tolist() == [1, 1, 2, 2, 3, 3]
    short = TemporalShift(0.5, "both", steps=4)(x[:2])
    assert short.abs().sum() == 0  # a frame of four steps lies wholly outside two


@pytest.mark.parametrize("direction", ["past", "both"])
def test_a_shift_of_more_than_all_channels_is_refused(direction: Any) -> None:
    with pytest.raises(NasError, match=r"0 to 0\.5"):
        TemporalShift(1.01, direction)


def test_integrate_and_fire_equals_spikingjelly_s() -> None:
    x = torch.randn(12, 3, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    ours = IntegrateAndFire(0.8)
    theirs = neuron.IFNode(
        v_threshold=0.8,
        surrogate_function=surrogate.ATan(2.0),
        detach_reset=True,
        step_mode="m",
    )
    weight = torch.randn(12, 3, 5, dtype=torch.double)
    results = []
    for layer in (ours, theirs):
        given = x.clone().requires_grad_()
        spikes = layer(given)
        (spikes * weight).sum().backward()
        results.append((spikes.detach(), given.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prompt.length": 4}, "prompt.length has no meaning"),
        ({"attention.kind": "fox"}, "attention.kind has no meaning"),
        ({**DYNAMIC, "attention.kind": "fox", "attention.sparsity": 0.5}, "attention.sparsity"),
        ({**DYNAMIC, "attention.heads": 3}, "head"),
        ({"encoder.shift": [0.6, 0.1]}, "at most 0.5"),
    ],
)
def test_what_would_be_ignored_or_cannot_be_is_refused(values: Any, said: str) -> None:
    with pytest.raises(NasError, match=said):
        get_family("pts_snn").build({"encoder.width": 8, **values}, 6, 3)
