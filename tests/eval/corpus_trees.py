"""Trees with the names of real corpora, and nothing in the files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path


def touch(folder: Path, names: Iterable[str]) -> Path:
    """Make empty files: opening a corpus reads no recording."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def emodb_names() -> list[str]:
    """535 names with the published counts of emotions; speakers in turn."""
    counts = {"W": 127, "L": 81, "N": 79, "F": 71, "A": 69, "T": 62, "E": 46}
    speakers = ["03", *(f"{n:02}" for n in range(8, 17))]
    texts = ["a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10"]
    names = []
    for emotion, count in counts.items():
        every = itertools.product("abcd", texts, speakers)
        names += [f"wav/{s}{t}{emotion}{v}.wav" for v, t, s in itertools.islice(every, count)]
    return names


def casia_names() -> list[str]:
    return [
        f"{speaker}/{emotion}/{number}.wav"
        for speaker in ("wangzhe", "zhaozuoxiang", "liuchanhg", "zhaoquanyin")
        for emotion in ("angry", "fear", "happy", "neutral", "sad", "surprise")
        for number in range(201, 251)
    ]


def emovo_names() -> list[str]:
    sentences = [f"{kind}{n}" for kind in "bl" for n in range(1, 8)]
    return [
        f"{actor}/{emotion}-{actor}-{sentence}.wav"
        for actor in ("f1", "f2", "f3", "m1", "m2", "m3")
        for emotion in ("neu", "dis", "gio", "pau", "rab", "sor", "tri")
        for sentence in sentences
    ]


def urdu_names() -> list[str]:
    folders = {"A": "Angry", "H": "Happy", "N": "Neutral", "S": "Sad"}
    speakers = [f"SM{n}" for n in range(1, 18)] + [f"SF{n}" for n in range(1, 13)]
    return [
        f"{folder}/{speakers[i % 29]}_F{i // 29 + 1}_{letter}{i + 1:03}.wav"
        for letter, folder in folders.items()
        for i in range(100)
    ]


def ravdess_names(channel: str = "01") -> list[str]:
    names = []
    for actor, emotion, level, statement, repetition in itertools.product(
        range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2)
    ):
        if emotion == 1 and level == 2:
            continue
        coded = f"03-{channel}-{emotion:02}-{level:02}-{statement:02}-{repetition:02}-{actor:02}"
        names.append(f"Actor_{actor:02}/{coded}.wav")
    return names


def crema_names() -> list[str]:
    sentences = [
        "DFA",
        "IEO",
        "IOM",
        "ITH",
        "ITS",
        "IWL",
        "IWW",
        "MTI",
        "TAI",
        "TIE",
        "TSI",
        "WSI",
    ]
    names = []
    for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
        # 91 actors x 12 sentences, IEO in three levels too where the emotion has levels
        takes = [(a, s, "XX") for a in range(1001, 1092) for s in sentences]
        levels = ("LO", "MD", "HI") if emotion != "NEU" else ()
        takes += [(a, "IEO", level) for level in levels for a in range(1001, 1092)]
        wanted = 1087 if emotion == "NEU" else 1271
        names += [f"AudioWAV/{a}_{s}_{emotion}_{level}.wav" for a, s, level in takes[:wanted]]
    return names


def savee_names(form: str = "{speaker}_{code}{number:02}.wav") -> list[str]:
    return [
        form.format(speaker=speaker, code=code, number=number)
        for speaker in ("DC", "JE", "JK", "KL")
        for code in ("a", "d", "f", "h", "n", "sa", "su")
        for number in range(1, 31 if code == "n" else 16)
    ]


def tess_names() -> list[str]:
    return [
        f"{speaker}_{emotion}/{speaker}_word{n}_{emotion}.wav"
        for speaker in ("OAF", "YAF")
        for emotion in ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
        for n in range(200)
    ]


def esd_names(each: int) -> list[str]:
    emotions = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
    return [
        f"{s:04}/{emotion}/{s:04}_{k * each + n + 1:06}.wav"
        for s in range(1, 21)
        for k, emotion in enumerate(emotions)
        for n in range(each)
    ]


# -- IEMOCAP ---------------------------------------------------------------------------------

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def label_lines(labels: Iterable[tuple[str, str]]) -> str:
    """Write a label file's text, with the lines of annotators below each utterance."""
    text = HEADER
    for i, (name, label) in enumerate(labels):
        text += f"[{i}.2901 - {i}.9357]\t{name}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
        text += "C-E2:\tNeutral;\t()\nC-E4:\tAnger; Frustration;\t(why\xe9?)\n"
        text += "A-E3:\tval 3; act 2; dom  2;\t()\n\n"
    return text


def dialogue(folder: Path, name: str, labels: Iterable[tuple[str, str]]) -> None:
    """Add a dialogue to an IEMOCAP: its label file and its empty recordings.

    Args:
        folder: With the folders Session1 to Session5.
        name: Such as ``Ses01F_impro01``.
        labels: Turn (``M005``) and label.
    """
    session = folder / f"Session{name[4]}"
    file = session / "dialog" / "EmoEvaluation" / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    turns = [(f"{name}_{turn}", label) for turn, label in labels]
    file.write_bytes(label_lines(turns).encode("latin-1"))
    wavs = session / "sentences" / "wav" / name
    touch(wavs, [f"{turn}.wav" for turn, _ in turns])


def small_iemocap(folder: Path) -> Path:
    """Five sessions, an improvised and a scripted dialogue each, the four classes in both."""
    for k in range(1, 6):
        four = ("neu", "hap", "ang", "sad", "exc", "xxx", "fru")
        dialogue(folder, f"Ses0{k}F_impro01", [(f"F{i:03}", lab) for i, lab in enumerate(four)])
        dialogue(folder, f"Ses0{k}M_script01_1", [(f"F{i:03}", e) for i, e in enumerate(four)])
        dialogue(folder, f"Ses0{k}F_script02_2", [(f"M{i:03}", e) for i, e in enumerate(four)])
    return folder


def full_iemocap(folder: Path) -> Path:
    """5,531 utterances of the published counts of speakers and labels, and others beside."""
    each = {"1F": 528, "1M": 557, "2F": 481, "2M": 542, "3F": 522}
    each |= {"3M": 629, "4F": 528, "4M": 503, "5F": 590, "5M": 651}
    counts = {"neu": 1708, "hap": 595, "exc": 1041, "ang": 1103, "sad": 1084}
    every = [label for label, n in counts.items() for _ in range(n)]
    labels = iter(every[1009 * i % len(every)] for i in range(len(every)))  # 1009 is prime
    for speaker, n in each.items():
        own = [(f"{speaker[1]}{i:03}", next(labels)) for i in range(n)]
        half = n // 2
        dialogue(folder, f"Ses0{speaker[0]}F_impro0{1 + (speaker[1] == 'M')}", own[:half])
        rest = [*own[half:], (f"{speaker[1]}998", "fru"), (f"{speaker[1]}999", "xxx")]
        dialogue(folder, f"Ses0{speaker[0]}{speaker[1]}_script01_1b", rest)
    return folder
