"""Folds that a file lists: matched to a corpus, checked, and used like any protocol."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.corpora.corpus import Corpus, Utterance
from eval.fold_matching import Matcher, named_from, utterance_id
from eval.folds import (
    GROUPED_FOLDS,
    LEAKAGE,
    Fold,
    Indices,
    Table,
    leave_groups_out,
    shared_speakers,
)
from eval.splitters import ByUtterance, recording
from search_spaces.errors import NasError

FROM_FILE = "file"


@dataclass(frozen=True)
class Entry:
    """One utterance as a file names it.

    Args:
        file: The file.
        line: In it.
        path: Of the recording, as far as the file gives it.
        key: Another name of it.
        label: Its emotion in the file's own words.
        speaker: Who speaks.
    """

    file: Path
    line: int
    path: str
    key: str | None = None
    label: str | None = None
    speaker: str | None = None

    @property
    def where(self) -> str:
        """Return ``file:line``."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Listed:
    """One outer fold as a file lists it.

    Args:
        name: Of the fold.
        test: What is held out.
        fit: Everything to train and validate on; None for all the rest.
        inner: Name and validation part of each inner fold; none where the file gives none.
    """

    name: str
    test: Sequence[Entry]
    fit: Sequence[Entry] | None
    inner: Sequence[tuple[str, Sequence[Entry]]] = ()


@dataclass(frozen=True)
class Members:
    """One outer fold of a corpus, by the names of `eval.fold_matching.utterance_id`.

    Args:
        name: Of the fold.
        test: What is held out.
        fit: Everything to train and validate on.
        inner: Name and validation part of each inner fold.
    """

    name: str
    test: tuple[str, ...]
    fit: tuple[str, ...]
    inner: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class FromFile:
    """A splitter whose folds a file lists.

    Where the file gives no validation part, what is left is split as if nothing were said:
    by session or speaker; by utterance where a test part shares its voices with the training.

    Args:
        members: The folds.
        root: Of the corpus, which names are relative to.
        where: The file.
        source: Where the folds were first read.
    """

    members: tuple[Members, ...]
    root: Path
    where: str
    source: str
    name: str = FROM_FILE
    mixes: bool = True

    def outer(self, table: Table) -> list[Fold]:
        """Return the folds in the file's order."""
        rows = self._rows(table)
        return [Fold(m.name, _indices(rows, m.fit), _indices(rows, m.test)) for m in self.members]

    def inner(self, table: Table, search: Indices) -> list[Fold]:
        """Return the validation parts of the fold that leaves ``search``."""
        rows = self._rows(table)
        both = zip(self.members, self.outer(table), strict=True)
        member, outer = next((m, f) for m, f in both if np.array_equal(f.fit, search))
        if not member.inner:
            if shared_speakers(outer, table):
                return ByUtterance(GROUPED_FOLDS).inner(table, search)
            return leave_groups_out(table, search)
        held = [(name, _indices(rows, ids)) for name, ids in member.inner]
        return [Fold(name, np.setdiff1d(search, ids), ids) for name, ids in held]

    def digest(self) -> str:
        """Return the SHA-256 of the members, which neither order nor place of files changes."""
        plain = [
            [m.name, sorted(m.test), sorted(m.fit), [[n, sorted(ids)] for n, ids in m.inner]]
            for m in self.members
        ]
        return hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).hexdigest()

    def _rows(self, table: Table) -> dict[str, list[int]]:
        rows = defaultdict(list)
        for i in range(len(table.speakers)):
            rows[named_from(recording(table, i), self.root)].append(i)
        return rows


def _indices(rows: dict[str, list[int]], names: Iterable[str]) -> Indices:
    # what was left out of the table after the file was read, such as damaged files, is in none
    return np.array(sorted(i for name in names for i in rows.get(name, ())), np.int64)


def bind(
    folds: Sequence[Listed],
    corpus: Corpus,
    where: str,
    *,
    source: str | None = None,
    dropped: frozenset[str] = frozenset(),
    share: bool = False,
    known: Sequence[Entry] = (),
) -> FromFile:
    """Match what a file lists to a corpus.

    Args:
        folds: As listed.
        corpus: Whose utterances they are.
        where: The file or folder, for errors.
        source: Where the folds were first read; ``where`` if not given.
        dropped: Labels that the class map leaves out; entries of such a label are passed over.
        share: Whether a speaker may be on both sides.
        known: Utterances with the classes and speakers that the corpus must give them.

    Raises:
        NasError: An utterance that the corpus has not, or more than one of; one that stands
            twice in a fold, or in no part of it, or validates twice in it; another label or
            speaker than the corpus's; a speaker on both sides; two folds of one name, or none.
    """
    if not folds:
        raise NasError("no folds in it", where=where)
    names = Counter(f.name for f in folds)
    if twice := [n for n, count in names.items() if count > 1]:
        raise NasError(f"two folds are called {twice[0]!r}", where=where)
    matcher = Matcher(corpus)
    every = {utterance_id(u.path, corpus.root): u for u in corpus.utterances}

    for entry in known:
        if entry.label not in dropped:
            _agree(entry, every[matcher.find(entry.path, entry.key, entry.where)])

    def take(entries: Iterable[Entry], seen: dict[str, Entry], fold: str) -> tuple[str, ...]:
        found = []
        for entry in entries:
            if entry.label in dropped:
                continue
            name = matcher.find(entry.path, entry.key, entry.where)
            if name in seen:
                raise NasError(
                    f"{name} stands in fold {fold!r} a second time",
                    where=entry.where,
                    hint=f"the first is {seen[name].where}",
                )
            seen[name] = entry
            found.append(name)
        return tuple(found)

    members = []
    for fold in folds:
        seen: dict[str, Entry] = {}
        test = take(fold.test, seen, fold.name)
        if fold.fit is None:
            held = set(test)
            fit = tuple(name for name in every if name not in held)
        else:
            fit = take(fold.fit, seen, fold.name)
            _complete(seen, every, fold.name, where)
        if not test or not fit:
            raise NasError(f"fold {fold.name!r} has an empty part", where=where)
        if not share:
            _apart(fold.name, fit, {name: seen[name] for name in test}, every)
        inner: list[tuple[str, tuple[str, ...]]] = []
        part_of: dict[str, str] = {}
        for title, entries in fold.inner:
            found: dict[str, Entry] = {}
            ids = take(entries, found, title)
            rest = set(fit) - set(ids)
            if not ids or not rest:
                raise NasError(f"part {title!r} of fold {fold.name!r} is empty", where=where)
            if outside := sorted(set(ids) - set(fit)):
                raise NasError(
                    f"{outside[0]} validates in {title!r} and is in the test part of fold"
                    f" {fold.name!r}",
                    where=found[outside[0]].where,
                    hint="a search must not see what is tested on",
                )
            if title in part_of.values():
                raise NasError(
                    f"two parts that validate in fold {fold.name!r} are called {title!r}",
                    where=where,
                    hint="give each a name of its own, or leave one out",
                )
            if again := next((name for name in ids if name in part_of), None):
                raise NasError(
                    f"{again} validates in {part_of[again]!r} and in {title!r} of fold"
                    f" {fold.name!r}",
                    where=found[again].where,
                    hint="it would count twice in what a search goes by; leave it in one of them",
                )
            if not share:
                _apart(title, rest, found, every)
            part_of |= dict.fromkeys(ids, title)
            inner.append((title, ids))
        members.append(Members(fold.name, test, fit, tuple(inner)))
    return FromFile(tuple(members), corpus.root, where, source or where)


def _agree(entry: Entry, utterance: Utterance) -> None:
    for what, said, own in (
        ("label", entry.label, utterance.label),
        ("speaker", entry.speaker, utterance.speaker),
    ):
        if said is not None and said != own:
            raise NasError(
                f"the {what} of {entry.path} is {said!r} here and {own!r} in the corpus",
                where=entry.where,
                hint="give the --classes that the folds were made with, or make them again",
            )


def _complete(seen: dict[str, Entry], every: dict[str, Utterance], fold: str, where: str) -> None:
    missing = [name for name in every if name not in seen]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise NasError(
            f"fold {fold!r} has no place for {', '.join(missing[:3])}{more}, which the corpus has",
            where=where,
            hint="every utterance belongs to its test, train or validation part;"
            " leave a class out with --classes",
        )


def _apart(
    fold: str, fit: Iterable[str], held: Mapping[str, Entry], every: Mapping[str, Utterance]
) -> None:
    """Refuse a voice on both sides, and show a line that puts it there."""
    trained = {every[name].speaker for name in fit}
    known = sorted({every[name].speaker for name in held} & trained)
    if known:
        first = next(e for name, e in held.items() if every[name].speaker == known[0])
        more = f" and {len(known) - 3} more speakers" if len(known) > 3 else ""
        raise NasError(
            f"fold {fold!r} tests on voices known from training: {', '.join(known[:3])}{more}",
            where=first.where,
            hint=f"{LEAKAGE}. If that is what you want: --speaker-dependent",
        )
