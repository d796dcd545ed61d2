"""What a prediction takes: encoder and head of a clip of 3 s, and 100 clips at once.

Networks with initial weights (the time hardly depends on them) behind the bundled encoder, on
recordings of the bundled corpus. Models are loaded and warm; reading the files is counted to the
encoder, as ``nas predict`` does.

    python benchmarks/predict.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import report
import soundfile

from eval.bad_files import BadFiles
from eval.corpora import open_corpus
from eval.evaluate import build, count_parameters
from eval.features import Dataset, load_dataset
from eval.weights import save_weights
from nas.export import write_folder
from nas.predict import BATCH_SECONDS, Predictor
from search_spaces.architecture import Architecture
from search_spaces.named import REFERENCE

SECONDS = 3.0
CLIPS = 100
NETWORKS: dict[str, dict[str, Any]] = {
    "PLIF, one block of 64": {"encoder.depth": 1, "encoder.width": 64, "neuron.type": "plif"},
    "the reference, two blocks of 256": REFERENCE,
}


def exported(values: Mapping[str, Any], dataset: Dataset, scratch: Path) -> tuple[Path, int]:
    """Return the export folder of a network, and its number of parameters."""
    rng = np.random.default_rng(0)
    network = build(values, "pts_snn", dataset.shape, len(dataset.classes), rng)
    weights = scratch / "weights.safetensors"
    save_weights(network, weights)
    config = {
        "family": "pts_snn",
        "space": "benchmark",
        "classes": list(dataset.classes),
        "features": {"data": None},
        "source": dataset.source,
        "run": {"command": "python benchmarks/predict.py"},
    }
    made = write_folder(scratch / "best", Architecture(values), config, {}, weights)
    return made, count_parameters(network)


def three_seconds(paths: Sequence[Path], target: Path) -> Path:
    """Join recordings to one of 3 s."""
    rate = soundfile.info(paths[0]).samplerate
    samples = np.concatenate([soundfile.read(p)[0] for p in paths[:10]])
    soundfile.write(target, samples[: int(SECONDS * rate)], rate)
    return target


def timed(predictor: Predictor, paths: Sequence[Path], room: float) -> dict[str, float]:
    """Return seconds: on the clock, of the encoder, of the head."""
    began = time.perf_counter()
    found = list(predictor(paths, BadFiles(), batch_seconds=room))
    return {
        "clock": time.perf_counter() - began,
        "encoder": sum(p.encoder_seconds for p in found),
        "head": sum(p.head_seconds for p in found),
    }


def summed(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {k: sum(r[k] for r in rows) for k in rows[0]}


def middle(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {k: median(r[k] for r in rows) for k in rows[0]}


def measure(predictor: Predictor, paths: Sequence[Path], repeats: int) -> dict[str, Any]:
    """One by one and at once in turns, so that both meet the same other jobs."""
    with tempfile.TemporaryDirectory() as scratch:
        clip = three_seconds(paths, Path(scratch) / "clip.wav")
        timed(predictor, [clip], BATCH_SECONDS)  # the first pays for what is made once
        alone = [timed(predictor, [clip], BATCH_SECONDS) for _ in range(10 * repeats)]
    single, together = [], []
    for _ in range(repeats):
        single.append(summed([timed(predictor, [p], BATCH_SECONDS) for p in paths]))
        together.append(timed(predictor, paths, BATCH_SECONDS))
    ratios = [a["clock"] / b["clock"] for a, b in zip(single, together, strict=True)]
    return {
        "clip": {f"{k}_ms": 1e3 * v for k, v in middle(alone).items()},
        "one_by_one": middle(single),
        "at_once": middle(together),
        "one_by_one_over_at_once": median(ratios),
        "ratios": ratios,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    dataset = load_dataset(None, say=print)
    paths = [u.path for u in open_corpus(None, print).utterances[:CLIPS]]
    measured: dict[str, Any] = {
        "clip_seconds": SECONDS,
        "clips": len(paths),
        "audio_seconds": sum(soundfile.info(p).duration for p in paths),
        "batch_seconds": BATCH_SECONDS,
        "repeats": repeats,
        "encoder": dataset.source["encoder"],
        "layer": dataset.source["layer"],
        "networks": {},
    }
    for name, values in NETWORKS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder, parameters = exported(values, dataset, Path(scratch))
            row = measure(Predictor(folder, device="cpu"), paths, repeats)
        measured["networks"][name] = {"parameters": parameters, **row}
        print(
            f"{name}, {parameters} parameters: {SECONDS:g} s clip: encoder"
            f" {row['clip']['encoder_ms']:.1f} ms, head {row['clip']['head_ms']:.2f} ms;"
            f" {len(paths)} clips: one by one {row['one_by_one']['clock']:.2f} s, at once"
            f" {row['at_once']['clock']:.2f} s, ratio {row['one_by_one_over_at_once']:.2f}"
        )
    report.write("predict", measured)


if __name__ == "__main__":
    main()
