"""What is lost on the way to devices: NIR in other simulators, ONNX, integer weights.

Architectures drawn from the packaged spaces are trained on the bundled corpus, every speaker
left out once. The NIR files of the first fold's networks run on the recordings of its test
speaker in an interpreter of NIR's equations, snnTorch, spikingjelly and, where it is installed,
norse; ONNX files on the same recordings in onnxruntime; integer weights are measured on every
fold. Writes the tables of ``docs/hardware.md`` between its markers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import report
import torch
from torch import Tensor, nn

from eval.evaluate import train_fold
from eval.features import Dataset, load_dataset
from eval.folds import Fold, outer_folds
from eval.process import prepare_cpu
from eval.recall import recall
from eval.training import Recipe, predict
from nas.hardware.fixed_point import BITS, quantised
from nas.hardware.nir_file import DT, write_nir
from nas.hardware.onnx_file import write_onnx
from search_spaces.errors import NasError
from search_spaces.schema import load_space
from tests.nas.hardware_nets import spikes_of
from tests.nas.nir_euler import Euler
from tests.nas.nir_importers import with_norse, with_snntorch, with_spikingjelly

ROOT = Path(__file__).parents[1]
RECORDINGS = 10  # of the test speaker, for NIR
FRAMES = 10  # of an ONNX clip: 0.8 s
SPACES = {"hardware": ("plif", "lif", "if"), "pts_snn": ("plif", "lif", "if", "ttfs")}

Simulators = dict[str, Callable[[Any, Tensor], dict[str, Tensor]]]


def drawn(space: str, neuron: str, count: int) -> list[dict[str, Any]]:
    """The first architectures of a seeded sequence that have this kind of neuron."""
    rng = np.random.default_rng(0)
    found: list[dict[str, Any]] = []
    whole = load_space(space)
    while len(found) < count:
        values = whole.sample(rng)
        if values["neuron.type"] == neuron:
            found.append(dict(values))
    return found


def by_equations(graph: Any, x: Tensor) -> dict[str, Tensor]:
    values = Euler(graph, DT).run({"input": x.numpy()})
    return {k: torch.from_numpy(v).float() for k, v in values.items()}


def simulators() -> Simulators:
    found: Simulators = {
        "equations": by_equations,
        "snntorch": with_snntorch,
        "spikingjelly": with_spikingjelly,
    }
    try:
        import norse.torch  # noqa: F401
    except ImportError:
        print("norse is not installed: left out")
        return found
    return {**found, "norse": with_norse}


def recordings(dataset: Dataset, fold: Fold, least: int = 1) -> list[Tensor]:
    """Frames ``[L, D]`` of test recordings."""
    clips = [torch.tensor(np.array(dataset.utterance(int(i)))).float() for i in fold.held]
    return [c for c in clips if len(c) >= least]


def nir_parity(net: nn.Module, clips: list[Tensor], each: Simulators) -> dict[str, Any]:
    """Spikes that differ from ours, of all layers and steps, and the largest logit difference."""
    row: dict[str, Any] = {"spikes": 0, "neuron_steps": 0}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "net.nir"
        told = write_nir(net, clips[0].shape[1], path)
        graph = nir.read(path)
    row["delays"] = any(isinstance(n, nir.Delay) for n in graph.nodes.values())
    for name in each:
        row[f"{name}_differing"], row[f"{name}_logit"] = 0, 0.0
    for clip in clips[:RECORDINGS]:
        ours = spikes_of(net, clip[None])
        logits = ours.pop("logits")
        row["spikes"] += int(sum(s.sum() for s in ours.values()))
        row["neuron_steps"] += sum(s.numel() for s in ours.values())
        currents = clip[:, None].repeat_interleave(told["steps_per_frame"], 0)
        for name, run in each.items():
            theirs = run(graph, currents)
            row[f"{name}_differing"] += sum(
                int((theirs[layer] != spikes).sum()) for layer, spikes in ours.items()
            )
            off = float((theirs["output"].mean(0) - logits).abs().max())
            row[f"{name}_logit"] = max(row[f"{name}_logit"], off)
    return row


def onnx_parity(net: nn.Module, clips: list[Tensor]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        cut = torch.stack([c[:FRAMES] for c in clips])
        path = Path(scratch) / "net.onnx"
        try:
            told = write_onnx(net, cut, path, compared_on="test recordings")
        except NasError as error:
            return {"refused": error.what}
        parity = told["parity"]
        return {
            "seconds": time.perf_counter() - began,
            "nodes": told["nodes"],
            "clips": parity["clips"],
            "largest_difference": parity["largest_difference"],
            "labels_equal": parity["labels_equal"],
        }


def bits_lost(net: nn.Module, dataset: Dataset, fold: Fold) -> dict[str, Any]:
    true, n_classes = dataset.labels[fold.held], len(dataset.classes)

    def measured(network: nn.Module) -> tuple[float, Any]:
        labels = predict(network, dataset, fold.held).argmax(1).numpy()
        return recall(true, labels, n_classes).ua, labels

    ua, before = measured(net)
    row: dict[str, Any] = {"ua": ua}
    for bits in BITS:
        for per in ("channel", "tensor"):
            changed, after = measured(quantised(net, bits, per).network)
            row[f"{bits} {per}"] = changed
            row[f"{bits} {per} same"] = float((before == after).mean())
    return row


def measure(count: int) -> Iterator[dict[str, Any]]:
    dataset = load_dataset(None, say=print)
    folds, each = outer_folds(dataset), simulators()
    for space, neurons in SPACES.items():
        for neuron in neurons:
            for number, values in enumerate(drawn(space, neuron, count)):
                for i, fold in enumerate(folds):
                    net = train_fold(
                        values,
                        dataset,
                        fold,
                        family="pts_snn",
                        fidelity=1.0,
                        seed=0,
                        recipe=Recipe(),
                    ).network
                    net.eval()
                    row = {"space": space, "neuron": neuron, "number": number, "fold": fold.name}
                    row["attention"] = values.get("attention.kind", "-")
                    row["bits"] = bits_lost(net, dataset, fold)
                    if i == 0 and space == "hardware":
                        row["nir"] = nir_parity(net, recordings(dataset, fold), each)
                    if i == 0:
                        row["onnx"] = onnx_parity(net, recordings(dataset, fold, FRAMES))
                    yield row
                print(space, neuron, number, f"ua {100 * row['bits']['ua']:.1f}")


def nir_table(rows: list[dict[str, Any]]) -> list[str]:
    having = [r for r in rows if "nir" in r]
    names = [k.removesuffix("_differing") for k in having[0]["nir"] if k.endswith("_differing")]
    lines = [
        "Spikes that differ from those of the network in torch, of so many neuron steps:",
        "",
        f"| neuron | networks | with a shift | neuron steps | spikes | {' | '.join(names)} |",
        "|---|---|---|---|---|" + "---|" * len(names),
    ]
    for neuron in SPACES["hardware"]:
        own = [r["nir"] for r in having if r["neuron"] == neuron]
        cells = [sum(r[f"{name}_differing"] for r in own) for name in names]
        lines.append(
            f"| {neuron} | {len(own)} | {sum(r['delays'] for r in own)}"
            f" | {sum(r['neuron_steps'] for r in own):,} | {sum(r['spikes'] for r in own):,}"
            f" | {' | '.join(map(str, cells))} |"
        )
    worst = max(r["nir"][f"{name}_logit"] for r in having for name in names)
    return [*lines, "", f"Largest difference of a logit: {worst:.1e}."]


def onnx_table(rows: list[dict[str, Any]]) -> list[str]:
    having = [r for r in rows if "onnx" in r]
    lines = [
        f"ONNX of {FRAMES} frames, on the test speaker's recordings:",
        "",
        "| neuron | networks | refused | clips | largest difference | labels equal % | nodes |",
        "|---|---|---|---|---|---|---|",
    ]
    for neuron in SPACES["pts_snn"]:
        own = [r["onnx"] for r in having if r["neuron"] == neuron]
        good = [r for r in own if "refused" not in r]
        equal = np.average([r["labels_equal"] for r in good], weights=[r["clips"] for r in good])
        nodes = [r["nodes"] for r in good]
        lines.append(
            f"| {neuron} | {len(own)} | {len(own) - len(good)} | {sum(r['clips'] for r in good)}"
            f" | {max(r['largest_difference'] for r in good):.1e} | {100 * equal:.1f}"
            f" | {min(nodes)} to {max(nodes)} |"
        )
    kinds = sorted({r["attention"] for r in having if "refused" not in r["onnx"]} - {"-"})
    return [*lines, "", f"Attention kinds among them: {', '.join(kinds)}."]


def bits_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "UA % of float weights, and the change of UA in points (share of labels that stay, %):",
        "",
        "| neuron | trainings | UA |"
        + "".join(f" {bits}, {per} |" for bits in BITS for per in ("channel", "tensor")),
        "|---|---|---|" + "---|" * (2 * len(BITS)),
    ]
    for neuron in SPACES["pts_snn"]:
        own = [r["bits"] for r in rows if r["neuron"] == neuron]
        cells = []
        for bits in BITS:
            for per in ("channel", "tensor"):
                lost = 100 * np.mean([r[f"{bits} {per}"] - r["ua"] for r in own])
                same = 100 * np.mean([r[f"{bits} {per} same"] for r in own])
                cells.append(f"{lost:+.1f} ({same:.1f})")
        ua = 100 * np.mean([r["ua"] for r in own])
        lines.append(f"| {neuron} | {len(own)} | {ua:.1f} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8, help="architectures a space and neuron")
    parser.add_argument("--document", action="store_true", help="write the tables into the docs")
    options = parser.parse_args()
    prepare_cpu()
    rows = list(measure(options.count))
    lines = [*nir_table(rows), "", *onnx_table(rows), "", *bits_table(rows)]
    print("\n".join(lines))
    report.write("hardware", {"rows": rows})
    if options.document:
        path = ROOT / "docs" / "hardware.md"
        before, _, rest = path.read_text(encoding="utf-8").partition("<!-- tables -->\n")
        _, _, after = rest.partition("<!-- end -->")
        text = before + "<!-- tables -->\n" + "\n".join(lines) + "\n<!-- end -->" + after
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
