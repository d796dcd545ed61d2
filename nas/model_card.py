"""The card of an exported architecture: what it is, what was measured, where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

import nas
from eval.energy.profile import load_profile
from nas.energy_report import EnergyReport, energy_lines
from nas.folding import FILE as FOLDS_FILE
from nas.folding import WARNING, speaker_dependent
from search_spaces.architecture import Architecture


def model_card(
    architecture: Architecture,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    weights: bool,
    energy: EnergyReport | None,
) -> str:
    """Write the model card: what it is, what was measured and where each figure is from."""
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
        f"On {metrics.get('measured_on', 'unknown')}.",
        *([f"**{WARNING[0].upper()}{WARNING[1:]}.**"] if speaker_dependent(config) else []),
        "",
        "| metric | value |",
        "|---|---|",
    ]
    for name, value in metrics.items():
        if isinstance(value, float):
            lines.append(f"| {name} | {value:.6g} |")
        elif isinstance(value, int | str) and name != "measured_on":
            lines.append(f"| {name} | {value} |")
    lines += [
        "",
        "`wa`, `ua`, `macro_f1` are shares of one, `energy` is joules per sample of the head",
        "alone, `latency` seconds.",
    ]
    if config.get("profile"):
        profile = load_profile(config["profile"])
        lines += ["", f"Energy prices: {profile.source}. Left out:", ""]
        lines += [f"- {what}" for what in profile.excludes]
        if profile.disputed:
            lines += ["", "Sources differ:", "", *(f"- {line}" for line in profile.disputed)]
    if energy is not None:
        lines += ["", *energy_lines(energy)]
    if metrics.get("confirmed"):
        lines += ["", "Test figures per fold and seed are in `metrics.json`, `confirmed`."]
    lines += ["", "## Files", ""]
    if weights:
        lines.append(f"- `model.safetensors`: {config.get('weights', 'trained weights')}")
    else:
        lines.append("- no weights are kept for this one: `nas train` makes them")
    if config.get("folds"):
        lines.append(f"- `{FOLDS_FILE}`: the folds that the figures are of")
    lines += [
        "- `architecture.yaml`: the parameters above",
        "- `config.json`: family, every value with defaults filled in, features, environment",
        "- `metrics.json`: every figure, operations per layer included",
        *(["- `energy.json`: the comparisons above, unrounded"] if energy is not None else []),
        "",
    ]
    return "\n".join(lines)
