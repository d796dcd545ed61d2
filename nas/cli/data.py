"""``nas data``: list, fetch, check and split corpora."""

from __future__ import annotations

from typing import Any

import click

from nas.cli.data_check import check
from nas.cli.data_folds import folds, protocols
from nas.cli.output import Out, with_output


@click.group()
def data() -> None:
    """List, fetch, check and split corpora.

    A corpus is the name of a bundled one, a corpus as its owner ships it, or a folder with a
    manifest.csv of path,label,speaker[,session][,split], where a path is audio (wav, flac,
    ogg), an .npy of features [L, D], or events: an .npz with arrays t (microseconds), x, y, p,
    or an .npy with such fields. A file events.yaml beside the manifest says what event files
    do not: sensor and size (width, height), clips per sequence, frame_rate.

    Known by their layout, or named as LAYOUT:FOLDER: iemocap, emodb, casia, emovo, urdu,
    ravdess, crema-d, savee, tess, esd, msp-podcast, and of events shd, ssc, n-mnist, and see,
    the SEE data set of eye events.
    """


@data.command("list")
@with_output
def list_(out: Out) -> None:
    """List the bundled corpora.

    Example: nas data list
    """
    from eval.corpora import BUNDLED

    rows: list[dict[str, Any]] = [
        {
            "name": info.name,
            "title": info.title,
            "clips": info.clips,
            "speakers": info.speakers,
            "classes": list(info.classes),
            "licence": info.licence,
            "source": info.source,
            "kind": info.kind,
            "fetched": info.fetched,
        }
        for info in BUNDLED.values()
    ]

    def human() -> None:
        for r in rows:
            here = "fetched" if r["fetched"] else f"not fetched: nas data fetch {r['name']}"
            what = "clips" if r["kind"] == "audio" else "event sequences"
            out.line(f"{r['name']}: {r['title']} ({here})")
            out.line(f"  {r['clips']} {what}, {r['speakers']} speakers, {', '.join(r['classes'])}")
            out.line(f"  {r['licence']}; {r['source']}")

    out.result(rows, human, lambda: [r["name"] for r in rows])


@data.command()
@click.argument("corpus")
@with_output
def fetch(corpus: str, out: Out) -> None:
    """Fetch a bundled corpus into the cache (NAS_CACHE, default per XDG), or make it there.

    Example: nas data fetch polish
    """
    from eval.corpora import BUNDLED, open_corpus
    from search_spaces.errors import NasError, nearest

    if corpus not in BUNDLED:
        raise NasError(f"no bundled corpus {corpus!r}", hint=nearest(corpus, BUNDLED))
    opened = open_corpus(corpus, out.say)
    n = len(opened.utterances)
    out.result(
        {"name": opened.name, "folder": str(opened.root), "utterances": n},
        lambda: out.line(f"{opened.name}: {n} utterances in {opened.root}"),
        lambda: [str(opened.root)],
    )


data.add_command(protocols)
data.add_command(folds)
data.add_command(check)
