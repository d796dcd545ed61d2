"""Corpora: tables of utterances, by name or out of a folder with a ``manifest.csv``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eval.corpora import polish, see, synthetic_eyes, synthetic_speech
from eval.corpora.corpus import MANIFEST, Corpus, CorpusInfo, Kind, Utterance
from eval.corpora.manifest import read_manifest
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

__all__ = [
    "BUNDLED",
    "DEFAULT_CORPUS",
    "DEFAULT_EVENT_CORPUS",
    "Corpus",
    "CorpusInfo",
    "Kind",
    "Utterance",
    "corpus_kind",
    "open_corpus",
    "resolved",
]

DEFAULT_CORPUS = polish.INFO.name
DEFAULT_EVENT_CORPUS = synthetic_eyes.INFO.name

BUNDLED: dict[str, CorpusInfo] = {
    i.name: i for i in (polish.INFO, synthetic_eyes.INFO, synthetic_speech.INFO)
}

_OPENERS: dict[str, Callable[[Say], Corpus]] = {
    polish.INFO.name: polish.open_polish,
    synthetic_eyes.INFO.name: synthetic_eyes.open_synthetic_eyes,
    synthetic_speech.INFO.name: synthetic_speech.open_synthetic_speech,
}


def open_corpus(data: str | Path | None = None, say: Say = silent) -> Corpus:
    """Open a corpus, fetching or making it first when it is a bundled one that is not here yet.

    Args:
        data: None for the default; the name of a bundled corpus; a folder with a
            ``manifest.csv``, or laid out as SEE; the path of a manifest; or ``see:FOLDER``. A
            bundled name wins over a folder of the same name, which ``./name`` still reaches.
        say: Told what is fetched.

    Raises:
        NasError: No such corpus, or one with mistakes in it.
    """
    if data is None:
        data = DEFAULT_CORPUS
    if isinstance(data, str) and data in _OPENERS:
        return _OPENERS[data](say)
    if isinstance(data, str) and data.startswith(see.PREFIX):
        folder = Path(data.removeprefix(see.PREFIX)).expanduser()
        if not folder.is_dir():
            raise NasError(f"no folder {str(folder)!r}", hint="give see:FOLDER, where SEE lies")
        return see.open_see(folder)
    path = Path(data).expanduser()
    if path.is_dir():
        folder, path = path, path / MANIFEST
        if not path.is_file() and see.find_see(folder) is not None:
            return see.open_see(folder)
        if not path.is_file():
            raise NasError(
                f"the folder has no {MANIFEST}",
                where=str(folder),
                hint="write one with the columns path,label,speaker (and session, split if any)",
            )
    if not path.is_file():
        raise NasError(
            f"no corpus {str(data)!r}: neither a known name nor a folder",
            hint=f"{nearest(data, BUNDLED)}; or give a folder with a {MANIFEST}",
        )
    return read_manifest(path)


def corpus_kind(data: str | Path | None = None) -> Kind:
    """Return what the files of a corpus hold, without fetching or making one.

    Raises:
        NasError: As `open_corpus`.
    """
    info = BUNDLED.get(str(data if data is not None else DEFAULT_CORPUS))
    return info.kind if info is not None else open_corpus(data).kind


def resolved(data: str | None) -> str | None:
    """Return ``data`` so that it can be opened from another folder: with its full path."""
    if data is None or data in BUNDLED:
        return data
    prefix = see.PREFIX if data.startswith(see.PREFIX) else ""
    path = Path(data.removeprefix(prefix)).expanduser()
    return prefix + str(path.resolve()) if path.exists() else data
