"""Emotions in Polish speech recordings (Mięsikowska & Świsulski 2020), the default corpus.

Five men aged 21-23 say six words, five times each, in anger, in fear and neutrally: 450 clips
of 0.5 to 1.6 s, resampled to 16 kHz by the package that carries them. DOI 10.34808/h46c-hb44,
CC BY.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from eval.cache import atomic_dir
from eval.corpora.corpus import MANIFEST, Corpus, CorpusInfo
from eval.corpora.manifest import REQUIRED, read_manifest
from eval.packages import NKULULEKO, Say, fetch_package, silent
from search_spaces.errors import NasError

INFO = CorpusInfo(
    name="polish",
    title="Emotions in Polish speech recordings",
    clips=446,
    speakers=5,
    classes=("anger", "fear", "neutral"),
    licence="CC BY",
    source="Mięsikowska, M., & Świsulski, D. (2020). Emotions in Polish speech recordings"
    " [Dataset]. Gdańsk University of Technology. https://doi.org/10.34808/h46c-hb44",
)

ARCHIVE = "data/polish/polish_speech_emotions.zip"
ARCHIVE_SHA256 = "f7838c57c1edfc7b7549800d524021ce1495eaecc4c7adf51faefed9bd075222"

# m1.a_nie_2.wav: speaker, emotion, word, repetition
_NAME = re.compile(r"(?P<speaker>m[1-5])\.(?P<emotion>[ans])_[a-z]+_[1-5]\.wav")
_EMOTIONS = {"a": "anger", "n": "neutral", "s": "fear"}

_ATTRIBUTION = f"""{INFO.title}
{INFO.source}
Licence: Creative Commons Attribution (CC BY), as its readme states.

Changes: resampled from 44.1 kHz to 16 kHz by the makers of the package {NKULULEKO.name}
{NKULULEKO.version}, which these files were taken from. Of recordings that occur twice within
an emotion only the first was kept ({INFO.clips} of 450).
"""


def open_polish(say: Say = silent) -> Corpus:
    """Open the corpus; the first time, fetch and unpack it into the cache.

    Raises:
        NasError: It cannot be fetched, or its folder in the cache was changed.
    """
    if not INFO.fetched:
        unpack(fetch_package(NKULULEKO, say), INFO.folder, say)
    corpus = read_manifest(INFO.folder / MANIFEST, name=INFO.name, licence=INFO.licence)
    found = (
        len(corpus.utterances),
        len({u.speaker for u in corpus.utterances}),
        corpus.classes,
    )
    if found != (INFO.clips, INFO.speakers, INFO.classes):
        raise NasError(
            f"{found[0]} clips by {found[1]} speakers with labels {', '.join(found[2])}; it should"
            f" be {INFO.clips} by {INFO.speakers} with {', '.join(INFO.classes)}",
            where=str(INFO.folder),
            hint="delete the folder and try again",
        )
    return corpus


def unpack(
    package: Path, folder: Path, say: Say = silent, *, sha256: str = ARCHIVE_SHA256
) -> None:
    """Turn the corpus inside the package into an ordinary folder with a manifest.

    A recording whose samples and label were seen before is left out: split at random, its twin
    would be known from training.

    Args:
        package: The source distribution.
        folder: What to make.
        say: Told the outcome.
        sha256: Of the archive inside the package.

    Raises:
        NasError: The archive is missing, or is not the one we know.
    """
    archive = zipfile.ZipFile(io.BytesIO(_archive(package, sha256)))
    seen: set[tuple[str, str]] = set()
    rows: list[tuple[str, str, str]] = []
    with atomic_dir(folder) as made:
        for name, label, speaker in _clips(archive):
            content = archive.read(name)
            key = (label, _samples_digest(content))
            if key in seen:
                continue
            seen.add(key)
            clip = PurePosixPath(name).name
            (made / clip).write_bytes(content)
            rows.append((clip, label, speaker))
        with (made / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(REQUIRED)
            writer.writerows(rows)
        (made / "ATTRIBUTION.txt").write_text(_ATTRIBUTION, encoding="utf-8")
    say(f"unpacked {len(rows)} clips into {folder}")


def _archive(package: Path, sha256: str) -> bytes:
    with tarfile.open(package) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(f"/{ARCHIVE}"):
                file = tar.extractfile(member)
                content = file.read() if file else b""
                break
        else:
            raise NasError(f"the package has no {ARCHIVE}", where=str(package))
    if hashlib.sha256(content).hexdigest() != sha256:
        raise NasError(f"{ARCHIVE} in it has not the SHA-256 {sha256}", where=str(package))
    return content


def _clips(archive: zipfile.ZipFile) -> Iterator[tuple[str, str, str]]:
    """Yield name in the archive, label and speaker, in order of names."""
    for name in sorted(archive.namelist()):
        if not name.endswith(".wav"):
            continue
        match = _NAME.fullmatch(PurePosixPath(name).name)
        if match is None:
            raise NasError(f"{name} is not named SPEAKER.EMOTION_WORD_NUMBER.wav", where=ARCHIVE)
        yield name, _EMOTIONS[match["emotion"]], match["speaker"]


def _samples_digest(content: bytes) -> str:
    import soundfile

    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    return hashlib.sha256(samples.tobytes()).hexdigest()
