"""``nas profile``: where an evaluation's time goes."""

from __future__ import annotations

from typing import Any

import click

from nas.cli.options import of_recordings
from nas.cli.output import Out, with_output


@click.command()
@click.option(
    "--space", default="pts_snn", show_default=True, help="YAML file, or a packaged one."
)
@click.option("--data", help="Corpus name or folder.  [default: the bundled one]")
@click.option("--encoder", help="Name, folder or cochlea.  [default: whisper-tiny.en]")
@click.option("--layer", type=int, help="Hidden layer of the encoder.")
@click.option("--frame-rate", type=float, help="Frames per second after pooling.")
@click.option("--candidates", default=5, show_default=True, type=click.IntRange(1))
@click.option("--validation-folds", type=click.IntRange(1), help="[default: all]")
@click.option("--dtype", metavar="FORMAT", help="auto, float32 or bfloat16.  [default: auto]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@of_recordings
@with_output
def profile(space: str, candidates: int, seed: int, out: Out, **request: Any) -> None:
    """Show where the time of evaluations goes.

    Random architectures of a space are evaluated as a search does, on every fold, for the seconds
    and the phases. Kinds of operations are shares of an epoch on one fold, under torch's profiler.

    \b
    Examples:
      nas profile --space pts_snn.yaml
      nas profile --space my.yaml --data my_corpus/ --candidates 3 --validation-folds 1
    """  # noqa: D301
    import resource

    from nas.corpus import corpus_evaluator
    from nas.profile import drawn, mean
    from nas.profile import profile as measure
    from search_spaces.schema import load_space

    evaluator = corpus_evaluator(load_space(space), request, out.say)
    how, found = evaluator.how(), []
    for i, a in enumerate(drawn(evaluator, candidates, seed, out.say)):
        out.say(f"{i + 1}/{candidates} {a.hash}")
        found.append(measure(evaluator, a, seed))
    means = mean(found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def largest(of: str) -> list[tuple[str, float]]:
        shares: dict[str, float] = means[of]
        return sorted(shares.items(), key=lambda kv: -kv[1])

    def human() -> None:
        out.table(
            ["candidate", "neurons", "s", "operations", "neurons %", "products %"],
            [
                [
                    p.architecture.hash,
                    str(p.architecture.get("neuron.type", "")),
                    f"{p.seconds:.2f}",
                    str(p.calls),
                    *(f"{100 * p.kinds[k]:.0f}" for k in ("neurons", "matrix products")),
                ]
                for p in found
            ],
        )
        out.line()
        out.table(
            ["phase", "% of the time", "s a candidate"],
            [[k, f"{100 * v:.1f}", f"{v * means['seconds']:.3f}"] for k, v in largest("phases")],
        )
        out.line()
        out.table(
            ["operations", "% of an epoch on one fold"],
            [[k, f"{100 * v:.1f}"] for k, v in largest("kinds")],
        )
        out.line()
        out.line(
            f"{evaluator.dataset.name}, {len(evaluator.folds)} folds,"
            f" {evaluator.recipe.epochs} epochs; {60 / means['seconds']:.1f} candidates a minute"
            f" in one process, whose memory peaked at {peak / 1e9:.2f} GB"
        )
        out.line(f"neurons: {how['neurons']}; products in {how['dtype']}")

    document = {
        "corpus": evaluator.dataset.name,
        "folds": len(evaluator.folds),
        "epochs": evaluator.recipe.epochs,
        **how,
        "peak_memory": peak,
        "kinds_of": {"folds": 1, "epochs": 1},
        "mean": means,
        "candidates": [
            {
                "hash": p.architecture.hash,
                "architecture": p.architecture.as_dict(),
                "seconds": p.seconds,
                "phases": dict(p.phases),
                "kinds": dict(p.kinds),
                "calls": p.calls,
            }
            for p in found
        ],
    }
    out.result(document, human)
