"""``nas convert`` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
import torch

from nas.cli import cli
from nas.hardware.fixed_point import read_fixed_point
from search_spaces.errors import NasError

from .command import nas
from .hardware_nets import CLASSES, DIM, ON_DEVICE, SMALL, export_folder, frames


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("exports")
    export_folder(folder / "device", ON_DEVICE)
    export_folder(folder / "full", {**SMALL, "calibration.kind": "dynamic"})
    return folder


@pytest.fixture
def convert(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str | Path) -> tuple[Any, str]:
        cli.main(["convert", *map(str, arguments)], standalone_mode=False)
        out, err = capsys.readouterr()
        return (json.loads(out) if "--json" in arguments else out), err

    return call


def test_a_refusal_exits_with_2_and_leaves_nothing(exports: Path, tmp_path: Path):
    out = tmp_path / "net.nir"
    done = nas("convert", exports / "full", "--to", "nir", "--out", out, code=2)
    for part in ("input.saturation 1", "encoder.direction both", "calibration.kind dynamic"):
        assert part in done.stderr
    assert "--partial" in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_nir(convert, exports: Path, tmp_path: Path):
    told, _ = convert(exports / "device", "--to", "nir", "--out", tmp_path / "a.nir", "--json")
    # 5 layers of 16; 12 inputs and 3 outputs beside four square projections
    assert told["neurons"] == 80
    assert told["synapses"] == 16 * 12 + 4 * 16 * 16 + 3 * 16
    assert told["files"] == [str(tmp_path / "a.nir")]
    assert (tmp_path / "a.nir").is_file()
    out, _ = convert(exports / "full", "--to", "nir", "--partial", "--out", tmp_path / "p")
    assert "left to the host: input.saturation 1" in out
    assert len(list((tmp_path / "p").glob("segment-*.nir"))) == 4


def test_onnx(convert, exports: Path, tmp_path: Path):
    path = tmp_path / "deep" / "net.onnx"
    told, _ = convert(exports / "full", "--to", "onnx", "--frames", "9", "--out", path, "--json")
    assert told["parity"]["compared_on"] == "random frames"
    assert told["parity"]["largest_difference"] <= told["parity"]["tolerance"] == 1e-4
    model = onnx.load(path)
    props = {p.key: p.value for p in model.metadata_props}
    assert json.loads(props["classes"]) == CLASSES
    assert props["frame_rate"] == "12.5"
    assert props["hash"] == told["hash"]
    assert json.loads(props["input_shape"]) == DIM
    out, _ = convert(exports / "full", "--to", "onnx", "--frames", "9", "--out", f"{path}2", "-q")
    assert out == f"{path}2\n"


def test_fixed_point(convert, exports: Path, tmp_path: Path):
    out = tmp_path / "fixed"
    told, err = convert(
        exports / "device", "--to", "fixed-point", "--bits", "4", "--out", out, "--json"
    )
    assert told["bits"] == 4
    assert told["measured"]["measured_on"] == "random frames"
    assert "random frames" in err
    assert read_fixed_point(out)(frames(2, 5)).shape == (2, 3)
    with pytest.raises(NasError, match="exists already"):
        convert(exports / "device", "--to", "fixed-point", "--out", out)


def test_on_a_corpus(convert, exports: Path, tmp_path: Path):
    """Clips of 5, 6 and 12 frames: ONNX is compared on those that are long enough."""
    rows = ["path,label,speaker"]
    rng = np.random.default_rng(0)
    for speaker, length in (("ann", 6), ("bob", 12), ("cat", 5)):
        for label in CLASSES:
            name = f"{speaker}-{label}.npy"
            np.save(tmp_path / name, rng.normal(size=(length, DIM)).astype(np.float32))
            rows.append(f"{name},{label},{speaker}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    told, _ = convert(
        exports / "device",
        "--to",
        "fixed-point",
        "--data",
        tmp_path,
        "--out",
        tmp_path / "f",
        "--json",
    )
    assert told["measured"]["clips"] == 9
    assert len(told["measured"]["wa"]) == 2
    shared = (exports / "device", "--to", "onnx", "--data", tmp_path, "--json")
    told, _ = convert(*shared, "--frames", "10", "--out", tmp_path / "a.onnx")
    assert told["parity"]["clips"] == 3
    with pytest.raises(NasError, match=r"no utterance of .* has 13 frames"):
        convert(*shared, "--frames", "13", "--out", tmp_path / "b.onnx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "nir", "--bits", "4"], "--bits is for --to fixed-point"),
        (["--to", "onnx", "--partial"], "--partial is for --to nir"),
        (["--to", "nir", "--on", "test"], "--on is for"),
        (["--to", "tflite"], "tflite"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, message, convert, exports, tmp_path):
    with pytest.raises(click.UsageError, match=message):
        convert(exports / "device", *arguments, "--out", tmp_path / "x")
