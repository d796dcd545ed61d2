"""Synthetic emotional speech: espeak-ng, driven by published rules of emotional prosody.

**Synthetic**: no person was ever recorded. A formant synthesiser says the same neutral sentences
in every emotion; only the voice tells which. It serves to try and to measure searches, and says
nothing about people.

The directions of the rules are those of a review and of syntheses that listeners judged (in
Emofilt's ``emotions.xml`` they stand as ``hotAnger``, ``joy`` and ``sad``); their sizes are ours,
softened and varied so that the task stays hard:

* I. R. Murray & J. L. Arnott (1993). Toward the simulation of emotion in synthetic speech: a
  review of the literature on human vocal emotion. J. Acoust. Soc. Am. 93(2), 1097-1108,
  https://doi.org/10.1121/1.405558
* F. Burkhardt & W. F. Sendlmeier (2000). Verification of acoustical correlates of emotional
  speech using formant-synthesis. ISCA Workshop on Speech and Emotion.
* F. Burkhardt (2005). Emofilt: the simulation of emotional speech by prosody-transformation.
  Interspeech. https://github.com/felixbur/Emofilt
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.audio import SAMPLE_RATE
from eval.cache import atomic_dir
from eval.corpora.corpus import MANIFEST, Corpus, CorpusInfo
from eval.corpora.espeak import Request, Speaking, SpeechFailed, speaking
from eval.corpora.manifest import read_manifest
from eval.packages import Say, silent
from eval.seeds import derived_seed
from search_spaces.errors import NasError

# Raise it when the same seed would give other clips: the folder's name holds it.
_VERSION = 1

Floats = npt.NDArray[np.float32]

SPEAKERS = {"train": 5, "validation": 3, "test": 2}

SENTENCES = (
    "The tea is on the table.",
    "She will come on Monday.",
    "I saw it by the window.",
    "We are going home now.",
    "He left the door open.",
    "They called us last night.",
    "The bus is almost here.",
    "You can sit over there.",
    "My brother has the keys.",
    "It rained the whole day.",
    "The shop closes at nine.",
    "I put it in the drawer.",
)

ACCENTS = (
    *("gmw/en", "gmw/en-US", "gmw/en-GB-scotland", "gmw/en-GB-x-rp"),
    *("gmw/en-GB-x-gbclan", "gmw/en-GB-x-gbcwmd", "gmw/en-029"),
)


@dataclass(frozen=True)
class Rule:
    """How an emotion changes a voice; factors over, or amounts above, the neutral one.

    Args:
        pitch: Mean of the fundamental frequency, a factor.
        span: Its range, a factor.
        rate: Tempo, a factor.
        level: [dB].
        tilt: Of the spectrum: above 0 tense and bright, below 0 lax and dull.
        breath: Aspiration noise.
        rough: Irregular voicing.
        flutter: Slow tremble of the pitch, a factor.
        formants: Shift of all formants, a factor; spread lips raise it.
        stress: Contrast of stressed and unstressed syllables.
    """

    pitch: float = 1.0
    span: float = 1.0
    rate: float = 1.0
    level: float = 0.0
    tilt: float = 0.0
    breath: float = 0.0
    rough: float = 0.0
    flutter: float = 1.0
    formants: float = 1.0
    stress: float = 0.0


RULES: dict[str, Rule] = {
    "anger": Rule(1.2, 1.5, 1.15, level=5, tilt=0.6, rough=2, formants=1.01, stress=12),
    "happiness": Rule(1.3, 1.7, 1.1, level=2, tilt=0.25, formants=1.04, stress=6),
    "neutral": Rule(),
    "sadness": Rule(
        0.9, 0.5, 0.78, level=-4, tilt=-0.45, breath=3, flutter=1.6, formants=0.98, stress=-6
    ),
}

INFO = CorpusInfo(
    name="synthetic_speech",
    title="Synthetic emotional speech: espeak-ng by rules of emotional prosody",
    clips=sum(SPEAKERS.values()) * len(RULES) * len(SENTENCES),
    speakers=sum(SPEAKERS.values()),
    classes=tuple(sorted(RULES)),
    licence="none needed: synthetic, made on this machine",
    source="synthetic: spoken by espeak-ng (needs pip install 'nas[speech]'), no person was"
    " recorded",
    folder_name=f"synthetic_speech-{_VERSION}",
)

NOTE = "synthetic: speech of a synthesiser; figures on it say nothing about people"

_ABOUT = f"""{INFO.title}

No person was recorded. nas made these files from a seed, with espeak-ng. Use them to try things
out, not to claim recognition of anybody's emotions.
"""


def open_synthetic_speech(say: Say = silent) -> Corpus:
    """Open the corpus; the first time, make it in the cache.

    Raises:
        NasError: espeak-ng is missing, or the folder in the cache was changed or cannot be
            written.
    """
    if not INFO.fetched:
        make(INFO.folder, say=say)
    corpus = read_manifest(
        INFO.folder / MANIFEST, name=INFO.name, licence=INFO.licence, notes=(NOTE,), synthetic=True
    )
    found = (len(corpus.utterances), len({u.speaker for u in corpus.utterances}), corpus.classes)
    if found != (INFO.clips, INFO.speakers, INFO.classes):
        raise NasError(
            f"{found[0]} clips of {found[1]} voices; it should be {INFO.clips} of {INFO.speakers}",
            where=str(INFO.folder),
            hint="delete the folder and try again",
        )
    return corpus


def make(
    folder: Path,
    *,
    speakers: dict[str, int] | None = None,
    sentences: int = len(SENTENCES),
    seed: int = 0,
    say: Say = silent,
) -> None:
    """Make the corpus: same seed, same clips. A clip does not depend on what else is made.

    Args:
        folder: What to make.
        speakers: Number of voices of each split.
        sentences: How many of the sentences are said.
        seed: Of everything random.
        say: Told how far it is.

    Raises:
        NasError: espeak-ng is missing or fails, or the folder cannot be written.
    """
    import soundfile

    splits = [s for s, n in (speakers or SPEAKERS).items() for _ in range(n)]
    rows: list[tuple[str, str, str, str]] = []
    try:
        with speaking() as engine, atomic_dir(folder) as made:
            say(f"making synthetic speech: {len(splits)} voices (once, under a minute)")
            for number, split in enumerate(splits):
                voice = Voice(number, seed)
                for emotion in RULES:
                    for i in range(sentences):
                        file = f"{voice.name}_{emotion}_{i:02}.wav"
                        clip = voice.utter(engine, emotion, i)
                        soundfile.write(made / file, clip, SAMPLE_RATE, subtype="PCM_16")
                        rows.append((file, emotion, voice.name, split))
                say(f"{number + 1}/{len(splits)} voices")
            with (made / MANIFEST).open("w", encoding="utf-8", newline="") as file_:
                writer = csv.writer(file_, lineterminator="\n")
                writer.writerow(("path", "label", "speaker", "split"))
                writer.writerows(rows)
            (made / "SYNTHETIC.txt").write_text(_ABOUT, encoding="utf-8")
    except SpeechFailed as error:
        raise NasError(
            f"corpus {INFO.name!r} cannot be made: {error}",
            hint="pip install 'nas[speech]' (espeak-ng, on Linux or macOS)",
        ) from error


class Voice:
    """A synthetic speaker: a sex, an accent, a vocal tract, a microphone, a way of acting.

    Args:
        number: Which one; odd ones are female.
        seed: Of the corpus.
    """

    def __init__(self, number: int, seed: int = 0) -> None:
        self.name = f"s{number + 1:02}"
        self.seed = seed
        rng = np.random.default_rng(derived_seed(seed, self.name))
        self.female = number % 2 == 1
        self.accent = ACCENTS[rng.integers(len(ACCENTS))]
        self.low = rng.uniform(*((150, 205) if self.female else (80, 120)))  # [Hz]
        self.span = rng.uniform(0.45, 0.75)
        self.formants = rng.uniform(*((1.06, 1.18) if self.female else (0.93, 1.04)))
        self.each_formant = rng.uniform(0.95, 1.05, 4)
        self.rate = rng.uniform(150, 185)  # words a minute
        self.breath, self.rough = rng.integers(0, 3, 2)
        self.flutter = rng.uniform(1, 3)
        self.tilt = rng.normal(0, 0.15)
        self.expression = rng.uniform(0.7, 1.4)
        self.microphone = np.array([1.0, 0.25, 0.1]) * [1.0, *rng.normal(0, 1, 2)]

    def utter(self, engine: Speaking, emotion: str, sentence: int) -> Floats:
        """Say a sentence in an emotion; people vary, so every figure of a rule does.

        Returns:
            ``[samples]`` at 16 kHz.
        """
        rng = np.random.default_rng(derived_seed(self.seed, self.name, emotion, sentence))
        request, level = self._request(rng, RULES[emotion], SENTENCES[sentence])
        return self._recorded(rng, engine.say(request), engine.rate, level)

    def _request(self, rng: np.random.Generator, rule: Rule, text: str) -> tuple[Request, float]:
        strength = self.expression * rng.uniform(0.5, 1.3)

        def factor(of: float, spread: float = 0.0) -> float:
            return (1 + (of - 1) * strength) * float(np.exp(rng.normal(0, spread)))

        def amount(own: float, more: float, spread: float) -> float:
            return own + more * strength + float(rng.normal(0, spread))

        pitch = factor(rule.pitch, 0.07)
        middle = self.low * (1 + self.span / 2) * pitch
        half = self.low * self.span / 2 * pitch * max(0.15, factor(rule.span, 0.18))
        low, high = np.clip([middle - half, middle + half], 40, 400).astype(int)
        rate = int(np.clip(self.rate * factor(rule.rate, 0.08), 90, 330))
        tilt = amount(self.tilt, rule.tilt, 0.15)
        breath = max(0, round(amount(self.breath, rule.breath, 0.5)))
        rough = min(7, max(0, round(amount(self.rough, rule.rough, 0.5))))
        flutter = int(np.clip(self.flutter * factor(rule.flutter), 0, 20))
        formants = self.formants * factor(rule.formants, 0.01)
        stress = rule.stress * strength
        lines = [
            "language variant",
            "name nas",
            f"gender {'female' if self.female else 'male'}",
            f"pitch {low} {high}",
            f"flutter {flutter}",
            f"roughness {rough}",
        ]
        for i in range(9):
            place = formants * (self.each_formant[i - 1] if 1 <= i <= 4 else 1.0)
            loud = 100 * np.exp(tilt * (i - 2) * 0.35) if i else 100
            lines.append(f"formant {i} {int(100 * place)} {int(np.clip(loud, 15, 220))} 100")
        weak, weaker, strong = int(-stress), int(-stress / 2), int(stress)
        lines.append(f"stressAdd {weak} {weak} {weaker} {weaker} 0 0 {strong} {2 * strong}")
        if breath:
            bands = (min(40, breath * share) for share in (1, 3, 4, 4, 3, 3, 2, 2))
            lines.append(f"breath {' '.join(map(str, bands))}")
        seed = int(rng.integers(1, 2**30))
        level = amount(0.0, rule.level, 3.0)
        return Request(text, self.accent, "\n".join(lines) + "\n", rate, seed), level

    def _recorded(
        self, rng: np.random.Generator, samples: bytes, rate: int, level: float
    ) -> Floats:
        """Cut silence, pass the speaker's microphone, add noise 15 to 30 dB below."""
        import soxr

        audio = np.frombuffer(samples, np.int16).astype(np.float32) / 2**15
        audio = np.asarray(soxr.resample(audio, rate, SAMPLE_RATE), np.float32)
        loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max())
        audio = audio[max(0, loud[0] - 800) : loud[-1] + 1600]
        audio = np.convolve(audio, self.microphone / np.abs(self.microphone).sum())
        audio *= 0.06 * 10 ** (level / 20) / _rms(audio)
        noise = np.convolve(rng.standard_normal(len(audio)), 0.6 ** np.arange(16))[: len(audio)]
        noise *= _rms(audio) / _rms(noise) * 10 ** (-rng.uniform(15, 30) / 20)
        return np.clip(audio + noise, -1, 1).astype(np.float32)


def _rms(audio: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(audio))))
