"""Predictions of an exported network: recordings in, labels and scores out."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError

if TYPE_CHECKING:
    import torch

    from eval.bad_files import BadFiles
    from eval.frame_file import Stored

BATCH_SECONDS = 30.0  # of audio, padding included
GROUP = 64  # recordings that are in memory at a time, as frames
PREFIXES = 32  # of one recording that the head sees at a time
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")


@dataclass(frozen=True)
class Prediction:
    """What a network says of one recording.

    Args:
        path: Of the recording.
        label: The class of the highest score.
        scores: Softmax of the logits by class.
        frames: For every frame its time [s] from the beginning and the scores of what came
            until then; None unless asked for.
        seconds: Of audio that were heard.
        encoder_seconds: Computing time of reading and encoding, its share of a batch.
        head_seconds: Computing time of the network, its share of a batch.
    """

    path: str
    label: str
    scores: dict[str, float]
    frames: list[dict[str, Any]] | None
    seconds: float
    encoder_seconds: float
    head_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; without ``frames`` where they were not asked for."""
        return {k: v for k, v in vars(self).items() if v is not None}


class Predictor:
    """An exported network with the encoder of its training.

    Args:
        folder: What ``nas export`` or ``nas train --out`` wrote, with weights.
        encoder: Where the encoder is now, if it has moved; its weights must be the same.
        device: Of the encoder: ``auto``, ``cpu`` or ``cuda``.
        trusted: Families outside this package that may be imported; see `nas.hardware.loading`.
        say: Told what is fetched.

    Raises:
        NasError: No usable export, one of event clips, or another encoder than in training.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        encoder: str | None = None,
        device: str = "auto",
        trusted: Collection[str] = (),
        say: Any = lambda _: None,
    ) -> None:
        from eval.encoder_source import COCHLEA
        from eval.process import prepare_cpu
        from nas.hardware.loading import read_model

        prepare_cpu()
        self.model = read_model(folder, trusted)
        source = self.model.exported.config.get("source")
        self._source: dict[str, Any] = source if isinstance(source, dict) else {}
        self.classes = self.model.classes
        self.kind = self._source.get("kind")
        if self.kind not in ("audio", "features"):
            raise NasError(
                f"this network was trained on {self.kind or 'data it does not name'},"
                " which is no recording of speech",
                where=str(folder),
                hint="nas robustness and nas train measure it on a corpus",
            )
        self.frame_rate = float(self._source.get("frame_rate") or 0.0)
        if not self.frame_rate > 0.0:
            raise NasError("this export does not say its frame rate", where=str(folder))
        self._encoder: Any = None
        if self.kind == "audio" and self._source.get("encoder") != COCHLEA:
            self._encoder = self._load_encoder(encoder, device, say)
        elif encoder is not None:
            raise NasError(
                f"{encoder!r} would not be used: this network hears"
                f" {'features' if self.kind == 'features' else 'the cochlea'}",
                where=str(folder),
                hint="leave --encoder out",
            )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of files that it takes end in."""
        return (".npy",) if self.kind == "features" else SUFFIXES

    def _load_encoder(self, asked: str | None, device: str, say: Any) -> Any:
        from eval.encoder import find_encoder, load_encoder

        name = self._source.get("encoder")
        found = find_encoder(asked or name, say)
        if found.revision != self._source.get("revision"):
            raise NasError(
                f"encoder {found.name} is not the one of the training:"
                f" its weights are {found.revision[:12]},"
                f" not {str(self._source.get('revision'))[:12]}",
                where=str(self.model.exported.folder),
                hint=f"give --encoder with a copy of {name} as it was",
            )
        precision = self._source.get("precision", "fp32")
        return load_encoder(found, say, precision=precision, device=device)

    def __call__(
        self,
        paths: Iterable[str | Path],
        bad: BadFiles,
        *,
        frames: bool = False,
        batch_seconds: float = BATCH_SECONDS,
    ) -> Iterator[Prediction]:
        """Predict recordings, in the order given; what cannot be used is left out.

        Args:
            paths: Audio files; ``.npy`` of ``[L, D]`` for a network trained on features.
            bad: Takes what cannot be used.
            frames: Whether to tell the scores of every beginning of a recording too.
            batch_seconds: Audio that is encoded at a time; 0 for one recording at a time.

        Raises:
            NasError: Batches of no length.
        """
        from eval.feature_batches import check_batch_seconds

        check_batch_seconds(batch_seconds)
        left = iter(paths)
        while group := [Path(p) for p in islice(left, GROUP)]:
            yield from self._group(group, bad, frames, batch_seconds)

    def _group(
        self, paths: Sequence[Path], bad: BadFiles, frames: bool, room: float
    ) -> Iterator[Prediction]:
        heard: dict[int, tuple[Stored, float]] = {}
        for batch, took in self._encoded(paths, bad, room):
            total = sum(len(x) for x in batch.values())
            heard |= {i: (x, took * len(x) / total) for i, x in batch.items()}
        began = time.perf_counter()
        order = sorted(heard)
        scores = self._scores([heard[i][0] for i in order])
        took = time.perf_counter() - began
        total = sum(len(heard[i][0]) for i in order)
        for i, row in zip(order, scores, strict=True):
            x, encoding = heard[i]
            began = time.perf_counter()
            course = self._course(x) if frames else None
            beside = time.perf_counter() - began
            named = dict(zip(self.classes, row, strict=True))
            yield Prediction(
                path=str(paths[i]),
                label=max(named, key=lambda c: named[c]),
                scores=named,
                frames=course,
                seconds=len(x) / self.frame_rate,
                encoder_seconds=encoding,
                head_seconds=took * len(x) / total + beside,
            )

    def _encoded(
        self, paths: Sequence[Path], bad: BadFiles, room: float
    ) -> Iterator[tuple[dict[int, Stored], float]]:
        """Yield frames ``[L, D]`` by number of the recording, and the seconds they took."""
        most = self._source.get("max_seconds")
        if self._encoder is None:
            from eval.cochlea_features import of_recordings
            from eval.feature_files import of_arrays

            reading = of_arrays if self.kind == "features" else of_recordings
            heard = reading(self.frame_rate, most).read
            for i, path in enumerate(paths):
                began = time.perf_counter()
                with bad.noting():
                    x = heard(path)
                    if x.shape[1] != self.model.shape:
                        raise NasError(
                            f"frames of {x.shape[1]} dimensions", where=str(path),
                            hint=f"the network reads {self.model.shape}",
                        )  # fmt: skip
                    yield {i: x}, time.perf_counter() - began
            return
        from eval.audio import audio_seconds
        from eval.corpora import Utterance
        from eval.feature_batches import Extraction, Item, batches, encode_items, read_items

        how = Extraction(int(self._source["layer"]), self.frame_rate, max_seconds=most)
        items = []
        for i, path in enumerate(paths):
            with bad.noting():
                seconds = audio_seconds(path)
                kept_seconds = min(seconds, most or seconds)
                items.append(Item(str(i), Utterance(path, label="", speaker=""), kept_seconds))
        for batch in batches(items, room):
            began = time.perf_counter()
            read = read_items(batch, self._encoder, how, bad)
            made = encode_items(read, self._encoder, how, room, bad)
            if made:
                yield {int(name): x for name, x, _ in made}, time.perf_counter() - began

    def _scores(self, recordings: Sequence[Stored]) -> list[list[float]]:
        """Return the softmax of each, a batch of about equal lengths at a time."""
        out: dict[int, list[float]] = {}
        order = sorted(range(len(recordings)), key=lambda i: len(recordings[i]))
        for start in range(0, len(order), PREFIXES):
            some = order[start : start + PREFIXES]
            out |= zip(some, self._run([recordings[i] for i in some]), strict=True)
        return [out[i] for i in range(len(recordings))]

    def _course(self, recording: Stored) -> list[dict[str, Any]]:
        """Return what would be said had the recording ended at each of its frames."""
        ends = range(1, len(recording) + 1)
        rows = self._scores([recording[:n] for n in ends])
        return [
            {"seconds": n / self.frame_rate, "scores": dict(zip(self.classes, row, strict=True))}
            for n, row in zip(ends, rows, strict=True)
        ]

    def _run(self, recordings: Sequence[Stored]) -> list[list[float]]:
        import torch

        lengths = torch.tensor([len(x) for x in recordings])
        longest = int(lengths.max())
        padded: torch.Tensor = torch.zeros(len(recordings), longest, recordings[0].shape[1])
        for row, x in zip(padded, recordings, strict=True):
            row[: len(x)] = torch.from_numpy(x.astype("float32"))
        with torch.inference_mode():
            scores: list[list[float]] = self.model.network(padded, lengths).softmax(1).tolist()
        return scores


def recordings_of(
    given: Iterable[str], listed: Iterable[str] = (), suffixes: Sequence[str] = SUFFIXES
) -> Iterator[Path]:
    """Yield the recordings that a person names.

    Args:
        given: Files, folders (what has one of the suffixes in them, deep, by name, hidden
            ones left out), or ``-`` for ``listed``.
        listed: A path a line, as any system ends lines.
        suffixes: Of recordings, in lower case.

    Raises:
        NasError: A folder without any, or no such file or folder.
    """
    for name in given:
        if name == "-":
            yield from (Path(line.rstrip("\r\n")) for line in listed if line.strip())
            continue
        path = Path(name).expanduser()
        if path.is_dir():
            found = sorted(
                p
                for p in path.rglob("*")
                if p.suffix.lower() in suffixes
                and not any(part.startswith(".") for part in p.relative_to(path).parts)
            )
            if not found:
                raise NasError(
                    "no recording in this folder",
                    where=str(path),
                    hint=f"looked for {' '.join(suffixes)}",
                )
            yield from found
        else:
            yield path
