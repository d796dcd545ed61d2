"""Encode the recordings of a corpus: each once, whatever corpus it is part of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eval.audio import audio_seconds
from eval.bad_files import BadFiles
from eval.cache import atomic_dir
from eval.corpora.corpus import Corpus, Utterance
from eval.encoder import Encoder, EncoderSource, load_encoder
from eval.feature_batches import (
    Extraction,
    Item,
    Read,
    batches,
    encode_items,
    levelled,
    read_items,
)
from eval.feature_damage import is_whole
from eval.feature_journal import Journal
from eval.feature_store import (
    UNFINISHED,
    Setting,
    corpus_key,
    describe,
    describe_older,
    finished,
    readable,
    remember_left_out,
)
from eval.frame_file import FrameFile, FrameReader
from eval.packages import Say
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

CUDA_BATCH_SECONDS = 120.0  # of audio that a GPU encodes at a time, unless told otherwise

Progress = Callable[[int, int], None]

Known = Mapping[str, tuple[Path, int]]  # name of a recording -> folder, number in it


@dataclass(frozen=True)
class Extracted:
    """Features of a corpus in the cache.

    Args:
        key: Of everything that decides them.
        folder: Of ``frames.npy`` and the like.
        utterances: Those that could be used.
        encoded: How many recordings were encoded now, the others being in the cache.
        audio_seconds: Of those, as their headers say.
        seconds: That encoding them took, loading the encoder not counted.
    """

    key: str
    folder: Path
    utterances: tuple[Utterance, ...]
    encoded: int = 0
    audio_seconds: float = 0.0
    seconds: float = 0.0


def extract(
    corpus: Corpus,
    source: EncoderSource,
    how: Extraction,
    bad: BadFiles,
    say: Say,
    progress: Progress | None = None,
) -> Extracted:
    """Find or make the features of a corpus of audio.

    What other corpora with the same setting hold is copied, not encoded. What is encoded goes
    to a journal first, so that an extraction that was killed goes on where it was.

    Args:
        corpus: Of audio.
        source: The encoder.
        how: Its settings.
        bad: Takes what cannot be used.
        say: Told what is done.
        progress: Told recordings done and to do, of those that are not in the cache.

    Raises:
        NasError: Files that cannot be used, unless they are to be skipped; a frame rate above
            the encoder's.
    """
    setting = Setting(source.name, source.revision, how.layer, how.frame_rate, how.precision)

    def key_of(digests: Sequence[str]) -> str:
        cut = [] if how.max_seconds is None else [["max_seconds", how.max_seconds]]
        return corpus_key("audio", digests, *setting.told(), *cut)

    digests = readable(corpus.utterances, key_of, bad)
    key = key_of(list(digests.values()))
    ready = _ready(corpus, digests, key, setting, how, say)
    if ready is not None:
        return ready
    with Journal(cache_dir("features", UNFINISHED + setting.key), say) as journal:
        known = finished(setting)
        items = _items(digests, how, journal, known, bad)
        bad.settle()
        new = [i for i in items if i.name not in known and i.name not in journal]
        began = time.perf_counter()
        if new:
            began = _encode(items, {i.name for i in new}, source, how, journal, bad, say, progress)
        seconds = time.perf_counter() - began
        bad.settle()
        items = _usable(items, journal, known, bad)
        kept = {i.utterance: digests[i.utterance] for i in items}
        if not kept:
            raise NasError("no recording is left", where=str(corpus.root))
        whole, key = key, key_of(list(kept.values()))
        remember_left_out(whole, digests, kept, bad, key)
        ready = _ready(corpus, kept, key, setting, how, say)
        if ready is None:
            folder = cache_dir("features", key)
            with atomic_dir(folder) as made:
                _assemble(items, journal, known, made)
                describe(made, corpus.name, "audio", setting, [i.name for i in items])
            ready = Extracted(key, folder, tuple(kept))
        encoded = {i.name: i.seconds for i in new if i.name in journal}
        journal.forget(i.name for i in items)
    return replace(
        ready, encoded=len(encoded), audio_seconds=sum(encoded.values()), seconds=seconds
    )


def _ready(
    corpus: Corpus,
    digests: Mapping[Utterance, str],
    key: str,
    setting: Setting,
    how: Extraction,
    say: Say,
) -> Extracted | None:
    folder = cache_dir("features", key)
    if not is_whole(folder, say):
        return None
    if how.max_seconds is None:
        describe_older(folder, corpus.name, "audio", setting, list(digests.values()))
    return Extracted(key, folder, tuple(digests))


def _items(
    digests: Mapping[Utterance, str],
    how: Extraction,
    journal: Journal,
    known: Known,
    bad: BadFiles,
) -> list[Item]:
    """Look at the headers of recordings, where anything depends on them."""
    most = how.max_seconds
    if most is None and all(d in known or d in journal for d in digests.values()):
        return [Item(digest, u, 0.0) for u, digest in digests.items()]
    items = []
    for u, digest in digests.items():
        with bad.noting():
            seconds = audio_seconds(u.path)
            cut = most is not None and seconds > most
            name = f"{digest}@{most:g}" if cut else digest
            items.append(Item(name, u, min(seconds, most or seconds)))
    return items


def _usable(items: Sequence[Item], journal: Journal, known: Known, bad: BadFiles) -> list[Item]:
    """Return what has frames, and name what equals a bad recording and was not read itself."""
    heard = {b.where for b in bad.found}
    usable = [i for i in items if i.name in journal or i.name in known]
    for item in items:
        path = str(item.utterance.path)
        if item.name not in journal and item.name not in known and path not in heard:
            bad.add(NasError("the same content as another that cannot be used", where=path))
    return usable


def _encode(
    items: Sequence[Item],
    new: set[str],
    source: EncoderSource,
    how: Extraction,
    journal: Journal,
    bad: BadFiles,
    say: Say,
    progress: Progress | None,
) -> float:
    """Encode what is new into the journal; return when that began, the encoder being loaded."""
    encoder = load_encoder(source, say, precision=how.precision, device=how.device)
    if how.frame_rate > encoder.frame_rate:
        raise NasError(
            f"{how.frame_rate:g} frames a second out of an encoder that gives"
            f" {encoder.frame_rate:g}",
            where=encoder.name,
            hint=f"choose a frame rate up to {encoder.frame_rate:g} Hz",
        )
    there = sum(i.name not in new for i in items)
    say(
        f"encoding {len(new)} utterances with {encoder.name}, layer {how.layer}"
        + (f"; {there} are in the cache" if there else "")
    )
    room = _room(how, encoder)
    began = time.perf_counter()
    done = 0
    plan = ([i for i in batch if i.name in new] for batch in batches(items, room))
    left = iter([batch for batch in plan if batch])
    # the next batch is read while one is encoded
    with ThreadPoolExecutor(1) as reader:
        coming = _ahead(reader, next(left, None), encoder, how)
        while coming is not None:
            batch, read, noted = coming.result()
            coming = _ahead(reader, next(left, None), encoder, how)
            bad.take(noted)
            if made := encode_items(read, encoder, how, room, bad):
                journal.commit(made)
            done += len(batch)
            if bad.found and not bad.skip:
                say("a recording cannot be used; looking for others before stopping")
                _look_at_all(items, new, how, journal, bad)
                break
            if progress:
                progress(done, len(new))
    return began


def _ahead(
    reader: ThreadPoolExecutor, batch: list[Item] | None, encoder: Encoder, how: Extraction
) -> Future[tuple[list[Item], list[Read], BadFiles]] | None:
    def read(batch: list[Item]) -> tuple[list[Item], list[Read], BadFiles]:
        noted = BadFiles()
        return batch, read_items(batch, encoder, how, noted), noted

    return None if batch is None else reader.submit(read, batch)


def _room(how: Extraction, encoder: Encoder) -> float:
    if how.batch_seconds is not None:
        return how.batch_seconds
    # One at a time, frames depend on nothing but their recording, to the last bit. On a CPU
    # that is worth more than what batches save, unless a person says otherwise.
    return CUDA_BATCH_SECONDS if encoder.device == "cuda" else 0.0


def _look_at_all(
    items: Sequence[Item], new: set[str], how: Extraction, journal: Journal, bad: BadFiles
) -> None:
    """Read what was not encoded, so that a person hears of every bad file at once."""
    heard = {b.where for b in bad.found}
    for item in items:
        if bad.enough:
            return
        path = item.utterance.path
        if item.name in new and item.name not in journal and str(path) not in heard:
            with bad.noting():
                next(levelled(path, how.max_seconds))


def _assemble(items: Sequence[Item], journal: Journal, known: Known, made: Path) -> None:
    """Write the frames of a corpus in its order, one recording in memory at a time."""
    readers: dict[Path, FrameReader] = {}
    try:
        with FrameFile(made, np.float16) as file:
            for item in items:
                if item.name in journal:
                    frames, macs = journal.read(item.name)
                else:
                    folder, number = known[item.name]
                    if folder not in readers:
                        readers[folder] = FrameReader(folder)
                    frames, macs = readers[folder].read(number)
                file.append(frames, item.utterance.path, macs)
    finally:
        for reader in readers.values():
            reader.close()
