"""What the documents say of the code is what the code is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_reference_is_that_of_the_code(tmp_path: Path) -> None:
    # a process of its own: click keeps the help option that a command was first asked with
    maker = ROOT / "docs" / "make_reference.py"
    subprocess.run([sys.executable, str(maker), str(tmp_path)], check=True, cwd=ROOT)
    made = sorted(tmp_path.iterdir())
    assert made
    for page in made:
        written = (ROOT / "docs" / "reference" / page.name).read_text(encoding="utf-8")
        # by words: another release of click may break its lines elsewhere
        same = written.split() == page.read_text(encoding="utf-8").split()
        assert same, "run python docs/make_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert not missing


def test_every_page_can_be_found_from_the_readme() -> None:
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop().resolve()
        if page in seen:
            continue
        seen.add(page)
        links = LINK.findall(page.read_text(encoding="utf-8"))
        left += [page.parent / k for k in links if k.endswith(".md") and "://" not in k]
    assert {p.resolve() for p in (ROOT / "docs").rglob("*.md")} <= seen
