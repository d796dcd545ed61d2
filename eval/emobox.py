r"""Folds as the EmoBox benchmark lays them out (github.com/emo-box/EmoBox, data/CORPUS).

    iemocap/fold_1/iemocap_train_fold_1.jsonl     also _valid_ where a corpus has such a part
    iemocap/fold_1/iemocap_test_fold_1.jsonl

A line is a JSON object: ``key``, ``dataset``, ``wav`` (``audio`` in some), ``type``,
``sample_rate``, ``num_frame``, ``task``, ``length`` [s], ``emo`` (``label`` in some), ``channel``.
There is no speaker in it. Read and tried at commit 08280f2; the same folders hold .json files of
the same content, which are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from eval.audio import ENDLESS, sound_name
from eval.cache import atomic_dir
from eval.corpora.corpus import Corpus, Utterance
from eval.fold_files import Entry, FromFile, Listed, Members, bind
from eval.fold_matching import utterance_id
from search_spaces.errors import NasError

PATHS, LABELS = ("wav", "audio"), ("emo", "label")
VALID = "valid"

_FOLDER = re.compile(r"fold_?(\d+)")
_FILE = re.compile(r"(?:.*_)?(train|valid|test)(?:_fold_?\d+)?\.jsonl")
_REGULAR = re.compile(r".*_fold_\d+\.jsonl")  # emodb has every file twice, once as _fold1


def read_emobox(
    folder: Path, corpus: Corpus, *, dropped: frozenset[str] = frozenset(), share: bool = False
) -> FromFile:
    """Read the folds of a corpus.

    Args:
        folder: With the folders ``fold_1``, ``fold_2``, ...
        corpus: Whose they must be.
        dropped: See `eval.fold_files.bind`.
        share: See `eval.fold_files.bind`.

    Raises:
        NasError: Not laid out so, a line that cannot be read, or not of this corpus.
    """
    numbered = sorted(
        (int(match[1]), child)
        for child in folder.iterdir()
        if child.is_dir() and (match := _FOLDER.fullmatch(child.name))
    )
    if not numbered:
        raise NasError(
            "no folder fold_1 in it",
            where=str(folder),
            hint="give the folder of one corpus out of EmoBox's data/, or a file of nas data"
            " folds --out",
        )
    folds = []
    for _, place in numbered:
        parts = {name: list(_entries(file)) for name, file in _files(place).items()}
        valid = parts.get(VALID, [])
        inner = [(VALID, valid)] if valid else []
        folds.append(Listed(place.name, parts["test"], [*parts["train"], *valid], inner))
    return bind(folds, corpus, str(folder), dropped=dropped, share=share)


def _files(folder: Path) -> dict[str, Path]:
    found: dict[str, list[Path]] = {"train": [], "test": []}
    for file in sorted(folder.glob("*.jsonl")):
        if match := _FILE.fullmatch(file.name):
            found.setdefault(match[1], []).append(file)
    for part, files in found.items():
        regular = [f for f in files if _REGULAR.fullmatch(f.name)]
        found[part] = files = regular if len(regular) == 1 else files
        if len(files) != 1:
            raise NasError(
                f"{len(files) or 'no'} files of the {part} part",
                where=str(folder),
                hint=f"one is needed, as CORPUS_{part}_{folder.name}.jsonl",
            )
    return {part: files[0] for part, files in found.items()}


def _entries(file: Path) -> Iterator[Entry]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NasError(f"cannot read it: {error}", where=str(file)) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise NasError(f"not JSON: {error.msg}", where=f"{file}:{number}") from None
        path, key = (_first(row, names) for names in (PATHS, ("key",)))
        if path is None and key is None:
            raise NasError(
                "neither a wav nor a key", where=f"{file}:{number}", hint="a line needs one"
            )
        label = _first(row, LABELS)
        yield Entry(file, number, path or "", key, label, _first(row, ("speaker",)))


def _first(row: Any, names: Sequence[str]) -> str | None:
    found = [row[n] for n in names if isinstance(row, dict) and isinstance(row.get(n), str)]
    return found[0] if found else None


def write_emobox(folder: Path, corpus: Corpus, members: Sequence[Members]) -> None:
    """Write folds the way EmoBox does, with a ``speaker`` beside and our classes as ``emo``.

    A fold with one inner fold has its validation part in a file; several inner folds have no
    place in this form, and are made again from what is trained on.

    Raises:
        NasError: The folder exists, or cannot be written.
    """
    if folder.exists():
        raise NasError(
            "the output folder exists already", where=str(folder), hint="choose another --out"
        )
    every = {utterance_id(u.path, corpus.root): u for u in corpus.utterances}
    rows = {name: json.dumps(_row(name, u, corpus)) + "\n" for name, u in every.items()}
    with atomic_dir(folder) as made:
        for number, m in enumerate(members, 1):
            place = made / f"fold_{number}"
            place.mkdir()
            valid = m.inner[0][1] if len(m.inner) == 1 else ()
            validated = set(valid)
            train = [name for name in m.fit if name not in validated]
            parts: dict[str, Sequence[str]] = {"train": train, VALID: valid, "test": m.test}
            for part, names in parts.items():
                if names:
                    file = place / f"{corpus.name}_{part}_fold_{number}.jsonl"
                    file.write_text("".join(rows[n] for n in names), encoding="utf-8")


def _row(name: str, utterance: Utterance, corpus: Corpus) -> dict[str, Any]:
    stem = PurePosixPath(name).with_suffix("").as_posix().strip("/").replace("/", "-")
    row: dict[str, Any] = {"key": f"{corpus.name}-{stem}", "dataset": corpus.name, "wav": name}
    row |= {"type": "raw", **_header(utterance.path, corpus), "task": "category"}
    return {**row, "emo": utterance.label, "speaker": utterance.speaker}


def _header(path: Path, corpus: Corpus) -> dict[str, Any]:
    """Return what a recording's header says; nothing where there is none to read."""
    import soundfile

    if corpus.kind != "audio":
        return {}
    try:
        info = soundfile.info(sound_name(path))
    except (soundfile.LibsndfileError, RuntimeError):
        return {}  # nas data check says what is wrong with it
    told = {"sample_rate": info.samplerate, "channel": info.channels}
    if info.frames == ENDLESS:
        return told
    return {**told, "num_frame": info.frames, "length": info.frames / info.samplerate}
