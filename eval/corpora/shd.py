"""Spiking Heidelberg Digits and Spiking Speech Commands: cochlea spikes of spoken words.

Cramer, Stradmann, Schemmel, Zenke (IEEE TNNLS 33, 2022, arXiv 1910.07407). 700 channels;
``shd_{train,test}.h5`` and ``ssc_{train,valid,test}.h5`` hold ``spikes/times`` [s],
``spikes/units``, ``labels``, and in ``extra`` the words (``keys``) and, of SHD, the ``speaker``.

Two of SHD's twelve speakers are in the test file alone, the others in both: folds here are made
of whole speakers, and the files' split is not used. SSC is published without its speakers; its
three parts are taken as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eval.corpora.converted import Numbers, Packed, Recording
from eval.corpora.event_settings import EventSettings
from search_spaces.errors import NasError

CHANNELS = 700
_SETTINGS = EventSettings(sensor=(CHANNELS, 1), size=(70, 1), clips=1, frame_rate=50.0)
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def _finder(*names: str) -> Callable[[Path], list[Path]]:
    def files(folder: Path) -> list[Path]:
        found = [folder / name for name in names if (folder / name).is_file()]
        return found if len(found) == len(names) else []

    return files


def _read(files: list[Path]) -> Iterator[Recording]:
    import h5py

    for path in files:
        part = path.stem.rpartition("_")[2]
        try:
            with h5py.File(path) as file:
                yield from _recordings(file, part)
        except (OSError, KeyError, IndexError) as error:
            raise NasError(
                f"cannot read the spikes: {error}",
                where=str(path),
                hint="it should hold spikes/times, spikes/units, labels and extra/keys",
            ) from error


def _recordings(file: Any, part: str) -> Iterator[Recording]:
    times, units = file["spikes"]["times"], file["spikes"]["units"]
    words = [k.decode() if isinstance(k, bytes) else str(k) for k in file["extra"]["keys"][:]]
    speakers = file["extra"]["speaker"][:] if "speaker" in file["extra"] else None

    def events(i: int) -> Callable[[], tuple[Numbers, Numbers, Numbers, Numbers]]:
        def read() -> tuple[Numbers, Numbers, Numbers, Numbers]:
            # half precision in the files: a second has no exact microsecond there
            t = np.round(np.asarray(times[i], np.float64) * 1e6).astype(np.int64)
            order = np.argsort(t, kind="stable")
            zeros = np.zeros(len(t), np.int64)
            return t[order], np.asarray(units[i], np.int64)[order], zeros, zeros + 1

        return read

    for i, label in enumerate(file["labels"][:]):
        yield Recording(
            f"{part}-{i:06}",
            words[int(label)],
            f"s{int(speakers[i]):02}" if speakers is not None else part,
            None if speakers is not None else _SPLITS[part],
            events(i),
        )


SHD = Packed(
    name="shd",
    title="SHD",
    form="shd_train.h5 and shd_test.h5",
    settings=_SETTINGS,
    files=_finder("shd_train.h5", "shd_test.h5"),
    read=_read,
    notes=lambda _: (
        "the files of SHD share speakers; their split is not used, folds are made of speakers",
    ),
)

SSC = Packed(
    name="ssc",
    title="SSC",
    form="ssc_train.h5, ssc_valid.h5 and ssc_test.h5",
    settings=_SETTINGS,
    files=_finder("ssc_train.h5", "ssc_valid.h5", "ssc_test.h5"),
    read=_read,
    notes=lambda _: ("SSC does not name its speakers: its parts stand for them",),
)
