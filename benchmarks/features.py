"""What extracting features costs, and what starting from the cache does.

On the bundled corpora with the bundled encoder: seconds for a second of audio, and which share
of them is spent outside the encoder's network (waiting for what is read and turned into a
spectrogram meanwhile, pooling, writing); recordings one by one against batches, taken in turn
within one run; peak memory for N and 4N recordings, each in a process of its own; and the start
of a process for 5,531 recordings (IEMOCAP's number) whose features are in the cache. The
recordings of the last two are noise made here; no figure is of their content.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import report
import soundfile

UTTERANCES = 5531
NAMES = ("happy", "angry", "sad", "neutral")


@contextmanager
def fresh_cache() -> Iterator[Path]:
    """An empty cache that knows the bundled corpora and encoder."""
    from search_spaces.cache_folder import CACHE_VARIABLE, cache_dir

    real = cache_dir()
    before = os.environ.get(CACHE_VARIABLE)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("corpora", "encoders", "packages"):
            if (real / name).is_dir():
                (Path(folder) / name).symlink_to(real / name)
        os.environ[CACHE_VARIABLE] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop(CACHE_VARIABLE)
            if before is not None:
                os.environ[CACHE_VARIABLE] = before


@contextmanager
def forward_time() -> Iterator[list[float]]:
    """Collect the seconds of each call of the encoder's network."""
    from eval.encoder import Encoder

    spent: list[float] = []
    original = Encoder._blocks

    def timed(self: Encoder, *given: Any) -> Any:
        began = time.perf_counter()
        made = original(self, *given)
        spent.append(time.perf_counter() - began)
        return made

    Encoder._blocks = timed  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        Encoder._blocks = original  # type: ignore[method-assign]


def extraction(data: str, repeats: int) -> list[dict[str, Any]]:
    """Extract a corpus one by one and in batches, in turn."""
    from eval.features import load_features

    rows = []
    for _ in range(repeats):
        for batch in (0.0, 15.0, 60.0):
            with fresh_cache(), forward_time() as spent:
                made = load_features(data, batch_seconds=batch, device="cpu").made
            rows.append(
                {"corpus": data, "batch_seconds": batch, "recordings": made.encoded}
                | {"audio_seconds": made.audio_seconds, "seconds": made.seconds}
                | {"real_time_factor": made.seconds / made.audio_seconds}
                | {"outside_forward": 1 - sum(spent) / made.seconds}
            )
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the medians of each batch size, and the speed against one by one."""
    found = []
    for batch in dict.fromkeys(r["batch_seconds"] for r in rows):
        chosen = [r for r in rows if r["batch_seconds"] == batch]
        single = [r["seconds"] for r in rows if r["batch_seconds"] == 0]
        ratios = [a / r["seconds"] for a, r in zip(single, chosen, strict=True)]
        middle = {
            k: statistics.median(r[k] for r in chosen)
            for k in ("audio_seconds", "seconds", "real_time_factor", "outside_forward")
        }
        found.append(
            {"corpus": chosen[0]["corpus"], "batch_seconds": batch, **middle}
            | {
                "recordings": chosen[0]["recordings"],
                "times_one_by_one": statistics.median(ratios),
            }
        )
    return found


def make_corpus(folder: Path, n: int, seconds: float) -> None:
    """Write a corpus of noise of ten speakers: ``n`` recordings of about some length."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["path,label,speaker"]
    for i in range(n):
        length = round(16_000 * seconds * rng.uniform(0.5, 1.5))
        noise = rng.standard_normal(length).astype(np.float32)
        soundfile.write(folder / f"{i:05}.wav", 0.1 * noise, 16_000)
        lines.append(f"{i:05}.wav,{NAMES[i % 4]},s{i % 10}")
    (folder / "manifest.csv").write_text("\n".join(lines))


def child(task: str, data: str) -> dict[str, Any]:
    """Run this script for one measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", task, data]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**measured, "process_seconds": time.perf_counter() - began}


def run_child(task: str, data: str) -> None:
    import torch

    from eval.features import load_features

    torch.set_num_threads(1)
    began, computed = time.perf_counter(), time.process_time()
    if task == "memory":
        made = load_features(data, device="cpu").made
        told: dict[str, Any] = {"encoded": made.encoded}
    else:
        dataset = load_features(data).dataset
        told = {"utterances": len(dataset), "megabytes": dataset.frames.nbytes / 1e6}
    told["seconds"] = time.perf_counter() - began
    told["cpu_seconds"] = time.process_time() - computed
    told["peak_megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(told))


def memory(n: int) -> list[dict[str, Any]]:
    rows = []
    for count in (n, 4 * n):
        with fresh_cache() as cache:
            make_corpus(cache / "noise", count, 2.0)
            rows.append({"recordings": count, **child("memory", str(cache / "noise"))})
    return rows


def warm(repeats: int) -> dict[str, Any]:
    """Start with the features of 5,531 recordings of 4.5 s, 768 wide, in the cache.

    They are not encoded, which would take hours: frames of noise are put where extraction
    would have put them.
    """
    import eval.feature_extraction as extraction_module
    from eval.features import load_features

    with fresh_cache() as cache:
        folder = cache / "corpus"
        make_corpus(folder, UTTERANCES, 0.1)  # what a start reads of audio is nothing
        time.sleep(2.1)  # files as young as this are read again at every start
        rng = np.random.default_rng(0)

        def made_up(batch: Any, *_given: Any) -> Any:
            frames = rng.standard_normal((round(12.5 * 4.55), 768)).astype(np.float16)
            return [(r.item.name, frames, 1) for r in batch]

        original = extraction_module.encode_items
        extraction_module.encode_items = made_up
        load_features(str(folder))
        extraction_module.encode_items = original
        starts = [child("warm", str(folder)) for _ in range(repeats)]
    middle = sorted(starts, key=lambda s: s["seconds"])[len(starts) // 2]
    return {**middle, "all_seconds": [s["seconds"] for s in starts]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-recordings", type=int, default=150)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(*given.child)
        return
    import torch

    torch.set_num_threads(1)
    load = os.getloadavg()
    found: list[dict[str, Any]] = []
    with fresh_cache():
        from eval.features import load_features

        load_features("polish")  # the first run of anything loads libraries
    for data in ("polish", "synthetic_speech"):
        found += summary(extraction(data, given.repeats))
    print("corpus            batch s  real-time factor  outside forward  times one by one")
    for r in found:
        print(
            f"{r['corpus']:16} {r['batch_seconds']:8g} {r['real_time_factor']:17.4f}"
            f" {100 * r['outside_forward']:14.1f} % {r['times_one_by_one']:16.2f}"
        )
    peaks = memory(given.memory_recordings)
    for p in peaks:
        print(f"{p['recordings']} recordings: peak {p['peak_megabytes']:.0f} MB")
    start = warm(given.repeats)
    print(
        f"warm start, {start['utterances']} utterances, {start['megabytes']:.0f} MB of frames:"
        f" {start['seconds']:.2f} s, of them computing {start['cpu_seconds']:.2f} s"
        f" (process with imports {start['process_seconds']:.1f} s)"
    )
    measured = {"extraction": found, "memory": peaks, "warm_start": start}
    # what else the machine did: wall times mean little beside it
    report.write("features", {**measured, "load": {"before": load, "after": os.getloadavg()}})


if __name__ == "__main__":
    main()
