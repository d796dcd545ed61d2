"""The page of a report: whole, escaped, of every kind of run; the command and its errors."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command import nas as command
from spaces import DOCUMENT, TINY, measure, measure_badly, measure_tiny

import nas
from nas.cli.report import report
from nas.report import Panel, Section, build, images, read_run, read_runs
from nas.report.facts import costs, reproduce, summary
from nas.report.page import render, write_page
from nas.report.tested import summary_of
from nas.run_log import json_lines
from nas.study import Study
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError

HOSTILE = "<script>document.title='run'</script><img src=x onerror=alert(1)>\"'&</script>"


FOUR = {**DOCUMENT["objectives"], "b": "minimize", "c": "maximize"}


def measure_four(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    more = {"b": architecture["depth"], "c": -architecture["width"]}
    return {**measure(architecture, fidelity, seed), **more}


def measure_one(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    return {"ua": 1.0, "energy": 1.0}


class Parsed(HTMLParser):
    """Every tag of a page but those inside plotly's own script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def hostile(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
    """Names from outside: classes, layers, and a parameter's values."""
    good = architecture["a"] / 3
    layer = {"layer": HOSTILE, "kind": "x", "macs": 1.0, "acs": 1.0, "spikes": 1.0}
    return {
        "ua": good,
        "energy": 1e-9 * architecture["a"] + 1e-10 * (architecture["b"] == "x"),
        "classes": [HOSTILE, "calm"],
        "confusion": [[3, 1], [0, 4]],
        "layers": [{**layer, "neuron_steps": 4.0, "rate": 0.25}],
        "energy_profile": "45nm_fp32",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def evil(folder: Path) -> Path:
    space = {**TINY, "parameters": {**TINY["parameters"], "b": {"choice": [HOSTILE, "y"]}}}
    path = folder / "evil<b>run"
    nas.search(
        space=space, evaluator=hostile, searcher="random", budget=12, out=path, command=HOSTILE
    )
    return path


def panels(sections: list[Section]) -> dict[str, Panel]:
    return {p.key: p for s in sections for p in s.panels}


def test_a_page_loads_nothing_and_runs_no_name(evil: Path) -> None:
    assert command("report", evil).stdout.startswith(str(evil / "report.html"))
    html = (evil / "report.html").read_text(encoding="utf-8")
    tags = Parsed(html).tags
    loads = [v for _, attrs in tags for k, v in attrs.items() if k in ("src", "href", "srcset")]
    assert loads
    assert all(v is not None and v.startswith("#") for v in loads)  # the table of contents
    scripts = [attrs for tag, attrs in tags if tag == "script"]
    assert len(scripts) == 2
    [nonce] = {attrs["nonce"] for attrs in scripts}
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"'nonce-{nonce}'" in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert not any(t == "img" or any(k.startswith("on") for k in a) for t, a in tags)
    after = html[html.rindex("plotly.js v") :]
    assert "<script>document" not in after
    assert "Plotly.newPlot" in html


def test_figures_of_a_persons_evaluator_with_layers_and_confusion(evil: Path) -> None:
    found = panels(build([read_run(evil)]))
    layers = next(p for k, p in found.items() if k.startswith("layers-"))
    assert "&lt;script&gt;" in layers.figure.data[0].y[0]
    confusion = next(p for k, p in found.items() if k.startswith("confusion-"))
    assert list(confusion.figure.data[0].z[0]) == [75, 25]  # shares of the true class, by row
    assert confusion.figure.data[0].text[0][0] == "3<br>75 %"


def test_every_panel_is_drawn_or_says_why(folder: Path) -> None:
    runs = {
        "failed": (DOCUMENT, lambda a, f, s: 1 / 0),
        "badly": (DOCUMENT, measure_badly),
        "single": ({**DOCUMENT, "objectives": {"ua": "maximize"}}, measure),
        "infeasible": ({**DOCUMENT, "constraints": {"parameters": {"max": 1}}}, measure),
        "four": ({**DOCUMENT, "objectives": FOUR}, measure_four),
        "flat": (TINY, lambda a, f, s: {"ua": 0.5, "energy": 0.0}),
        "one": ({**TINY, "parameters": {"a": {"int": [1, 1]}}}, measure_one),
    }
    for name, (space, evaluator) in runs.items():
        path = folder / name
        nas.search(space=space, evaluator=evaluator, searcher="random", budget=12, out=path)
        sections = build([read_run(path)])
        found = panels(sections)
        assert len(found) == len([p for s in sections for p in s.panels]), name
        assert all(p.figure is not None or p.missing.endswith(".") for p in found.values()), name
        assert len(render(name, sections)) > 5_000
    failed = panels(build([read_run(folder / "failed")]))
    assert all(p.figure is None for p in failed.values())
    facts = dict(summary([read_run(folder / "failed")], None).rows)
    assert facts["last failure"] == "ZeroDivisionError: division by zero"
    single = panels(build([read_run(folder / "single")]))
    assert "only objective" in single["front"].missing
    drawn = single["best-units"].figure.data[0]
    values = [100 * e.objectives["ua"] for e in read_run(folder / "single").measured]
    assert list(drawn.y) == pytest.approx([max(values[: i + 1]) for i in range(len(values))])
    four = panels(build([read_run(folder / "four")]))
    assert sum(k.startswith("front-") for k in four) == 6


def test_an_interrupted_run_and_torn_lines(folder: Path) -> None:
    path = folder / "torn"
    nas.search(space=TINY, evaluator=measure_tiny, searcher="random", budget=6, out=path)
    study = Study.open(path, write=True)
    study.start(Architecture({"a": 1, "b": "x", "c": True}), 1.0, 0)
    study.close()
    with (path / "log.jsonl").open("a") as file:
        file.write('{"time": "2026-11-21T10:00:00+00:00", "event": "tr')
    before = (path / "log.jsonl").read_bytes()
    assert render("torn", build([read_run(path)]))
    assert (path / "log.jsonl").read_bytes() == before  # another process may be writing it
    command("trust", path, code=2)
    (path / "log.jsonl").unlink()
    assert render("no log", build([read_run(path)]))
    assert json_lines(path / "log.jsonl") == []


def test_several_runs_stand_side_by_side(folder: Path) -> None:
    for seed in (0, 1):
        path = folder / f"seed{seed}"
        nas.search(
            space=DOCUMENT, evaluator=measure, searcher="random", budget=15, seed=seed,
            halving=True, out=path,
        )  # fmt: skip
    runs = read_runs([folder / "seed0", folder / "seed1"])
    sections = build(runs)
    assert sections[0].about == ""  # nothing that forbids the comparison
    found = panels(sections)
    names = {t.name for t in found["hypervolume-units"].figure.data}
    assert names == {"seed0", "seed1"}
    surfaces = [t.name for t in found["attainment-ua-energy"].figure.data]
    assert surfaces == ["best", "median", "worst"]
    assert found["curves-ua"].figure is not None
    cheapest = min(e.objectives["energy"] for r in runs for e in r.front)
    best = found["attainment-ua-energy"].figure.data[0]
    assert min(best.x) == pytest.approx(1e3 * cheapest, rel=1e-9, abs=0)
    table = {row[0]: row[1:] for row in costs(runs).rows}
    assert table["units"] == ["15", "15"]
    seeds = {row[0]: row[1:] for row in reproduce(runs)[0].rows}["seed"]
    assert seeds == ["0", "1"]


def test_runs_on_different_data_are_not_compared_in_silence(folder: Path) -> None:
    path = folder / "other"
    nas.search(space=TINY, evaluator=measure_tiny, searcher="random", budget=3, out=path)
    [section, *_] = build(read_runs([folder / "torn", path]))
    assert section.about == ""
    text = (path / "run.yaml").read_text()
    (path / "run.yaml").write_text(re.sub(r"sha256: \w+", "sha256: other", text))
    [section, *_] = build(read_runs([folder / "torn", path]))
    assert "differ in data" in section.about


def test_the_command_says_what_it_did_not_draw(evil: Path, folder: Path) -> None:
    out = folder / "page.html"
    done = CliRunner().invoke(report, [str(evil), "--out", str(out), "--json"])
    document = json.loads(done.stdout)
    assert document["report"] == str(out)
    missing = {f["key"]: f["missing"] for f in document["figures"]}
    assert missing["front-ua-energy"] is None
    assert "--halving" in missing["curves"]
    quiet = CliRunner().invoke(report, [str(evil), "--out", str(out), "--quiet"])
    assert quiet.stdout == f"{out}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["NOWHERE"], "no run here"),
        (["RUN", "RUN2"], "give --out"),
        (["RUN", "--show", "zzzz"], "no architecture starts with"),
        (["RUN", "--out", "NOWHERE/page.html"], "folder of the page is not there"),
    ],
)
def test_mistakes_end_with_2(evil: Path, folder: Path, arguments: list[str], words: str) -> None:
    places = {"RUN": str(evil), "RUN2": str(folder / "torn")}
    given = [places.get(a, a.replace("NOWHERE", str(folder / "nowhere"))) for a in arguments]
    assert words in command("report", *given, code=2).stderr


def test_without_kaleido_the_error_names_it(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "find_spec", lambda name: None)
    done = CliRunner().invoke(report, [str(evil), "--figures", "figures"])
    assert isinstance(done.exception, NasError)
    assert "nas[report]" in str(done.exception)


def test_without_a_browser_the_error_names_it(
    evil: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import plotly.io

    def no_browser(**_: Any) -> None:
        raise RuntimeError("Kaleido requires Google Chrome to be installed.")

    monkeypatch.setattr(images, "find_spec", lambda name: object())
    monkeypatch.setattr(plotly.io, "write_images", no_browser)
    with pytest.raises(NasError, match="no browser"):
        images.write_images(build([read_run(evil)]), tmp_path / "figures")
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_page_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(NasError, match="cannot write"):
        write_page(tmp_path / "page.html", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_page_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NasError, match="cannot write the page: Not a directory"):
        write_page(tmp_path / "file" / "page.html", "x")


def test_a_panel_without_figure_and_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="figure or a reason"):
        Panel("key", "title")


def test_a_run_never_confirmed_says_how(evil: Path) -> None:
    assert summary_of(read_run(evil)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": ["conv", "pool"]}, "no table of layers"),
        ({"layers": 3}, "no table of layers"),
        ({"energy_profile": "my-chip"}, "Unknown energy profile"),
        ({"energy_profile": None}, "names no cost model"),
    ],
)
def test_layers_that_cannot_be_priced_say_so(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """Another cost model must not be put in the place of the one an evaluator names."""

    def own(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        changed = {**hostile(architecture, fidelity, seed), **change}
        return {k: v for k, v in changed.items() if v is not None}

    nas.search(space=TINY, evaluator=own, searcher="random", budget=2, out=tmp_path / "run")
    found = panels(build([read_run(tmp_path / "run")]))
    [missing] = {p.missing for k, p in found.items() if k.startswith("layers-")}
    assert words in missing
