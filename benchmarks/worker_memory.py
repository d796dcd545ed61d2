"""Memory of a worker on a corpus of IEMOCAP's size: 5,531 utterances of 768-wide features.

    python benchmarks/worker_memory.py

Features are noise, of lengths as a 12.5 Hz encoder gives for 2 to 7 seconds, in a file as the
cache holds it. One evaluation of the reference head (an epoch on one fold of five). Of what is
resident, pages of the file belong to the system's cache and are shared by all workers of a
machine; the rest is each worker's own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import report

from eval.dataset import Dataset
from eval.evaluate import evaluate
from eval.folds import outer_folds
from eval.process import prepare_cpu
from eval.training import Recipe
from search_spaces.named import NAMED

UTTERANCES, WIDTH, RATE, SPEAKERS = 5531, 768, 12.5, 10


def made(folder: Path) -> Dataset:
    """Write the features, piece by piece, and map them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(round(2 * RATE), round(7 * RATE), UTTERANCES)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    path, shape = folder / "frames.npy", (int(offsets[-1]), WIDTH)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for begin in range(0, len(written), 4096):
        piece = written[begin : begin + 4096]
        piece[:] = rng.standard_normal(piece.shape, dtype=np.float32)
    del written
    speakers = tuple(f"s{i % SPEAKERS}" for i in range(UTTERANCES))
    return Dataset(
        name="as large as IEMOCAP",
        frames=np.load(path, mmap_mode="r"),
        offsets=offsets,
        labels=rng.integers(0, 4, UTTERANCES),
        classes=("a", "b", "c", "d"),
        speakers=speakers,
        sessions=tuple(f"{i % SPEAKERS // 2}" for i in range(UTTERANCES)),
        splits=(None,) * UTTERANCES,
        paths=tuple(map(str, range(UTTERANCES))),
        frame_rate=RATE,
        source={},
        encoder_macs=None,
        digest="",
    )


def status() -> dict[str, float]:
    """Return what the system says of this process [bytes]."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {k: 1024 * float(found[k].split()[0]) for k in ("VmHWM", "RssAnon", "RssFile")}


def main() -> None:
    prepare_cpu()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = made(Path(scratch))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before = status()
        named = NAMED["reference"]
        result = evaluate(
            named.values,
            dataset,
            outer_folds(dataset)[:1],
            family=named.family,
            recipe=Recipe(epochs=1),
        )
        after = status()
        size = dataset.frames.nbytes
    measured = {
        "features": size,
        "before": before,
        "after": after,
        "train_seconds": result["train_seconds"],
    }
    print(f"features {size / 1e6:.0f} MB")
    for name, found in (("before", before), ("after", after)):
        told = ", ".join(f"{k} {v / 1e6:.0f} MB" for k, v in found.items())
        print(f"{name} an evaluation: {told}")
    report.write("worker_memory", measured)


if __name__ == "__main__":
    main()
