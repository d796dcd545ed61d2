"""Our own fold files: one JSON document, a line for each utterance of each part.

    {"format": "nas folds 1",
     "corpus": {"name": "mine", "utterances": 6, "classes": ["anger", "joy"], "digest": "..."},
     "protocol": "leave-one-speaker-out", "speaker_dependent": false,
     "utterances": [["a.wav", "anger", "s1"], ...],
     "folds": [{"name": "s1", "test": ["a.wav", ...],
                "inner": [{"name": "s2", "validation": ["c.wav", ...]}, ...]}, ...]}

Paths are relative to the corpus's folder. ``train`` beside ``test`` lists what a fold trains and
validates on; without it, that is all the rest. A file written by hand needs ``folds`` alone.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import re
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from eval.corpora.corpus import Corpus
from eval.fold_files import Entry, FromFile, Listed, Members, bind
from eval.fold_matching import utterance_id
from search_spaces.errors import NasError, nearest

FORMAT = "nas folds 1"
KEYS = ("format", "corpus", "protocol", "speaker_dependent", "source", "utterances", "folds")
FOLD_KEYS = ("name", "test", "train", "inner")


def corpus_identity(corpus: Corpus) -> dict[str, Any]:
    """Return what tells a corpus from another one, wherever it lies."""
    rows = sorted(
        [utterance_id(u.path, corpus.root), u.label, u.speaker, u.session, u.split]
        for u in corpus.utterances
    )
    digest = hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
    return {
        "name": corpus.name,
        "utterances": len(corpus.utterances),
        "classes": list(corpus.classes),
        "digest": digest,
    }


def render(
    corpus: Corpus,
    members: Sequence[Members],
    *,
    protocol: str,
    speaker_dependent: bool,
    source: str | None = None,
) -> str:
    """Write folds as text.

    Args:
        corpus: Whose they are.
        members: The folds.
        protocol: Its name.
        speaker_dependent: Whether a voice is on both sides of one.
        source: Where they were read, if not made here.
    """
    head: dict[str, Any] = {
        "format": FORMAT,
        "corpus": corpus_identity(corpus),
        "protocol": protocol,
        "speaker_dependent": speaker_dependent,
    }
    if source is not None:
        head["source"] = source
    lines = [f" {_text(k)}: {_text(v)}," for k, v in head.items()]
    rows = [
        _text([utterance_id(u.path, corpus.root), u.label, u.speaker]) for u in corpus.utterances
    ]
    lines.append(f' "utterances": {_listed(rows, "  ")},')
    folds = ",\n".join(_fold(m, len(rows)) for m in members)
    return "{\n" + "\n".join(lines) + f'\n "folds": [\n{folds}\n ]\n}}\n'


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        NasError: The file exists, or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        if path.exists():
            raise NasError(
                "the output exists already", where=str(path), hint="choose another --out"
            )
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise NasError(
            f"cannot write it: {error.strerror}", where=str(path), hint="choose another --out"
        ) from None


def _fold(m: Members, total: int) -> str:
    parts = [f'  {{"name": {_text(m.name)}', f'   "test": {_listed(map(_text, m.test), "    ")}']
    if len(m.test) + len(m.fit) < total:
        parts.append(f'   "train": {_listed(map(_text, m.fit), "    ")}')
    inner = ",\n".join(
        f'    {{"name": {_text(name)},\n     "validation": {_listed(map(_text, ids), "      ")}}}'
        for name, ids in m.inner
    )
    if inner:
        parts.append(f'   "inner": [\n{inner}\n   ]')
    return ",\n".join(parts) + "}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _listed(rows: Any, indent: str) -> str:
    return "[\n" + ",\n".join(indent + row for row in rows) + "\n" + indent[:-1] + "]"


def read_json(
    path: Path, corpus: Corpus, *, dropped: frozenset[str] = frozenset(), share: bool = False
) -> FromFile:
    """Read folds of a corpus.

    Args:
        path: The file.
        corpus: Whose they must be.
        dropped: See `eval.fold_files.bind`.
        share: See `eval.fold_files.bind`.

    Raises:
        NasError: No such file, not of this form, or not of this corpus, with the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NasError(f"cannot read it: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise NasError("not UTF-8 text", where=str(path)) from None
    try:
        document = _PlacedDecoder().decode(text)
    except json.JSONDecodeError as error:
        raise NasError(
            f"not JSON: {error.msg}",
            where=f"{path}:{error.lineno}",
            hint="give a file of nas data folds --out, or the folder of EmoBox's folds",
        ) from None
    reader = _Reader(path, text)
    if not isinstance(document, dict) or not isinstance(document.get("folds"), list):
        raise NasError('this must be a mapping with a list "folds"', where=str(path))
    reader.known(document, KEYS)
    if document.get("format", FORMAT) != FORMAT:
        raise NasError(
            f"a fold file of format {document['format']!r}, this nas reads {FORMAT!r}",
            where=str(path),
        )
    table = {e.path: e for e in reader.utterances(document.get("utterances", []))}
    folds = [reader.fold(i, fold, table) for i, fold in enumerate(document["folds"])]
    return bind(
        folds,
        corpus,
        str(path),
        source=document.get("source"),
        dropped=dropped,
        share=share,
        known=list(table.values()),
    )


class _Placed(str):
    """A text that knows where in its document it began."""

    __slots__ = ("at",)
    at: int


class _PlacedDecoder(json.JSONDecoder):
    """Reads JSON with the place of every text in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_string = self._placed
        self.scan_once = py_make_scanner(self)

    @staticmethod
    def _placed(document: str, end: int, strict: bool = True) -> tuple[str, int]:
        text, after = scanstring(document, end, strict)
        placed = _Placed(text)
        placed.at = end
        return placed, after


class _Reader:
    """Turns a document into listed folds; says where something is wrong."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._ends = [m.start() for m in re.finditer("\n", text)]

    def known(self, mapping: Any, keys: Sequence[str]) -> None:
        if not isinstance(mapping, dict):
            raise NasError(f"{mapping!r} must be a mapping", where=str(self._path))
        for key in mapping:
            if key not in keys:
                raise NasError(
                    f"unknown key {key!r}", where=str(self._path), hint=nearest(key, keys)
                )

    def utterances(self, rows: Any) -> list[Entry]:
        entries = []
        for row in rows if isinstance(rows, list) else [rows]:
            if not isinstance(row, list) or len(row) != 3 or not all(map(_is_placed, row)):
                raise NasError(
                    f'{row!r} in "utterances" must be [path, label, speaker]',
                    where=str(self._path),
                )
            entries.append(self._entry(row[0], label=str(row[1]), speaker=str(row[2])))
        return entries

    def fold(self, i: int, fold: Any, table: dict[str, Entry]) -> Listed:
        self.known(fold, FOLD_KEYS)
        name = str(fold.get("name", f"fold_{i + 1}"))
        test = self._entries(fold.get("test"), name, "test", table)
        fit = fold.get("train")
        if fit is not None:
            fit = self._entries(fit, name, "train", table)
        elif table:
            # all that the file knows: what the corpus has beside it has no place
            held = {e.path for e in test}
            fit = [e for e in table.values() if e.path not in held]
        inner = []
        for j, part in enumerate(fold.get("inner") or ()):
            self.known(part, ("name", "validation"))
            title = str(part.get("name", f"validation_{j + 1}"))
            inner.append((title, self._entries(part.get("validation"), name, title, table)))
        return Listed(name, test, fit, inner)

    def _entries(self, values: Any, fold: str, part: str, table: dict[str, Entry]) -> list[Entry]:
        if not isinstance(values, list) or not all(map(_is_placed, values)):
            raise NasError(
                f"{part!r} of fold {fold!r} must be a list of paths", where=str(self._path)
            )
        entries = []
        for value in values:
            known = table.get(value)
            entries.append(self._entry(value, label=known.label if known else None))
        return entries

    def _entry(self, text: _Placed, *, label: str | None, speaker: str | None = None) -> Entry:
        line = bisect.bisect_left(self._ends, text.at) + 1
        return Entry(self._path, line, str(text), label=label, speaker=speaker)


def _is_placed(value: Any) -> bool:
    return isinstance(value, _Placed)
