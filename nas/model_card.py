"""The card of an exported architecture: what it is, what was measured, where it is from."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from typing import Any

import yaml

import nas
from eval.energy.profile import load_profile
from nas import card_tables as tables
from nas.energy_report import EnergyReport, energy_lines
from nas.folding import FILE as FOLDS_FILE
from nas.folding import WARNING, speaker_dependent
from search_spaces.architecture import Architecture


def model_card(
    architecture: Architecture,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    files: Collection[str],
    energy: EnergyReport | None,
) -> str:
    """Write the model card: what it is, what was measured and by which command.

    Args:
        architecture: What it is of.
        config: What ``config.json`` says.
        metrics: What ``metrics.json`` says.
        files: Names of the other files of the folder.
        energy: Its energy under several profiles, where operations were recorded.
    """
    lines = [
        f"# {config['space']} {architecture.hash}",
        "",
        f"Found by nas {nas.__version__}: `{config['run']['command']}`.",
        "",
        "## Architecture",
        "",
        "```yaml",
        yaml.safe_dump(architecture.as_dict(), sort_keys=False).rstrip(),
        "```",
        "",
        "## Measured",
        "",
        *_measured(config, metrics),
    ]
    if config.get("profile"):
        lines += _prices(config["profile"])
    if energy is not None:
        lines += ["", *energy_lines(energy), "", "By `nas energy DIR`, of this folder."]
    if metrics.get("confirmed"):
        lines += ["", "## On test speakers", "", *_tested(config, metrics["confirmed"])]
    lines += ["", "## Files", "", *_files(config, metrics, files), ""]
    return "\n".join(lines)


def _measured(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    by = metrics.get("measured_by") or {}
    machine = by.get("machine") or {}
    where = f", {machine['cores']} cores of {machine['processor']}" if machine else ""
    lines = [
        f"On {metrics.get('measured_on', 'unknown')}.",
        *([f"**{WARNING[0].upper()}{WARNING[1:]}.**"] if speaker_dependent(config) else []),
        "",
        f"By `{by.get('command')}`, {by.get('date') or 'unknown date'}{where}.",
        *tables.scalars(metrics),
        "",
        "`wa`, `ua`, `macro_f1` are shares of one, `energy` is joules per sample of the head",
        "alone, `latency` seconds.",
    ]
    folds = tables.fold_rows(tables.rows_of(metrics, "folds"))
    if folds:
        lines += ["", "By fold:", *folds]
    counts = tables.confusion(metrics.get("confusion"), config.get("classes"))
    if counts:
        lines += ["", "Utterances by class:", *counts]
    operations = tables.layers(tables.rows_of(metrics, "layers"))
    if operations:
        of = f" ({metrics['layers_of']})" if "layers_of" in metrics else ""
        lines += ["", f"Operations and spikes per sample, by layer{of}:", *operations]
    return lines


def _prices(spec: Any) -> list[str]:
    profile = load_profile(spec)
    lines = ["", f"Energy prices: {profile.source}. Left out:", ""]
    lines += [f"- {what}" for what in profile.excludes]
    if profile.disputed:
        lines += ["", "Sources differ:", "", *(f"- {line}" for line in profile.disputed)]
    return lines


def _tested(config: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    seeds = len({r["seed"] for r in rows})
    run = config["run"].get("folder")
    command = f"nas confirm {shlex.quote(str(run))} --seeds {seeds}"
    return [
        f"Trained anew for every outer fold with {seeds} seed{'s' * (seeds > 1)} and measured on",
        f"the fold, by `{command}`.",
        *tables.confirmed(rows, (config.get("held_out") or {}).get("test")),
        *tables.fold_rows([{k: v for k, v in r.items() if k != "model"} for r in rows]),
    ]


def _files(
    config: Mapping[str, Any], metrics: Mapping[str, Any], files: Collection[str]
) -> list[str]:
    if "model.safetensors" in files:
        weights = f"- `model.safetensors`: {config.get('weights', 'trained weights')}"
    else:
        weights = "- no weights are kept for this one: `nas train` makes them"
    if FOLDS_FILE in files:
        folds = (
            f"- `{FOLDS_FILE}`: the folds that the figures are of, utterance by utterance;"
            f" `--folds {FOLDS_FILE}` splits so again"
        )
    elif config.get("protocol"):
        folds = (
            f"- no `{FOLDS_FILE}`: the corpus was not at hand, or not the same; they are those"
            f" of the protocol {config['protocol']}"
        )
    else:
        folds = f"- no `{FOLDS_FILE}`: the figures are not of a corpus that nas has split"
    lines = [
        weights,
        folds,
        "- `architecture.yaml`: the parameters above",
        "- `config.json`: family, every value with defaults filled in, features",
        "- `environment.json`: versions, machine, date and command of the writing of this folder",
        "- `metrics.json`: every figure, unrounded",
    ]
    if metrics.get("adaptation"):
        lines[-1] += "; `adaptation` has the methods that were compared"
    if "energy.json" in files:
        lines.append("- `energy.json`: energies under every profile, unrounded")
    return lines
