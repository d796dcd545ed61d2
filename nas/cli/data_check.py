"""``nas data check``: what a person needs to know to trust a corpus."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from nas.cli.data_folds import print_folds
from nas.cli.fold_options import warn, with_folds
from nas.cli.output import Out, percent, with_output

MOST_SPEAKERS = 100  # in a table; MSP-Podcast has thousands


@click.command()
@click.argument("corpus")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@with_folds
@with_output
def check(
    corpus: str,
    class_map: str | None,
    protocol: str | None,
    folds: str | None,
    speaker_dependent: bool,
    out: Out,
) -> None:
    """Read every file of a corpus and print what a person needs to trust it.

    Counts by speaker and class, folds, durations, formats, silence, clipping, copies. Exit
    code 2 when the corpus cannot be split, when files cannot be used (all of them are listed),
    or when one recording is on both sides of a fold, of two speakers or under two labels.

    \b
    Examples:
      nas data check my_corpus/
      nas data check iemocap:IEMOCAP_full_release --classes classes.yaml
      nas data check tess:TESS --speaker-dependent
    """  # noqa: D301
    from eval.check import check_corpus
    from eval.corpora import read_class_map
    from nas.corpus import now_and_then
    from search_spaces.errors import NasError

    report = check_corpus(
        corpus,
        out.say,
        read_class_map(class_map),
        protocol=protocol,
        folds=folds,
        speaker_dependent=speaker_dependent,
        progress=now_and_then(out.say),
    )
    out.result(report, lambda: _print(report, out))
    if problems := [*_broken(report), *_leaks(report)]:
        raise NasError(
            "this corpus cannot be trusted as it is" + "".join(f"\n    {p}" for p in problems),
            where=report["name"],
            hint="mend or remove these files, and drop all but one of a recording's copies",
        )


def _broken(report: dict[str, Any]) -> list[str]:
    broken = report["broken"]
    if not broken:
        return []
    head = f"{len(broken)} of {report['utterances']} utterances cannot be used:"
    return [head, *[f"  {b['path']}: {b['reason']}" for b in broken]]


def _leaks(report: dict[str, Any]) -> list[str]:
    leaks = [f"  {leak['why']}: {', '.join(leak['files'])}" for leak in report["leaks"]]
    return ["the same recording:", *leaks] if leaks else []


def _print(report: dict[str, Any], out: Out) -> None:
    out.line(
        f"{report['name']}: {report['utterances']} utterances of {report['kind']},"
        f" {len(report['speakers'])} speakers, {len(report['classes'])} classes"
    )
    _print_counts(report, out)
    _print_durations(report, out)
    if report["events"]:
        fewest, middle, most = report["events"]
        out.line(f"events a sequence: {fewest:.0f} to {most:.0f}, median {middle:.0f}")
    if report["audio"]:
        _print_audio(report, out)
    tests = report["outer_folds"]
    shown = ", ".join(tests[:MOST_SPEAKERS])
    out.line(f"{report['protocol']}: {len(tests)} outer folds, test on: {shown}")
    print_folds(report["folds"], tuple(report["classes"]), out)
    warn(out, report)
    for group in report["duplicates"]:
        out.line(f"same content: {', '.join(group)}")
    for note in report["notes"]:
        out.line(f"note: {note}")
    bad = f"{len(report['broken'])} files that cannot be used, {len(report['leaks'])} leaks"
    out.line(bad if report["broken"] or report["leaks"] else "no broken files, no leaks")


def _print_counts(report: dict[str, Any], out: Out) -> None:
    counts = Counter({(s, c): n for s, c, n in report["counts"]})
    classes, speakers = report["classes"], report["speakers"]
    rows = [
        [s, *[counts[s, c] for c in classes], sum(counts[s, c] for c in classes)] for s in speakers
    ]
    whole = ["all", *[sum(r[i + 1] for r in rows) for i in range(len(classes) + 1)]]
    if len(rows) > MOST_SPEAKERS:
        each = sorted(r[-1] for r in rows)
        out.line(
            f"utterances a speaker: {each[0]} to {each[-1]}, median {each[len(each) // 2]}"
            " (every one of them: --json)"
        )
        rows = []
    out.table(["speaker", *classes, "all"], [*rows, whole])


def _print_durations(report: dict[str, Any], out: Out) -> None:
    unit, spread = report["length_unit"], report["length"]
    if spread is None:
        return
    low, middle, high = spread
    whole = report["durations"]["all"]
    hours = f", {whole['total'] / 3600:.2f} h in all" if unit == "s" else ""
    out.line(f"length: {low:.2f} to {high:.2f} {unit}, median {middle:.2f}{hours}")
    names = ["min", "median", "mean", "p95", "max", "total"]
    out.table(
        [f"length, {unit}", *names],
        [
            [name, *[f"{row[n]:.2f}" for n in names]]
            for name, row in [*report["durations"]["by_class"].items(), ("all", whole)]
        ],
    )


def _print_audio(report: dict[str, Any], out: Out) -> None:
    audio, n = report["audio"], report["utterances"]
    for f in audio["formats"]:
        channels = {1: "mono", 2: "stereo"}.get(f["channels"], f"{f['channels']} channels")
        out.line(f"{f['files']} files: {f['format']}, {f['rate']} Hz, {channels}")
    silent, clipped = audio["silent"], audio["clipped"]
    worst = max((c["share"] for c in clipped), default=0.0)
    edges = audio["edge_silence"]
    out.line(
        f"silent (below -60 dBFS): {len(silent)} files, {percent(len(silent) / n)} %; clipped:"
        f" {len(clipped)} files, {percent(len(clipped) / n)} %, at worst {percent(worst)} % of the"
        f" samples; silence at begin and end: {percent(edges['share'])} % of the time, at most"
        f" {edges['longest']:.2f} s"
    )
