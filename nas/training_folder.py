"""The folder of a `nas train` while it lasts: what was asked for, and what is done of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from eval.cache import atomic_dir
from nas.evaluation import plain
from nas.out_folder import refuse_taken, writing
from nas.outer import EVENTS, PARTIAL, SAME_COMMAND
from nas.record import WriterLock
from nas.run_config import describe_environment, differences
from nas.runs import runs_folder
from search_spaces.errors import NasError

FORMAT = 1
FILE = "train.yaml"
ROWS = "rows.jsonl"
RESULT = "result.json"  # there when everything is done
TRAINING = "training"  # in an export: what is kept of the folder


def beside(out: Path) -> Path:
    """Return where the work for an export lies until it is done."""
    return out.with_name(f"{out.name}.training")


def open_folder(
    out: Path | None, request: Mapping[str, Any], model: str, corpus: str
) -> tuple[Path, WriterLock]:
    """Make the folder of a training, or find the one that the same request began.

    Args:
        out: Where the export will be, beside which the folder lies; None for a folder of its
            own among the runs, ``train-<model>-<corpus>-<n>``.
        request: All that the figures depend on.
        model: Hash of the architecture.
        corpus: Name of the corpus.

    Returns:
        The folder, and the lock that keeps other processes out.

    Raises:
        NasError: Another process trains there or has just written the export, it is the folder
            of another request, or none can be made.
    """
    asked = yaml.safe_load(yaml.safe_dump(plain(request)))
    if out is None:
        folder = _among_runs(asked, model, corpus)
        return folder, WriterLock(folder)
    folder = beside(out)
    new = not folder.exists()
    if new:
        _make(folder, asked)
    if different := differences(_read(folder), asked):
        raise NasError(
            "this is not the training that was begun: " + "; ".join(different),
            where=str(folder),
            hint="train with the same settings, choose another --out, or delete the folder",
        )
    with writing(folder):  # whoever had the lock may have deleted it just now
        lock = WriterLock(folder)
    try:
        # whoever had the lock until now has written the export
        refuse_existing(out)
    except NasError:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        raise
    return folder, lock


def refuse_existing(out: Path) -> None:
    """Refuse to write an export where something lies already, or nothing can.

    Raises:
        NasError: It exists, or cannot be made.
    """
    work = beside(out)
    if out.exists() and (work / FILE).is_file() and _same(out / TRAINING / FILE, work / FILE):
        # the export is whole, and the process was killed right after, or is deleting it too
        shutil.rmtree(work, ignore_errors=True)
    refuse_taken(out)


def finish(work: Path, result: Mapping[str, Any]) -> None:
    """Keep the result of a training that stays in its own folder."""
    from nas.cli.output import finite

    temporary = work / f".{RESULT}.partial"
    text = json.dumps(finite(result), indent=2, ensure_ascii=False)
    temporary.write_text(f"{text}\n", encoding="utf-8")
    temporary.replace(work / RESULT)
    shutil.rmtree(work / PARTIAL, ignore_errors=True)


def deliver(work: Path, made: Path, out: Path, again: str = SAME_COMMAND) -> None:
    """Give a whole export its name, with what is worth keeping of its training inside.

    Args:
        work: The folder of the training, which is deleted.
        made: The export.
        out: Its name.
        again: The command that goes on, for errors to name.

    Raises:
        NasError: Something lies there by now, or nothing can be written there; the folder of
            the training stays.
    """
    try:
        refuse_taken(out)  # made by somebody else in the meantime
        with writing(out):
            kept = made / TRAINING
            kept.mkdir()
            for name in (FILE, ROWS):
                shutil.copyfile(work / name, kept / name)
            shutil.copytree(work / EVENTS, kept / EVENTS)
            made.replace(out)
    except NasError as error:
        raise NasError(
            error.what,
            where=error.where,
            hint=f"what was trained is kept in {work}: make room for the export,"
            f" then go on with: {again}",
        ) from None
    shutil.rmtree(work, ignore_errors=True)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()


def _among_runs(asked: Mapping[str, Any], model: str, corpus: str) -> Path:
    name = re.sub(r"[^\w.+=-]+", "_", corpus) or "corpus"
    for n in count(1):
        folder = runs_folder() / f"train-{model}-{name}-{n}"
        if not folder.exists():
            _make(folder, asked)
        if not (folder / RESULT).exists() and _is_of(folder, asked):
            return folder
    raise AssertionError


def _is_of(folder: Path, asked: Mapping[str, Any]) -> bool:
    try:
        return not differences(_read(folder), asked)
    except NasError:
        return False


def _make(folder: Path, asked: Mapping[str, Any]) -> None:
    """Make a folder for a request; where another process was first, theirs is kept."""
    document = {"format": FORMAT, "request": asked, "created": describe_environment()}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    with writing(folder), atomic_dir(folder) as making:
        (making / FILE).write_text(text, encoding="utf-8")


def _read(folder: Path) -> dict[str, Any]:
    """Return the request that a folder was made for."""
    try:
        document = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
        if document["format"] == FORMAT:
            return dict(document["request"])
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        pass
    raise NasError(
        f"this is no training of this version: there is no {FILE} to read",
        where=str(folder),
        hint="choose another --out, or delete the folder",
    )
