"""``nas features``: extract features, see what is in the cache, make room."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from nas.cli.confirm import Ticker
from nas.cli.options import of_recordings
from nas.cli.output import Out, with_output

if TYPE_CHECKING:
    from eval.features import Loaded


@click.command(
    epilog="""\b
Examples:
  nas features --data my_corpus/ --encoder facebook/wav2vec2-base --layer 6
  nas features --data iemocap:IEMOCAP --encoder wavlm/ --precision fp16 --device cuda
  nas features --list
  nas features --remove 209f5366"""
)
@click.option(
    "--data", help="Corpus name, a corpus's folder, or LAYOUT:FOLDER.  [default: polish]"
)
@click.option("--encoder", help="Name, folder or cochlea.  [default: whisper-tiny.en]")
@click.option("--layer", type=int, help="Hidden layer of the encoder.  [default: the middle one]")
@click.option("--frame-rate", type=float, help="Frames per second after pooling.")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@of_recordings
@click.option("--device", help="auto, cpu or cuda.  [default: auto]")
@click.option(
    "--batch-seconds",
    type=float,
    metavar="S",
    help="Audio encoded at a time, 0 for single recordings.  [default: 120 on CUDA, 0 on a CPU]",
)
@click.option("--list", "listing", is_flag=True, help="Show what is in the cache.")
@click.option("--remove", metavar="KEY", multiple=True, help="Remove features from the cache.")
@with_output
def features(listing: bool, remove: tuple[str, ...], out: Out, **options: Any) -> None:
    """Extract the features of a corpus into the cache, as a search would.

    Every recording is encoded once for an encoder, layer, frame rate and precision, whatever
    corpus it is part of. Interrupted, the same command goes on where it stopped.
    """
    given = sorted(name for name, value in options.items() if value is not None)
    if (listing or remove) and (given or (listing and remove)):
        raise click.UsageError("--list and --remove stand alone")
    if remove:
        _remove(remove, out)
    elif listing:
        _list(out)
    else:
        _extract(options, out)


def _extract(options: dict[str, Any], out: Out) -> None:
    from eval.corpora import read_class_map
    from eval.feature_store import size_of
    from eval.features import load_features

    asked = {k: v for k, v in options.items() if v is not None}
    asked["class_map"] = read_class_map(asked.get("class_map"))
    try:
        loaded = load_features(
            asked.pop("data", None), **asked, say=out.say, progress=Ticker(out, "recordings")
        )
    except KeyboardInterrupt:
        out.say("interrupted; the same command goes on where it stopped")
        raise
    result = _summary(loaded, size_of(loaded.made.folder))

    def human() -> None:
        r = result
        out.line(
            f"{r['corpus']}: {r['utterances']} utterances, {r['frames']} frames of {r['dim']}"
            f" at {r['frame_rate']:g} Hz, {r['bytes'] / 1e6:.1f} MB in {r['folder']}"
        )
        if r["encoded"]:
            out.line(
                f"{r['encoded']} recordings of {r['audio_seconds']:.0f} s encoded in"
                f" {r['seconds']:.1f} s, real-time factor {r['real_time_factor']:.3f}"
            )
        elif loaded.dataset.source["kind"] == "audio":
            out.line("nothing to encode")

    out.result(result, human, lambda: [result["folder"]])


def _summary(loaded: Loaded, size: int) -> dict[str, Any]:
    data, made = loaded.dataset, loaded.made
    return {
        "corpus": data.name,
        "key": made.key,
        "folder": str(made.folder),
        "bytes": size,
        "utterances": len(data),
        "frames": len(data.frames),
        "dim": data.dim,
        "frame_rate": data.frame_rate,
        "source": data.source,
        "encoded": made.encoded,
        "audio_seconds": made.audio_seconds,
        "seconds": made.seconds,
        "real_time_factor": made.seconds / made.audio_seconds if made.audio_seconds else None,
    }


def _list(out: Out) -> None:
    from eval.feature_store import shelves
    from search_spaces.cache_folder import cache_dir

    found = shelves()

    def human() -> None:
        if found:
            columns = ["key", "what", "corpus", "encoder", "layer", "Hz", "precision"]
            out.table(
                [*columns, "utterances", "frames", "dim", "MB"],
                [
                    [
                        *[s.key[:12] if s.what != "unfinished" else s.key[:23], s.what],
                        *[_cell(v) for v in (s.corpus, s.encoder, s.layer, s.frame_rate)],
                        *[_cell(v) for v in (s.precision, s.utterances, s.frames, s.dim)],
                        f"{s.size / 1e6:.1f}",
                    ]
                    for s in found
                ],
            )
        total = sum(s.size for s in found) / 1e6
        out.line(f"{len(found)} in {cache_dir('features')}, {total:.1f} MB")

    out.result([asdict(s) for s in found], human, lambda: [s.key for s in found])


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _remove(keys: tuple[str, ...], out: Out) -> None:
    from eval.feature_store import remove

    removed = [remove(key) for key in keys]

    def human() -> None:
        for shelf in removed:
            out.line(f"removed {shelf.key}, {shelf.size / 1e6:.1f} MB")

    out.result([asdict(s) for s in removed], human, lambda: [s.key for s in removed])
