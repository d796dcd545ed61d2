"""``nas data protocols`` and ``nas data folds``: how a corpus is split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.cli.fold_options import warn, with_folds
from nas.cli.output import Out, with_output


@click.command()
@with_output
def protocols(out: Out) -> None:
    """List the protocols that --protocol takes, and what each corpus is split by.

    Example: nas data protocols
    """
    from eval.protocols import DEFAULTS, NAMES
    from eval.splitters import AUTOMATIC

    def human() -> None:
        out.table(["protocol", ""], NAMES.items())
        out.table(["corpus", "by default"], [*DEFAULTS.items(), ("any other", AUTOMATIC)])

    document = {"protocols": NAMES, "defaults": {**DEFAULTS, "any other": AUTOMATIC}}
    out.result(document, human, lambda: list(NAMES))


@click.command()
@click.argument("corpus")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@with_folds
@click.option("--out", "target", type=click.Path(path_type=Path), help="Write them there.")
@click.option(
    "--style",
    type=click.Choice(["json", "emobox"]),
    default="json",
    show_default=True,
    help="Of --out: one file of ours, or a folder of jsonl files like EmoBox's.",
)
@with_output
def folds(
    corpus: str,
    class_map: str | None,
    protocol: str | None,
    folds: str | None,
    speaker_dependent: bool,
    target: Path | None,
    style: str,
    out: Out,
) -> None:
    """Show the folds of a corpus, or write them where others can use them.

    Outer folds and the validation parts inside them, utterance by utterance. --folds of
    other commands reads both styles. No recording is decoded.

    \b
    Examples:
      nas data folds iemocap:IEMOCAP_full_release
      nas data folds my_corpus/ --protocol 4-fold-by-speaker --out folds.json
      nas data folds emodb:EMODB --style emobox --out folds/
    """  # noqa: D301
    from eval.emobox import write_emobox
    from eval.fold_json import corpus_identity, render, write_text
    from eval.fold_tables import fold_rows
    from eval.folding import members_of
    from eval.folds import Groups
    from nas.folding import open_split

    request = {"data": corpus, "class_map": class_map, "protocol": protocol, "folds": folds}
    split = open_split({**request, "speaker_dependent": speaker_dependent}, out.say)
    table = Groups.of(split.corpus)
    rows = fold_rows(split.folding, table)
    mixed = any(row["shared_speakers"] for row in rows)
    members = members_of(split.folding, split.corpus) if target is not None else []
    if target is not None and style == "emobox":
        write_emobox(target, split.corpus, members)
    elif target is not None:
        name = split.folding.name
        source = split.source()
        text = render(split.corpus, members, protocol=name, speaker_dependent=mixed, source=source)
        write_text(target, text)
    document: dict[str, Any] = {
        "corpus": corpus_identity(split.corpus),
        "protocol": split.folding.name,
        "speaker_dependent": mixed,
        "folds": rows,
        "out": str(target) if target is not None else None,
    }

    def human() -> None:
        out.line(f"{split.corpus.name}, {split.folding.name}:")
        print_folds(rows, table.classes, out)
        warn(out, document)
        if target is not None:
            out.line(f"written: {target}")

    out.result(document, human, lambda: [r["name"] for r in rows])


def print_folds(rows: list[dict[str, Any]], classes: tuple[str, ...], out: Out) -> None:
    """Print a line for each outer fold: how much and who is on either side."""
    out.table(
        ["test fold", "test", "speakers", *classes, "rest", "speakers", *classes, "inner"],
        [
            [
                r["name"],
                r["held"],
                len(r["held_speakers"]),
                *(r["held_classes"][c] for c in classes),
                r["fit"],
                len(r["fit_speakers"]),
                *(r["fit_classes"][c] for c in classes),
                len(r["inner"]),
            ]
            for r in rows
        ],
    )
