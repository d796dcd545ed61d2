r"""IEMOCAP (Busso et al. 2008): five sessions, a woman and a man in each, acted dialogues.

    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt        the labels of one dialogue
    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M005.wav

A label file has one line for each utterance, beside those of the single annotators:

    [6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]

The letter after the last underscore says who speaks, F or M; the letter behind the session is part
of the dialogue's name and is the other person's in half of the utterances. Names of dialogues
(``Ses03M_impro05a``, ``Ses05M_script01_1b``) have no fixed length.

By default the four classes of the literature, excited being happy: 5,531 utterances. Folds
leave out one session at a time. No copy of it was at hand when this was written. Inferred: the
name of the folder it unpacks into; that label files may hold bytes that are not UTF-8.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from eval.corpora.corpus import Utterance
from eval.corpora.layout import Layout, Published, Reading, some
from search_spaces.errors import NasError

UNPACKED = "IEMOCAP_full_release"

_SESSION = re.compile(r"Session\d")
_LINE = re.compile(r"\[[\d.]+ - [\d.]+\]\s+(?P<name>\S+)\s+(?P<label>\w+)\s+\[.*\]")
_NAME = re.compile(r"Ses0\d[FM]_(?:impro|script)\w+_[FM][A-Z]*\d+")

_Line = tuple[Path, str, str]  # session's folder, utterance, label


def _sessions(folder: Path) -> list[Path]:
    for root in (folder, folder / UNPACKED):
        if root.is_dir():
            found = sorted(p for p in root.iterdir() if _SESSION.fullmatch(p.name) and p.is_dir())
            if found:
                return found
    return []


def _find(folder: Path, _files: Iterable[str]) -> bool:
    return any((s / "dialog").is_dir() or (s / "sentences").is_dir() for s in _sessions(folder))


def _read(folder: Path) -> Reading:
    """Read the label files.

    Raises:
        NasError: A session without labels, a line or a name that cannot be read, an utterance
            with two labels, or no recordings.
    """
    utterances: list[Utterance] = []
    labels: dict[str, str] = {}
    silent: list[str] = []
    unknown: Counter[str] = Counter()
    for session, name, label in (line for s in _sessions(folder.resolve()) for line in _lines(s)):
        if labels.setdefault(name, label) != label:
            raise NasError(
                f"{name} is {labels[name]} in one label file and {label} in another",
                where=str(session),
                hint="remove the file that the corpus did not come with",
            )
        wav, speaker, number = _place(session, name)
        if label not in CLASSES:
            unknown[label] += 1
        elif not wav.is_file():
            silent.append(name)
        else:
            utterances.append(Utterance(wav, label, speaker, session=f"Session{number}"))
    unique = {u.path: u for u in utterances}
    if labels and not unique:
        raise NasError(
            f"none of the {len(labels)} labelled utterances has a recording",
            where=str(folder),
            hint="recordings are looked for in Session1/sentences/wav/DIALOGUE/UTTERANCE.wav",
        )
    notes = []
    if silent:
        notes.append(f"left out, labelled but without a recording: {some(silent)}")
    if unknown:
        notes.append(f"left out, of unknown labels: {dict(unknown)}")
    return Reading(tuple(unique.values()), tuple(notes))


def _lines(session: Path) -> Iterator[_Line]:
    folder = session / "dialog" / "EmoEvaluation"
    # Attribute, Categorical and Self-evaluation below it hold what single annotators said
    files = sorted(f for f in folder.glob("*.txt") if not f.name.startswith("."))
    if not files:
        raise NasError(
            "no label files here",
            where=str(folder),
            hint=f"{session.name} needs its dialog/EmoEvaluation/*.txt; or move it elsewhere",
        )
    for file in files:
        for number, line in enumerate(file.read_text(encoding="latin-1").splitlines(), 1):
            if not line.startswith("["):
                continue
            match = _LINE.match(line)
            if match is None:
                raise NasError(
                    f"cannot read {line!r}",
                    where=f"{file}:{number}",
                    hint="a line of labels is [START - END] UTTERANCE LABEL [V, A, D]",
                )
            if not _NAME.fullmatch(match["name"]):
                raise NasError(
                    f"cannot tell who speaks in {match['name']!r}",
                    where=f"{file}:{number}",
                    hint="utterances are named like Ses01F_impro01_M005",
                )
            yield session, match["name"], match["label"]


def _place(session: Path, name: str) -> tuple[Path, str, str]:
    """Return the recording of an utterance, its speaker and the number of its session."""
    dialogue, turn = name.rsplit("_", 1)
    number = name[len("Ses0")]
    wav = session / "sentences" / "wav" / dialogue / f"{name}.wav"
    return wav, number + turn[0], number


CLASSES: dict[str, str | None] = {
    "neu": "neutral",
    "hap": "happy",
    "exc": "happy",
    "ang": "angry",
    "sad": "sad",
    "fru": None,
    "fea": None,
    "sur": None,
    "dis": None,
    "oth": None,
    "xxx": None,  # the annotators did not agree
}

IEMOCAP = Layout(
    name="iemocap",
    title="IEMOCAP",
    source="Busso et al. 2008",
    form="Session1/dialog/EmoEvaluation/*.txt and Session1/sentences/wav/DIALOGUE/UTTERANCE.wav",
    classes=CLASSES,
    published=Published(
        {"neu": 1708, "hap": 595, "exc": 1041, "ang": 1103, "sad": 1084},
        10,
        each={
            "1F": 528,
            "1M": 557,
            "2F": 481,
            "2M": 542,
            "3F": 522,
            "3M": 629,
            "4F": 528,
            "4M": 503,
            "5F": 590,
            "5M": 651,
        },
        sessions=5,
    ),
    find=_find,
    read=_read,
)
