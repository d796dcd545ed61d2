"""Features that are read or computed file by file, as one file that can be mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.audio import Floats, feature_width, read_features
from eval.bad_files import BadFiles, most_common
from eval.cache import into_place, scratch_dir
from eval.corpora.corpus import Corpus, Utterance
from eval.feature_damage import is_whole
from eval.feature_extraction import Extracted, Progress
from eval.feature_store import corpus_key, describe, readable, remember_left_out
from eval.frame_file import FrameFile
from eval.packages import Say
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError


@dataclass(frozen=True)
class Reading:
    """How frames come out of a file.

    Args:
        kind: What the cache calls them.
        settings: Whatever else decides the frames; part of the key.
        read: Gives ``[L, D]`` of a file.
        width: Gives ``D`` of a file without reading it, None where it has none; if not given,
            ``read`` gives the same of every file.
    """

    kind: str
    settings: tuple[object, ...]
    read: Callable[[Path], Floats]
    width: Callable[[Path], int | None] | None = None


def of_arrays(rate: float, max_seconds: float | None) -> Reading:
    """Return how ``.npy`` files are read.

    Args:
        rate: That they are taken to have [Hz].
        max_seconds: What is kept of each, from its beginning [s]; None for all.
    """
    most = None if max_seconds is None else max(1, round(max_seconds * rate))
    settings = () if most is None else (["frames", most],)
    return Reading("features", settings, lambda path: read_features(path)[:most], feature_width)


def features_of_files(
    corpus: Corpus,
    reading: Reading,
    bad: BadFiles,
    say: Say,
    progress: Progress | None,
) -> Extracted:
    """Find or make the joined features of a corpus.

    Args:
        corpus: Of features, or of what ``reading`` makes features of.
        reading: How.
        bad: Takes what cannot be used.
        say: Told what is done.
        progress: Told files done and in all.

    Raises:
        NasError: Files that cannot be used, unless they are to be skipped.
    """

    def key_of(digests: Sequence[str]) -> str:
        return corpus_key(reading.kind, digests, *reading.settings)

    digests = readable(corpus.utterances, key_of, bad)
    key = key_of(list(digests.values()))
    folder = cache_dir("features", key)
    if is_whole(folder, say):
        return Extracted(key, folder, tuple(digests))
    say(f"reading the {reading.kind} of {len(digests)} utterances")
    good: dict[Utterance, str] = {}
    with scratch_dir(cache_dir("features")) as scratch:
        made = scratch / "made"
        made.mkdir()
        with FrameFile(made, np.float32, _usual(digests, reading)) as file:
            for i, (u, digest) in enumerate(digests.items()):
                with bad.noting():
                    file.append(reading.read(u.path), u.path, 0)
                    good[u] = digest
                if bad.enough:
                    break
                if progress:
                    progress(i + 1, len(digests))
        bad.settle()
        if not good:
            raise NasError("no file is left", where=str(corpus.root))
        describe(made, corpus.name, reading.kind, None, list(good.values()))
        whole, key = key, key_of(list(good.values()))
        remember_left_out(whole, digests, good, bad, key)
        folder = cache_dir("features", key)
        if not is_whole(folder, say):  # made before, of these files alone
            into_place(made, folder)
    return Extracted(key, folder, tuple(good))


def _usual(utterances: Iterable[Utterance], reading: Reading) -> tuple[int, Path] | None:
    """Return the width that most files have, and the first of those files."""
    if reading.width is None:
        return None
    widths = [(width, u.path) for u in utterances if (width := reading.width(u.path)) is not None]
    usual = most_common(width for width, _ in widths)
    return next(((width, path) for width, path in widths if width == usual), None)
