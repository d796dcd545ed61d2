"""Read ``manifest.csv``: ``path,label,speaker[,session][,split]``, one utterance a row."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from eval.bad_files import BadFiles, most_common
from eval.corpora.classes import ClassMap, map_labels
from eval.corpora.corpus import Corpus, Kind, Utterance
from eval.corpora.event_settings import read_settings
from search_spaces.errors import NasError, nearest

REQUIRED = ("path", "label", "speaker")
COLUMNS = (*REQUIRED, "session", "split")
SPLITS = ("train", "validation", "test")

KINDS: dict[str, Kind] = {
    ".wav": "audio",
    ".flac": "audio",
    ".ogg": "audio",
    ".npy": "features",  # or events: its header says
    ".npz": "events",
}

LEAST_UTTERANCES = 2  # of a class

_Row = tuple[int, list[str]]


def read_manifest(
    path: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    notes: Sequence[str] = (),
    synthetic: bool = False,
    class_map: ClassMap | None = None,
    bad: BadFiles | None = None,
) -> Corpus:
    """Read and check a manifest; the files it names must exist but are not read.

    Paths in it are relative to its own folder, or absolute. A byte-order mark and Windows line
    ends do no harm; empty lines are passed over. Of an ``.npy`` file the header is read: a
    structured array holds events, any other features.

    Args:
        path: The csv file.
        name: Of the corpus; the folder's name if not given.
        licence: Of the recordings, where known.
        notes: What a person should know.
        synthetic: Whether no person was ever recorded.
        class_map: The class of each label; of labels not in it, their own name.
        bad: Takes rows that cannot be used, and says whether to go on without them.

    Raises:
        NasError: A mistake in the manifest or in ``events.yaml`` beside it, with its line; or
            a corpus that nothing can be learned from.
    """
    bad = bad or BadFiles()
    rows = _rows(path)
    _, header = next(rows, (1, []))
    columns = _columns(path, header)
    body = list(rows)
    unused = _unused(columns, [row for _, row in body])
    root = path.parent.resolve()
    table: list[tuple[int, Utterance]] = []
    lines: dict[Path, int] = {}
    for line, row in body:
        where = f"{path}:{line}"
        with bad.noting():
            utterance = _utterance(where, columns, row, root, unused)
            if utterance.path in lines:
                raise NasError(
                    f"{utterance.path} stands here a second time",
                    where=where,
                    hint=f"the first is in line {lines[utterance.path]}; remove one",
                )
            lines[utterance.path] = line
            table.append((line, utterance))
    table, kind = _of_one_kind(path, table, bad)
    bad.settle()
    if kind is None:
        raise NasError("the manifest has no utterances", where=str(path))
    utterances = _frequent(path, table, class_map, bad)
    bad.settle()
    name = name or root.name
    if class_map is not None:
        labels = sorted({u.label for _, u in table})
        utterances = list(map_labels(utterances, labels, class_map, corpus=name, where=path))
    found_notes = check_whole(path, utterances)
    return Corpus(
        name=name,
        root=root,
        utterances=tuple(utterances),
        classes=tuple(sorted({u.label for u in utterances})),
        kind=kind,
        licence=licence,
        notes=(*notes, *found_notes),
        events=read_settings(root) if kind == "events" else None,
        synthetic=synthetic,
    )


def _of_one_kind(
    path: Path, table: list[tuple[int, Utterance]], bad: BadFiles
) -> tuple[list[tuple[int, Utterance]], Kind | None]:
    """Return the rows that hold what most do, and what that is; take note of the others."""
    kinds = [_kind(u.path) for _, u in table]
    usual = most_common(kinds)
    for (line, u), kind in zip(table, kinds, strict=True):
        if kind != usual:
            error = NasError(
                f"{u.path.name} holds {kind}, the corpus {usual}",
                where=f"{path}:{line}",
                hint="a corpus is all audio, all features or all events; make two manifests",
            )
            bad.add(error)
    return [row for row, kind in zip(table, kinds, strict=True) if kind == usual], usual


def _frequent(
    path: Path, table: list[tuple[int, Utterance]], class_map: ClassMap | None, bad: BadFiles
) -> list[Utterance]:
    """Take note of labels too rare to learn, as a label that is misspelt is."""
    mapped = class_map or {}
    counts = Counter(mapped.get(u.label, u.label) for _, u in table)
    common = [label for label, n in counts.items() if label and n >= LEAST_UTTERANCES]
    if not common:
        return [u for _, u in table]  # that is what is wrong with it, and said in a moment
    kept = []
    for line, u in table:
        label = mapped.get(u.label, u.label)
        if label is None or counts[label] >= LEAST_UTTERANCES:
            kept.append(u)
            continue
        n = counts[label]
        bad.add(
            NasError(
                f"label {label!r} has {n} utterance{'s' * (n > 1)}",
                where=f"{path}:{line}",
                hint=f"a label needs at least {LEAST_UTTERANCES}; {nearest(label, common)};"
                " or merge it with another or drop it, as with --classes",
            )
        )
    return kept


def _rows(path: Path) -> Iterator[_Row]:
    """Yield the line number and the stripped cells of each row that is not empty."""
    line = 1
    try:
        # what is no UTF-8 is put where a row can be named for it
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                line = reader.line_num
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield line, cells
    except csv.Error as error:
        raise NasError(f"not a csv file: {error}", where=f"{path}:{line + 1}") from None
    except OSError as error:
        raise NasError(f"cannot read it: {error.strerror}", where=str(path)) from None


def _columns(path: Path, header: list[str]) -> list[str]:
    where = f"{path}:1"
    _refuse_other_encoding(where, header)
    if not header:
        raise NasError("the manifest is empty", where=where, hint=_header_hint())
    for column in header:
        if column not in COLUMNS:
            commas = "separate columns by commas; " if ";" in column or "\t" in column else ""
            raise NasError(
                f"unknown column {column!r}", where=where, hint=commas + nearest(column, COLUMNS)
            )
        if header.count(column) > 1:
            raise NasError(f"column {column!r} stands here twice", where=where)
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise NasError(f"missing column {missing[0]!r}", where=where, hint=_header_hint())
    return header


def _refuse_other_encoding(where: str, cells: list[str]) -> None:
    for cell in cells:
        if "\ufffd" in cell or "\0" in cell:
            shown = cell.replace("\0", "")
            raise NasError(
                f"not UTF-8 text: {shown!r}", where=where, hint="save the manifest as UTF-8"
            )


def _header_hint() -> str:
    return "the first line must be path,label,speaker (and session, split if any)"


def _unused(columns: list[str], rows: list[list[str]]) -> frozenset[str]:
    """Return the optional columns that no row fills."""
    places = ((c, i) for i, c in enumerate(columns) if c not in REQUIRED)
    return frozenset(c for c, i in places if not any(row[i] for row in rows if i < len(row)))


def _utterance(
    where: str, columns: list[str], row: list[str], root: Path, unused: frozenset[str]
) -> Utterance:
    _refuse_other_encoding(where, row)
    if len(row) != len(columns):
        raise NasError(
            f"{len(row)} cells under {len(columns)} columns",
            where=where,
            hint='put a cell that holds a comma between double quotes: "a,b"',
        )
    cells = {c: cell for c, cell in zip(columns, row, strict=True) if c not in unused}
    for column, cell in cells.items():
        if not cell:
            hint = None if column in REQUIRED else "fill it in every row, or in none"
            raise NasError(f"the cell of column {column!r} is empty", where=where, hint=hint)
    path = root / cells["path"]  # an absolute path replaces the root
    if path.suffix.lower() not in KINDS:
        raise NasError(
            f"{path.name} has an unknown extension {path.suffix!r}",
            where=where,
            hint=f"known: {', '.join(KINDS)}",
        )
    if not path.is_file():
        raise NasError(
            f"no file {path}", where=where, hint=f"paths are relative to {root}, or absolute"
        )
    split = cells.get("split")
    if split is not None and split not in SPLITS:
        raise NasError(f"unknown split {split!r}", where=where, hint=nearest(split, SPLITS))
    return Utterance(path.resolve(), cells["label"], cells["speaker"], cells.get("session"), split)


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        try:
            structured = np.load(path, mmap_mode="r", allow_pickle=False).dtype.names is not None
        except (ValueError, OSError, EOFError):
            structured = False  # whoever reads it says what is wrong with it
        return "events" if structured else "features"
    return KINDS[suffix]


def check_whole(path: Path, utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """Refuse what nothing can be learned from.

    How many speakers there are is not asked here: `eval.folds` refuses what it cannot split,
    and a split by utterances or a measurement on all of a corpus needs no more than one.

    Args:
        path: The manifest or folder, for the error.
        utterances: All of them.

    Returns:
        Notes on what it can use only badly.

    Raises:
        NasError: Too few labels or utterances of a label; a split without a part.
    """
    counts = Counter(u.label for u in utterances)
    if len(counts) < 2:
        raise NasError(
            f"only one label, {utterances[0].label!r}",
            where=str(path),
            hint="there is nothing to tell apart; check the label column",
        )
    rare = sorted(label for label, count in counts.items() if count < LEAST_UTTERANCES)
    if rare:
        raise NasError(
            f"label {rare[0]!r} has {counts[rare[0]]} utterance",
            where=str(path),
            hint=f"a label needs at least {LEAST_UTTERANCES};"
            " merge it with another or drop it, as with --classes",
        )
    absent = [s for s in SPLITS if s not in {u.split for u in utterances}]
    if utterances[0].split is not None and absent:
        raise NasError(
            f"no row has the split {absent[0]!r}",
            where=str(path),
            hint="use train, validation and test, or leave the split column out",
        )
    voices: defaultdict[str, set[str]] = defaultdict(set)
    for u in utterances:
        voices[u.label].add(u.speaker)
    return tuple(
        f"label {label!r} is spoken by {next(iter(who))} only: some fold cannot learn it"
        for label, who in sorted(voices.items())
        if len(who) == 1
    )
