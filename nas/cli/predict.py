"""``nas predict``: what an exported network says of recordings."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from nas.cli.options import with_trust
from nas.cli.output import Out, percent, with_output


@click.command()
@click.argument("exported", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("audio", nargs=-1, required=True)
@click.option("--frames", is_flag=True, help="Scores at every frame, of what came until then.")
@click.option("--encoder", help="Where the encoder is now, if it has moved.")
@click.option("--device", help="Of the encoder: auto, cpu or cuda.  [default: auto]")
@click.option(
    "--batch-seconds",
    type=float,
    metavar="S",
    help="Audio encoded at a time; 0: one recording.  [default: 30]",
)
@with_trust
@click.option("--skip-bad", is_flag=True, help="Leave out what cannot be used; exit code 0.")
@with_output
def predict(
    exported: Path,
    audio: tuple[str, ...],
    frames: bool,
    encoder: str | None,
    device: str | None,
    batch_seconds: float | None,
    trust: tuple[str, ...],
    skip_bad: bool,
    out: Out,
) -> None:
    """Predict recordings with an exported network.

    AUDIO is a file, a folder (everything in it that is audio; .npy for a network of features),
    or - for a list on standard input, a path a line. The encoder of the training is loaded;
    another one is refused. --json prints a line of JSON for every recording, as it comes. Exit
    code 2 if any recording cannot be used, after those that can.

    \b
    Examples:
      nas predict best/ clip.wav
      nas predict best/ recordings/ --json > scores.jsonl
      find . -name '*.flac' | nas predict best/ - --frames --json
    """  # noqa: D301
    from eval.bad_files import BadFiles
    from nas.predict import BATCH_SECONDS, Predictor, recordings_of

    predictor = Predictor(
        exported, encoder=encoder, device=device or "auto", trusted=trust, say=out.say
    )
    bad = BadFiles(skip=skip_bad, offer=True)
    # names are bytes, and need not be text in anything
    listed: Iterable[str] = map(os.fsdecode, sys.stdin.buffer) if "-" in audio else ()
    recordings = recordings_of(audio, listed, predictor.suffixes)
    room = BATCH_SECONDS if batch_seconds is None else batch_seconds
    done, heard, encoding, deciding = 0, 0.0, 0.0, 0.0
    for p in predictor(recordings, bad, frames=frames, batch_seconds=room):
        done, heard = done + 1, heard + p.seconds
        encoding, deciding = encoding + p.encoder_seconds, deciding + p.head_seconds
        if out.mode == "json":
            click.echo(json.dumps(p.as_dict(), ensure_ascii=False))
        elif out.mode == "quiet":
            out.line(p.label)
        else:
            scores = ", ".join(f"{c} {percent(s)} %" for c, s in p.scores.items())
            out.line(f"{p.path}: {p.label} ({scores})")
            for row in p.frames or ():
                told = ", ".join(f"{c} {percent(s)} %" for c, s in row["scores"].items())
                out.line(f"  {row['seconds']:.2f} s: {told}")
    if done:
        out.say(
            f"{done} recording{'s' * (done > 1)}, {heard:.1f} s of audio:"
            f" encoder {encoding:.2f} s, head {deciding:.3f} s"
        )
    if summary := bad.summary():
        if skip_bad:
            out.say(summary)
        bad.settle()
