"""SEE, single-eye event-based emotion (Zhang et al., "In the Blink of an Eye", SIGGRAPH 2023).

111 people, a DAVIS346 camera at the right eye, 7 emotions, 4 kinds of light, 2,405 sequences;
arXiv 2310.04043. Nothing of it is fetched: whoever has it names its folder. Its layout is told
by ``Dataset_Instructions.md`` of github.com/zhanghaiwei1234/Single-eye-Emotion-Recognition:

    SEE/event/angry/1_001_man_24_Master_normal_angry_45_take000/00000.jpg
    SEE/frame/...   intensity images, not read
    emotion.json    the authors' training and testing sequences, not read

The official split is **not** used. It is one of sequences, not of people: the authors'
instructions show sequence 1011 of person 035 in training, and their published test results hold
sequence 1019 of the same person. Folds here are made of whole persons.
"""

from __future__ import annotations

import re
from pathlib import Path

from eval.corpora.corpus import Corpus, Utterance
from eval.corpora.event_settings import read_settings
from eval.corpora.manifest import check_whole
from search_spaces.errors import NasError, nearest

PREFIX = "see:"

CLASSES = ("angry", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")

FORM = "[sequence]_[ID]_[sex]_[age]_[degree]_[lighting]_[emotion]_[length]_take[number]"

_NAME = re.compile(
    r"(?P<sequence>\d+)_(?P<id>[^_]+)_(?P<sex>[^_]+)_(?P<age>\d+)_(?P<degree>[^_]+)"
    r"_(?P<light>[^_]+)_(?P<emotion>[^_]+)_(?P<length>\d+)_take(?P<take>\d+)"
)
_EVENT_FOLDERS = ("event", "event_30")  # as instructed; as the authors' own options call it

NOTE = (
    "the official split of SEE puts sequences of one person on both sides; it is not used, folds"
    " are made of whole persons"
)


def find_see(folder: Path) -> Path | None:
    """Return the folder of event frames when ``folder`` is laid out as SEE, else None."""
    for candidate in (*(folder / name for name in _EVENT_FOLDERS), folder):
        if candidate.is_dir() and any(
            _NAME.fullmatch(sequence.name)
            for part in _folders(candidate)
            if part.name.lower() in CLASSES
            for sequence in _folders(part)
        ):
            return candidate
    return None


def open_see(folder: Path) -> Corpus:
    """Open the SEE data set.

    The speaker of an utterance is the person whose eye it is, so that folds are of whole
    persons; the official split is left aside (see above).

    Args:
        folder: The data set, or its folder ``event``.

    Raises:
        NasError: Not this layout, or a name that is not of the data set's form.
    """
    events = find_see(folder)
    if events is None:
        raise NasError(
            "this is not laid out as SEE: no folder event/EMOTION/SEQUENCE in it",
            where=str(folder),
            hint=f"EMOTION is one of {', '.join(CLASSES)}; SEQUENCE is {FORM}",
        )
    utterances = []
    other_length = 0
    for part in _folders(events):
        label = part.name.lower()  # the instructions spell one of them neutraL
        if label not in CLASSES:
            raise NasError(
                f"no emotion {part.name!r}", where=str(part), hint=nearest(label, CLASSES)
            )
        for sequence in _folders(part):
            match = _NAME.fullmatch(sequence.name)
            if match is None:
                raise NasError(
                    f"cannot read the name {sequence.name!r}",
                    where=str(sequence),
                    hint=f"sequences are named {FORM}",
                )
            if match["emotion"].lower() != label:
                raise NasError(
                    f"{sequence.name} says {match['emotion']}, its folder {part.name}",
                    where=str(sequence),
                    hint="move it to the folder of its emotion",
                )
            images = sum(p.suffix.lower() == ".jpg" for p in sequence.iterdir())
            other_length += images != int(match["length"])
            utterances.append(Utterance(sequence.resolve(), label, match["id"]))
    notes = check_whole(events, utterances)
    if other_length:
        notes = (
            *notes,
            f"{other_length} of {len(utterances)} sequences hold another number of images than"
            " their names say",
        )
    return Corpus(
        name="see",
        root=folder.resolve(),
        utterances=tuple(utterances),
        classes=tuple(sorted({u.label for u in utterances})),
        kind="event images",
        licence="to be agreed with its authors",
        notes=(NOTE, *notes),
        events=read_settings(folder),
        layout=PREFIX.removesuffix(":"),
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
