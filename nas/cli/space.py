"""``nas space``: check, sample and count search spaces."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nas.cli.output import Out, with_output

if TYPE_CHECKING:
    from search_spaces.yaml_source import Source


@click.group()
def space() -> None:
    """Check, sample and count search spaces.

    A space is given by the path of its YAML file, or by name among the packaged ones.
    """
    # a count has more digits than Python prints unasked, where many blocks have many values
    sys.set_int_max_str_digits(0)


@space.command("list")
@with_output
def list_(out: Out) -> None:
    """List the packaged spaces.

    Example: nas space list
    """
    from search_spaces.schema import load_space, packaged_spaces

    rows = [
        {"name": name, "family": load_space(path).family, "about": load_space(path).description}
        for name, path in packaged_spaces().items()
    ]
    out.result(
        rows,
        lambda: out.table(["name", "family", "about"], [list(r.values()) for r in rows]),
        lambda: [r["name"] or "" for r in rows],
    )


@space.command()
@click.argument("space", metavar="SPACE")
@with_output
def check(space: str, out: Out) -> None:
    """Check a space and show what is in it.

    Exit code 2 and file:line:key when it is malformed, or when its family would have to
    ignore a part of it.

    Example: nas space check pts_snn.yaml
    """
    from nas.searchers import GUIDED, SEARCHERS
    from search_spaces.errors import nearest
    from search_spaces.families import get_family
    from search_spaces.schema import find_space, load_space
    from search_spaces.yaml_source import read_yaml

    found = load_space(space)
    _, source = read_yaml(find_space(space))
    name = found.searcher
    if name is not None and name.removesuffix(GUIDED) not in SEARCHERS:
        raise source.error(("searcher",), f"unknown searcher {name!r}", nearest(name, SEARCHERS))
    profile = None
    if found.profile is not None:
        from eval.energy.profile import load_profile

        with _standing(source, *_profile_path(found.definition["objectives"])):
            profile = load_profile(found.profile)
    if found.family is not None:
        with _standing(source, "family"):
            family = get_family(found.family)
        family.check_space(found, source)
    size = found.size()

    def human() -> None:
        out.line(f"{found.name}: {found.description}" if found.description else found.name)
        rows = []
        for p in found.parameters:
            domain = (
                f"[{p.low}, {p.high}]{' log' if p.log else ''}"
                if p.kind in ("int", "float")
                else ", ".join(map(str, p.choices))
            )
            when = " and ".join(f"{c.parameter} in {list(c.allowed)}" for c in p.when)
            rows.append([p.name, p.kind, domain, p.repeat or "", when])
        out.table(["parameter", "kind", "values", "repeated by", "when"], rows)
        out.line("objectives: " + ", ".join(f"{k} ({v})" for k, v in found.objectives.items()))
        if profile is not None:
            out.line(f"energy: {profile.name}, {profile.title}")
        for c in found.constraints:
            out.line(f"constraint: {c.quantity} in [{c.min}, {c.max}]")
        out.line(_counted(size.discrete, size.continuous))

    data = {
        "name": found.name,
        "family": found.family,
        "parameters": [p.name for p in found.parameters],
        "objectives": dict(found.objectives),
        "profile": profile.name if profile is not None else None,
        "constraints": [c.quantity for c in found.constraints],
        "architectures": size.discrete,
        "continuous": list(size.continuous),
    }
    out.result(data, human)


@space.command()
@click.argument("space", metavar="SPACE")
@click.option("-n", "--number", default=1, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@with_output
def sample(space: str, number: int, seed: int, out: Out) -> None:
    """Draw random architectures, as YAML.

    Example: nas space sample pts_snn.yaml -n 3 --seed 1
    """
    import numpy as np
    import yaml

    from search_spaces.schema import load_space

    found = load_space(space)
    rng = np.random.default_rng(seed)
    drawn = [found.sample(rng) for _ in range(number)]

    def human() -> None:
        for a in drawn:
            out.line(f"--- # {a.hash}")
            out.line(yaml.safe_dump(a.as_dict(), sort_keys=False).rstrip())

    out.result(
        [{"hash": a.hash, "architecture": a.as_dict()} for a in drawn],
        human,
        lambda: [a.hash for a in drawn],
    )


@space.command()
@click.argument("space", metavar="SPACE")
@with_output
def count(space: str, out: Out) -> None:
    """Count the architectures of a space, conditions and repeats included.

    Example: nas space count pts_snn.yaml
    """
    from search_spaces.schema import load_space

    size = load_space(space).size()
    out.result(
        {"architectures": size.discrete, "continuous": list(size.continuous)},
        lambda: out.line(_counted(size.discrete, size.continuous)),
        lambda: [str(size.discrete)],
    )


@space.command()
@with_output
def schema(out: Out) -> None:
    """Print the JSON schema of a space file, for editors.

    Example: nas space schema > space.schema.json
    """
    import json

    from search_spaces.schema import json_schema

    document = json_schema()
    out.result(document, lambda: out.line(json.dumps(document, indent=2)))


@contextmanager
def _standing(source: Source, *path: str) -> Iterator[None]:
    """Say where in the space the cause stands of an error that names no file."""
    from search_spaces.errors import NasError

    try:
        yield
    except NasError as error:
        name, _, key = (error.where or "").partition(":")
        if name and not name.startswith("<"):
            raise  # in a file of its own
        below = (*path, *key.split(".")) if key else path
        raise source.error(below, error.what, error.hint) from None


def _profile_path(objectives: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the key of a space's profile."""
    long = {str(k): v for k, v in objectives.items() if isinstance(v, Mapping)}
    return ("objectives", next(k for k in long if long[k].get("profile") is not None), "profile")


def _counted(discrete: int, continuous: tuple[str, ...]) -> str:
    number = f"{discrete:,}" if discrete < 10**30 else f"about 10^{math.log10(discrete):.0f}"
    if not continuous:
        return f"{number} architectures"
    return f"{number} architectures, times the continuous {', '.join(continuous)}"
