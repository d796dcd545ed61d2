"""What a person needs to know to trust a corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.check_files import Progress, Read, read_files
from eval.corpora import ClassMap, Corpus, open_corpus
from eval.fold_tables import fold_rows
from eval.folding import choose_folding
from eval.folds import Fold, Groups
from eval.protocols import Folding

_UNITS = {"audio": "s", "features": "frames", "events": "s", "event images": "s"}


def check_corpus(
    data: str | Path,
    say: Callable[[str], None],
    class_map: ClassMap | None = None,
    *,
    protocol: str | None = None,
    folds: str | Path | None = None,
    speaker_dependent: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read every file and sum a corpus up.

    Args:
        data: What `eval.corpora.open_corpus` takes.
        say: Told what is fetched.
        class_map: What `eval.corpora.open_corpus` takes.
        protocol: What `eval.folding.choose_folding` takes.
        folds: What `eval.folding.choose_folding` takes.
        speaker_dependent: What `eval.folding.choose_folding` takes.
        progress: Told files done and in all.

    Returns:
        Plain data: ``name``, ``kind``, ``utterances``, ``classes``, ``speakers``, ``counts``
        (speaker, class, number); ``length`` (shortest, median, longest) in ``length_unit``, and
        ``durations`` (``all`` and ``by_class``: ``min``, ``median``, ``mean``, ``p95``, ``max``,
        ``total``); ``events`` (fewest, median, most in a sequence, or None); ``duplicates``
        (lists of files of equal content) and ``leaks``, those of them that no evaluation can
        be trusted with (``files``, ``why``); ``protocol``, ``speaker_dependent``,
        ``outer_folds`` (names) and ``folds`` (of `eval.fold_tables.fold_rows`); ``audio``
        (formats, silence and clipping as of `eval.audio_quality`, or None); ``broken``
        (``path``, ``reason``); ``notes``.

    Raises:
        NasError: The corpus cannot be opened, or not be split.
    """
    from eval.event_frames import DEFAULT_SAMPLING, Sampling, short_note

    corpus = open_corpus(data, say, class_map)
    folding = choose_folding(
        corpus,
        protocol=protocol,
        folds=folds,
        speaker_dependent=speaker_dependent,
        class_map=class_map,
    )
    table = Groups.of(corpus)
    rows = fold_rows(folding, table)  # before hours of reading
    sampling = Sampling.parse(DEFAULT_SAMPLING)
    read = read_files(corpus, sampling.span, progress)
    paths = [str(u.path) for u in corpus.utterances]
    same = _same(read)
    lengths = list(read.lengths.values())
    counts = Counter((u.speaker, u.label) for u in corpus.utterances)
    return {
        "name": corpus.name,
        "kind": corpus.kind,
        "utterances": len(corpus.utterances),
        "classes": list(corpus.classes),
        "speakers": sorted({u.speaker for u in corpus.utterances}),
        "counts": [[s, c, n] for (s, c), n in sorted(counts.items())],
        "length": _spread(lengths),
        "length_unit": _UNITS[corpus.kind],
        "durations": _durations(corpus, read),
        "events": _spread(list(read.events.values())),
        "duplicates": [[paths[i] for i in group] for group in same],
        "leaks": [
            {"files": [paths[i] for i in group], "why": why}
            for group, why in _leaks(same, corpus, folding, table)
        ],
        "protocol": folding.name,
        "speaker_dependent": any(r["shared_speakers"] for r in rows),
        "outer_folds": [r["name"] for r in rows],
        "folds": rows,
        "audio": _audio(corpus, read) if corpus.kind == "audio" else None,
        "broken": [
            {"path": e.where or paths[i], "reason": e.what} for i, e in sorted(read.broken.items())
        ],
        "notes": [*corpus.notes, *short_note(read.short, len(corpus.utterances), sampling)],
    }


def _spread(values: Sequence[float]) -> list[float] | None:
    if not values:
        return None
    return [float(np.min(values)), float(np.median(values)), float(np.max(values))]


def _durations(corpus: Corpus, read: Read) -> dict[str, Any]:
    by_class: defaultdict[str, list[float]] = defaultdict(list)
    for i, length in read.lengths.items():
        by_class[corpus.utterances[i].label].append(length)
    return {
        "all": _statistics(list(read.lengths.values())),
        "by_class": {c: _statistics(by_class[c]) for c in corpus.classes if c in by_class},
    }


def _statistics(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {
        "min": float(np.min(values)),
        "median": float(np.median(values)),
        "mean": float(np.mean(values)),
        "p95": float(np.percentile(values, 95)),
        "max": float(np.max(values)),
        "total": float(np.sum(values)),
    }


def _same(read: Read) -> list[list[int]]:
    """Return the utterances of equal content, a list for each content that occurs twice."""
    same: defaultdict[str, list[int]] = defaultdict(list)
    for i, digest in read.digests.items():
        same[digest].append(i)
    return [group for group in same.values() if len(group) > 1]


def _leaks(
    same: Sequence[Sequence[int]], corpus: Corpus, folding: Folding, table: Groups
) -> Iterator[tuple[Sequence[int], str]]:
    """Yield the copies that stand on both sides of a fold, or contradict each other."""
    crossed = _crossed(same, folding, table) if same else []
    for group, names in zip(same, crossed, strict=True):
        for what, values in (
            ("speakers", {corpus.utterances[i].speaker for i in group}),
            ("labels", {corpus.utterances[i].label for i in group}),
        ):
            if len(values) > 1:
                yield group, f"of {what} {', '.join(sorted(values))}"
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield group, f"on both sides of {names[0]}{more}"


def _crossed(same: Sequence[Sequence[int]], folding: Folding, table: Groups) -> list[list[str]]:
    """Return the folds, outer ones first, that each group of copies is on both sides of."""
    group_of = np.full(len(table.speakers), -1)
    for number, group in enumerate(same):
        group_of[list(group)] = number
    tests: list[list[str]] = [[] for _ in same]
    validations: list[list[str]] = [[] for _ in same]

    def note(fold: Fold, name: str, names: list[list[str]]) -> None:
        for number in np.intersect1d(group_of[fold.fit], group_of[fold.held]):
            if number >= 0:
                names[number].append(name)

    for outer in folding.outer(table):
        note(outer, f"fold {outer.name}", tests)
        for fold in folding.inner(table, outer.fit):
            note(fold, f"validation fold {fold.name} of fold {outer.name}", validations)
    return [a + b for a, b in zip(tests, validations, strict=True)]


def _audio(corpus: Corpus, read: Read) -> dict[str, Any]:
    formats = Counter((q.rate, q.channels, q.form) for q in read.qualities.values())
    paths = {i: str(corpus.utterances[i].path) for i in read.qualities}
    quiet = [q.lead + q.tail for q in read.qualities.values()]
    total = sum(q.seconds for q in read.qualities.values())
    return {
        "formats": [
            {"rate": rate, "channels": channels, "format": form, "files": n}
            for (rate, channels, form), n in sorted(formats.items())
        ],
        "silent": [paths[i] for i, q in read.qualities.items() if q.silent],
        "clipped": [
            {"path": paths[i], "share": q.clipped} for i, q in read.qualities.items() if q.clipped
        ],
        "edge_silence": {
            "share": sum(quiet) / total if total else 0.0,
            "longest": max(quiet, default=0.0),
        },
    }
