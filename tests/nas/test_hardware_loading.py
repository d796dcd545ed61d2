"""Export folders as their owner wrote them, and as nobody should have to trust them."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from eval.resolution import change_step
from nas.hardware.loading import load, read_model
from nas.trusted import read_trained
from search_spaces.errors import NasError

from .hardware_nets import CLASSES, CLIP, DIM, SMALL, export_folder, frames

FAMILIES: list[tuple[dict[str, Any], str, Any]] = [
    (SMALL, "pts_snn", DIM),
    ({**SMALL, "neuron.type": "ttfs"}, "pts_snn", DIM),
    ({"hidden": 4}, "mean_pool", DIM),
    ({"encoder.depth": 2, "block.channels": 4}, "ttfs_conv", CLIP),
]


class Loud:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export_folder(tmp_path / "best", SMALL)
    return tmp_path / "best"


def change(path: Path, **entries: Any) -> None:
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, **entries}))


@pytest.mark.parametrize(("values", "family", "shape"), FAMILIES)
@pytest.mark.parametrize("told", [True, False])
def test_the_network_comes_back(values, family, shape, told: bool, tmp_path: Path):
    """With the input's shape in the folder, and from folders of before it was kept."""
    more = {"input_shape": shape} if told else {}
    net = export_folder(tmp_path / "best", values, family=family, shape=shape, **more)
    model = read_model(tmp_path / "best")
    assert model.shape == shape
    assert model.classes == tuple(CLASSES)
    assert not model.network.training
    x = frames(2, 9, shape)
    with torch.no_grad():
        assert torch.equal(model.network(x), net(x))
        assert torch.equal(load(str(tmp_path / "best"))(x), net(x))


def test_a_clip_whose_shape_nobody_tells_is_refused(tmp_path: Path):
    values = {"encoder.depth": 1, "block.channels": 2}
    export_folder(tmp_path / "best", values, family="ttfs_conv", shape=CLIP)
    change(tmp_path / "best" / "config.json", source={})
    with pytest.raises(NasError, match="shape of the input") as caught:
        read_model(tmp_path / "best")
    assert "input_shape" in str(caught.value)


def tensors(edit: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        held = load_file(path)
        edit(held)
        save_file({k: v.contiguous() for k, v in held.items()}, path)

    return damage


def header(folder: Path, length: int | None = None, **entries: Any) -> None:
    """Rewrite the header of the weights, leaving the bytes as they are."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    told = json.loads(content[8 : 8 + size])
    made = json.dumps({**told, **entries}).encode()
    count = len(made) if length is None else length
    path.write_bytes(struct.pack("<Q", count) + made + content[8 + size :])


def config(**entries: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "config.json", **entries)


def text(name: str, content: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(content)


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


HUGE = {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 4]}
BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)

DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (cut, "no whole safetensors"),
    "empty": (text("model.safetensors", ""), "no whole safetensors"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "a header without end": (lambda f: header(f, 2**62), "no whole safetensors"),
    "huge shape": (lambda f: header(f, huge=HUGE), "no whole safetensors"),
    "a tensor too many": (tensors(lambda t: t.update(more=torch.ones(2))), "too many"),
    "a tensor too few": (tensors(lambda t: t.pop("fire.w")), "no fire.w"),
    "another width": (
        tensors(lambda t: t.update({"readout.linear.bias": torch.ones(9)})),
        r"\[9\].*needs.*\[3\]",
    ),
    "another type": (
        tensors(lambda t: t.update({"fire.w": t["fire.w"].double()})),
        "float64.*needs.*float32",
    ),
    "not a number": (
        tensors(lambda t: t["readout.linear.bias"].fill_(float("nan"))),
        "not numbers",
    ),
    "no input": (
        tensors(lambda t: t.update({"project.linear.weight": torch.ones(16, 0)})),
        "shape of the input",
    ),
    "an architecture of other sizes": (
        text("architecture.yaml", yaml.safe_dump({**SMALL, "encoder.width": 4096})),
        "not the network's weights",
    ),
    "a giant architecture": (
        text("architecture.yaml", yaml.safe_dump({**SMALL, "encoder.width": 10**12})),
        "encoder.width",
    ),
    "a giant input": (config(input_shape=2**30), "not the network's weights"),
    "an input that is none": (config(input_shape=[1, "2"]), "is no shape"),
    "unknown family": (config(family="pts_snm"), "unknown family.*\n.*'pts_snn'"),
    "foreign family": (config(family="evil:FAMILY"), "would run its code"),
    "family of the standard library": (config(family="os:system"), "would run its code"),
    "no family": (config(family=None), "no family"),
    "no classes": (config(classes=None), "classes"),
    "classes that are paths of objects": (config(classes=[{"a": 1}]), "classes"),
    "another format": (config(format=99), "format 99"),
    "config that is a list": (text("config.json", "[1]"), "no object"),
    "config without end": (text("config.json", "[" * 100_000), "no exported architecture"),
    "values that are a list": (text("architecture.yaml", "- 1"), "no mapping"),
    "values in values": (text("architecture.yaml", "encoder.width: {a: 1}"), "dict is no value"),
    "aliases of aliases": (text("architecture.yaml", BOMB), "is no value"),
    "an object of Python": (
        text("architecture.yaml", "a: !!python/object/apply:os.system ['true']"),
        "no exported architecture",
    ),
    "an unknown parameter": (text("architecture.yaml", "encoder.widht: 3"), "encoder.widht"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_or_hostile_folder_is_refused(what: str, folder: Path, monkeypatch):
    damage, message = DAMAGE[what]
    damage(folder)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(NasError, match=message):
        load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "weights.pt", "model.PKL", "a.bin"])
def test_a_pickle_is_refused_and_not_run(name: str, folder: Path, tmp_path: Path):
    ran = tmp_path / "ran"
    (folder / name).write_bytes(pickle.dumps(Loud(ran)))
    with pytest.raises(NasError, match=r"pickle|no whole safetensors"):
        load(folder)
    assert not ran.exists()


def test_a_pickle_would_have_been_noticed(tmp_path: Path):
    pickle.loads(pickle.dumps(Loud(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def test_a_family_of_somebody_else_needs_trust(folder: Path, monkeypatch):
    (folder.parent / "mine.py").write_text(
        "from search_spaces.families import PTS_SNN\nFAMILY = PTS_SNN\n"
    )
    monkeypatch.syspath_prepend(str(folder.parent))
    change(folder / "config.json", family="mine:FAMILY", input_shape=DIM)
    with pytest.raises(NasError, match=r"trusted=\['mine:FAMILY'\]"):
        load(folder)
    assert load(folder, trusted=["mine:FAMILY"]).width == 16


@pytest.mark.parametrize(("ratio", "method"), [(0.4, "integral"), (3.0, "substeps")])
@pytest.mark.parametrize("kind", ["plif", "if"])
def test_an_adapted_network_comes_back(kind: str, ratio: float, method: str, tmp_path: Path):
    """With the gains, delays and held frames that its architecture does not tell."""
    net = export_folder(tmp_path / "best", {**SMALL, "neuron.type": kind})
    change_step(net, ratio, method)
    save_file(net.state_dict(), tmp_path / "best" / "model.safetensors")
    x = frames(2, 9, DIM)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "best")(x), net(x))


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("repeat.held", torch.tensor(2**40), "repeat.held is 1.09"),
        ("repeat.held", torch.tensor(0), "repeat.held is 0"),
        ("repeat.held", torch.tensor(2.0), "needs torch.int64"),
        ("repeat.held", torch.tensor([2]), r"int64 \[1\]"),
        ("fire.gain", torch.tensor(torch.inf), "fire.gain is inf"),
        ("blocks.0.shift.delay", torch.tensor(-1.0, dtype=torch.float64), "delay is -1"),
    ],
)
def test_what_no_adaptation_leaves_is_refused(
    name: str, number: torch.Tensor, message: str, folder: Path
):
    path = folder / "model.safetensors"
    save_file({**load_file(path), name: number}, path)
    with pytest.raises(NasError, match=message):
        load(folder)


@pytest.mark.parametrize("command", ["energy", "robustness", "adapt", "train"])
def test_no_command_runs_what_a_folder_names(command: str, folder: Path, tmp_path: Path):
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    change(folder / "config.json", family="best.evil:FAMILY", features={}, source={})
    options = {"adapt": ["--to", "25"], "train": ["--out", str(tmp_path / "new")]}
    given = [command, "best", *options.get(command, [])]
    # run there, where a module of the folder could be found
    done = subprocess.run(
        [sys.executable, "-m", "nas", *given], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert command == "energy" or "--trust best.evil:FAMILY" in done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": None}, "the features"),
        ({"source": [1]}, "the source"),
        ({"classes": 2}, "the classes"),
        ({"source": {"frame_rate": "x"}}, "frame_rate 'x'"),
        ({"held_out": {"digest": "d", "test_fold": "1"}}, "have not seen"),
        ({"held_out": 3}, "have not seen"),
    ],
)
def test_a_config_that_was_changed_is_refused(changed: dict, message: str, folder: Path):
    change(folder / "config.json", **{"features": {}, "source": {}, **changed})
    with pytest.raises(NasError, match=message):
        read_trained(folder)


def test_a_folder_that_is_none_says_what_makes_one(tmp_path: Path):
    for path in (tmp_path / "nothing", Path(os.devnull)):
        with pytest.raises(NasError, match="nas export"):
            load(path)
