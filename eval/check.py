"""What a person needs to know to trust a corpus."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eval.corpora import open_corpus
from search_spaces.errors import NasError


def check_corpus(data: str | Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Read every file and sum a corpus up.

    Returns:
        Plain data: ``name``, ``kind``, ``utterances``, ``classes``, ``speakers``, ``counts``
        (speaker, class, number), ``length`` (shortest, median, longest) in ``length_unit``,
        ``duplicates`` (lists of files of equal content), ``outer_folds``, ``notes``.

    Raises:
        NasError: A file that cannot be used, or no speaker-independent folds.
    """
    from eval.audio import read_audio, read_features
    from eval.folds import Groups, outer_folds

    corpus = open_corpus(data, say)
    lengths, digests = [], defaultdict(list)
    widths: dict[int, Path] = {}
    for u in corpus.utterances:
        if corpus.kind == "audio":
            content = read_audio(u.path)
            lengths.append(len(content) / 16_000)
        else:
            content = read_features(u.path)
            lengths.append(float(len(content)))
            widths.setdefault(content.shape[1], u.path)
        digests[hashlib.sha256(content.tobytes()).hexdigest()].append(str(u.path))
    if len(widths) > 1:
        (a, first), (b, second) = sorted(widths.items())[:2]
        raise NasError(f"{a} features in {first}, {b} in {second}", where=str(corpus.root))
    counts = Counter((u.speaker, u.label) for u in corpus.utterances)
    return {
        "name": corpus.name,
        "kind": corpus.kind,
        "utterances": len(corpus.utterances),
        "classes": list(corpus.classes),
        "speakers": sorted({u.speaker for u in corpus.utterances}),
        "counts": [[s, c, n] for (s, c), n in sorted(counts.items())],
        "length": [float(np.min(lengths)), float(np.median(lengths)), float(np.max(lengths))],
        "length_unit": "s" if corpus.kind == "audio" else "frames",
        "duplicates": [files for files in digests.values() if len(files) > 1],
        "outer_folds": [f.name for f in outer_folds(Groups.of(corpus))],
        "notes": list(corpus.notes),
    }
