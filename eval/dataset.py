"""A corpus as frame features, memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.corpora import Corpus, Utterance
from eval.event_frames import Sampling
from eval.frame_file import FRAMES, MACS, OFFSETS

# not on every system
_UNNEEDED: int | None = getattr(mmap, "MADV_DONTNEED", None)

# Features up to this many bytes stay mapped: mapping them again would cost more than they do.
SMALL = 64_000_000


@dataclass(frozen=True)
class Dataset:
    """A corpus as frame features; ``N`` utterances of ``D`` dimensions.

    Args:
        name: The corpus.
        frames: ``[sum L, D]`` float16 (encoded audio, event frames) or float32, memory-mapped.
        offsets: ``[N + 1]``; utterance ``i`` is ``frames[offsets[i] : offsets[i + 1]]``.
        labels: ``[N]`` indices into ``classes``.
        classes: Names of the labels, sorted.
        speakers: Of each utterance.
        sessions: Of each utterance, where the corpus has sessions.
        splits: Of each utterance, where the corpus prescribes a split.
        paths: The file of each utterance; ``#k`` after it counts the clips of one sequence.
        frame_rate: [Hz].
        source: Plain data that a report needs to say where the frames come from.
        encoder_macs: ``[N]`` multiply-accumulates of the frozen encoder for each utterance;
            None when the corpus brought its features along.
        digest: SHA-256 of all that determines a result: frames, labels, groups.
        clip: ``(L, C, H, W)`` of every utterance, where they are clips of event frames; then
            ``D = C * H * W``.
    """

    name: str
    frames: npt.NDArray[np.floating[Any]]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    sessions: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    paths: tuple[str, ...]
    frame_rate: float
    source: dict[str, Any]
    encoder_macs: npt.NDArray[np.int64] | None
    digest: str
    clip: tuple[int, int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dim(self) -> int:
        """Dimensions of a frame."""
        return int(self.frames.shape[1])

    @property
    def shape(self) -> int | tuple[int, ...]:
        """What a network family is built for: ``D``, or ``(L, C, H, W)`` of a clip."""
        return self.dim if self.clip is None else self.clip

    def seconds(self, indices: npt.NDArray[np.int64]) -> float:
        """Return the mean duration of utterances [s], skipped frames of clips included."""
        if self.clip is not None:
            return Sampling.parse(self.source["sampling"]).span / self.frame_rate
        return float((self.offsets[indices + 1] - self.offsets[indices]).mean()) / self.frame_rate

    def utterance(self, i: int) -> npt.NDArray[np.floating[Any]]:
        """Return ``[L, D]``, the frames of one utterance, as a view of the file."""
        frames = np.asarray(self.frames)  # slices of a memmap cost several times those of an array
        return frames[self.offsets[i] : self.offsets[i + 1]]

    def hand_back(self) -> None:
        """Let go of the pages of the file that were read; whoever reads them again finds the same.

        They stay in the system's cache, but no longer count as this process's memory, which
        would grow to the size of the corpus. Small corpora, frames that are no file, and systems
        that cannot are left as they are.
        """
        if self.frames.nbytes <= SMALL:
            return
        whole: object = self.frames.base
        # of a file that is open for reading alone: elsewhere pages may hold what no file does
        readable = isinstance(self.frames, np.memmap) and self.frames.mode == "r"
        if _UNNEEDED is not None and readable and isinstance(whole, mmap.mmap):
            with contextlib.suppress(OSError):  # of memory that is locked
                whole.madvise(_UNNEEDED)


def assemble(
    corpus: Corpus,
    items: Sequence[tuple[Utterance, str]],
    key: str,
    folder: Path,
    rate: float,
    origin: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    clip: tuple[int, int, int, int] | None = None,
) -> Dataset:
    """Join cached frames and what the manifest says, so that a label can be mended for free.

    Args:
        corpus: The table.
        items: Of each item of the dataset its utterance, and how to name it.
        key: Of everything that decides the frames.
        folder: Of the frames.
        rate: Of the frames [Hz].
        origin: For the dataset's ``source``.
        notes: What a person should know.
        clip: As of `Dataset`.
    """
    index = {label: i for i, label in enumerate(corpus.classes)}
    utterances = [u for u, _ in items]
    groups = [[u.label, u.speaker, u.session, u.split] for u in utterances]
    told = json.dumps([key, rate, groups], ensure_ascii=False)
    macs = np.load(folder / MACS)
    return Dataset(
        name=corpus.name,
        frames=np.load(folder / FRAMES, mmap_mode="r"),
        offsets=np.load(folder / OFFSETS),
        labels=np.array([index[u.label] for u in utterances], dtype=np.int64),
        classes=corpus.classes,
        speakers=tuple(u.speaker for u in utterances),
        sessions=tuple(u.session for u in utterances),
        splits=tuple(u.split for u in utterances),
        paths=tuple(path for _, path in items),
        frame_rate=rate,
        source={
            "corpus": corpus.name,
            "kind": corpus.kind,
            "licence": corpus.licence,
            "notes": [*corpus.notes, *notes],
            "utterances": len(utterances),
            "frame_rate": rate,
            **({"synthetic": True} if corpus.synthetic else {}),
            **origin,
        },
        encoder_macs=macs if corpus.kind == "audio" and macs.any() else None,
        digest=hashlib.sha256(told.encode()).hexdigest(),
        clip=clip,
    )
