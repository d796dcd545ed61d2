"""The code of docs/hardware.md and of its tutorial does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.hardware.fixed_point import quantised, write_fixed_point
from nas.hardware.loading import read_model
from nas.hardware.nir_file import write_nir

from .hardware_nets import DIM, ON_DEVICE, export_folder, frames

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "hardware.md", DOCS / "tutorials" / "to-hardware.md")
TEXT = "".join(page.read_text(encoding="utf-8") for page in PAGES)
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def block(about: str) -> str:
    (found,) = [b for b in BLOCKS if about in b]
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("shift", [0, 0.25])
def test_the_file_runs_in_snntorch_as_shown(shift: float, here: Path):
    values = {**ON_DEVICE, "encoder.shift": shift, "neuron.steps_per_frame": 2}
    net = export_folder(here / "best", values)
    write_nir(net, DIM, here / "best.nir")
    x = frames(3, 11)
    names: dict[str, Any] = {"__name__": "in_snntorch"}
    exec(block("snntorch"), names)
    logits = names["run"]("best.nir", x.transpose(0, 1))
    with torch.no_grad():
        torch.testing.assert_close(logits, net(x), rtol=0, atol=0.05)


def test_integers_are_read_as_shown(here: Path):
    export_folder(here / "best", ON_DEVICE)
    model = read_model(here / "best")
    made = quantised(model.network, 6, "channel")
    write_fixed_point(model, made, 6, "channel", {}, here / "best-6bit")
    names: dict[str, Any] = {}
    exec(block("read_fixed_point"), names)
    x = frames(2, 7)
    with torch.no_grad():
        assert torch.equal(names["network"](x), made.network(x))
