"""Which utterance of a corpus another file means."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from eval.corpora.corpus import Corpus
from search_spaces.errors import NasError, nearest


def utterance_id(path: Path, root: Path) -> str:
    """Return the path of a recording from the corpus's folder, or the whole one outside of it."""
    return named_from(str(path), root)


def named_from(path: str, root: Path) -> str:
    """Return what `utterance_id` does of a path as text; ten thousand ``Path`` are slow."""
    return path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/")


class Matcher:
    """Finds utterances by the path or key that another file gives them.

    A path fits an utterance whose file has the same name without its extension, and is in a
    folder of the same name where both have one; of several, the one that shares most folders.
    A key fits a file's name, or that and the name of its folder, where letters and digits are
    the same: EmoBox writes ``savee-JE-n23`` for ``JE_n23.wav`` and for ``JE/n23.wav``.

    Args:
        corpus: Whose utterances are looked for.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        ids = [utterance_id(u.path, corpus.root) for u in corpus.utterances]
        self._ids = frozenset(ids)
        self._found: dict[tuple[str, str | None], str] = {}  # a line stands in every fold
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        self._by_key: defaultdict[str, list[str]] = defaultdict(list)
        for name in ids:
            path = PurePosixPath(name)
            self._by_stem[path.stem].append(name)
            self._by_key[_letters(path.stem)].append(name)
            self._by_key[_letters(f"{path.parent.name}-{path.stem}")].append(name)

    def find(self, path: str, key: str | None, where: str) -> str:
        """Return the `utterance_id` of what a path or key means.

        Args:
            path: Of a recording, relative to whatever; empty where there is none.
            key: Another name.
            where: ``file:line`` for errors.

        Raises:
            NasError: No utterance fits, or several do.
        """
        if path in self._ids:
            return path
        if (path, key) not in self._found:
            self._found[path, key] = self._find(path, key, where)
        return self._found[path, key]

    def _find(self, path: str, key: str | None, where: str) -> str:
        asked = PurePosixPath(path.replace("\\", "/"))
        shared = {n: _shared(PurePosixPath(n), asked) for n in self._by_stem.get(asked.stem, [])}
        most = max((s for s in shared.values() if s is not None), default=None)
        found = [name for name, s in shared.items() if s == most and s is not None]
        if not found and key:
            # the first part of a key may be the name of the corpus
            found = self._by_key.get(_letters(key)) or self._by_key.get(
                _letters(key.partition("-")[2]), []
            )
        if len(found) == 1:
            return found[0]
        told = path or key
        if found:
            raise NasError(
                f"{told} may be {found[0]} or {found[1]}",
                where=where,
                hint="give the path from the corpus's folder",
            )
        close = nearest(asked.stem, self._by_stem) if len(self._by_stem) <= 20 else ""
        raise NasError(
            f"corpus {self._corpus.name!r} has no utterance {told!r}",
            where=where,
            hint="these are folds of another corpus, of another copy of it, or made with other"
            f" --classes{'; ' + close if close else ''}",
        )


def _letters(text: str) -> str:
    return re.sub(r"[^0-9a-zA-Z]+", "", text).lower()


def _shared(one: PurePosixPath, other: PurePosixPath) -> int | None:
    """Return how many folders above two files are the same, from the files upwards.

    None where both have a folder, and not the same one: their names are the same by chance.
    """
    pairs = list(zip(reversed(one.parent.parts), reversed(other.parent.parts), strict=False))
    count = 0
    for a, b in pairs:
        if a != b:
            break
        count += 1
    return None if pairs and not count else count
