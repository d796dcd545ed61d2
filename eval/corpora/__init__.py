"""Corpora: tables of utterances, by name, with a ``manifest.csv`` or as their owners ship them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eval.bad_files import BadFiles
from eval.corpora import polish, synthetic_eyes, synthetic_speech
from eval.corpora.classes import ClassMap, read_class_map
from eval.corpora.corpus import MANIFEST, Corpus, CorpusInfo, Kind, Utterance
from eval.corpora.layout import with_classes
from eval.corpora.layouts import open_detected, open_named, split_name
from eval.corpora.manifest import read_manifest
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

__all__ = [
    "BUNDLED",
    "DEFAULT_CORPUS",
    "DEFAULT_EVENT_CORPUS",
    "ClassMap",
    "Corpus",
    "CorpusInfo",
    "Kind",
    "Utterance",
    "corpus_kind",
    "open_corpus",
    "read_class_map",
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


def open_corpus(
    data: str | Path | None = None,
    say: Say = silent,
    class_map: ClassMap | None = None,
    bad: BadFiles | None = None,
) -> Corpus:
    """Open a corpus, fetching or making it first when it is a bundled one that is not here yet.

    Args:
        data: None for the default; the name of a bundled corpus; a folder with a
            ``manifest.csv``, or laid out as a known corpus; the path of a manifest; or
            ``LAYOUT:FOLDER``, LAYOUT of `eval.corpora.layouts.NAMES`. A bundled name wins over
            a folder of the same name, which ``./name`` still reaches; a manifest over a layout.
        say: Told what is fetched.
        class_map: The class of some of the corpus's own labels, None for those to leave out.
        bad: Takes rows of a manifest that cannot be used.

    Raises:
        NasError: No such corpus, or one with mistakes in it, or a map of other labels.
    """
    if data is None:
        data = DEFAULT_CORPUS
    if isinstance(data, str) and data in _OPENERS:
        return with_classes(_OPENERS[data](say), class_map)
    if isinstance(data, str) and (named := split_name(data)):
        return open_named(*named, class_map)
    path = Path(data).expanduser()
    if path.is_dir():
        folder, path = path, path / MANIFEST
        if not path.is_file():
            return open_detected(folder, class_map)
    if not path.is_file():
        raise NasError(
            f"no corpus {str(data)!r}: neither a known name nor a folder",
            hint=f"{nearest(data, BUNDLED)}; or give a folder with a {MANIFEST}",
        )
    return read_manifest(path, class_map=class_map, bad=bad)


def corpus_kind(data: str | Path | None = None, class_map: ClassMap | None = None) -> Kind:
    """Return what the files of a corpus hold, without fetching or making one.

    Raises:
        NasError: As `open_corpus`.
    """
    info = BUNDLED.get(str(data if data is not None else DEFAULT_CORPUS))
    if info is not None:
        return info.kind
    # whoever loads the corpus hears of its bad rows
    return open_corpus(data, class_map=class_map, bad=BadFiles(skip=True)).kind


def resolved(data: str | None) -> str | None:
    """Return ``data`` so that it can be opened from another folder: with its full path.

    Raises:
        NasError: As `split_name`.
    """
    if data is None or data in BUNDLED:
        return data
    named = split_name(data)
    prefix, path = (f"{named[0]}:", named[1]) if named else ("", Path(data).expanduser())
    return prefix + str(path.resolve()) if path.exists() else data
