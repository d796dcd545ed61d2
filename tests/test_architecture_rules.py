"""Rules of the whole house: which package may import which, and how much."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("nas", "eval", "search_spaces")
FORBIDDEN = {"search_spaces": {"eval", "nas"}, "eval": {"nas"}, "nas": set()}
HEAVY = (
    "torch",
    "plotly",
    "ray",
    "optuna",
    "transformers",
    "spikingjelly",
    "sklearn",
    "scipy",
    "deap",
)
MODULES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of every import of a module, those inside functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[0]
            names.add(node.module.split(".")[0] if node.module and not node.level else package)
    return names


def test_an_import_inside_a_function_is_seen():
    source = ROOT / "nas/__init__.py"  # its only imports of nas stand in functions
    assert "nas" in imported(source)
    assert not re.search(r"^(from|import) nas", source.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])
def test_no_import_runs_against_the_arrow(path: Path):
    package = path.relative_to(ROOT).parts[0]
    assert not imported(path) & FORBIDDEN[package]
    assert not imported(path) & {"tests", "benchmarks"}


def loaded(code: str) -> set[str]:
    """The heavy packages that a fresh process has loaded after ``code``."""
    code += f"\nimport sys\nprint('\\n'.join(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()) & set(HEAVY)


def test_a_heavy_import_would_be_noticed():
    assert "scipy" in loaded("import scipy")


def test_import_nas_loads_nothing_heavy():
    assert loaded("import nas") == set()


COMMANDS = [[], ["search"], ["pareto"], ["report"], ["export"], ["train"], ["confirm"]]
COMMANDS += [["baselines"], ["convert"], ["bench", "attention"], ["space", "check"]]
COMMANDS += [["data", "check"], ["energy"], ["features"], ["adapt"], ["predict"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: list[str]):
    argv = ["nas", *command, "--help"]
    run = f"import runpy, sys\nsys.argv = {argv!r}\n"
    run += "try:\n    runpy.run_module('nas', run_name='__main__')\n"
    run += "except SystemExit as end:\n    assert end.code in (0, None), end.code"
    assert loaded(run) == set()


def test_no_module_is_longer_than_500_lines():
    every = [*MODULES, *ROOT.glob("tests/**/*.py")]
    lines = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in every}
    assert {p.relative_to(ROOT).parts[0] for p in lines} == {*PACKAGES, "tests"}
    assert {p: n for p, n in lines.items() if n > 500} == {}
