"""The page of a report in a real browser, without a network."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Tab, browser, tab

import nas
from nas.report import Panel, Section, build, read_run
from nas.report.images import write_images
from nas.report.page import render, write_page

pytestmark = pytest.mark.skipif(
    browser() is None, reason="no Chromium or Chrome on this machine, so no page was opened"
)
HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
SPACE: dict[str, Any] = {
    "name": "browser",
    "parameters": {
        "a": {"float": [1.0, 100.0], "log": True},
        "kind": {"choice": [HOSTILE, "b"]},
        "steps": {"int": [1, 30], "when": {"kind": "b"}},
    },
    "objectives": {"wa": "maximize", "ua": "maximize", "energy": "minimize"},
}


def measured(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    a = architecture["a"]
    rng = np.random.default_rng(seed)
    layer = {"layer": HOSTILE, "kind": "x", "acs": 1.0, "neuron_steps": 4.0, "rate": 0.25}
    return {
        "wa": 1 - 1 / a + 0.01 * rng.random(),
        "ua": 1 - 1 / a + 0.01 * rng.random(),
        "energy": 1e-9 * a,
        "classes": [HOSTILE, "calm"],
        "confusion": [[3, 1], [0, 4]],
        "layers": [{**layer, "macs": a, "spikes": 1.0}],
        "energy_profile": "45nm_fp32",
    }


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tab, Path, set[str]]]:
    folder = tmp_path_factory.mktemp("browser")
    nas.search(
        space=SPACE, evaluator=measured, searcher="nsga2", halving=True, budget=15,
        out=folder / "run",
    )  # fmt: skip
    sections = build([read_run(folder / "run")])
    page = folder / "page.html"
    write_page(page, render("Report", sections))
    drawn = {p.key for s in sections for p in s.panels if p.figure is not None}
    with tab(folder / "profile") as found:
        found.open(page)
        plots = "[...document.querySelectorAll('[id^=plot-]')]"
        found.wait(f"{plots}.every(p => p.querySelector('.main-svg'))")
        yield found, page, drawn


def test_every_figure_is_drawn_and_nothing_complains(
    opened: tuple[Tab, Path, set[str]],
) -> None:
    page, path, drawn = opened
    places = page.evaluate("[...document.querySelectorAll('[id^=plot-]')].map(p => p.id)")
    assert set(places) == {f"plot-{key}" for key in drawn}
    kinds = ("front-3d", "parallel", "importance-ua", "curves-wa", "hypervolume-seconds")
    assert set(kinds) <= drawn
    assert page.evaluate("document.querySelectorAll('#plot-parallel .y-axis').length") == 6
    assert page.evaluate("document.querySelectorAll('#plot-front-3d canvas').length") >= 1
    empty = page.evaluate(
        "[...document.querySelectorAll('.main-svg')].filter(s => s.clientHeight < 50).length"
    )
    assert empty == 0
    assert page.complaints == []
    fetched = [r for r in page.requests if not r.startswith(("data:", "blob:"))]
    assert fetched == [path.as_uri()]


def test_names_from_outside_are_text(opened: tuple[Tab, Path, set[str]]) -> None:
    page, *_ = opened
    assert page.evaluate("document.title") == "Report"
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    shown = page.evaluate("document.querySelector('#chosen').textContent")
    assert "<script>document.title='run'" in shown


def test_a_point_tells_its_hash_under_the_mouse(opened: tuple[Tab, Path, set[str]]) -> None:
    page, *_ = opened
    place = "document.getElementById('plot-front-ua-energy')"
    page.evaluate(f"{place}.scrollIntoView()")
    star = f"[...{place}.querySelectorAll('.scatterlayer .trace')].at(-1).querySelector('.point')"
    x, y = page.evaluate(
        f"(b => [b.x + b.width / 2, b.y + b.height / 2])({star}.getBoundingClientRect())"
    )
    page.move_mouse(x - 30, y)
    page.move_mouse(x, y)
    page.wait(f"{place}.querySelector('.hoverlayer .hovertext') !== null")
    text = page.evaluate(f"{place}.querySelector('.hoverlayer').textContent")
    knee = page.evaluate("document.querySelector('#chosen th:nth-child(2)').textContent")
    assert knee.split(":")[0] in text
    assert "energy" in text
    assert "mJ" in text


def test_a_page_that_is_broken_would_be_noticed(
    opened: tuple[Tab, Path, set[str]], tmp_path: Path
) -> None:
    page, path, _ = opened
    broken = tmp_path / "broken.html"
    text = path.read_text(encoding="utf-8")
    broken.write_text(text.replace("const figures", "missing(); const figures", 1))
    page.complaints.clear()
    page.open(broken)
    page.evaluate("fetch('https://example.org/').catch(() => 0)")
    page.wait("document.readyState === 'complete'")
    assert any("missing is not defined" in c for c in page.complaints)
    assert any("Content Security Policy" in c for c in page.complaints)


def test_images_for_papers(tmp_path: Path) -> None:
    pytest.importorskip("kaleido", reason="kaleido is not installed, so no image was drawn")
    import plotly.graph_objects as go

    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))
    figure.update_layout(height=300, width=400, xaxis_title="energy [mJ]")
    section = Section("s", "S", [Panel("a", "A", figure=figure), Panel("b", "B", missing="No.")])
    written = write_images([section], tmp_path / "figures")
    assert sorted((tmp_path / "figures").iterdir()) == sorted(written)
    assert [p.name for p in written] == ["a.png", "a.svg"]
    png = written[0].read_bytes()
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (800, 600)
    assert "energy [mJ]" in written[1].read_text(encoding="utf-8")
