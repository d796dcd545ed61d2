"""Features that a corpus brings along, ``.npy`` files, as one file that can be mapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.audio import read_features
from eval.bad_files import BadFiles
from eval.cache import cache_dir, into_place, scratch_dir
from eval.corpora.corpus import Corpus, Utterance
from eval.feature_extraction import Extracted, Progress
from eval.feature_store import corpus_key, describe, readable, remember_left_out
from eval.frame_file import FrameFile
from eval.packages import Say
from search_spaces.errors import NasError


def features_of_files(
    corpus: Corpus,
    rate: float,
    max_seconds: float | None,
    bad: BadFiles,
    say: Say,
    progress: Progress | None,
) -> Extracted:
    """Find or make the joined features of a corpus.

    Args:
        corpus: Of features.
        rate: That they are taken to have [Hz].
        max_seconds: What is kept of each, from its beginning [s]; None for all.
        bad: Takes what cannot be used.
        say: Told what is done.
        progress: Told files done and in all.

    Raises:
        NasError: Files that cannot be used, unless they are to be skipped.
    """
    most = None if max_seconds is None else max(1, round(max_seconds * rate))
    settings = [] if most is None else [["frames", most]]

    def key_of(digests: Sequence[str]) -> str:
        return corpus_key("features", digests, *settings)

    digests = readable(corpus.utterances, key_of, bad)
    key = key_of(list(digests.values()))
    folder = cache_dir("features", key)
    if folder.is_dir():
        return Extracted(key, folder, tuple(digests))
    say(f"reading the features of {len(digests)} utterances")
    good: dict[Utterance, str] = {}
    with scratch_dir(cache_dir("features")) as scratch:
        made = scratch / "made"
        made.mkdir()
        with FrameFile(made, np.float32) as file:
            for i, (u, digest) in enumerate(digests.items()):
                with bad.noting():
                    file.append(read_features(u.path)[:most], u.path, 0)
                    good[u] = digest
                if bad.enough:
                    break
                if progress:
                    progress(i + 1, len(digests))
        bad.settle()
        if not good:
            raise NasError("no file is left", where=str(corpus.root))
        describe(made, corpus.name, "features", None, list(good.values()))
        whole, key = key, key_of(list(good.values()))
        remember_left_out(whole, digests, good, bad, key)
        into_place(made, cache_dir("features", key))
    return Extracted(key, cache_dir("features", key), tuple(good))
