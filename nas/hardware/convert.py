"""``nas convert``: an export folder in another form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nas.hardware import measuring
from nas.hardware.fixed_point import Per, quantised, write_fixed_point
from nas.hardware.loading import Model, read_model
from nas.hardware.nir_file import write_nir
from nas.hardware.onnx_file import TOLERANCE, write_onnx
from nas.hardware.samples import RANDOM, random_frames
from nas.out_folder import refuse_existing
from search_spaces.errors import NasError

Target = Literal["nir", "onnx", "fixed-point"]

FRAMES = 50  # of a clip, where nothing says how long they are: 4 s at 12.5 frames a second
COMPARED = 8  # clips that an ONNX file is compared on

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to convert; what a target has no use for is refused by the command line.

    Args:
        partial: NIR: leave to the host what NIR cannot express.
        frames: ONNX: frames of a clip; else of the random clips to compare on.
        tolerance: ONNX: largest difference of a logit.
        bits: Fixed point: of a weight.
        per: Fixed point: what shares a scale.
        data: Corpus to compare on; None for the search's where it is at hand (fixed point), or
            random frames.
        part: ``validation`` or ``test`` speakers of the search's corpus.
        class_map: YAML file with the class of each label of ``data``.
        seed: Of random frames.
    """

    partial: bool = False
    frames: int | None = None
    tolerance: float = TOLERANCE
    bits: int = 8
    per: Per = "channel"
    data: str | None = None
    part: str | None = None
    class_map: str | None = None
    seed: int = 0


def convert(folder: Path, target: Target, out: Path, options: Options, say: Say) -> dict[str, Any]:
    """Read an export folder and write it in another form.

    Args:
        folder: What ``nas export`` wrote, with weights.
        target: The form.
        out: The file or folder to write; must not exist.
        options: See :class:`Options`.
        say: Takes lines about slow preparations.

    Returns:
        ``hash``, ``target``, and what ``write_nir``, ``write_onnx`` or ``write_fixed_point``
        return.

    Raises:
        NasError: Anything is not as it should be; nothing is written then.
    """
    from eval.process import prepare_cpu

    refuse_existing(out)
    prepare_cpu()
    model = read_model(folder)
    if target == "nir":
        result = _nir(model, out, options)
    elif target == "onnx":
        result = _onnx(model, out, options, say)
    else:
        result = _fixed_point(model, out, options, say)
    return {"hash": model.exported.architecture.hash, "target": target, **result}


def about(model: Model) -> dict[str, str | int | float]:
    """Return what whoever runs the file has to know: classes, features, where it is from."""
    config = model.exported.config
    source, features = config.get("source"), config.get("features")
    source = source if isinstance(source, dict) else {}
    features = features if isinstance(features, dict) else {}
    told = {
        "hash": model.exported.architecture.hash,
        "family": model.family,
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "input_shape": json.dumps(model.shape),
        "frame_rate": source.get("frame_rate"),
        "encoder": source.get("encoder") or features.get("encoder"),
        "layer": source.get("layer", features.get("layer")),
    }
    return {k: v for k, v in told.items() if isinstance(v, str | int | float)}


def _nir(model: Model, out: Path, options: Options) -> dict[str, Any]:
    shape = model.shape
    width = shape if isinstance(shape, int) else shape[1] * shape[2] * shape[3]
    return write_nir(model.network, width, out, partial=options.partial, about=about(model))


def _onnx(model: Model, out: Path, options: Options, say: Say) -> dict[str, Any]:
    shape = model.shape
    length = options.frames or (shape[0] if isinstance(shape, tuple) else FRAMES)
    if isinstance(shape, tuple) and length != shape[0]:
        raise NasError(f"a clip has {shape[0]} frames, not {length}", hint="leave --frames out")
    clips, where = _clips(model, length, options, say)
    return write_onnx(
        model.network,
        clips,
        out,
        compared_on=where,
        tolerance=options.tolerance,
        about=about(model),
    )


def _clips(model: Model, length: int, options: Options, say: Say) -> tuple[Tensor, str]:
    """Return ``[N, L, D]`` to compare on: random, or the first frames of utterances."""
    if options.data is None and options.part is None:
        return random_frames(model.shape, COMPARED, length, options.seed), RANDOM
    found = measuring.unseen(model, options.data, options.part, options.class_map, say)
    assert found is not None  # it was asked for
    dataset, indices, where = found
    long = [i for i in indices if len(dataset.utterance(int(i))) >= length][:COMPARED]
    if not long:
        raise NasError(f"no utterance of {where} has {length} frames", hint="give fewer --frames")
    cut = [torch.tensor(dataset.utterance(int(i))[:length], dtype=torch.float) for i in long]
    return torch.stack(cut), f"the first {length} frames of {len(long)} utterances, {where}"


def _fixed_point(model: Model, out: Path, options: Options, say: Say) -> dict[str, Any]:
    made = quantised(model.network, options.bits, options.per)
    found = measuring.unseen(model, options.data, options.part, options.class_map, say)
    measured = measuring.loss(model, made.network, found, options.frames or FRAMES, options.seed)
    return write_fixed_point(model, made, options.bits, options.per, measured, out)
