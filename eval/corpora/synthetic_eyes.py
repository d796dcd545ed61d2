"""Synthetic eye events: rendered faces seen by a simulated event camera.

There is no free corpus of labelled eye events, so that one is made here, from a seed. It is
**synthetic**: it serves to run and test searches on event frames, and says nothing about
people. `eval.corpora.eye_renderer` draws an eye whose action units express an emotion,
`eval.corpora.event_camera` turns the film into events, and the outcome is an ordinary folder
of event files with a manifest, which the loader of such folders reads.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.cache import atomic_dir
from eval.corpora.corpus import MANIFEST, Corpus, CorpusInfo
from eval.corpora.event_camera import Camera, record
from eval.corpora.event_settings import SETTINGS
from eval.corpora.eye_renderer import EMOTIONS, UNITS, Face, Motion, draw
from eval.corpora.manifest import read_manifest
from eval.packages import Say, silent
from eval.seeds import derived_seed
from search_spaces.errors import NasError

# Raise it when the same seed would give other events: the folder's name holds it.
_VERSION = 1

HEIGHT, WIDTH = 48, 64  # [pixels] of the sensor
FILM_RATE = 200.0  # [Hz], images drawn a second
SUBJECTS = {"train": 12, "validation": 4, "test": 4}
TAKES = 3  # sequences of a subject and an emotion
SECONDS = (1.2, 1.5)

INFO = CorpusInfo(
    name="synthetic_eyes",
    title="Synthetic eye events: rendered faces seen by a simulated event camera",
    clips=sum(SUBJECTS.values()) * len(EMOTIONS) * TAKES,
    speakers=sum(SUBJECTS.values()),
    classes=tuple(sorted(EMOTIONS)),
    licence="none needed: synthetic, made on this machine",
    source="synthetic: rendered by nas itself, no person was recorded",
    kind="events",
    folder_name=f"synthetic_eyes-{_VERSION}",
)

NOTE = "synthetic: rendered eyes, simulated events; figures on it say nothing about people"

_ABOUT = """{title}

No person was recorded. nas made these files from a seed: a drawn eye, an event camera in
software. Use them to try things out, not to claim recognition of anybody's emotions.
"""

_Rows = list[tuple[str, str, str, str]]


def open_synthetic_eyes(say: Say = silent) -> Corpus:
    """Open the corpus; the first time, make it in the cache.

    Raises:
        NasError: Its folder in the cache was changed, or cannot be written.
    """
    if not INFO.fetched:
        make(INFO.folder, say=say)
    corpus = read_manifest(
        INFO.folder / MANIFEST, name=INFO.name, licence=INFO.licence, notes=(NOTE,), synthetic=True
    )
    found = (len(corpus.utterances), len({u.speaker for u in corpus.utterances}), corpus.classes)
    if found != (INFO.clips, INFO.speakers, INFO.classes):
        raise NasError(
            f"{found[0]} sequences of {found[1]} subjects; it should be {INFO.clips} of"
            f" {INFO.speakers}",
            where=str(INFO.folder),
            hint="delete the folder and try again",
        )
    return corpus


def make(
    folder: Path,
    *,
    subjects: dict[str, int] | None = None,
    takes: int = TAKES,
    seed: int = 0,
    say: Say = silent,
) -> None:
    """Make the corpus: same seed, same arrays. A subject does not depend on how many there are.

    Args:
        folder: What to make.
        subjects: Number of subjects of each split.
        takes: Sequences of each subject and emotion.
        seed: Of everything random.
        say: Told how far it is.

    Raises:
        NasError: The folder cannot be written.
    """
    splits = [s for s, n in (subjects or SUBJECTS).items() for _ in range(n)]
    rows: _Rows = []
    say(f"making synthetic eye events: {len(splits)} subjects (once, under a minute)")
    with atomic_dir(folder) as made:
        for number, split in enumerate(splits):
            name = f"s{number + 1:02}"
            person = Person(np.random.default_rng(derived_seed(seed, name)))
            for emotion in EMOTIONS:
                for take in range(takes):
                    rng = np.random.default_rng(derived_seed(seed, name, emotion, take))
                    file = f"{name}_{emotion}_{take}.npz"
                    arrays: dict[str, Any] = person.perform(emotion, rng)
                    np.savez_compressed(made / file, **arrays)
                    rows.append((file, emotion, name, split))
            if (number + 1) % 4 == 0:
                say(f"{number + 1}/{len(splits)} subjects")
        with (made / MANIFEST).open("w", encoding="utf-8", newline="") as file_:
            writer = csv.writer(file_, lineterminator="\n")
            writer.writerow(("path", "label", "speaker", "split"))
            writer.writerows(rows)
        settings = {
            "sensor": {"width": WIDTH, "height": HEIGHT},
            "size": {"width": WIDTH // 2, "height": HEIGHT // 2},
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
        (made / SETTINGS).write_text(text, encoding="utf-8")
        (made / "SYNTHETIC.txt").write_text(_ABOUT.format(title=INFO.title), encoding="utf-8")


class Person:
    """A drawn person: a face, a camera in front of it, and a way to express emotions.

    Args:
        rng: Decides all of it.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        between: Callable[[float, float], float] = lambda a, b: float(rng.uniform(a, b))  # noqa: E731
        skin = between(0.3, 0.6)
        self.face = Face(
            centre=(between(-0.06, 0.06), between(-0.28, -0.2)),
            half_width=between(0.66, 0.78),
            upper=between(0.22, 0.32),
            lower=between(0.12, 0.2),
            tilt=between(-0.05, 0.05),
            iris=between(0.2, 0.26),
            pupil=between(0.07, 0.13),
            brow=between(0.6, 0.7),
            arch=between(0.05, 0.14),
            brow_width=between(0.8, 1.0),
            thickness=between(0.05, 0.11),
            zoom=between(0.95, 1.05),
            skin=skin,
            hair=skin * between(0.12, 0.6),
            iris_tone=skin * between(0.2, 0.7),
            shade=between(-0.2, 0.2),
            wrinkles=between(0.1, 0.35),
            texture=np.column_stack(
                [
                    rng.uniform(0.01, 0.05, 6),
                    rng.uniform(2, 14, 6),
                    rng.uniform(2, 14, 6),
                    rng.uniform(0, 6.3, 6),
                ]
            ),
        )
        self.camera = Camera(
            threshold=between(0.14, 0.2),
            mismatch=0.08,
            noise=between(0.2, 0.7),
            hot=int(rng.integers(1, 5)),
            hot_rate=between(40, 120),
        )
        self.strength = {name: between(0.8, 1.25) for name in UNITS}
        self.speed = between(0.7, 1.4)
        self.restless = between(0.5, 1.3)

    def perform(self, emotion: str, rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
        """Express an emotion once.

        Returns:
            Arrays ``t`` [µs], ``x``, ``y``, ``p`` of the events, and ``width``, ``height``.
        """
        seconds = rng.uniform(*SECONDS)
        time = np.arange(int(seconds * FILM_RATE) + 1) / FILM_RATE
        motion = Motion(
            units=self._units(emotion, time, rng),
            blink=_blinks(time, rng),
            gaze=_saccades(time, rng),
            head=_head(time, self.restless, rng),
            light=_light(time, rng),
        )
        film = draw(self.face, motion, HEIGHT, WIDTH)
        t, x, y, p = record(film, FILM_RATE, self.camera, rng)
        return {
            "t": t.astype(np.int32),
            "x": x.astype(np.uint8),
            "y": y.astype(np.uint8),
            "p": p,
            "width": np.array(WIDTH),
            "height": np.array(HEIGHT),
        }

    def _units(
        self, emotion: str, time: npt.NDArray[np.float64], rng: np.random.Generator
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Rise to the apex, tremble there, and perhaps let go before the end."""
        onset, rise = rng.uniform(0.0, 0.25), rng.uniform(0.4, 0.9) / self.speed
        fall, intensity = rng.uniform(1.1, 2.2), rng.uniform(0.75, 1.1)
        units = {}
        for name in UNITS:
            wanted = EMOTIONS[emotion].get(name, 0.0) * self.strength[name] * intensity
            stray = max(0.0, 0.05 * rng.standard_normal())  # faces do not keep to the book
            wanted = wanted * rng.uniform(0.8, 1.2) + stray
            late = rng.normal(0.0, 0.03)
            course = _ramp((time - onset - late) / rise) * (1 - 0.7 * _ramp((time - fall) / 0.3))
            tremor = 1 + 0.04 * np.sin(2 * np.pi * rng.uniform(6, 10) * time + rng.uniform(0, 6.3))
            units[name] = (wanted * course * tremor).astype(np.float32)
        return units


def _ramp(s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    s = np.clip(s, 0.0, 1.0)
    return s * s * (3 - 2 * s)


def _blinks(time: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Shut for 0.1 s and open for 0.15 s, about once in four seconds."""
    shut = np.zeros_like(time)
    for start in rng.uniform(0, time[-1], rng.poisson(time[-1] / 4)):
        closing = _ramp((time - start) / 0.08) * (1 - _ramp((time - start - 0.12) / 0.15))
        shut = np.maximum(shut, closing)
    return shut.astype(np.float32)


def _saccades(time: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Look somewhere else now and then, in 30 ms."""
    gaze = np.tile(rng.normal(0, [0.08, 0.04]), (len(time), 1))
    for start in rng.uniform(0, time[-1], rng.poisson(1.0 * time[-1])):
        target = np.clip(rng.normal(0, [0.14, 0.06]), -0.3, 0.3)
        share = _ramp((time - start) / 0.03)[:, None]
        gaze = gaze + share * (target - gaze)
    return gaze.astype(np.float32)


def _head(
    time: npt.NDArray[np.float64], restless: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Drift and tremble: a sum of a few slow and quick sines, in either direction."""
    offset = rng.normal(0, 0.02, 2) + np.zeros((len(time), 2))
    for frequency, amplitude in ((0.4, 0.05), (1.7, 0.015), (5.0, 0.006), (8.0, 0.004)):
        hertz = frequency * rng.uniform(0.7, 1.4, 2)
        phase = rng.uniform(0, 2 * np.pi, 2)
        size = restless * amplitude * rng.uniform(0.3, 1.3, 2)
        offset = offset + size * np.sin(2 * np.pi * hertz * time[:, None] + phase)
    return offset.astype(np.float32)


def _light(time: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Somewhere between dim and bright, changing slowly."""
    gain = np.exp(rng.normal(0, 0.4))
    drift = 1 + rng.uniform(0, 0.12) * np.sin(
        2 * np.pi * rng.uniform(0.2, 0.8) * time + rng.uniform(0, 6.3)
    )
    return np.asarray(gain * drift, dtype=np.float32)
