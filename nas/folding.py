"""Protocols in requests, in records, and in what is said about results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.corpora import Corpus
    from eval.fold_files import Members
    from eval.folds import Table
    from eval.protocols import Folding

# What a request for a split may hold; None each for the corpus's usual protocol.
KEYS = ("protocol", "speaker_dependent", "folds")

FILE = "folds.json"  # in a run's folder and an export: what the figures are of

# A record with a digest under "folds" had its folds from a file, and the file beside it is read.
# Without one they come from the protocol it names, and the file is for people and for --folds.

WARNING = (
    "speaker-dependent: tested on voices known from training, not comparable with"
    " speaker-independent figures"
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """How the corpus of a request is split.

    Args:
        corpus: Opened as the request says.
        folding: Its protocol.
    """

    corpus: Corpus
    folding: Folding

    def file(self, table: Table | None = None) -> str:
        """Return the content of ``folds.json``, which ``--folds`` reads back.

        Args:
            table: See `eval.folding.members_of`.
        """
        from eval.fold_files import FromFile
        from eval.fold_json import render
        from eval.folding import members_of, share_voices

        splitter = self.folding.splitter
        if isinstance(splitter, FromFile):
            members: Sequence[Members] = splitter.members
        else:
            members = members_of(self.folding, self.corpus, table)
        return render(
            self.corpus,
            members,
            protocol=self.folding.name,
            speaker_dependent=share_voices(members, self.corpus),
            source=self.source(),
        )

    def source(self) -> str | None:
        """Return where the folds were first read, where they came from a file."""
        from eval.fold_files import FromFile

        splitter = self.folding.splitter
        return splitter.source if isinstance(splitter, FromFile) else None

    def digest(self) -> str | None:
        """Return what tells folds of a file from others; None of a named protocol."""
        from eval.fold_files import FromFile

        splitter = self.folding.splitter
        return splitter.digest() if isinstance(splitter, FromFile) else None


def open_split(request: Mapping[str, Any], say: Say, test_fold: int | None = None) -> Split:
    """Open the corpus of a request and see that it can be split, before it is encoded.

    Args:
        request: ``data``, ``class_map``, ``skip_bad``, and what ``KEYS`` names.
        say: Told what is fetched.
        test_fold: The outer fold whose inner folds are tried too.

    Raises:
        NasError: The corpus cannot be opened, or not be split so.
    """
    from eval.bad_files import BadFiles
    from eval.corpora import open_corpus, read_class_map
    from eval.folding import choose_folding
    from eval.folds import Groups

    class_map = read_class_map(request.get("class_map"))
    bad = BadFiles(skip=bool(request.get("skip_bad")), offer=True)
    corpus = open_corpus(request.get("data"), say, class_map, bad)
    folding = choose_folding(
        corpus,
        protocol=request.get("protocol"),
        folds=request.get("folds"),
        speaker_dependent=bool(request.get("speaker_dependent")),
        class_map=class_map,
    )
    table = Groups.of(corpus)
    outer = folding.outer(table)
    if test_fold is not None and 0 <= test_fold < len(outer):
        folding.inner(table, outer[test_fold].fit)
    return Split(corpus, folding)


def open_recorded(
    request: Mapping[str, Any], record: Mapping[str, Any], folder: Path, say: Say
) -> Split:
    """Open a corpus with the split of a record.

    Args:
        request: ``data`` and ``class_map``.
        record: See `recorded`.
        folder: See `recorded`.
        say: Told what is fetched.

    Raises:
        NasError: As `open_split`, or the file of the folds is not the one of the record.
    """
    split = open_split({**request, **recorded(record, folder)}, say)
    if split.digest() != record.get("folds"):
        raise NasError(
            "these are not the folds of the record: the file has changed",
            where=str(folder / FILE),
            hint="put the file back, or start again with --folds",
        )
    return split


def kept_folds(record: Mapping[str, Any], folder: Path, scratch: Path, say: Say) -> Path | None:
    """Return the file with the folds of a run; one that kept none gets it from its corpus.

    Args:
        record: The evaluator's part of ``run.yaml``.
        folder: Of the run.
        scratch: Where a file may be made.
        say: Told why there is none.
    """
    if record.get("kind") != "corpus":
        return None
    kept = folder / FILE
    if kept.is_file() or record.get("folds"):
        return kept
    try:
        content = _folds_again(record, folder, say)
    except NasError as error:
        say(f"without {FILE}, which this run of an older nas did not keep: {error.what}")
        return None
    made = scratch / FILE
    made.write_text(content, encoding="utf-8")
    return made


def _folds_again(record: Mapping[str, Any], folder: Path, say: Say) -> str:
    from eval.corpora.corpus import EVENT_KINDS
    from eval.folds import Groups

    source = record.get("source") or {}
    if source.get("skipped") or source.get("kind") in EVENT_KINDS:
        raise NasError("what was left out or cut is known to the search alone")
    split = open_recorded(record, record, folder, say)
    table = Groups.of(split.corpus)
    names = []
    for held in split.folding.outer(table)[record["test_fold"] :][:1]:
        inner = split.folding.inner(table, held.fit, record.get("validation_folds"))
        names = [held.name, *(f.name for f in inner)]
    known = [source.get("utterances"), record["test"], *record["validation"]]
    if [len(table.speakers), *names] != known:
        raise NasError("its corpus has changed since the search", where=str(split.corpus.root))
    return split.file()


def recorded(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the request for the split of a record.

    Args:
        record: The evaluator's part of ``run.yaml``, or an export's ``config.json``. One that
            names no protocol was written before they had names, and means the automatic one.
        folder: Where it lies, and the file with its folds.
    """
    from eval.splitters import AUTOMATIC

    return {
        "protocol": record.get("protocol") or AUTOMATIC,
        "speaker_dependent": bool(record.get("speaker_dependent")),
        "folds": str(folder / FILE) if record.get("folds") else None,
    }


def described(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every document of results says of the split; nothing without a corpus."""
    if record.get("kind", "corpus") != "corpus":
        return {}
    from eval.splitters import AUTOMATIC

    return {
        "protocol": record.get("protocol") or AUTOMATIC,
        "speaker_dependent": bool(record.get("speaker_dependent")),
    }


def speaker_dependent(record: Mapping[str, Any]) -> bool:
    """Tell whether the figures under a record are of voices known from training."""
    return bool(record.get("speaker_dependent"))
