"""From what a person asks for to the folds of a corpus, and back into a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.corpora.classes import ClassMap
from eval.corpora.corpus import Corpus
from eval.corpora.layouts import LAYOUTS
from eval.emobox import read_emobox
from eval.fold_files import FROM_FILE, FromFile, Members
from eval.fold_json import read_json
from eval.fold_matching import named_from, utterance_id
from eval.folds import Fold, Groups, Table
from eval.protocols import Folding, default_for, named
from eval.splitters import SPEAKER_DEPENDENT, recording
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


def members_of(folding: Folding, corpus: Corpus, table: Table | None = None) -> list[Members]:
    """Return the folds of a corpus by the names of its utterances, inner ones included.

    Args:
        folding: How it is split.
        corpus: Whose utterances are named.
        table: What of it was used, where files were left out or cut into clips; None for all
            of it. An utterance that is not in it goes to the side of its speaker, so that the
            folds name the whole corpus.

    Returns:
        The outer folds; those whose rest cannot be split again are without inner ones.

    Raises:
        NasError: There are no outer folds.
    """
    used = Groups.of(corpus) if table is None else table
    names = [named_from(recording(used, i), corpus.root) for i in range(len(used.speakers))]
    voices = {utterance_id(u.path, corpus.root): u.speaker for u in corpus.utterances}
    present = set(names)
    lost = [name for name in voices if name not in present]

    def split(fold: Fold) -> tuple[tuple[str, ...], tuple[str, ...]]:
        held, fit = (list(dict.fromkeys(names[i] for i in part)) for part in (fold.held, fold.fit))
        tested, trained = ({voices[n] for n in part} for part in (held, fit))
        for name in lost:
            (held if voices[name] in tested - trained else fit).append(name)
        return tuple(held), tuple(fit)

    members = []
    for outer in folding.outer(used):
        held, fit = split(outer)
        inner = []
        with contextlib.suppress(NasError):  # a search in another fold does not need it
            inner = folding.inner(used, outer.fit)
        allowed = set(fit)
        parts = [(f.name, tuple(n for n in split(f)[0] if n in allowed)) for f in inner]
        members.append(Members(outer.name, held, fit, tuple(parts)))
    return members


def share_voices(members: Sequence[Members], corpus: Corpus) -> bool:
    """Tell whether a speaker is on both sides of a fold, outer or inner."""
    voices = {utterance_id(u.path, corpus.root): u.speaker for u in corpus.utterances}

    def shared(held: Iterable[str], rest: Iterable[str]) -> bool:
        return not {voices[n] for n in held}.isdisjoint(voices[n] for n in rest)

    return any(
        shared(m.test, m.fit) or any(shared(ids, set(m.fit) - set(ids)) for _, ids in m.inner)
        for m in members
    )
