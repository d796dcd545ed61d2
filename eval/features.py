"""Frame features of a corpus: encoded once, kept on disk, memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.bad_files import BadFiles
from eval.cochlea_features import COCHLEA_RATE, of_recordings
from eval.corpora import BUNDLED, DEFAULT_CORPUS, ClassMap, Corpus, Kind, Utterance, open_corpus
from eval.corpora.corpus import EVENT_KINDS
from eval.dataset import Dataset, assemble
from eval.encoder import Precision, check_names, find_encoder
from eval.encoder_source import COCHLEA
from eval.event_frames import DEFAULT_SAMPLING, Clips, Sampling, make_clips
from eval.feature_batches import Extraction, check_batch_seconds
from eval.feature_extraction import Extracted, Progress, extract
from eval.feature_files import features_of_files, of_arrays
from eval.packages import Say, silent
from search_spaces.errors import NasError

__all__ = [
    "DEFAULT_FEATURE_RATE",
    "DEFAULT_FRAME_RATE",
    "Dataset",
    "Loaded",
    "Progress",
    "load_dataset",
    "load_features",
]

DEFAULT_FRAME_RATE = 12.5  # [Hz], encoded audio is pooled to this
DEFAULT_FEATURE_RATE = 50.0  # [Hz], what .npy features are taken to be

LEAST_SECONDS = 0.025  # that an encoder needs


@dataclass(frozen=True)
class Loaded:
    """A dataset, and what was done to have it.

    Args:
        dataset: The features.
        made: Where they lie and what was encoded now.
    """

    dataset: Dataset
    made: Extracted


def load_dataset(data: str | Path | None = None, **options: Any) -> Dataset:
    """Load a corpus as frame features; encode it the first time.

    Args:
        data: As for `load_features`.
        options: As for `load_features`.

    Raises:
        NasError: As `load_features`.
    """
    return load_features(data, **options).dataset


def load_features(
    data: str | Path | None = None,
    *,
    encoder: str | Path | None = None,
    layer: int | None = None,
    frame_rate: float | None = None,
    sampling: str | None = None,
    class_map: ClassMap | None = None,
    precision: Precision | None = None,
    max_seconds: float | None = None,
    skip_bad: bool | None = None,
    device: str = "auto",
    batch_seconds: float | None = None,
    say: Say = silent,
    progress: Progress | None = None,
) -> Loaded:
    """Load a corpus as frame features; encode it the first time.

    Audio is brought to one loudness (RMS 0.1), encoded, and averaged over windows of
    ``1 / frame_rate`` seconds. Features out of ``.npy`` files are taken as they are. Events
    are cut into clips of event frames (`eval.event_frames`), a clip an utterance. An
    extraction that was interrupted goes on where it was.

    Args:
        data: What `eval.corpora.open_corpus` takes.
        encoder: What `eval.encoder.find_encoder` takes; only for audio.
        layer: Of the encoder; None for its middle one. Only for audio.
        frame_rate: [Hz]. Audio: what to pool to, 12.5 if not given. Features: what they have,
            50 if not given. Events: how many frames to count them into, 30 if neither this nor
            the corpus says.
        sampling: Which event frames make a clip, ``E4-S3`` if not given; only for events.
        class_map: What `eval.corpora.open_corpus` takes.
        precision: Of the encoder's arithmetic, ``fp32`` if not given; only for audio.
        max_seconds: Keep the beginning of every recording, up to this; None for all of it.
            Not for events.
        skip_bad: Leave out files and rows that cannot be used, and say which; else they are an
            error.
        device: Where the encoder runs: ``auto``, ``cpu`` or ``cuda``.
        batch_seconds: Audio that is encoded at a time [s]; see `Extraction`.
        say: Told what is fetched and computed, what the corpus's notes say, and what was left
            out.
        progress: Told utterances done and to do while features are extracted.

    Raises:
        NasError: A mistake in the corpus, the encoder or their files.
    """
    _check_numbers(frame_rate, max_seconds, batch_seconds)
    check_names(device, precision or "fp32")
    options: dict[str, object] = {"encoder": encoder, "layer": layer, "precision": precision}
    options |= {"sampling": sampling, "max_seconds": max_seconds}
    if info := BUNDLED.get(str(data if data is not None else DEFAULT_CORPUS)):
        _refuse_options(info.name, info.kind, None, options)  # before anything is fetched
    taken = Sampling.parse(sampling or DEFAULT_SAMPLING)
    bad = BadFiles(skip=bool(skip_bad), offer=True)
    corpus = open_corpus(data, say, class_map, bad)
    for note in corpus.notes:
        say(f"note: {note}")
    _refuse_options(corpus.name, corpus.kind, str(corpus.root), options)
    if corpus.is_events:
        clips, corpus = _clips(corpus, taken, frame_rate, bad, say, progress)
        items = [(u, f"{u.path}#{k}") for u in corpus.utterances for k in range(clips.each)]
        made = Extracted(clips.key, clips.folder, corpus.utterances)
        rate, origin = clips.rate, {**clips.source, **_left_out(bad, say)}
        dataset = assemble(
            corpus, items, made.key, made.folder, rate, origin, notes=clips.notes, clip=clips.shape
        )
        return Loaded(dataset, made)
    cut = {} if max_seconds is None else {"max_seconds": max_seconds}
    if corpus.kind == "features":
        rate = float(frame_rate or DEFAULT_FEATURE_RATE)
        made = features_of_files(corpus, of_arrays(rate, max_seconds), bad, say, progress)
        origin = {"encoder": None}
    elif encoder == COCHLEA:
        rate = float(frame_rate or COCHLEA_RATE)
        made = features_of_files(corpus, of_recordings(rate, max_seconds), bad, say, progress)
        origin = {"encoder": COCHLEA, "inputs": "counts"}
    else:
        rate = float(frame_rate or DEFAULT_FRAME_RATE)
        found = find_encoder(encoder, say)
        layer = found.checked_layer(layer)
        exact = precision or "fp32"
        how = Extraction(layer, rate, exact, max_seconds, device, batch_seconds)
        made = extract(corpus, found, how, bad, say, progress)
        origin = {"encoder": found.name, "revision": found.revision, "layer": layer}
        # what came later is told where it is not the default: older runs do not know it
        origin |= {} if exact == "fp32" else {"precision": exact}
    corpus = _of(corpus, made.utterances)
    items = [(u, str(u.path)) for u in corpus.utterances]
    origin |= {**cut, **_left_out(bad, say)}
    return Loaded(assemble(corpus, items, made.key, made.folder, rate, origin), made)


def _check_numbers(
    frame_rate: float | None, max_seconds: float | None, batch_seconds: float | None
) -> None:
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise NasError(f"frame rate {frame_rate} Hz", hint="give a number above 0")
    if max_seconds is not None and not LEAST_SECONDS <= max_seconds < float("inf"):
        raise NasError(
            f"{max_seconds} s of a recording", hint=f"give at least {LEAST_SECONDS} s to keep"
        )
    if batch_seconds is not None:
        check_batch_seconds(batch_seconds)


def _left_out(bad: BadFiles, say: Say) -> dict[str, Any]:
    """Say what was left out, and return it for the record."""
    summary = bad.summary()
    if summary is None:
        return {}
    say(summary)
    return {"skipped": bad.as_data()}


def _of(corpus: Corpus, utterances: Sequence[Utterance]) -> Corpus:
    """Return a corpus of those of its utterances that could be used."""
    classes = tuple(sorted({u.label for u in utterances}))
    return replace(corpus, utterances=tuple(utterances), classes=classes)


def _clips(
    corpus: Corpus,
    sampling: Sampling,
    frame_rate: float | None,
    bad: BadFiles,
    say: Say,
    progress: Progress | None,
) -> tuple[Clips, Corpus]:
    """Cut clips; without a sequence that cannot be used, begin again."""
    while True:
        try:
            return make_clips(corpus, sampling, frame_rate, say, progress), corpus
        except NasError as error:
            left = [u for u in corpus.utterances if str(u.path) != error.where]
            if not bad.skip or not left or len(left) == len(corpus.utterances):
                raise
            bad.add(error)
            corpus = _of(corpus, left)


def _refuse_options(
    name: str, kind: Kind, where: str | None, options: Mapping[str, object]
) -> None:
    """Refuse what would have to be ignored."""
    events = kind in EVENT_KINDS
    of_audio = (options["encoder"], options["layer"], options["precision"])
    if kind != "audio" and of_audio != (None, None, None):
        what = "events" if events else "features"
        raise NasError(
            f"corpus {name!r} holds {what}; no encoder or layer applies to it",
            where=where,
            hint="leave encoder, layer and precision out, or give a corpus of audio",
        )
    if options["encoder"] == COCHLEA and options["layer"] is not None:
        raise NasError("the cochlea has no layers", where=where, hint="leave --layer out")
    if options["encoder"] == COCHLEA and options["precision"] is not None:
        raise NasError("the cochlea has one precision", where=where, hint="leave it out")
    if events and options["max_seconds"] is not None:
        raise NasError(
            f"corpus {name!r} holds {kind}; its clips have their length from the sampling",
            where=where,
            hint="leave the length cap out (--max-seconds, max_seconds of the space)",
        )
    if not events and options["sampling"] is not None:
        raise NasError(
            f"corpus {name!r} holds {kind}; only clips of events have a sampling",
            where=where,
            hint="leave --sampling out, or give a corpus of events",
        )
