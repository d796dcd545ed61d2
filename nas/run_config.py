"""``run.yaml``: the resolved configuration of a run, so that it can be resumed and repeated."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import NasError
from search_spaces.schema import parse_space
from search_spaces.space import Space
from search_spaces.yaml_source import Source, read_yaml

FORMAT = 1
FILE = "run.yaml"
KINDS: dict[str, tuple[type, str]] = {
    "searcher": (str, "a name"),
    "budget": (int, "a whole number"),
    "planned": (int, "a whole number"),
    "seed": (int, "a whole number"),
    "evaluator": (dict, "a mapping"),
    "created": (dict, "a mapping"),
}
REPORTED = ("torch", "spikingjelly", "optuna", "deap", "transformers", "numpy", "moocore", "ray")


@dataclass(frozen=True)
class RunConfig:
    """What a run was asked to do.

    Args:
        space: The whole space, not its path: the file may change, the run may not.
        searcher: Name of the searcher.
        budget: Full-training equivalents of unique architectures.
        planned: The budget the searcher sized itself for: the first one, when it was raised.
        seed: Of everything random.
        evaluator: ``{"kind": "function", ...}`` or ``{"kind": "corpus", ...}`` with what it
            needs to be made again.
        guidance: Whether a surrogate learned on the run's own evaluations screens proposals.
        proxy: Whose scores it may learn from: ``supernet``, ``ann`` or ``none``.
        warm_start: Whether trainings begin from the weights of a ReLU supernet.
        halving: Whether new architectures are first trained on one fold, or for a share of the
            epochs, only.
        remeasure: Whether contenders for the front are measured again where that is worth more
            than something new.
        created: Time, versions, machine, command line: for people, never compared.
    """

    space: Space
    searcher: str
    budget: int
    planned: int
    seed: int
    evaluator: Mapping[str, Any]
    halving: bool = False
    guidance: bool = False
    proxy: str = "none"
    warm_start: bool = False
    remeasure: bool = False
    created: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``run.yaml``; the file changes whole or not at all."""
        data = {"format": FORMAT, **self._compared(), "budget": self.budget}
        data |= {"planned": self.planned, "created": dict(self.created)}
        temporary = folder / f".{FILE}.partial"
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> RunConfig:
        """Read the configuration of a run's folder.

        Raises:
            NasError: No run there, or one of another format.
        """
        path = folder / FILE
        if not path.is_file():
            raise NasError(
                f"no run here: there is no {FILE}", where=str(folder), hint="nas runs lists them"
            )
        data, source = read_yaml(path)
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            created = data.get("created") if isinstance(data, dict) else None
            by = created.get("nas") if isinstance(created, dict) else None
            raise NasError(
                f"this run has format {found!r} (nas {by or 'unknown'}), this nas reads {FORMAT}",
                where=str(path),
                hint="use the version of nas that made it, or start a new run",
            )
        for key, (kind, needed) in KINDS.items():
            value = data.get(key)
            if not isinstance(value, kind) or isinstance(value, bool):
                what = f"is {value!r}, not {needed}" if key in data else "is missing"
                raise source.error((key,), f"damaged configuration: {key} {what}")
        try:
            return cls(
                space=parse_space(data["space"], Source(f"{path}:space")),
                searcher=data["searcher"],
                budget=data["budget"],
                planned=data["planned"],
                seed=data["seed"],
                evaluator=data["evaluator"],
                halving=data.get("halving", False),
                guidance=data.get("guidance", False),
                proxy=data.get("proxy", "none"),
                warm_start=data.get("warm_start", False),
                remeasure=data.get("remeasure", False),
                created=data["created"],
            )
        except (KeyError, TypeError) as error:
            raise NasError(f"damaged configuration: {error!r}", where=source.at(())) from None

    def differences(self, other: RunConfig) -> list[str]:
        """List what a resumed run would do differently, one line each."""
        return differences(self._compared(), other._compared(), "run")

    def _compared(self) -> dict[str, Any]:
        return {
            "space": dict(self.space.definition),
            "searcher": self.searcher,
            "seed": self.seed,
            "halving": self.halving,
            "guidance": self.guidance,
            "proxy": self.proxy,
            "warm_start": self.warm_start,
            "remeasure": self.remeasure,
            "evaluator": dict(self.evaluator),
        }


def differences(
    recorded: Mapping[str, Any], asked: Mapping[str, Any], of: str = "folder"
) -> list[str]:
    """List what differs between a recorded request and another, one line each."""
    mine, theirs = _flat(recorded), _flat(asked)
    return [
        f"{key}: {mine.get(key, 'not set')!r} in the {of}, {theirs.get(key, 'not set')!r} asked"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]


def describe_environment(command: str | None = None) -> dict[str, Any]:
    """Return the date, versions, machine and command line of a run."""
    import nas

    versions = {name: metadata.version(name) for name in REPORTED if _installed(name)}
    return {
        "nas": nas.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command or " ".join(["nas", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **versions},
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        out: dict[str, Any] = {}
        for key, below in value.items():
            out |= _flat(below, f"{prefix}.{key}" if prefix else str(key))
        return out
    return {prefix: value}
