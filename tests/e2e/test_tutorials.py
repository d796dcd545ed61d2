"""The tutorials work: their files are written, their commands run, as a reader would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# file: (\S+)\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(p.stem for p in TUTORIALS.glob("*.md")))
def test_a_tutorial_does_what_it_says(name: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for program, call in (("nas", "-m nas"), ("python", "")):
        script = programs / program
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        script.chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "BUDGET": "3", "SEEDS": "1"}
    root = str(TUTORIALS.parents[1])  # as an installed `nas` would be found
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, env.get("PYTHONPATH", "")]))
    env.pop("NAS_RUNS", None)  # a reader has none
    env["PYTHONSAFEPATH"] = "1"  # nor does an installed command look into the current folder
    ran = 0
    for language, text in blocks(TUTORIALS / f"{name}.md"):
        if named := NAME.match(text):
            (folder / named[1]).write_text(text[named.end() :], encoding="utf-8")
        elif language == "sh":
            done = subprocess.run(
                [shutil.which("bash") or "sh", "-euc", text],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran, "no command on this page"
