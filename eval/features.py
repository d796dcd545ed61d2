"""Frame features of a corpus: encoded once, kept on disk, memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.audio import Floats, read_audio, read_features
from eval.cache import atomic_dir, cache_dir, file_sha256
from eval.corpora import BUNDLED, DEFAULT_CORPUS, ClassMap, Corpus, Kind, Utterance, open_corpus
from eval.corpora.corpus import EVENT_KINDS
from eval.encoder import EncoderSource, find_encoder, load_encoder
from eval.event_frames import DEFAULT_SAMPLING, Sampling, make_clips
from eval.frame_file import FrameFile
from eval.packages import Say, silent
from search_spaces.errors import NasError

DEFAULT_FRAME_RATE = 12.5  # [Hz], encoded audio is pooled to this
DEFAULT_FEATURE_RATE = 50.0  # [Hz], what .npy features are taken to be

TARGET_RMS = 0.1  # of full scale

# Part of every cache key: raise it when the same audio would give other frames.
_VERSION = 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Dataset:
    """A corpus as frame features; ``N`` utterances of ``D`` dimensions.

    Args:
        name: The corpus.
        frames: ``[sum L, D]`` float16 (encoded audio, event frames) or float32, memory-mapped.
        offsets: ``[N + 1]``; utterance ``i`` is ``frames[offsets[i] : offsets[i + 1]]``.
        labels: ``[N]`` indices into ``classes``.
        classes: Names of the labels, sorted.
        speakers: Of each utterance.
        sessions: Of each utterance, where the corpus has sessions.
        splits: Of each utterance, where the corpus prescribes a split.
        paths: The file of each utterance; ``#k`` after it counts the clips of one sequence.
        frame_rate: [Hz].
        source: Plain data that a report needs to say where the frames come from.
        encoder_macs: ``[N]`` multiply-accumulates of the frozen encoder for each utterance;
            None when the corpus brought its features along.
        digest: SHA-256 of all that determines a result: frames, labels, groups.
        clip: ``(L, C, H, W)`` of every utterance, where they are clips of event frames; then
            ``D = C * H * W``.
    """

    name: str
    frames: npt.NDArray[np.floating[Any]]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    sessions: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    paths: tuple[str, ...]
    frame_rate: float
    source: dict[str, Any]
    encoder_macs: npt.NDArray[np.int64] | None
    digest: str
    clip: tuple[int, int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dim(self) -> int:
        """Dimensions of a frame."""
        return int(self.frames.shape[1])

    @property
    def shape(self) -> int | tuple[int, ...]:
        """What a network family is built for: ``D``, or ``(L, C, H, W)`` of a clip."""
        return self.dim if self.clip is None else self.clip

    def seconds(self, indices: npt.NDArray[np.int64]) -> float:
        """Return the mean duration of utterances [s], skipped frames of clips included."""
        if self.clip is not None:
            return Sampling.parse(self.source["sampling"]).span / self.frame_rate
        return float((self.offsets[indices + 1] - self.offsets[indices]).mean()) / self.frame_rate

    def utterance(self, i: int) -> npt.NDArray[np.floating[Any]]:
        """Return ``[L, D]``, the frames of one utterance, as a view of the file."""
        return self.frames[self.offsets[i] : self.offsets[i + 1]]


def load_dataset(
    data: str | Path | None = None,
    *,
    encoder: str | Path | None = None,
    layer: int | None = None,
    frame_rate: float | None = None,
    sampling: str | None = None,
    class_map: ClassMap | None = None,
    say: Say = silent,
    progress: Progress | None = None,
) -> Dataset:
    """Load a corpus as frame features; encode it the first time.

    Audio is brought to one loudness (RMS 0.1), encoded, and averaged over windows of
    ``1 / frame_rate`` seconds. Features out of ``.npy`` files are taken as they are. Events
    are cut into clips of event frames (`eval.event_frames`), a clip an utterance. An
    interrupted extraction starts over.

    Args:
        data: What `eval.corpora.open_corpus` takes.
        encoder: What `eval.encoder.find_encoder` takes; only for audio.
        layer: Of the encoder; None for its middle one. Only for audio.
        frame_rate: [Hz]. Audio: what to pool to, 12.5 if not given. Features: what they have,
            50 if not given. Events: how many frames to count them into, 30 if neither this nor
            the corpus says.
        sampling: Which event frames make a clip, ``E4-S3`` if not given; only for events.
        class_map: What `eval.corpora.open_corpus` takes.
        say: Told what is fetched and computed, and what the corpus's notes say.
        progress: Told utterances done and in all while features are extracted.

    Raises:
        NasError: A mistake in the corpus, the encoder or their files.
    """
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise NasError(f"frame rate {frame_rate} Hz", hint="give a number above 0")
    options = {"encoder": encoder, "layer": layer, "sampling": sampling}
    if info := BUNDLED.get(str(data if data is not None else DEFAULT_CORPUS)):
        _refuse_options(info.name, info.kind, None, options)  # before anything is fetched
    taken = Sampling.parse(sampling or DEFAULT_SAMPLING)
    corpus = open_corpus(data, say, class_map)
    for note in corpus.notes:
        say(f"note: {note}")
    _refuse_options(corpus.name, corpus.kind, str(corpus.root), options)
    if corpus.is_events:
        clips = make_clips(corpus, taken, frame_rate, say, progress)
        items = [(u, f"{u.path}#{k}") for u in corpus.utterances for k in range(clips.each)]
        made = (clips.key, clips.folder, clips.rate, clips.source)
        return _assemble(corpus, items, *made, notes=clips.notes, clip=clips.shape)
    if corpus.kind == "features":
        rate = float(frame_rate or DEFAULT_FEATURE_RATE)
        key, folder = _features_of_files(corpus, say, progress)
        origin: dict[str, Any] = {"encoder": None}
    else:
        rate = float(frame_rate or DEFAULT_FRAME_RATE)
        found = find_encoder(encoder, say)
        layer = found.checked_layer(layer)
        key, folder = _features_of_audio(corpus, found, layer, rate, say, progress)
        origin = {"encoder": found.name, "revision": found.revision, "layer": layer}
    items = [(u, str(u.path)) for u in corpus.utterances]
    return _assemble(corpus, items, key, folder, rate, origin)


def _refuse_options(
    name: str, kind: Kind, where: str | None, options: Mapping[str, object]
) -> None:
    """Refuse what would have to be ignored."""
    events = kind in EVENT_KINDS
    if kind != "audio" and (options["encoder"] is not None or options["layer"] is not None):
        what = "events" if events else "features"
        raise NasError(
            f"corpus {name!r} holds {what}; no encoder or layer applies to it",
            where=where,
            hint="leave the encoder and the layer out, or give a corpus of audio",
        )
    if not events and options["sampling"] is not None:
        raise NasError(
            f"corpus {name!r} holds {kind}; only clips of events have a sampling",
            where=where,
            hint="leave --sampling out, or give a corpus of events",
        )


def pool(frames: Floats, ratio: float) -> Floats:
    """Average frames over windows.

    Window ``k`` is frames ``round(k * ratio)`` up to ``round((k + 1) * ratio)``, so that
    windows keep pace with time where the ratio is not whole. The last is averaged over what
    there is.

    Args:
        frames: ``[L, D]``.
        ratio: Frames per window, at least 1.

    Returns:
        ``[ceil(L / ratio), D]``, a frame less where rounding leaves the last window empty.
    """
    length = len(frames)
    starts = np.floor(np.arange(int(length / ratio) + 2) * ratio + 0.5).astype(np.int64)
    starts = starts[starts < length]
    sums = np.add.reduceat(frames, starts, axis=0, dtype=np.float64)
    counts = np.diff(starts, append=length)
    return np.asarray(sums / counts[:, None], dtype=np.float32)


def _features_of_audio(
    corpus: Corpus,
    source: EncoderSource,
    layer: int,
    rate: float,
    say: Say,
    progress: Progress | None,
) -> tuple[str, Path]:
    key = _key("audio", corpus, source.revision, layer, rate)
    folder = cache_dir("features", key)
    if folder.is_dir():
        return key, folder
    encoder = load_encoder(source, say)
    if rate > encoder.frame_rate:
        raise NasError(
            f"{rate:g} frames a second out of an encoder that gives {encoder.frame_rate:g}",
            where=encoder.name,
            hint=f"choose a frame rate up to {encoder.frame_rate:g} Hz",
        )
    say(f"encoding {len(corpus.utterances)} utterances with {encoder.name}, layer {layer}")
    # float16 keeps 3 digits of a frame, far finer than frames of one sound differ, and halves
    # what training reads. FrameFile refuses what it cannot hold.
    with atomic_dir(folder) as made, FrameFile(made, np.float16) as file:
        for i, utterance in enumerate(corpus.utterances):
            audio = _levelled(read_audio(utterance.path), utterance.path)
            frames, native, macs = encoder.encode(audio, layer)
            file.append(pool(frames, native / rate), utterance.path, macs)
            if progress:
                progress(i + 1, len(corpus.utterances))
    return key, folder


def _features_of_files(corpus: Corpus, say: Say, progress: Progress | None) -> tuple[str, Path]:
    key = _key("features", corpus)
    folder = cache_dir("features", key)
    if folder.is_dir():
        return key, folder
    say(f"reading the features of {len(corpus.utterances)} utterances")
    with atomic_dir(folder) as made, FrameFile(made, np.float32) as file:
        for i, utterance in enumerate(corpus.utterances):
            file.append(read_features(utterance.path), utterance.path, 0)
            if progress:
                progress(i + 1, len(corpus.utterances))
    return key, folder


def _key(kind: str, corpus: Corpus, *settings: object) -> str:
    # Of contents in order, not of names: moving a corpus costs nothing, editing it does.
    digest = hashlib.sha256(json.dumps([_VERSION, kind, *settings]).encode())
    for utterance in corpus.utterances:
        digest.update(file_sha256(utterance.path).encode())
    return digest.hexdigest()


def _levelled(audio: Floats, path: Path) -> Floats:
    """Bring audio to one loudness: how far the microphone stood is no emotion."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    if rms == 0.0:
        raise NasError("nothing but silence", where=str(path), hint="remove it from the manifest")
    return audio * np.float32(TARGET_RMS / rms)


def _assemble(
    corpus: Corpus,
    items: Sequence[tuple[Utterance, str]],
    key: str,
    folder: Path,
    rate: float,
    origin: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    clip: tuple[int, int, int, int] | None = None,
) -> Dataset:
    """Join cached frames and what the manifest says, so that a label can be mended for free."""
    index = {label: i for i, label in enumerate(corpus.classes)}
    utterances = [u for u, _ in items]
    groups = [[u.label, u.speaker, u.session, u.split] for u in utterances]
    told = json.dumps([key, rate, groups], ensure_ascii=False)
    macs = np.load(folder / "macs.npy")
    return Dataset(
        name=corpus.name,
        frames=np.load(folder / "frames.npy", mmap_mode="r"),
        offsets=np.load(folder / "offsets.npy"),
        labels=np.array([index[u.label] for u in utterances], dtype=np.int64),
        classes=corpus.classes,
        speakers=tuple(u.speaker for u in utterances),
        sessions=tuple(u.session for u in utterances),
        splits=tuple(u.split for u in utterances),
        paths=tuple(path for _, path in items),
        frame_rate=rate,
        source={
            "corpus": corpus.name,
            "kind": corpus.kind,
            "licence": corpus.licence,
            "notes": [*corpus.notes, *notes],
            "utterances": len(utterances),
            "frame_rate": rate,
            **({"synthetic": True} if corpus.synthetic else {}),
            **origin,
        },
        encoder_macs=macs if corpus.kind == "audio" else None,
        digest=hashlib.sha256(told.encode()).hexdigest(),
        clip=clip,
    )
