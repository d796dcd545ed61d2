"""An exported architecture: a folder that a person can read, hand over and retrain."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eval.energy.profile import DEFAULT_PROFILE, load_profile, profile_names
from nas.confirm import FILE as CONFIRM
from nas.corpus import LATER, OPTIONS
from nas.energy_report import EnergyReport, report, times_held
from nas.evaluation import Evaluation
from nas.folding import FILE as FOLDS_FILE
from nas.folding import described, kept_folds, speaker_dependent
from nas.measurements import part_of
from nas.model_card import model_card
from nas.out_folder import made_whole
from nas.outer import read_rows
from nas.run_config import describe_environment
from nas.study import Study
from nas.train_rate import trained_at
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError, nearest
from search_spaces.families import get_family

FORMAT = 1
ENVIRONMENT = "environment"  # a file; a part of config.json before it had one


@dataclass(frozen=True)
class Exported:
    """What an export folder says.

    Args:
        folder: Where it is.
        architecture: The architecture.
        config: ``config.json``.
    """

    folder: Path
    architecture: Architecture
    config: Mapping[str, Any]


def choose(study: Study, best: str | None, trial: str | None) -> Evaluation:
    """Pick what to export.

    Args:
        study: The run.
        best: ``knee`` or the name of an objective.
        trial: Start of a hash.

    Raises:
        NasError: Both or an unknown choice, or a front with nothing on it.
    """
    if trial is not None:
        if best is not None:
            raise NasError("--best and --trial exclude each other")
        found = study.find(trial)
        if not found.ok:
            raise NasError(f"{trial} failed; there is nothing to export", where=str(study.folder))
        return found
    best = best or "knee"
    front = study.front()
    if not front:
        raise NasError("the front of this run is empty", where=str(study.folder))
    if best == "knee":
        knee = study.knee()
        assert knee is not None
        return knee
    objectives = study.space.objectives
    if best not in objectives:
        raise NasError(f"cannot rank by {best!r}", hint=nearest(best, ["knee", *objectives]))
    sign = 1.0 if objectives[best] == "minimize" else -1.0
    return min(front, key=lambda e: (sign * e.objectives[best], e.number))


def export(
    study: Study, e: Evaluation, folder: Path, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Write an architecture of a run as a folder.

    Writes ``architecture.yaml``, ``config.json``, ``environment.json``, ``metrics.json``,
    ``README.md``, of a run on a corpus ``folds.json``, for what recorded its operations
    ``energy.json`` (every profile) and for members of the front ``model.safetensors``.

    Args:
        study: The run.
        e: Of it.
        folder: Where to write.
        say: Told what cannot be written.

    Raises:
        NasError: The folder exists.
    """
    source = study.config.evaluator
    created = study.config.created
    config: dict[str, Any] = {
        "family": study.space.family,
        "space": study.space.name,
        "hash": e.architecture.hash,
        "classes": e.metrics.get("classes"),
        **({"input_shape": source["input_shape"]} if "input_shape" in source else {}),
        "features": {
            k: source.get(k) for k in ("data", *OPTIONS) if k not in LATER or source.get(k)
        },
        **described(source),
        "folds": source.get("folds"),
        "source": source.get("source"),
        "recipe": source.get("recipe"),
        "profile": source.get("profile"),
        "run": {"folder": str(study.folder), "command": created.get("command")},
    }
    metrics = {
        "measured_on": _measured_on(e, source),
        "measured_by": {k: created.get(k) for k in ("command", "date", "machine")},
        **described(source),
        "objectives": dict(e.objectives),
        **e.metrics,
    }
    confirmed = _confirmed(study, e)
    if confirmed:
        metrics["confirmed"] = confirmed
    weights = study.checkpoint(e.architecture)
    if weights.is_file() and source.get("kind") == "corpus":
        fold = e.metrics["folds"][0]["held"]
        held_out = source["test"]
        voices = "utterances" if speaker_dependent(source) else "speakers"
        config["weights"] = (
            f"trained on the search {voices} but for validation fold {fold};"
            f" test fold {held_out} never seen{trained_at(e.metrics)}"
        )
        # what the weights have not seen, for whoever measures them again
        config["held_out"] = {
            "digest": source["digest"],
            "test_fold": source["test_fold"],
            "test": held_out,
            "validation": fold,
        }
    with tempfile.TemporaryDirectory() as scratch:
        return write_folder(
            folder,
            e.architecture,
            config,
            metrics,
            weights if weights.is_file() else None,
            kept_folds(source, study.folder, Path(scratch), say),
        )


def _measured_on(e: Evaluation, source: Mapping[str, Any]) -> str:
    part = part_of(e, source)
    if source.get("kind") != "corpus":
        return f"the run's own evaluator{f', {part} only' if part else ''}"
    what = "utterances" if speaker_dependent(source) else "speakers"
    pooled = f"{part} only" if part else "predictions of all folds pooled"
    return f"validation {what} of the search, {pooled}"


def write_folder(
    folder: Path,
    architecture: Architecture,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    weights: Path | None,
    folds: Path | None = None,
) -> Path:
    """Write an export folder, whole or not at all.

    Args:
        folder: Its place.
        architecture: The architecture.
        config: What ``config.json`` says.
        metrics: What ``metrics.json`` says.
        weights: File to copy, if there are any.
        folds: File of the folds to copy, if they are known.

    Raises:
        NasError: The folder exists, or cannot be made.
    """
    with made_whole(folder) as making:
        making.mkdir()
        document = yaml.safe_dump(architecture.as_dict(), sort_keys=False)
        (making / "architecture.yaml").write_text(document, encoding="utf-8")
        if config.get("family"):
            filled = get_family(config["family"]).filled(architecture)
            config = {**config, "values": filled}
        environment = describe_environment()
        now = {k: environment[k] for k in ("command", "date", "machine")}
        metrics = {"measured_by": now, **metrics}
        full = {"format": FORMAT, **{k: v for k, v in config.items() if k != ENVIRONMENT}}
        _write_json(making / "config.json", full)
        _write_json(making / f"{ENVIRONMENT}.json", environment)
        _write_json(making / "metrics.json", metrics)
        energy = _energy(config, metrics)
        if energy is not None:
            _write_json(making / "energy.json", energy.as_dict())
        if weights is not None:
            shutil.copyfile(weights, making / "model.safetensors")
        if folds is not None:
            _copy_folds(folds, making)
        files = {p.name for p in making.iterdir()}
        card = model_card(architecture, full, metrics, files, energy)
        (making / "README.md").write_text(card, encoding="utf-8")
    return folder


def _copy_folds(folds: Path, folder: Path) -> None:
    try:
        shutil.copyfile(folds, folder / FOLDS_FILE)
    except OSError as error:
        raise NasError(
            f"cannot read the folds of the run: {error.strerror}",
            where=str(folds),
            hint="put the file back; the figures are of these folds",
        ) from None


def read_folder(folder: Path) -> Exported:
    """Read an export folder.

    Raises:
        NasError: It is none, or of another format.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        values = yaml.safe_load((folder / "architecture.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise NasError(
            f"this is no exported architecture: {error}",
            where=str(folder),
            hint="nas export RUN --out DIR makes one",
        ) from None
    if not isinstance(config, dict):
        raise NasError("config.json holds no object", where=str(folder))
    for part in ("features", "source"):
        rate = told.get("frame_rate") if isinstance(told := config.get(part), dict) else None
        if rate is not None and not (isinstance(rate, int | float) and rate > 0):
            raise NasError(f"frame_rate {rate!r} is none", where=str(folder / "config.json"))
    if config.get("format") != FORMAT:
        raise NasError(
            f"this export has format {config.get('format')!r}, this nas reads {FORMAT}",
            where=str(folder),
            hint=f"it was written by nas {_environment(folder, config).get('nas', 'unknown')}",
        )
    return Exported(folder, Architecture(values), config)


def _environment(folder: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an export says of its making; nothing where that is damaged."""
    told = config.get(ENVIRONMENT)
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((folder / f"{ENVIRONMENT}.json").read_text(encoding="utf-8"))
    return told if isinstance(told, dict) else {}


def _energy(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> EnergyReport | None:
    """Compare under the export's own profile and every packaged one, where that is recorded."""
    own = load_profile(config.get("profile") or DEFAULT_PROFILE)
    others = [p for p in map(load_profile, profile_names()) if p.name != own.name]
    values, held = config.get("values"), times_held(config)
    found = report(metrics, [own, *others], values=values, times_held=held)
    return found if found.comparisons else None


def weights_of(folder: Path) -> Path:
    """Return the weights of an export.

    Raises:
        NasError: It has none.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise NasError(
            "this export has no weights",
            where=str(folder),
            hint="export a member of the front, or nas train DIR --out NEW",
        )
    return weights


def _confirmed(study: Study, e: Evaluation) -> list[dict[str, Any]]:
    rows = read_rows(study.folder / CONFIRM)
    return [r for r in rows if r["model"] == e.architecture.hash]


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
