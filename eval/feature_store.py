"""Extracted features in the cache: what there is, what of it serves another corpus, and away."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.bad_files import BadFiles
from eval.cache import is_scratch, scratch_dir
from eval.corpora.corpus import Utterance
from eval.feature_damage import damage, remove_folder
from eval.file_digests import file_digests
from eval.frame_file import FRAMES, MACS, OFFSETS
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError, nearest

# Part of every key: raise it when the same audio would give other frames.
VERSION = 1

UNFINISHED = "unfinished-"
_ABOUT = "about.json"
_ITEMS = "items.npy"
_LEFT_OUT = ".left-out.json"

# Of what can be used: raise it when more can. Before they had a number, the width of the first
# file was taken for that of all.
_RULES = 2


@dataclass(frozen=True)
class Setting:
    """What decides the frames of a recording, beside its content.

    Args:
        encoder: As a person names it; no part of the key.
        revision: Which weights.
        layer: Of the encoder.
        frame_rate: Of the pooled frames [Hz].
        precision: Of the encoder's arithmetic.
    """

    encoder: str
    revision: str
    layer: int
    frame_rate: float
    precision: str = "fp32"

    def told(self) -> list[Any]:
        """Return what keys are made of; defaults that came later are left out of it."""
        told: list[Any] = [self.revision, self.layer, self.frame_rate]
        return told if self.precision == "fp32" else [*told, ["precision", self.precision]]

    @property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(json.dumps([VERSION, *self.told()]).encode()).hexdigest()


def corpus_key(kind: str, digests: Sequence[str], *settings: object) -> str:
    """Return the name of a corpus's features: of contents in order, not of names.

    Moving a corpus costs nothing, editing it does.
    """
    digest = hashlib.sha256(json.dumps([VERSION, kind, *settings]).encode())
    for file in digests:
        digest.update(file.encode())
    return digest.hexdigest()


def describe(
    folder: Path, corpus: str, kind: str, setting: Setting | None, items: Sequence[str]
) -> None:
    """Say in a folder of features what they are and of which recordings.

    Args:
        folder: Of the features; it need not bear its name yet.
        corpus: The corpus's name.
        kind: ``audio`` or ``features``.
        setting: Of audio.
        items: Of each utterance the digest, and the length where the recording was cut.
    """
    about = {"corpus": corpus, "kind": kind, "setting": setting.key if setting else None}
    about |= asdict(setting) if setting else {}
    np.save(folder / _ITEMS, np.array(items, dtype=np.bytes_))
    (folder / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def describe_older(
    folder: Path, corpus: str, kind: str, setting: Setting | None, items: Sequence[str]
) -> None:
    """Do as `describe` for a folder that was made before folders said so."""
    if (folder / _ABOUT).is_file():
        return
    with contextlib.suppress(OSError, NasError), scratch_dir(folder.parent) as scratch:
        describe(scratch, corpus, kind, setting, items)
        for name in (_ITEMS, _ABOUT):  # the second says that both are there
            (scratch / name).replace(folder / name)


def left_out(key: str) -> dict[int, str]:
    """Return what was left out of a corpus: the number of each utterance, and why.

    Args:
        key: That the corpus would have with all of them.
    """
    try:
        told = json.loads(_left_out_path(key).read_text(encoding="utf-8"))
        known = told["why"] if told["rules"] == _RULES else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return {int(number): why for number, why in known.items()}


def readable(
    utterances: Sequence[Utterance], key_of: Callable[[list[str]], str], bad: BadFiles
) -> dict[Utterance, str]:
    """Return the digests of files, but of those known to be of no use if they are to be skipped.

    Args:
        utterances: Of a corpus.
        key_of: The key of a corpus whose files have given digests.
        bad: Takes what cannot be used.

    Raises:
        NasError: Files that cannot be read, unless they are to be skipped.
    """
    digests: dict[Utterance, str] = {}
    found = file_digests([u.path for u in utterances])
    for u, digest in zip(utterances, found, strict=True):
        if isinstance(digest, NasError):
            bad.add(digest)
        else:
            digests[u] = digest
    bad.settle()
    out = left_out(key_of(list(digests.values()))) if bad.skip else {}
    for i, u in enumerate(list(digests)):
        if i in out:
            bad.add(NasError(out[i], where=str(u.path)))
            del digests[u]
    return digests


def remember_left_out(
    key: str, tried: Iterable[Utterance], used: Container[Utterance], bad: BadFiles, made: str
) -> None:
    """Keep for the next time what cannot be used, so that nobody reads it again.

    Args:
        key: That the corpus would have with all of them.
        tried: All of them.
        used: Those that could be used.
        bad: Says why the others could not.
        made: The key of the features without them; forgotten as they are removed.
    """
    reasons = {b.where: b.why for b in bad.found}
    why = {i: reasons.get(str(u.path), "") for i, u in enumerate(tried) if u not in used}
    if why:
        told = {"features": made, "rules": _RULES, "why": why}
        path = _left_out_path(key)
        with scratch_dir(path.parent) as scratch:
            (scratch / path.name).write_text(json.dumps(told), encoding="utf-8")
            (scratch / path.name).replace(path)


def _left_out_path(key: str) -> Path:
    return cache_dir("features", f"{key}{_LEFT_OUT}")


def finished(setting: Setting) -> dict[str, tuple[Path, int]]:
    """Return where utterances of a setting lie: their folder, and their number in it.

    Damaged folders are passed over.
    """
    found: dict[str, tuple[Path, int]] = {}
    for about in cache_dir("features").glob(f"*/{_ABOUT}"):
        with contextlib.suppress(OSError, EOFError, ValueError, KeyError):
            if _about(about.parent).get("setting") != setting.key:
                continue
            items = np.load(about.parent / _ITEMS).tolist()
            if damage(about.parent) is None and len(items) == len(np.load(about.parent / MACS)):
                for i, name in enumerate(items):
                    found.setdefault(name.decode(), (about.parent, i))
    return found


@dataclass(frozen=True)
class Shelf:
    """A folder of features.

    Args:
        key: Its name.
        what: ``audio``, ``features``, ``event clips``, ``unfinished``, ``damaged`` or
            ``unknown``: one made by an earlier version and not used since.
        size: On disk [bytes].
        utterances: How many, where that is known.
        frames: Of all of them.
        dim: Width of a frame.
        corpus: Of the first corpus that it was made for, the name.
        encoder: Of audio.
        layer: Of audio.
        frame_rate: Of audio [Hz].
        precision: Of audio.
    """

    key: str
    what: str
    size: int
    utterances: int | None = None
    frames: int | None = None
    dim: int | None = None
    corpus: str | None = None
    encoder: str | None = None
    layer: int | None = None
    frame_rate: float | None = None
    precision: str | None = None


def shelves() -> list[Shelf]:
    """Return what lies in the cache, the largest first."""
    root = cache_dir("features")
    found = [_shelf(f) for f in root.iterdir() if f.is_dir()] if root.is_dir() else []
    return sorted((s for s in found if s is not None), key=lambda s: (-s.size, s.key))


def remove(key: str) -> Shelf:
    """Remove a folder of features.

    Args:
        key: The beginning of its name, as far as it is unambiguous.

    Raises:
        NasError: None, or several that begin so.
    """
    every = shelves()
    found = [s for s in every if key and s.key.startswith(key)]
    if not found:
        hint = nearest(key, [s.key[:12] for s in every]) if every else "the cache has none"
        raise NasError(f"no features {key!r} in the cache", hint=hint)
    if len(found) > 1:
        keys = ", ".join(s.key[:16] for s in found)
        raise NasError(f"{key!r} is the beginning of {len(found)} keys", hint=f"of {keys}")
    folder = cache_dir("features", found[0].key)
    remove_folder(folder)
    for path in folder.parent.glob(f"*{_LEFT_OUT}"):
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text(encoding="utf-8"))["features"] == folder.name:
                path.unlink()
    return found[0]


def size_of(folder: Path) -> int:
    """Return what a folder holds [bytes]."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _about(folder: Path) -> dict[str, Any]:
    """Return what `describe` wrote; nothing where it cannot be read."""
    try:
        told = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _shelf(folder: Path) -> Shelf | None:
    if is_scratch(folder):
        return None  # another process is at it
    told = _about(folder)
    try:
        size = size_of(folder)
        if folder.name.startswith(UNFINISHED):
            return Shelf(folder.name, "unfinished", size)
        if damage(folder) is not None:
            return Shelf(folder.name, "damaged", size, corpus=told.get("corpus"))
        frames, dim = np.load(folder / FRAMES, mmap_mode="r").shape
        n = len(np.load(folder / OFFSETS)) - 1
    except OSError:
        return None  # another process removed it
    clips = (folder / "told.json").is_file()
    names = ("corpus", "encoder", "layer", "frame_rate", "precision")
    return Shelf(
        folder.name,
        told.get("kind", "event clips" if clips else "unknown"),
        size,
        n,
        int(frames),
        int(dim),
        **{name: told.get(name) for name in names},
    )
