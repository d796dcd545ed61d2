"""Write docs/reference from the code: the command line, and the YAML of spaces.

    python docs/make_reference.py

A test compares the files with what this makes, so that neither can fall behind.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nas.cli import cli
from search_spaces.families import FAMILIES
from search_spaces.family import Family, Slot
from search_spaces.schema import json_schema, packaged_spaces

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- made by docs/make_reference.py; do not edit -->"
WIDTH = 96


def pages() -> dict[str, str]:
    """Return the text of every page by file name."""
    return {"cli.md": command_line(), "spaces.md": spaces()}


def command_line() -> str:
    """Return the help of every command, as the terminal shows it."""
    lines = [NOTE, "", "# The command line", ""]
    root = click.Context(cli, info_name="nas", **cli.context_settings)
    for path, command, context in _commands(cli, root):
        lines += [f"## {path}", "", "```", _help(command, context), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, click.Context(child, info_name=name, parent=context))


def _help(command: click.Command, context: click.Context) -> str:
    context.terminal_width = context.max_content_width = WIDTH
    return re.sub(r"[ \t]+$", "", command.get_help(context), flags=re.MULTILINE)


def spaces() -> str:
    """Return what a space file may hold, and the parameters of every family."""
    lines = [NOTE, "", "# Space files", ""]
    lines += ["`nas space check FILE` says where a file is wrong, to the line and key.", ""]
    definitions = json_schema()
    shown = {"A space": definitions} | {
        title: definitions["$defs"][name]
        for title, name in (
            ("A parameter", "ParameterModel"),
            ("A range", "RangeModel"),
            ("Data", "DataModel"),
        )
    }
    for title, schema in shown.items():
        lines += [f"## {title}", "", "| key | value | needed |", "|---|---|---|"]
        needed = schema.get("required", [])
        for key, form in schema["properties"].items():
            lines.append(f"| `{key}` | {_form(form)} | {'yes' if key in needed else ''} |")
        lines.append("")
    lines += ["## Packaged spaces", ""]
    lines += [f"- [`{n}`](../../search_spaces/{p.name})" for n, p in packaged_spaces().items()]
    for family in FAMILIES.values():
        lines += ["", f"## Family `{family.name}`", "", f"Reads {family.input}. Parameters:", ""]
        lines += ["| parameter | values | default | about |", "|---|---|---|---|"]
        lines += [_slot(name, slot, family) for name, slot in family.slots.items()]
        measured = ", ".join(f"`{m}`" for m in family.metrics)
        lines += ["", f"Objectives and constraints may name: {measured}."]
    return "\n".join(lines).rstrip() + "\n"


def _form(form: dict[str, Any]) -> str:
    """Say in words what JSON schema says of a value."""
    if "enum" in form:
        return ", ".join(f"`{v}`" for v in form["enum"])
    if "const" in form:
        return f"`{form['const']}`"
    if "$ref" in form:
        words = {"ParameterModel": "a parameter", "RangeModel": "a range", "DataModel": "data"}
        name = form["$ref"].rpartition("/")[2]
        return words.get(name, name)
    if "anyOf" in form:
        parts = [_form(f) for f in form["anyOf"] if f.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if form.get("type") == "array":
        count = form.get("minItems")
        exact = count is not None and count == form.get("maxItems")
        items = _form(form["items"])
        return f"list of {f'{count} x ' if exact else ''}{items}"
    if form.get("type") == "object":
        values = form.get("additionalProperties")
        return f"names to {_form(values)}" if isinstance(values, dict) else "mapping"
    return {"boolean": "true or false"}.get(form.get("type", ""), str(form.get("type", "")))


def _slot(name: str, slot: Slot, family: Family) -> str:
    if slot.choices:
        values = ", ".join(f"`{_yaml(c)}`" for c in slot.choices)
    else:
        kind = "whole number" if slot.whole else "number"
        values = f"{kind}, {slot.low:g} to {slot.high:g}"
    about = slot.about
    if slot.repeat:
        about += f" (one value for each of `{slot.repeat}`)"
    if name in family.only_when:
        other, allowed = family.only_when[name]
        about += f"; with `{other}` {', '.join(_yaml(v) for v in allowed)}"
    return f"| `{name}` | {values} | `{_yaml(slot.default)}` | {about} |"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Write the pages into docs/reference, or into a folder that is given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
