"""MSP-Podcast (Lotfian & Busso 2019): spontaneous speech out of podcasts, with an official split.

    Labels/labels_consensus.csv (or .json)    EmoClass, SpkrID, Split_Set of every file
    Audios/MSP-PODCAST_0001_0008.wav

Train is trained on, Development (or Validation) validated on, Test1 tested on; Test2 and Test3
are left out. The eight classes leave out O (other) and X (no agreement). No copy of it was at
hand when this was written. Inferred: the column ``FileName``, the json file as a mapping of
file names to the same columns, and that a speaker nobody identified is called ``Unknown``.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from eval.corpora.corpus import Utterance
from eval.corpora.layout import Layout, Published, Reading, some
from search_spaces.errors import NasError, nearest

LABELS = ("Labels/labels_consensus.csv", "Labels/labels_consensus.json")
AUDIOS = ("Audios", "Audio")
COLUMNS = ("FileName", "EmoClass", "SpkrID", "Split_Set")
UNKNOWN = "unknown"

SPLITS = {
    "train": "train",
    "development": "validation",
    "validation": "validation",
    "test1": "test",
    "test2": None,
    "test3": None,
}

# Segments of the releases 1.11 and 1.12, all labels together.
PARTS = {"test1": 30_647, "test2": 14_815, "test3": 2_347}

CLASSES: dict[str, str | None] = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": None,
    "X": None,
}

_Row = tuple[str, Mapping[str, Any]]  # where it stands, its cells


def _find(folder: Path, _files: Iterable[str]) -> bool:
    audio = any((folder / a).is_dir() for a in AUDIOS)
    labels = any((folder / name).is_file() for name in LABELS)
    return labels or (audio and any(_recordings(folder).glob("MSP-PODCAST_*.wav")))


def _recordings(folder: Path) -> Path:
    return next((folder / a for a in AUDIOS if (folder / a).is_dir()), folder / AUDIOS[0])


def _read(folder: Path) -> Reading:
    """Read the label file.

    Raises:
        NasError: No label file, or a column, label or part that is not known.
    """
    audio = _recordings(folder.resolve())
    present = {p.name for p in audio.iterdir()} if audio.is_dir() else set()
    utterances: list[Utterance] = []
    parts: Counter[str] = Counter()
    silent: list[str] = []
    nameless = 0
    for where, row in _rows(folder):
        for column in COLUMNS:
            if not row.get(column):
                raise NasError(
                    f"no {column} here", where=where, hint=f"every row needs {', '.join(COLUMNS)}"
                )
        label, named = str(row["EmoClass"]), str(row["Split_Set"])
        part = named.lower()
        if label not in CLASSES:
            raise NasError(
                f"unknown EmoClass {label!r}", where=where, hint=nearest(label, CLASSES)
            )
        if part not in SPLITS:
            hint = nearest(named, (s.capitalize() for s in SPLITS))
            raise NasError(f"unknown Split_Set {named!r}", where=where, hint=hint)
        parts[part] += 1
        split = SPLITS[part]
        if split is None:
            continue
        name, speaker = str(row["FileName"]), str(row["SpkrID"])
        if name not in present:
            silent.append(name)
            continue
        if speaker.lower() == UNKNOWN:
            nameless += CLASSES[label] is not None
            speaker = f"{UNKNOWN} ({split})"
        utterances.append(Utterance(audio / name, label, speaker, split=split))
    if not utterances:
        raise NasError(
            f"none of the {sum(parts.values())} labelled files has a recording",
            where=str(audio),
            hint="recordings are looked for in Audios/MSP-PODCAST_0001_0008.wav",
        )
    return Reading(tuple(utterances), tuple(_notes(parts, silent, nameless)))


def _notes(parts: Mapping[str, int], silent: list[str], nameless: int) -> Iterator[str]:
    otherwise = [
        f"{part} {parts[part]} instead of {count}"
        for part, count in PARTS.items()
        if part in parts and parts[part] != count
    ]
    if otherwise:
        yield f"not as published (releases 1.11 and 1.12), segments: {'; '.join(otherwise)}"
    left = [p for p in ("test2", "test3") if p in parts]
    if left:
        yield f"the official test set is Test1; left out: {', '.join(left)}"
    if silent:
        yield f"left out, labelled but without a recording: {some(silent)}"
    if nameless:
        yield (
            f"{nameless} utterances of the classes have no speaker's name: that none of these"
            " voices crosses the official split is its makers' word"
        )


def _rows(folder: Path) -> Iterator[_Row]:
    path = next((folder / name for name in LABELS if (folder / name).is_file()), None)
    if path is None:
        raise NasError("no label file here", where=str(folder), hint=f"needs {LABELS[0]}")
    try:
        if path.suffix == ".json":
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or not all(isinstance(v, dict) for v in data.values()):
                raise NasError("this must map file names to their labels", where=str(path))
            for name, cells in data.items():
                yield f"{path}:{name}", {"FileName": name, **cells}
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                yield f"{path}:{reader.line_num}", row
    except (ValueError, csv.Error) as error:  # of which not being UTF-8 is one
        raise NasError(f"cannot read the labels: {error}", where=str(path)) from None


MSP_PODCAST = Layout(
    name="msp-podcast",
    title="MSP-Podcast",
    source="Lotfian & Busso 2019",
    form="Labels/labels_consensus.csv (or .json) and Audios/MSP-PODCAST_0001_0008.wav",
    classes=CLASSES,
    published=Published({}, None),
    find=_find,
    read=_read,
)
