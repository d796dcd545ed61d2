"""Corpora whose label and speaker are coded in the file names.

Codes and counts are those of the papers named in each entry and of the metadata that the EmoBox
benchmark publishes. No copy of these corpora was at hand when this was written; what is
inferred is marked so. The classes have the same words in every corpus, so that a network
trained on one can be measured on another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from eval.corpora.corpus import Utterance
from eval.corpora.layout import Layout, Published, Reading, audio_files, some


def coded(
    name: str,
    title: str,
    source: str,
    *,
    form: str,
    pattern: str,
    classes: Mapping[str, str | None],
    published: Published,
    labels: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
    out: str | None = None,
    notes: tuple[str, ...] = (),
) -> Layout:
    """Make the layout of a corpus out of the form of its file names.

    Args:
        name: See `Layout`.
        title: See `Layout`.
        source: See `Layout`.
        form: See `Layout`.
        pattern: Of the end of a path without its extension, with the groups ``speaker`` and
            ``label``; ``LABEL`` in it stands for any of the codes.
        classes: See `Layout`.
        published: See `Layout`. Where it names the speakers, one of them must be found for the
            layout to be recognised.
        labels: The label that a code in a name stands for, where they are not the same.
        aliases: Speakers under another name.
        out: Of paths that belong to the corpus but not to its emotional speech.
        notes: What a person should always know.
    """
    codes = sorted(labels or classes, key=len, reverse=True)  # sa and su before s
    whole = pattern.replace("LABEL", "(?P<label>" + "|".join(map(re.escape, codes)) + ")")
    named = re.compile(rf"(?:^|/)(?P<tail>{whole})$")
    left_out = re.compile(out) if out else None
    other = aliases or {}

    def match(path: str) -> re.Match[str] | None:
        return named.search(str(PurePosixPath(path).with_suffix("")))

    def find(_folder: Path, files: Iterable[str]) -> bool:
        for path in files:
            found = match(path)
            if found and (not published.names or found["speaker"] in published.names):
                return True
        return False

    def read(folder: Path) -> Reading:
        root = folder.resolve()
        utterances: list[Utterance] = []
        seen: set[str] = set()
        strange: list[str] = []
        twice: list[str] = []
        for path in audio_files(folder):
            found = match(path)
            if found is None:
                if not (left_out and left_out.search(path)):
                    strange.append(path)
            elif found["tail"] in seen:
                twice.append(path)
            else:
                seen.add(found["tail"])
                label, speaker = found["label"], found["speaker"]
                label = labels[label] if labels else label
                utterances.append(Utterance(root / path, label, other.get(speaker, speaker)))
        told = list(notes)
        if strange:
            told.append(f"left out, not named like the rest of {title}: {some(strange)}")
        if twice:
            told.append(f"left out, a second copy of the same name: {some(twice)}")
        return Reading(tuple(utterances), tuple(told))

    return Layout(name, title, source, form, classes, published, find, read)


EMODB = coded(
    "emodb",
    "EMODB",
    "Burkhardt et al. 2005",
    form="wav/03a01Fa.wav: speaker, text, emotion (W L E A F T N), version",
    pattern=r"(?P<speaker>\d\d)[ab]\d\dLABEL[a-z]?",
    classes={
        "W": "angry",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "happy",
        "T": "sad",
        "N": "neutral",
    },
    published=Published(
        {"W": 127, "L": 81, "N": 79, "F": 71, "A": 69, "T": 62, "E": 46},
        10,
        frozenset({"03", *(f"{n:02}" for n in range(8, 17))}),
    ),
)

# The published part: 50 sentences that all four speakers say in every emotion.
CASIA = coded(
    "casia",
    "CASIA",
    "CASIA Chinese emotional corpus, published part",
    form="SPEAKER/EMOTION/201.wav, EMOTION of angry fear happy neutral sad surprise",
    pattern=r"(?P<speaker>[^/]+)/LABEL/\d+",
    classes={e: e for e in ("angry", "fear", "happy", "neutral", "sad", "surprise")},
    published=Published(
        dict.fromkeys(("angry", "fear", "happy", "neutral", "sad", "surprise"), 200),
        4,
        frozenset({"wangzhe", "zhaozuoxiang", "liuchanhg", "zhaoquanyin"}),  # sic
    ),
)

EMOVO = coded(
    "emovo",
    "EMOVO",
    "Costantini et al. 2014",
    form="f2/gio-f2-b2.wav: emotion (neu dis gio pau rab sor tri), actor, sentence",
    pattern=r"LABEL-(?P<speaker>[fm]\d)-\w+",
    classes={
        "neu": "neutral",
        "dis": "disgust",
        "gio": "happy",
        "pau": "fear",
        "rab": "angry",
        "sor": "surprise",
        "tri": "sad",
    },
    published=Published(dict.fromkeys(("neu", "dis", "gio", "pau", "rab", "sor", "tri"), 84), 6),
)

URDU = coded(
    "urdu",
    "URDU",
    "Latif et al. 2018",
    form="Neutral/SM20_F8_N012.wav: speaker, file, emotion (A H N S) and number",
    pattern=r"(?P<speaker>S[MF]\d+)_F\d+_LABEL\d+",
    classes={"A": "angry", "H": "happy", "N": "neutral", "S": "sad"},
    published=Published(dict.fromkeys("AHNS", 100), 29),
)

_RAVDESS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
# Own labels are the owner's words: a YAML file cannot say 01 without quotes.
RAVDESS = coded(
    "ravdess",
    "RAVDESS",
    "Livingstone & Russo 2018",
    form="Actor_12/03-01-06-01-02-01-12.wav: modality, channel (01 speech), emotion, ..., actor",
    pattern=r"03-01-LABEL-\d\d-\d\d-\d\d-(?P<speaker>\d\d)",
    labels=_RAVDESS,
    classes={**{w: w for w in _RAVDESS.values()}, "fearful": "fear", "surprised": "surprise"},
    published=Published(
        {w: 96 if w == "neutral" else 192 for w in _RAVDESS.values()},
        24,
        frozenset(f"{n:02}" for n in range(1, 25)),
    ),
    out=r"(?:^|/)\d\d-02-\d\d-\d\d-\d\d-\d\d-\d\d\.\w+$",  # song
)

# One letter for the level is inferred: one file of the release is said to end in _X.
CREMA_D = coded(
    "crema-d",
    "CREMA-D",
    "Cao et al. 2014",
    form="AudioWAV/1001_DFA_ANG_XX.wav: actor, sentence, emotion (ANG DIS FEA HAP NEU SAD), level",
    pattern=r"(?P<speaker>1\d{3})_[A-Z]{3}_LABEL_(?:LO|MD|HI|XX?)",
    classes={
        "ANG": "angry",
        "DIS": "disgust",
        "FEA": "fear",
        "HAP": "happy",
        "NEU": "neutral",
        "SAD": "sad",
    },
    published=Published(
        {"ANG": 1271, "DIS": 1271, "FEA": 1271, "HAP": 1271, "NEU": 1087, "SAD": 1271},
        91,
        frozenset(str(n) for n in range(1001, 1092)),
    ),
)

# The folder of a speaker instead of the flat form is inferred.
SAVEE = coded(
    "savee",
    "SAVEE",
    "Haq & Jackson 2009",
    form="JE_n23.wav or AudioData/JE/n23.wav: speaker, emotion (a d f h n sa su), number",
    pattern=r"(?P<speaker>[A-Z]{2})[_/]LABEL\d+",
    classes={
        "a": "angry",
        "d": "disgust",
        "f": "fear",
        "h": "happy",
        "n": "neutral",
        "sa": "sad",
        "su": "surprise",
    },
    published=Published(
        {"a": 60, "d": 60, "f": 60, "h": 60, "n": 120, "sa": 60, "su": 60},
        4,
        frozenset({"DC", "JE", "JK", "KL"}),
    ),
)

# Inferred: the words of the labels but for fear and ps, and OA for OAF in one file's name.
TESS = coded(
    "tess",
    "TESS",
    "Pichora-Fuller & Dupuis 2020",
    form="OAF_lid_fear.wav: speaker (OAF YAF), word, emotion (ps is pleasant surprise)",
    pattern=r"(?P<speaker>OAF?|YAF)_\w+_LABEL",
    classes={
        "angry": "angry",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happy",
        "neutral": "neutral",
        "ps": "surprise",
        "sad": "sad",
    },
    published=Published(
        dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "ps", "sad"), 400),
        2,
        frozenset({"OAF", "YAF"}),
    ),
    aliases={"OA": "OAF"},
)

# The folder is the label: the text files beside the recordings name some emotions in Chinese.
# Inferred: folders train, evaluation and test below an emotion, which split no speakers and are
# ignored; that the speakers 0001 to 0010 are Chinese and the others English, so that every fold
# of four has two of each.
ESD = coded(
    "esd",
    "ESD",
    "Zhou et al. 2021",
    form="0005/Neutral/0005_000001.wav: speaker, emotion (Neutral Angry Happy Sad Surprise)",
    pattern=r"(?P<speaker>\d{4})/LABEL/(?:[a-z]+/)?(?P=speaker)_\d{6}",
    classes={e.capitalize(): e for e in ("neutral", "angry", "happy", "sad", "surprise")},
    published=Published(
        dict.fromkeys(("Neutral", "Angry", "Happy", "Sad", "Surprise"), 7000),
        20,
        frozenset(f"{n:04}" for n in range(1, 21)),
    ),
)

FILE_NAMES = (EMODB, CASIA, EMOVO, URDU, RAVDESS, CREMA_D, SAVEE, TESS, ESD)
