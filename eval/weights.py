"""Weights on disk: safetensors, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.ttfs import TTFSNetwork


def save_weights(network: nn.Module, path: Path) -> None:
    """Write weights as safetensors; the file appears whole or not at all."""
    save_tensors(network.state_dict(), path)


def save_states(states: Mapping[str, Mapping[str, Tensor]], path: Path) -> None:
    """Write the states of trainings that stopped half-way, by fold."""
    folds = list(states)
    tensors = {f"{i}/{k}": v for i, fold in enumerate(folds) for k, v in states[fold].items()}
    save_tensors(tensors, path, {"folds": json.dumps(folds)})


def load_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read what `save_states` wrote; nothing where there is no such file or a torn one.

    A state saves time and changes no result, so that whatever is wrong with it, training from
    the beginning is right.
    """
    from safetensors import SafetensorError, safe_open

    states: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            folds = json.loads(file.metadata()["folds"])
            for key in file.keys():  # noqa: SIM118 - it is no dict
                index, name = key.split("/", 1)
                states.setdefault(folds[int(index)], {})[name] = file.get_tensor(key)
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}
    return states


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors by name as safetensors; the file appears whole or not at all."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    # copies, for safetensors refuses tensors that several layers share, as windows are
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, temporary, metadata)
    temporary.replace(path)


def load_network(
    path: Path,
    architecture: Mapping[str, Any],
    family: str,
    shape: int | tuple[int, ...],
    n_classes: int,
) -> nn.Module:
    """Build the trained network of a weights file.

    A network of B1 neurons was saved as what a device runs: its normalisations are folded and
    its windows fitted, and it comes back in its spiking view.

    Args:
        path: What `save_weights` wrote.
        architecture: Parameter values.
        family: Name of the network family.
        shape: Of the input, as ``Dataset.shape``.
        n_classes: Number of classes.

    Raises:
        NasError: The file is none, or holds another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = get_family(family).build(architecture, shape, n_classes)
    if isinstance(network, TTFSNetwork) and network.discretisation is not None:
        network.fold()
        network.view = network.spiking_view()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise NasError(f"these are not the network's weights: {error}", where=str(path)) from None
    return network.eval()
