"""``nas convert``: from an export folder to devices and other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from nas.cli.output import Out, percent, with_output

# option -> the targets it is for
MEANT_FOR = {
    "partial": ("nir",),
    "frames": ("onnx", "fixed-point"),
    "tolerance": ("onnx",),
    "bits": ("fixed-point",),
    "per": ("fixed-point",),
    "data": ("onnx", "fixed-point"),
    "part": ("onnx", "fixed-point"),
    "class_map": ("onnx", "fixed-point"),
    "seed": ("onnx", "fixed-point"),
}


@click.command()
@click.argument("exported", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Choice(["nir", "onnx", "fixed-point"]))
@click.option("--out", "path", required=True, type=click.Path(path_type=Path))
@click.option("--partial", is_flag=True, help="nir: leave to the host what NIR cannot express.")
@click.option(
    "--frames", type=click.IntRange(1, 10_000), help="onnx: frames of a clip.  [default: 50]"
)
@click.option(
    "--tolerance",
    default=1e-4,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="onnx: largest difference of a logit to torch.",
)
@click.option(
    "--bits",
    default="8",
    show_default=True,
    type=click.Choice(["8", "6", "4"]),
    help="fixed-point: of a weight.",
)
@click.option(
    "--per",
    default="channel",
    show_default=True,
    type=click.Choice(["channel", "tensor"]),
    help="fixed-point: what shares a scale.",
)
@click.option("--data", help="Compare on all of a corpus with the same classes.")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@click.option(
    "--on",
    "part",
    type=click.Choice(["validation", "test"]),
    help="Compare on these speakers of the search's corpus.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Of random frames to compare on.",
)
@with_output
def convert(
    exported: Path,
    target: Literal["nir", "onnx", "fixed-point"],
    path: Path,
    bits: str,
    out: Out,
    **rest: Any,
) -> None:
    """Write an exported network as NIR, ONNX or integer weights.

    nir writes the spiking network as a graph for neuromorphic simulators and devices; parts that
    NIR cannot express are named and refused, or with --partial left to the host. onnx writes an
    unrolled graph for clips of --frames frames, after onnxruntime has agreed with torch on it.
    fixed-point writes integer weights with scales and measures what they cost on speakers the
    weights have not seen, or on random frames where there are none.

    \b
    Examples:
      nas convert best/ --to nir --out best.nir
      nas convert best/ --to onnx --frames 100 --out best.onnx
      nas convert best/ --to fixed-point --bits 6 --out best-6bit/
    """  # noqa: D301
    _refuse_others(target)
    from nas.hardware.convert import Options
    from nas.hardware.convert import convert as make

    result = make(exported, target, path, Options(bits=int(bits), **rest), out.say)

    def human() -> None:
        out.line(f"{result['hash']} -> {path}: {_summary(target, result)}")
        for row in result.get("host", ()):
            out.line(f"  left to the host: {row['part']} ({row['why']})")

    out.result(result, human, lambda: result.get("files", [str(path)]))


def _refuse_others(target: str) -> None:
    context = click.get_current_context()
    for name, targets in MEANT_FOR.items():
        source = context.get_parameter_source(name)
        if source is click.core.ParameterSource.COMMANDLINE and target not in targets:
            option = {"class_map": "--classes", "part": "--on"}.get(name, f"--{name}")
            raise click.UsageError(f"{option} is for --to {' or '.join(targets)}")


def _summary(target: str, result: dict[str, Any]) -> str:
    if target == "nir":
        step = 1e3 * result["dt"]
        return (
            f"{result['neurons']} neurons, {result['synapses']} weights,"
            f" {len(result['files'])} file(s), {step:g} ms a step,"
            f" {result['steps_per_frame']} step(s) a frame"
        )
    if target == "onnx":
        parity = result["parity"]
        return (
            f"{result['frames']} frames, {result['nodes']} nodes, opset {result['opset']};"
            f" onnxruntime differs by {parity['largest_difference']:.2g} at most,"
            f" {percent(parity['labels_equal'])} % of {parity['clips']} labels equal"
            f" ({parity['compared_on']})"
        )
    measured = result["measured"]
    text = (
        f"{result['integer_weights']} weights of {result['bits']} bits,"
        f" {result['weight_bytes']} bytes packed; {percent(measured['agreement'])} % of"
        f" {measured['clips']} labels equal ({measured['measured_on']})"
    )
    for metric in ("wa", "ua"):
        if metric in measured:
            before, after = measured[metric]
            text += f", {metric} {percent(before)} -> {percent(after)} %"
    return text
