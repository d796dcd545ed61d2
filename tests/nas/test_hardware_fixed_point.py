from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from eval.folds import inner_folds, outer_folds
from eval.resolution import change_step
from eval.weights import save_weights
from nas.corpus import load as load_corpus
from nas.hardware import measuring
from nas.hardware.fixed_point import quantised, read_fixed_point, write_fixed_point
from nas.hardware.folding import folded
from nas.hardware.loading import read_model
from search_spaces.errors import NasError
from search_spaces.ttfs import integer_weights

from .hardware_nets import CLASSES, CLIP, DIM, ON_DEVICE, SMALL, export_folder, frames, network

NETS: list[tuple[dict[str, Any], str, Any]] = [
    ({**SMALL, "calibration.kind": "dynamic"}, "pts_snn", DIM),
    ({**SMALL, "normalization": "lateral_inhibition"}, "pts_snn", DIM),
    ({**SMALL, "neuron.type": "ttfs"}, "pts_snn", DIM),
    ({"hidden": 0}, "mean_pool", DIM),
    ({"hidden": 8}, "mean_pool", DIM),
    ({"encoder.depth": 2, "block.channels": 4, "block.skip": "add"}, "ttfs_conv", CLIP),
    ({"encoder.depth": 1, "block.channels": 4, "neuron.type": "relu"}, "ttfs_conv", CLIP),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def made(folder: Path, values: Any = ON_DEVICE, bits: int = 8, per: Any = "channel", **how: Any):
    """An export folder, its model, and the fixed-point folder made of it."""
    export_folder(folder / "best", values, **how)
    model = read_model(folder / "best")
    fixed = quantised(model.network, bits, per)
    told = write_fixed_point(model, fixed, bits, per, {"agreement": 1.0}, folder / "fixed")
    return model, fixed, told


def test_integers_by_hand():
    """4 bits reach 7: the largest weight of a row is 7 scales, ties go to the even number."""
    weight = torch.tensor([[0.7, -0.35, 0.04], [-1.4, 0.2, 0.3]])
    whole, scale = integer_weights(weight, 4)
    torch.testing.assert_close(scale, torch.tensor([[0.1], [0.2]]))
    assert whole.tolist() == [[7, -4, 0], [-7, 1, 2]]
    whole, scale = integer_weights(weight, 4, "tensor")
    assert scale.tolist() == [[pytest.approx(0.2)]]
    assert whole.tolist() == [[4, -2, 0], [-7, 1, 2]]


@pytest.mark.parametrize(("values", "family", "shape"), NETS)
def test_folding_changes_no_logit(values: Any, family: str, shape: Any):
    net = network(values, 2, family, shape)
    x = frames(3, 15, shape, seed=1)
    plain = folded(net)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), net(x), rtol=1e-5, atol=1e-5)
    norms = [m for m in plain.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert norms == []


def test_a_folded_weight_by_hand():
    """w gamma / sqrt(var + eps) and beta - gamma mean / sqrt(var + eps)."""
    net = network(ON_DEVICE)
    layer = net.project
    gamma = layer.norm.weight / torch.sqrt(layer.norm.running_var + layer.norm.eps)
    plain = folded(net).project.linear
    torch.testing.assert_close(plain.weight, layer.linear.weight * gamma[:, None])
    torch.testing.assert_close(plain.bias, layer.norm.bias - gamma * layer.norm.running_mean)


@pytest.mark.parametrize("bits", [8, 6, 4])
@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_an_integer_machine_computes_the_same(bits: int, per: str, tmp_path: Path):
    """The readout on whole numbers: products and sums of integers, one scaling at the end."""
    _, _, told = made(tmp_path, bits=bits, per=per)
    stored = load_file(tmp_path / "fixed" / "weights.safetensors")
    whole, scale = stored["readout.linear.weight"], stored["readout.linear.scale"]
    assert whole.dtype == torch.int8
    assert int(whole.abs().max()) == 2 ** (bits - 1) - 1
    assert scale.shape == ((3,) if per == "channel" else (1,))
    spikes = (frames(1, 40)[0, :, :1].repeat(1, 16) > frames(1, 40, 16, 1)[0]).long()
    sums = spikes.sum(0).numpy() @ whole.numpy().T.astype(np.int64)
    by_integers = sums * scale.numpy() / 40 + stored["readout.linear.bias"].numpy()
    with torch.no_grad():
        network = read_fixed_point(tmp_path / "fixed")
        given = network.readout.linear(spikes.float().mean(0)).numpy()
    np.testing.assert_allclose(given, by_integers, atol=1e-5)
    assert told["weight_bytes"] == -(-told["integer_weights"] * bits // 8)


@pytest.mark.parametrize(("values", "family", "shape"), NETS)
def test_the_reader_gives_back_the_network_that_was_measured(values, family, shape, tmp_path):
    _, fixed, _ = made(tmp_path, values, 6, family=family, shape=shape)
    x = frames(3, 15, shape, seed=1)
    read = read_fixed_point(tmp_path / "fixed")
    with torch.no_grad():
        assert torch.equal(read(x), fixed.network(x))


@pytest.mark.parametrize("kind", ["plif", "if"])
@pytest.mark.parametrize(("ratio", "method"), [(2.5, "substeps"), (0.4, "decay")])
def test_an_adapted_network_is_read_back(kind: str, ratio: float, method: str, tmp_path: Path):
    """With its gains, delays and steps of a frame, which a network has only then."""
    net = export_folder(tmp_path / "best", {**ON_DEVICE, "neuron.type": kind})
    change_step(net, ratio, method)
    save_weights(net, tmp_path / "best" / "model.safetensors")
    model = read_model(tmp_path / "best")
    fixed = quantised(model.network, 6, "channel")
    write_fixed_point(model, fixed, 6, "channel", {}, tmp_path / "fixed")
    late = {"blocks.0.shift.delay", "repeat.held" if method == "substeps" else "fire.gain"}
    assert late <= fixed.tensors.keys()
    x = frames(3, 15, seed=1)
    read = read_fixed_point(tmp_path / "fixed")
    with torch.no_grad():
        assert torch.equal(read(x), fixed.network(x))
    weights = tmp_path / "fixed" / "weights.safetensors"
    save_file({**load_file(weights), "repeat.held": torch.tensor(2**40)}, weights)
    with pytest.raises(NasError, match=r"repeat\.held is 1\.09"):
        read_fixed_point(tmp_path / "fixed")


def test_fewer_bits_move_logits_further():
    net, x = network(SMALL), frames(16, 15)
    moved = []
    with torch.no_grad():
        for bits in (8, 6, 4):
            moved.append(float((quantised(net, bits, "channel").network(x) - net(x)).abs().mean()))
    assert moved == sorted(moved)
    assert moved[0] > 0


def corpus(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for speaker in ("ann", "bob", "cat", "dan"):
        for label in CLASSES:
            for i in range(3):
                name = f"{speaker}-{label}-{i}.npy"
                np.save(folder / name, rng.normal(size=(9, DIM)).astype(np.float32))
                rows.append(f"{name},{label},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_loss_is_measured_on_the_speakers_that_training_did_not_see(tmp_path: Path):
    data = str(corpus(tmp_path / "corpus"))
    dataset = load_corpus({"data": data}, lambda _: None)
    held = {"digest": dataset.digest, "test_fold": 1, "test": "bob", "validation": "ann"}
    model, fixed, _ = made(tmp_path, features={"data": data}, held_out=held)
    said: list[str] = []
    found = measuring.unseen(model, None, None, None, said.append)
    assert found is not None
    told = measuring.loss(model, fixed.network, found, 50, 0)
    outer = outer_folds(dataset)[1]
    inner = inner_folds(dataset, outer.fit)[0]
    assert told["measured_on"] == f"validation fold {inner.name} of {dataset.name}"
    assert told["clips"] == len(inner.held) == 9
    right = 0
    for i in inner.held:
        clip = torch.from_numpy(np.array(dataset.utterance(int(i))))[None]
        right += int(model.network(clip).argmax()) == dataset.labels[i]
    assert told["wa"][0] == pytest.approx(right / 9)


def test_without_such_speakers_it_says_random_frames(tmp_path: Path):
    model, fixed, _ = made(tmp_path)
    said: list[str] = []
    assert measuring.unseen(model, None, None, None, said.append) is None
    assert "random frames" in said[0]
    assert measuring.loss(model, fixed.network, None, 20, 0)["measured_on"] == "random frames"
    export_folder(tmp_path / "odd", ON_DEVICE, features=3, held_out={"digest": 3})
    assert measuring.unseen(read_model(tmp_path / "odd"), None, None, None, said.append) is None
    assert "does not say" in said[-1]
    gone = {"digest": "x", "test_fold": 0, "test": "a", "validation": "b"}
    export_folder(tmp_path / "gone", ON_DEVICE, features={"data": "/gone"}, held_out=gone)
    model = read_model(tmp_path / "gone")
    assert measuring.unseen(model, None, None, None, said.append) is None
    assert "not at hand" in said[-1]
    with pytest.raises(NasError, match="/gone"):
        measuring.unseen(model, None, "validation", None, said.append)


@pytest.mark.parametrize("damage", ["range", "missing", "shape", "family", "bits", "pickle"])
def test_a_damaged_folder_is_refused(damage: str, tmp_path: Path):
    made(tmp_path, bits=4)
    weights, text = tmp_path / "fixed" / "weights.safetensors", tmp_path / "fixed/fixed_point.json"
    tensors, told = load_file(weights), json.loads(text.read_text())
    if damage == "range":
        tensors["readout.linear.weight"][0, 0] = 100
    elif damage == "missing":
        del tensors["readout.linear.scale"]
    elif damage == "shape":
        tensors["readout.linear.weight"] = tensors["readout.linear.weight"][:, :3].contiguous()
    elif damage == "family":
        told["family"] = "os:system"
    elif damage == "bits":
        told["bits"] = 1
    save_file(tensors, weights)
    text.write_text(json.dumps(told))
    if damage == "pickle":
        weights.write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(NasError):
        read_fixed_point(tmp_path / "fixed")
