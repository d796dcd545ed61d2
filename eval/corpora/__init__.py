"""Corpora: tables of utterances, by name or out of a folder with a ``manifest.csv``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eval.corpora import polish
from eval.corpora.corpus import MANIFEST, Corpus, CorpusInfo, Utterance
from eval.corpora.manifest import read_manifest
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

__all__ = ["BUNDLED", "DEFAULT_CORPUS", "Corpus", "CorpusInfo", "Utterance", "open_corpus"]

DEFAULT_CORPUS = "polish"

BUNDLED: dict[str, CorpusInfo] = {polish.INFO.name: polish.INFO}

_OPENERS: dict[str, Callable[[Say], Corpus]] = {polish.INFO.name: polish.open_polish}


def open_corpus(data: str | Path | None = None, say: Say = silent) -> Corpus:
    """Open a corpus, fetching it first when it is a bundled one that is not here yet.

    Args:
        data: None for the default; the name of a bundled corpus; a folder with a
            ``manifest.csv``; or the path of such a file. A bundled name wins over a folder
            of the same name, which ``./name`` still reaches.
        say: Told what is fetched.

    Raises:
        NasError: No such corpus, or one with mistakes in it.
    """
    if data is None:
        data = DEFAULT_CORPUS
    if isinstance(data, str) and data in _OPENERS:
        return _OPENERS[data](say)
    path = Path(data).expanduser()
    if path.is_dir():
        path = path / MANIFEST
        if not path.is_file():
            raise NasError(
                f"the folder has no {MANIFEST}",
                where=str(path.parent),
                hint="write one with the columns path,label,speaker (and session, split if any)",
            )
    if not path.is_file():
        raise NasError(
            f"no corpus {str(data)!r}: neither a known name nor a folder",
            hint=f"{nearest(data, BUNDLED)}; or give a folder with a {MANIFEST}",
        )
    return read_manifest(path)
