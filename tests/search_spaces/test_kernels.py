"""Both ways of the neurons give what spikingjelly gives, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor

from search_spaces import kernels
from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.kernels import native, plain
from search_spaces.named import NAMED
from search_spaces.neurons import SURROGATE_ALPHA, IntegrateAndFire, SpikingNeurons

# lanes: fewer than a block, one block, several and a rest
SHAPES = [(1, 1, 1), (7, 2, 5), (5, 1, 64), (40, 3, 50), (3, 4, 64)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(params=["plain", "native"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "native" and native.library() is None:
        pytest.skip(native.description())
    monkeypatch.setenv(native.VARIABLE, request.param)
    return str(request.param)


def currents(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Currents of which some charge a membrane to the threshold exactly, and gradients."""
    generator = torch.Generator().manual_seed(sum(shape))
    x = 2 * torch.randn(shape, generator=generator)
    ties = torch.rand(shape, generator=generator) < 0.3
    # tau 2 and threshold 1: from rest, 2 gives exactly 1 and 1 exactly 1/2
    x[ties] = torch.randint(0, 3, (int(ties.sum()),), generator=generator).float()
    return x, torch.randn(shape, generator=generator)


def backward(layer: torch.nn.Module, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    spikes = layer(x)
    spikes.backward(grad)
    assert x.grad is not None
    return spikes.detach(), x.grad


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("tau", "threshold"), [(2.0, 1.0), (1.3, 0.7), (50.0, 0.05)])
def test_plif_is_bit_equal_to_spikingjelly(
    way: str, shape: tuple[int, ...], tau: float, threshold: float
):
    x, grad = currents(shape)
    ours = SpikingNeurons("plif", tau, threshold)
    theirs = neuron.ParametricLIFNode(
        init_tau=tau,
        v_threshold=threshold,
        surrogate_function=surrogate.ATan(SURROGATE_ALPHA),
        detach_reset=True,
        step_mode="m",
    )
    spikes, of_x = backward(ours, x, grad)
    expected, of_theirs = backward(theirs, x, grad)
    assert torch.equal(spikes, expected)
    assert torch.equal(of_x, of_theirs)
    torch.testing.assert_close(ours.w.grad, theirs.w.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_if_is_bit_equal_to_spikingjelly(way: str, shape: tuple[int, ...]):
    x, grad = currents(shape)
    theirs = neuron.IFNode(
        surrogate_function=surrogate.ATan(SURROGATE_ALPHA), detach_reset=True, step_mode="m"
    )
    spikes, of_x = backward(IntegrateAndFire(1.0), x, grad)
    expected, of_theirs = backward(theirs, x, grad)
    assert torch.equal(spikes, expected)
    assert torch.equal(of_x, of_theirs)


@given(
    steps=st.integers(1, 12),
    lanes=st.integers(1, 150),
    k=st.one_of(st.none(), st.floats(1 / 64, 127 / 128, width=32)),
    threshold=st.floats(1 / 16, 3.0, width=32),
    kind=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_both_ways_are_one(
    steps: int, lanes: int, k: float | None, threshold: float, kind: torch.dtype, seed: int
):
    if native.library() is None:
        pytest.skip(native.description())
    generator = torch.Generator().manual_seed(seed)
    x = (3 * torch.randn(steps, lanes, generator=generator)).to(kind)
    grad = torch.randn(steps, lanes, generator=generator).to(kind)
    spikes = kernels.forward(x, k, threshold)
    of_x, of_k = kernels.backward(grad, x, k, threshold, 2.0)
    assert spikes.dtype == of_x.dtype == kind
    assert torch.equal(spikes, plain.forward(x, k, threshold))
    expected, by_lane = plain.backward(grad, x, k, threshold, 2.0)
    assert torch.equal(of_x, expected)
    assert of_k == float(by_lane.double().sum())


def test_bfloat16_keeps_its_membrane_in_float32(way: str):
    """Steps of 1/256 add up to 1/2; in bfloat16 they would be lost in a sum of their size."""
    x = torch.full((200, 1), 1 / 256, dtype=torch.bfloat16)
    spikes = kernels.forward(x, None, 0.5)
    assert spikes.flatten().nonzero().flatten().tolist() == [127]


def test_a_view_that_is_not_contiguous(way: str):
    x = torch.randn(4, 6, 10).transpose(1, 2)
    assert torch.equal(kernels.forward(x, 0.5, 0.5), kernels.forward(x.contiguous(), 0.5, 0.5))


def test_a_network_trains_to_the_same_bits_either_way(monkeypatch: pytest.MonkeyPatch):
    if native.library() is None:
        pytest.skip(native.description())
    named = NAMED["reference"]
    values = {**named.values, "encoder.width": 16, "attention.heads": 2}
    x, lengths = torch.randn(6, 12, 20), torch.tensor([12, 12, 9, 7, 3, 1])
    ends = []
    for asked in ("plain", "native"):
        monkeypatch.setenv(native.VARIABLE, asked)
        torch.manual_seed(0)
        network = get_family(named.family).build(values, 20, 3)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
        for _ in range(4):
            optimizer.zero_grad()
            labels = torch.arange(6) % 3
            torch.nn.functional.cross_entropy(network(x, lengths), labels).backward()
            optimizer.step()
        ends.append(network.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


# -- finding a compiler -------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has compiled nothing yet."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(native.VARIABLE, raising=False)
    native._load.cache_clear()
    yield tmp_path
    native._load.cache_clear()


def compiler(folder: Path, body: str) -> Path:
    script = folder / "bin" / "cc"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


def test_without_a_compiler_torch_does_it_and_says_so(fresh: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    assert native.library() is None
    assert native.description() == "torch operations (no C compiler found)"
    assert kernels.forward(torch.ones(3, 2), None, 2.0).sum() == 2
    monkeypatch.setenv(native.VARIABLE, "native")
    with pytest.raises(NasError, match="no C compiler found"):
        native.library()


def test_a_compiler_that_fails_is_quoted(fresh: Path, monkeypatch):
    body = 'case "$1" in --version) echo 1;; *) echo "no such machine" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", str(compiler(fresh, body)))
    assert native.library() is None
    assert "no such machine" in native.description()


def test_a_compiler_that_rounds_otherwise_is_not_used(fresh: Path, monkeypatch):
    if (real := native.shutil.which("cc")) is None:
        pytest.skip("needs a C compiler")
    source = fresh / "spikes.c"
    text = native.SOURCE.read_text(encoding="utf-8")
    source.write_text(text.replace("h >= threshold", "h > threshold"), encoding="utf-8")
    monkeypatch.setattr(native, "SOURCE", source)
    monkeypatch.setenv("CC", real)
    assert native.library() is None
    assert "rounds otherwise" in native.description()


def test_a_damaged_file_is_compiled_again(fresh: Path):
    if native.library() is None:
        pytest.skip(native.description())
    [made] = (fresh / "cache" / "kernels").iterdir()
    native._load.cache_clear()
    damaged = fresh / "damaged"
    damaged.write_bytes(b"\x7fELF")
    damaged.replace(made)  # not written into: the library that is open must stay whole
    assert native.library() is not None


def test_an_unknown_way_is_a_mistake(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(native.VARIABLE, "fast")
    with pytest.raises(NasError, match="fast"):
        native.library()
