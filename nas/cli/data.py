"""``nas data``: list, fetch and check corpora."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from nas.cli.output import Out, with_output


@click.group()
def data() -> None:
    """List, fetch and check corpora.

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


@data.command()
@click.argument("corpus")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@with_output
def check(corpus: str, class_map: str | None, out: Out) -> None:
    """Read every file of a corpus and print what a person needs to trust it.

    Exit code 2 at the first file that cannot be used, or when speaker-independent folds
    cannot be made.

    \b
    Examples:
      nas data check my_corpus/
      nas data check iemocap:IEMOCAP_full_release --classes classes.yaml
    """  # noqa: D301
    from eval.check import check_corpus
    from eval.corpora import read_class_map

    report = check_corpus(corpus, out.say, read_class_map(class_map))

    def human() -> None:
        out.line(
            f"{report['name']}: {report['utterances']} utterances of {report['kind']},"
            f" {len(report['speakers'])} speakers, {len(report['classes'])} classes"
        )
        _print_counts(report, out)
        low, middle, high = report["length"]
        unit = report["length_unit"]
        out.line(f"length: {low:.2f} to {high:.2f} {unit}, median {middle:.2f}")
        if report["events"]:
            fewest, middle, most = report["events"]
            out.line(f"events a sequence: {fewest:.0f} to {most:.0f}, median {middle:.0f}")
        tests = report["outer_folds"]
        out.line(f"{len(tests)} outer folds, test on: {', '.join(tests)}")
        for group in report["duplicates"]:
            out.line(f"same content: {', '.join(group)}")
        for note in report["notes"]:
            out.line(f"note: {note}")

    out.result(report, human)


def _print_counts(report: dict[str, Any], out: Out) -> None:
    counts = Counter({(s, c): n for s, c, n in report["counts"]})
    classes = report["classes"]
    rows = [
        [s, *[counts[s, c] for c in classes], sum(counts[s, c] for c in classes)]
        for s in report["speakers"]
    ]
    rows.append(["all", *[sum(r[i + 1] for r in rows) for i in range(len(classes) + 1)]])
    out.table(["speaker", *classes, "all"], rows)
