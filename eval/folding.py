"""From what a person asks for to the folds of a corpus, and back into a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.corpora.classes import ClassMap
from eval.corpora.corpus import Corpus
from eval.corpora.layouts import LAYOUTS
from eval.emobox import read_emobox
from eval.fold_files import FROM_FILE, FromFile, Members
from eval.fold_json import read_json
from eval.fold_matching import utterance_id
from eval.folds import Groups, Indices
from eval.protocols import Folding, default_for, named
from eval.splitters import SPEAKER_DEPENDENT
from search_spaces.errors import NasError


def choose_folding(
    corpus: Corpus,
    *,
    protocol: str | None = None,
    folds: str | Path | None = None,
    speaker_dependent: bool = False,
    class_map: ClassMap | None = None,
) -> Folding:
    """Return how a corpus is to be split.

    Args:
        corpus: To split.
        protocol: As in `eval.protocols.NAMES`; None for the usual one of the corpus, or random
            utterances where ``speaker_dependent``.
        folds: A file of `eval.fold_json`, or a folder of `eval.emobox`.
        speaker_dependent: Whether a voice may be on both sides.
        class_map: What the corpus was opened with.

    Raises:
        NasError: No such protocol or file, one that contradicts the rest, or folds that are not
            of this corpus.
    """
    if folds is not None:
        if protocol not in (None, FROM_FILE):
            raise NasError(
                f"--folds and --protocol {protocol} exclude each other",
                hint="a file lists the folds themselves",
            )
        path = Path(folds).expanduser()
        return Folding(_read(path, corpus, class_map, speaker_dependent), speaker_dependent)
    if protocol == FROM_FILE:
        raise NasError(f"protocol {FROM_FILE!r} without a file", hint="give --folds FILE")
    if protocol is None and speaker_dependent:
        protocol = SPEAKER_DEPENDENT
    if protocol is None:
        protocol = default_for(Groups.of(corpus), corpus.layout)
    return Folding(named(protocol, corpus.layout), speaker_dependent)


def _read(path: Path, corpus: Corpus, class_map: ClassMap | None, share: bool) -> FromFile:
    usual = LAYOUTS[corpus.layout].classes if corpus.layout in LAYOUTS else {}
    classes = {**usual, **(class_map or {})}
    dropped = frozenset(label for label, name in classes.items() if name is None)
    if path.is_dir():
        return read_emobox(path, corpus, dropped=dropped, share=share)
    if not path.exists():
        raise NasError("no such file or folder of folds", where=str(path))
    return read_json(path, corpus, dropped=dropped, share=share)


def members_of(folding: Folding, corpus: Corpus) -> list[Members]:
    """Return the folds of a corpus by the names of its utterances, inner ones included.

    Raises:
        NasError: They cannot be made.
    """
    table = Groups.of(corpus)
    names = np.array([utterance_id(u.path, corpus.root) for u in corpus.utterances], dtype=object)

    def called(indices: Indices) -> tuple[str, ...]:
        return tuple(names[indices])

    return [
        Members(
            fold.name,
            called(fold.held),
            called(fold.fit),
            tuple((f.name, called(f.held)) for f in folding.inner(table, fold.fit)),
        )
        for fold in folding.outer(table)
    ]
