"""An exported network at another frame rate, without training."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.export import Exported, weights_of, write_folder
from nas.folding import FILE as FOLDS_FILE
from nas.out_folder import refuse_taken
from nas.recordings import Recordings, at_both_rates, what_frames_hold
from nas.trusted import read_trained
from search_spaces.errors import NasError, nearest

if TYPE_CHECKING:
    from torch import nn

    from eval.features import Dataset
    from eval.resolution import Adapted, Inputs

Say = Callable[[str], None]
Step = Callable[[int, int], None]

MOST = 256  # utterances that spikes are counted on: a ratio of counts needs no more


def adapt(
    exported: Path,
    to: float,
    *,
    rate: float | None = None,
    method: str = "auto",
    inputs: Inputs | None = None,
    data: str | None = None,
    class_map: str | Path | None = None,
    part: str | None = None,
    folder: Path | None = None,
    trusted: Collection[str] = (),
    say: Say,
    step: Step,
) -> dict[str, Any]:
    """Change the frame rate of an export by every method, and keep one.

    Args:
        exported: Export folder with weights.
        to: New frame rate [Hz].
        rate: The export's own [Hz]; None takes the one it records, another is refused.
        method: One of `eval.resolution.ALL_METHODS`, or ``auto``: the one by which the network
            says most nearly what it said, on recordings at both rates, labels unread.
        inputs: What a frame holds; None for what the corpus says, else ``held``.
        data: Another corpus with the same classes to count and measure on; None takes the one
            of the search.
        class_map: YAML file with the class of each label of ``data``.
        part: ``validation`` (the default) or ``test``: which speakers of the search's corpus to
            measure on; not with ``data``.
        folder: Where to write the adapted export, or None.
        trusted: Families outside this package that may be imported.
        say: Takes lines about slow preparations.
        step: Told (done, all) while methods are measured.

    Returns:
        ``hash``, ``from``, ``to``, ``ratio`` of the network's step, ``method``, ``corpus``,
        ``measured_on`` (None where the weights have seen everything), ``source`` and ``rows``:
        a dict per method with ``method``, ``refusal``, ``notes``; ``divergence`` of its class
        probabilities from the source's [nats] and ``agreement``, the share of equal decisions;
        ``layers`` (spikes over the source's) and their ``distance`` from 1; and, of unseen
        speakers, ``metrics``.

    Raises:
        NasError: No weights, a rate that is none, recordings that cannot be had at it, a
            network that cannot run at it, or a folder that cannot be made.
    """
    from eval.process import prepare_cpu
    from eval.resolution import ALL_METHODS, COMPARED, compare, has_memory
    from eval.weights import load_network

    model = read_trained(exported, trusted)
    weights = weights_of(exported)
    if folder is not None:
        refuse_taken(folder)
    if method not in (*ALL_METHODS, "auto"):
        raise NasError(f"no method {method!r}", hint=nearest(method, ("auto", *ALL_METHODS)))
    if data is not None and part is not None:
        raise NasError("--on chooses speakers of the search's corpus, not of --data")
    own = _rates(model, rate, to)
    prepare_cpu()
    recordings = at_both_rates(model, own, to, inputs, data, class_map, part, say)
    inputs = what_frames_hold(recordings.before, inputs)
    before = recordings.before
    network = load_network(
        weights, model.architecture, model.config["family"], before.shape, len(before.classes)
    )
    steps_differ = has_memory(network) and recordings.ratio != 1
    compared = COMPARED if steps_differ else ("integral", "none")
    if method not in (*compared, "auto"):
        compared = (*compared, method)
    seen = recordings.fold.fit if len(recordings.fold.fit) else recordings.fold.held
    counted = seen[:: math.ceil(len(seen) / MOST)]
    found = compare(
        network, recordings.ratio, before, recordings.after, counted,
        inputs=inputs, methods=compared,
    )  # fmt: skip
    if to != own:
        found = _refitted(found, network, recordings, seen, counted)
    chosen = _chosen(found, method)
    rows = []
    for i, one in enumerate(found):
        rows.append(_row(one, model, recordings))
        step(i + 1, len(found))
    result: dict[str, Any] = {
        "hash": model.architecture.hash,
        "from": own,
        "to": to,
        "ratio": recordings.ratio,
        "inputs": inputs,
        "method": chosen.method,
        "corpus": before.name,
        "measured_on": recordings.held_of,
        "source": _measured(network, model, before, recordings),
        "rows": rows,
    }
    if folder is not None:
        _write(folder, model, recordings, chosen, result, method)
    return result


def _rates(model: Exported, given: float | None, to: float) -> float:
    """Check both rates and return the export's own."""
    for name, rate in (("--from", given), ("--to", to)):
        if rate is not None and not 0 < rate < math.inf:
            raise NasError(f"{name} {rate:g} is no frame rate", hint="give a number above 0")
    features, source = model.config.get("features") or {}, model.config.get("source") or {}
    own = source.get("frame_rate") or features.get("frame_rate")
    if own is None:
        raise NasError("this export does not say what it was trained on", where=str(model.folder))
    if given is not None and given != own:
        raise NasError(
            f"this network was trained at {own:g} frames a second, not at {given:g}",
            where=str(model.folder),
            hint=f"give --from {own:g}, or leave it out",
        )
    return float(own)


def _chosen(found: list[Adapted], method: str) -> Adapted:
    from eval.resolution import choose

    if method == "auto":
        return choose(found)
    chosen = next(a for a in found if a.method == method)
    if chosen.network is None:
        raise NasError(f"{method}: {chosen.refusal}", hint="--method auto takes one that can")
    return chosen


def _refitted(
    found: list[Adapted], network: nn.Module, recordings: Recordings, seen: Any, counted: Any
) -> list[Adapted]:
    """Fit the windows of a time-to-first-spike network, and hear what it says with those.

    Others have no windows and stay as they were heard.

    Args:
        found: The network by every method; windows are fitted in place.
        network: The source.
        recordings: At both rates.
        seen: Utterances to fit to.
        counted: Utterances to hear.
    """
    from eval.batches import collate, ordered
    from eval.resolution import refit
    from eval.resolution.consistency import difference
    from eval.training import predict
    from search_spaces.ttfs import TTFSNetwork

    if not isinstance(network, TTFSNetwork) or network.discretisation is None:
        return found
    said, after = predict(network, recordings.before, counted), recordings.after
    heard: list[Adapted] = []
    for one in found:
        if one.network is not None and one.method != "none":
            refit(one.network, (collate(after, batch)[:2] for batch in ordered(seen, 64)))
            divergence, agreement = difference(said, predict(one.network, after, counted))
            one = replace(one, divergence=divergence, agreement=agreement)
        heard.append(one)
    return heard


def _row(one: Adapted, model: Exported, recordings: Recordings) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": one.method,
        "refusal": one.refusal,
        "notes": list(one.notes),
        "divergence": one.divergence,
        "agreement": one.agreement,
        "distance": one.distance,
        "layers": dict(one.ratios),
        "metrics": None,
    }
    if one.network is not None:
        row["metrics"] = _measured(one.network, model, recordings.after, recordings)
    return row


def _measured(
    network: nn.Module, model: Exported, dataset: Dataset, recordings: Recordings
) -> dict[str, Any] | None:
    """Measure on speakers that the weights have not seen; None where there are none."""
    import torch

    from eval.energy.operations import OperationCounter
    from eval.evaluate import Trained, count_parameters, measure
    from eval.training import predict

    held = recordings.fold.held
    if not len(held):
        return None
    with OperationCounter(network).counting() as counter:
        logits = predict(network, dataset, held)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(dataset.labels[held]))
    done = Trained(
        network=network,
        parameters=count_parameters(network),
        state={},
        fold=recordings.fold,
        predicted=logits.argmax(1).numpy(),
        loss=float(loss),
        operations=counter.table(),
    )
    return measure([done], dataset, model.config.get("profile") or "45nm_fp32")


def _write(
    folder: Path,
    model: Exported,
    recordings: Recordings,
    chosen: Adapted,
    result: Mapping[str, Any],
    asked: str,
) -> None:
    from eval.resolution.network import times_held
    from eval.weights import save_weights
    from nas.cli.output import finite

    assert chosen.network is not None
    own, to, after = result["from"], result["to"], recordings.after
    remade = ("format", "values", "environment", "held_out")
    config = {k: v for k, v in model.config.items() if k not in remade}
    source = after.source if recordings.searched else {**config["source"], "frame_rate": to}
    told = f"adapted from {own:g} to {to:g} frames a second by {chosen.method}, without training"
    config |= {
        "features": {**model.config["features"], "frame_rate": to},
        "source": source,
        "weights": f"{config.get('weights', 'trained weights')}; {told}",
        "adapted": {
            "from": str(model.folder),
            "from_rate": own,
            "to_rate": to,
            "method": chosen.method,
            "asked": asked,
            "inputs": result["inputs"],
            "notes": list(chosen.notes),
            "times_held": times_held(chosen.network),
            "before": config.get("adapted"),
        },
    }
    held_out = model.config.get("held_out")
    # frames put together here cannot be had again by reading the corpus's files
    if recordings.searched and recordings.features is not None:
        config["features"]["sampling"] = recordings.features.get("sampling")
        if held_out is not None:
            config["held_out"] = {**held_out, "digest": after.digest}
        elif "trained_on" in config:
            config["trained_on"] = after.digest
    row = next(r for r in result["rows"] if r["method"] == chosen.method)
    metrics = {
        "measured_on": result["measured_on"] or f"nothing at {to:g} frames a second",
        **(row["metrics"] or {}),
        "adaptation": [
            finite({k: v for k, v in r.items() if k != "metrics"}) for r in result["rows"]
        ],
    }
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "model.safetensors"
        save_weights(chosen.network, weights)
        folds = model.folder / FOLDS_FILE  # what the weights have not seen is told by these
        known = folds if folds.is_file() else None
        write_folder(folder, model.architecture, config, metrics, weights, known)
