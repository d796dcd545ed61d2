"""The network of an export folder, which may come from anybody.

Nothing in a folder is run: text is parsed, weights are safetensors, and the network is built by
a family of this package. What the architecture needs is worked out first, without memory, and
compared with what the weights file declares; only then is anything allocated or read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from nas.export import Exported, read_folder, weights_of
from nas.hardware.tensors import Declared, check_declared, read_header, read_tensors
from nas.trusted import classes_of, trusted_family
from search_spaces.buffers import late_buffers
from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.ttfs import TTFSNetwork

LARGEST_TEXT = 2**24  # bytes of a JSON or YAML file; a real one has some kilobytes
LARGEST_LATE = 2**16  # steps a frame, steps of a delay, or a gain
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib")

Shape = int | tuple[int, ...]

# Whose second axis is the width of a frame, for folders that do not say it.
_READS_FRAMES = {"pts_snn": "project.linear.weight", "mean_pool": "norm.running_mean"}


@dataclass(frozen=True)
class Model:
    """A trained network and what its folder says about it.

    Args:
        exported: The folder.
        network: In evaluation mode; a network of B1 neurons in its spiking view.
        family: Name of its family.
        shape: Width ``D`` of a frame, or ``(L, C, H, W)`` of a clip.
        classes: One for each logit.
    """

    exported: Exported
    network: nn.Module
    family: str
    shape: Shape
    classes: tuple[str, ...]


def load(folder: str | Path, trusted: Collection[str] = ()) -> nn.Module:
    """Return the trained network of an export folder, ready to be called.

    Its ``forward(features, lengths)`` maps ``[B, L, D]`` and ``[B]`` to ``[B, C]`` logits.

    Args:
        folder: What ``nas export`` or ``nas train --out`` wrote.
        trusted: Families outside this package (``module:attribute``) that may be imported.

    Raises:
        NasError: As :func:`read_model`.
    """
    return read_model(folder, trusted).network


def read_model(folder: str | Path, trusted: Collection[str] = ()) -> Model:
    """Read an export folder with weights.

    Args:
        folder: See :func:`load`.
        trusted: See :func:`load`.

    Raises:
        NasError: It is no export, holds pickles or no weights, names a family that is not
            trusted, or its weights are not those of its architecture.
    """
    folder = Path(folder)
    exported = _read_text(folder)
    config = exported.config
    family = trusted_family(config, trusted, folder)
    classes = classes_of(config, folder)
    weights = _only_safetensors(folder)
    declared = read_header(weights)
    shape = _shape(config, family, declared, folder)
    values = exported.architecture
    try:
        with torch.device("meta"):  # shapes without memory
            empty = skeleton(family, values, shape, len(classes))
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        raise NasError(f"this architecture cannot be built: {error}", where=str(folder)) from None
    expected: Declared = {k: (tuple(v.shape), v.dtype) for k, v in empty.state_dict().items()}
    # a network that was adapted to another frame rate has these as well
    late = {k: kind for k, kind in late_buffers(empty).items() if k in declared}
    check_declared({**expected, **{k: ((), kind) for k, kind in late.items()}}, declared, weights)
    tensors = read_tensors(weights)
    check_late({k: tensors[k] for k in late}, weights)
    network = skeleton(family, values, shape, len(classes))
    network.load_state_dict(tensors)
    return Model(exported, network.eval(), family, shape, classes)


def check_late(tensors: Mapping[str, torch.Tensor], weights: Path) -> None:
    """Refuse what no adaptation leaves: memory and time of a network grow with these."""
    for name, tensor in tensors.items():
        least = 0.0 if tensor.is_floating_point() else 1.0
        if not least <= float(tensor) <= LARGEST_LATE:
            raise NasError(f"{name} is {float(tensor):g}", where=str(weights))


def skeleton(family: str, values: Mapping[str, Any], shape: Shape, n_classes: int) -> nn.Module:
    """Build an untrained network in the form its weights are kept in.

    A network of B1 neurons is kept as what a device runs: folded, in its spiking view.
    """
    with torch.random.fork_rng(devices=[]):  # initialisers read torch's global generator
        network = get_family(family).build(values, shape, n_classes)
    if isinstance(network, TTFSNetwork) and network.discretisation is not None:
        network.fold()
        network.view = network.spiking_view()
    return network


def _read_text(folder: Path) -> Exported:
    for name in ("config.json", "environment.json", "architecture.yaml"):
        path = folder / name
        if path.is_file() and path.stat().st_size > LARGEST_TEXT:
            raise NasError(f"{path.stat().st_size} bytes are no {name}", where=str(path))
    try:
        # looked at before it becomes an architecture: aliases can make a short file endless
        text = (folder / "architecture.yaml").read_text(encoding="utf-8")
        check_values(yaml.safe_load(text), str(folder / "architecture.yaml"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        pass  # `read_folder` says what is wrong
    try:
        return read_folder(folder)
    except (AttributeError, TypeError, RecursionError) as error:
        raise NasError(f"this is no exported architecture: {error}", where=str(folder)) from None


def check_values(values: object, where: str) -> None:
    """Refuse what is no flat mapping of parameters to values.

    Raises:
        NasError: It is none.
    """
    if not isinstance(values, dict):
        raise NasError("this is no mapping of parameters to values", where=where)
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or len(items) > 1024:
            raise NasError("this is no mapping of parameters to values", where=where)
        for item in items:
            if not isinstance(item, bool | int | float | str):
                raise NasError(f"{type(item).__name__} is no value", where=f"{where}:{name}")


def _only_safetensors(folder: Path) -> Path:
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in PICKLES)
    if pickled:
        raise NasError(
            f"{pickled[0]} may hold a pickle, which runs code when it is read;"
            " an export never has one",
            where=str(folder),
            hint="remove it if you know where it comes from; weights are read from safetensors",
        )
    return weights_of(folder)


def _clip(source: object) -> list[int] | None:
    """Return ``[L, C, H, W]`` where the description of the corpus tells how clips were cut."""
    from eval.event_frames import Sampling
    from eval.events import POLARITIES

    if not isinstance(source, dict) or not isinstance(source.get("size"), dict):
        return None
    size = source["size"]
    frames = Sampling.parse(str(source.get("sampling"))).frames
    return [frames, POLARITIES, size.get("height"), size.get("width")]


def _shape(config: Mapping[str, Any], family: str, declared: Declared, folder: Path) -> Shape:
    """Return the input's shape: what ``config.json`` says, else what the weights show."""
    told = config.get("input_shape")
    if told is None:
        shape = declared.get(_READS_FRAMES.get(family, ""), ((), torch.float32))[0]
        if shape and shape[-1] > 0:
            return int(shape[-1])
        told = _clip(config.get("source"))
    if told is None:
        raise NasError(
            "config.json does not say the shape of the input, and the weights do not show it",
            where=str(folder),
            hint='add "input_shape": the width of a frame, or [L, C, H, W] of a clip',
        )
    sides = told if isinstance(told, list) else [told]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 2**31 for n in sides)
    if not whole or len(sides) not in (1, 4):
        raise NasError(f"input_shape {told!r} is no shape", where=str(folder / "config.json"))
    return tuple(sides) if len(sides) == 4 else int(sides[0])
