"""A space and evaluators that cost nothing, shared by the tests of the search."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

DOCUMENT: dict[str, Any] = {
    "name": "toy",
    "parameters": {
        "depth": {"int": [1, 4]},
        "width": {"choice": [16, 32, 64, 128]},
        "shift": {"choice": [0, 0.125, 0.25], "repeat": "depth"},
        "neuron": {"choice": ["plif", "ttfs"]},
        "tau": {"float": [1.1, 8.0], "log": True, "when": {"neuron": "plif"}},
        "steps": {"int": [4, 64], "log": True, "when": {"neuron": "ttfs"}},
    },
    "objectives": {"ua": "maximize", "energy": "minimize"},
}

TINY: dict[str, Any] = {
    "name": "tiny",
    "parameters": {"a": {"int": [1, 3]}, "b": {"choice": ["x", "y"]}, "c": "bool"},
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


def measure(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    depth, width = architecture["depth"], architecture["width"]
    bend = sum(abs(s - 0.125) for s in architecture["shift"])
    gain = 0.3 if architecture["neuron"] == "ttfs" else 0.05 * architecture["tau"]
    ua = 1 - 1 / (1 + depth * width / 64 + gain) - 0.05 * bend
    energy = depth * width * 1e-8 * (0.5 if architecture["neuron"] == "ttfs" else 1.0)
    return {"ua": ua, "energy": energy, "parameters": depth * width * width, "seed": seed}


def measure_slowly(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    time.sleep(0.02)
    return measure(architecture, fidelity, seed)


def measure_tiny(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    return {"ua": architecture["a"] / 3, "energy": architecture["a"] + (architecture["b"] == "x")}


def measure_badly(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    """Fail in every way there is, by width."""
    if architecture["width"] == 16:
        raise ValueError("too narrow")
    if architecture["width"] == 32:
        return {"ua": float("nan"), "energy": 1.0}
    if architecture["width"] == 64:
        return {"ua": 0.5}
    return measure(architecture, fidelity, seed)


# a corpus search of a second or two
HEADS: dict[str, Any] = {
    "name": "heads",
    "family": "pts_snn",
    "parameters": {
        "encoder.depth": {"int": [0, 2]},
        "encoder.width": {"choice": [4, 8, 16]},
        "encoder.shift": {"choice": [0, 0.25], "repeat": "encoder.depth"},
        "neuron.type": {"choice": ["plif", "if", "ttfs"]},
        "ttfs.steps": {"choice": [4, 8], "when": {"neuron.type": "ttfs"}},
    },
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


def small_corpus(folder: Path) -> Path:
    """Write four speakers, two classes, frames of 6 dimensions around a mean per class."""
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for i in range(48):
        frames = (1 if i % 2 else -1) + rng.normal(size=(int(rng.integers(3, 8)), 6))
        np.save(folder / f"{i}.npy", frames.astype(np.float32))
        rows.append(f"{i}.npy,{'joy' if i % 2 else 'anger'},s{i // 12}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder
