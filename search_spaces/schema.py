"""YAML -> Space: the form of a space file, checked to the line and key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from search_spaces.errors import NasError, nearest
from search_spaces.objectives import read_objectives
from search_spaces.parameter import Parameter
from search_spaces.resolve import resolve
from search_spaces.space import Constraint, Direction, Space
from search_spaces.space_file import DataModel, ParameterModel, RangeModel, SpaceModel
from search_spaces.yaml_source import KeyPath, Source, read_yaml

PACKAGED = Path(__file__).parent

MOST_STEPS = 10**6  # values of a stepped float: they are listed
WHOLE = 2**53  # up to here every int is a float too, and the samplers count in both


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a space file, for editors."""
    return SpaceModel.model_json_schema(by_alias=True)


def packaged_spaces() -> dict[str, Path]:
    """Return the spaces that come with the package, by name."""
    return {p.stem: p for p in sorted(PACKAGED.glob("*.yaml"))}


def find_space(name: str | Path) -> Path:
    """Find a space by path, else by name among the packaged ones.

    Raises:
        NasError: There is no such file and no packaged space of that name.
    """
    path = Path(name)
    if path.is_file():
        return path
    packaged = packaged_spaces()
    stem = path.name.removesuffix(".yaml").removesuffix(".yml")
    if path.name == str(name) and stem in packaged:
        return packaged[stem]
    raise NasError(
        f"no space {str(name)!r}: neither a file nor a packaged space",
        hint=nearest(stem, packaged),
    )


def load_space(space: Space | str | Path | Mapping[str, Any]) -> Space:
    """Read a space from a path, a packaged name, a plain mapping, or take one as it is.

    Raises:
        NasError: Not found, or malformed; says ``file:line:key`` and the nearest valid name.
    """
    if isinstance(space, Space):
        return space
    if isinstance(space, Mapping):
        return parse_space(dict(space), Source("<space>"))
    document, source = read_yaml(find_space(space))
    return parse_space(document, source)


def parse_space(document: Any, source: Source) -> Space:
    """Check a document and build the space it describes."""
    if not isinstance(document, dict):
        raise source.error((), "a space is a mapping with name, parameters and objectives")
    document, definition, profile = read_objectives(document, source)
    try:
        model = SpaceModel.model_validate(_with_shorthand(document))
    except PydanticError as error:
        raise _explain(error, document, source) from None
    parameters = [
        _parameter(name, p, source, ("parameters", name)) for name, p in model.parameters.items()
    ]
    conditions = {name: _raw_conditions(p) for name, p in model.parameters.items()}
    objectives: dict[str, Direction] = dict(model.objectives)
    return Space(
        name=model.name,
        parameters=resolve(parameters, conditions, source),
        objectives=objectives,
        constraints=tuple(_constraint(q, r, source) for q, r in model.constraints.items()),
        family=model.family,
        definition=definition,
        description=model.description,
        searcher=model.searcher,
        profile=profile,
        max_seconds=model.data.max_seconds,
    )


def _with_shorthand(document: dict[str, Any]) -> dict[str, Any]:
    """Take ``name: bool``, ``{bool: }`` and ``{bool: {}}`` as ``{bool: true}``."""
    parameters = document.get("parameters")
    if not isinstance(parameters, dict):
        return document
    full: dict[str, Any] = {}
    for name, p in parameters.items():
        if p == "bool":
            p = {"bool": True}
        elif isinstance(p, dict) and "bool" in p and (p["bool"] is None or p["bool"] == {}):
            p = {**p, "bool": True}
        full[name] = p
    return {**document, "parameters": full}


def _parameter(name: str, model: ParameterModel, source: Source, path: KeyPath) -> Parameter:
    kinds = [
        k for k in ("int", "float", "choice", "bool") if getattr(model, _field(k)) is not None
    ]
    if len(kinds) != 1:
        raise source.error(
            path,
            f"parameter {name!r} needs exactly one of int, float, choice and bool"
            + (f", not {' and '.join(kinds)}" if kinds else ""),
            "for example {int: [1, 4]}",
        )
    kind = kinds[0]
    if kind in ("int", "float"):
        return _numeric(name, kind, model, source, path)
    for key in ("step", "log"):
        if getattr(model, key):
            raise source.error((*path, key), f"{key!r} has no meaning for a {kind} parameter")
    if kind == "choice" and not all(_is_finite(v) for v in model.choice or ()):
        raise source.error(
            (*path, kind), f"the choices of {name!r} must be finite numbers or words"
        )
    given = model.choice if kind == "choice" else model.bool_
    if given is False or given is None:
        raise source.error((*path, kind), f"{given!r} is not valid here", "write bool: true")
    values = [False, True] if given is True else list(given)
    if len({(v, isinstance(v, bool)) for v in values}) != len(values) or not values:
        raise source.error((*path, kind), f"parameter {name!r} gives a value twice, or none")
    return Parameter(
        name=name,
        kind="choice" if kind == "choice" else "bool",
        choices=tuple(values),
        repeat=model.repeat,
    )


def _numeric(
    name: str, kind: str, model: ParameterModel, source: Source, path: KeyPath
) -> Parameter:
    bounds = model.int_ if kind == "int" else model.float_
    assert bounds is not None
    low, high = bounds
    at = (*path, kind)
    if not all(_is_finite(v) for v in bounds):
        raise source.error(at, f"the bounds of {name!r} must be finite numbers")
    if kind == "int" and max(map(abs, bounds)) > WHOLE:
        raise source.error(
            at,
            f"the bounds of {name!r} lie beyond 2^53 = {WHOLE:,}",
            "make it a float parameter",
        )
    if low > high:
        raise source.error(at, f"empty range: {low} is above {high}", f"write [{high}, {low}]")
    if model.log and low <= 0:
        raise source.error((*path, "log"), f"a log range must start above 0, not at {low}")
    step = model.step
    whole = kind != "int" or isinstance(step, int)
    if step is not None and not (_is_finite(step) and step > 0 and whole):
        raise source.error((*path, "step"), f"a step of {step} is not a positive {kind}")
    if kind == "float" and step is not None:
        steps = (Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step))
        if steps >= MOST_STEPS:
            raise source.error(
                (*path, "step"),
                f"a step of {step} makes more than {MOST_STEPS:,} values of {name!r}",
                "give a larger step, or none for a continuous parameter",
            )
    return Parameter(
        name=name,
        kind="int" if kind == "int" else "float",
        low=low,
        high=high if kind == "int" else float(high),
        step=step,
        log=model.log,
        repeat=model.repeat,
    )


def _raw_conditions(model: ParameterModel) -> dict[str, Any]:
    when = model.when or {}
    return {k: (v.min, v.max) if isinstance(v, RangeModel) else v for k, v in when.items()}


def _constraint(quantity: str, model: RangeModel, source: Source) -> Constraint:
    path = ("constraints", quantity)
    if model.min is None and model.max is None:
        raise source.error(path, f"constraint on {quantity!r} needs min, max or both")
    if not all(v is None or _is_finite(v) for v in (model.min, model.max)):
        raise source.error(path, f"the bounds on {quantity!r} must be finite numbers")
    if model.min is not None and model.max is not None and model.min > model.max:
        raise source.error(path, f"empty range: {model.min} is above {model.max}")
    return Constraint(quantity, model.min, model.max)


def _is_finite(value: object) -> bool:
    return not isinstance(value, int | float) or abs(value) < 1e300  # NaN fails this too


def _field(kind: str) -> str:
    return kind if kind == "choice" else f"{kind}_"


# -- errors --------------------------------------------------------------------------------


def _explain(error: PydanticError, document: dict[str, Any], source: Source) -> NasError:
    """Turn pydantic's first error into one that points at the file."""
    problems = sorted(error.errors(), key=lambda e: e["type"] == "missing")
    first = next((e for e in problems if e["type"] == "extra_forbidden"), problems[0])
    path = _document_path(first["loc"], document)
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return source.error(path, f"unknown key {name!r}", nearest(name, _keys_at(path)))
    if first["type"] == "missing":
        missing = f"{name!r} is missing"
        if name == "objectives":
            return source.error(
                path[:-1], missing, "for example objectives: {wa: maximize, energy: minimize}"
            )
        return source.error(path[:-1], missing, f"a space needs {', '.join(_required())}")
    value = first.get("input")
    if first["type"] == "literal_error":
        expected = ["maximize", "minimize"] if path[:1] == ("objectives",) else ["true"]
        return source.error(path, f"{value!r} is not valid here", nearest(value, expected))
    if first["type"] == "bool_type" and path[2:3] in (("choice",), ("when",)):
        return _no_scalar(path, value, source)
    if path == ("objectives",) and first["type"] in ("too_short", "dict_type"):
        what = "no objective" if not value else "objectives are a mapping of name to direction"
        return source.error(path, what, "for example {wa: maximize, energy: minimize}")
    return source.error(path, f"{_lowered(first['msg'])}, not {value!r}")


def _no_scalar(path: KeyPath, value: object, source: Source) -> NasError:
    """Say what is wrong with a choice, or with the value of a condition, and the way out."""
    path = path[:4]  # without the type that pydantic tried first
    if isinstance(value, list) and path[2] == "when":  # pydantic stops above the item
        at = next(i for i, v in enumerate(value) if not isinstance(v, int | float | str))
        path, value = (*path, at), value[at]
    what, hint = f"not {value!r}", "give each value a name"
    if value is None:
        what, hint = "not null", "put it in quotes, or write none, which is a word"
    elif isinstance(value, date):
        what, hint = f"not the date {value}", f"put it in quotes: '{value}'"
    return source.error(path, f"a value is a word, a number, true or false, {what}", hint)


def _document_path(loc: tuple[int | str, ...], document: dict[str, Any]) -> KeyPath:
    """Keep the parts of pydantic's location that are keys of the document.

    It also names union branches and model types, which mean nothing to a person.
    """
    path: list[str | int] = []
    node: Any = document
    for i, part in enumerate(loc):
        here = isinstance(node, dict) and part in node
        if isinstance(node, list) and isinstance(part, int):
            here = part < len(node)
        if here:
            node = node[part]
        elif i + 1 < len(loc) or not isinstance(node, dict):
            continue
        path.append(part)
    return tuple(path)


def _keys_at(path: KeyPath) -> list[str]:
    if len(path) <= 1:
        model: type[BaseModel] = SpaceModel
    elif path[0] == "parameters" and len(path) == 3:
        model = ParameterModel
    elif path[0] == "data":
        model = DataModel
    else:
        model = RangeModel
    return [f.alias or name for name, f in model.model_fields.items()]


def _required() -> list[str]:
    return [name for name, f in SpaceModel.model_fields.items() if f.is_required()]


def _lowered(text: str) -> str:
    text = re.sub(r" or instance of \w+| after validation", "", text)
    return text[:1].lower() + text[1:]
