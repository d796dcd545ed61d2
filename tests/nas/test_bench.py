"""``nas bench attention``: real points in real processes, and everything around them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from nas import bench
from nas.bench import Point, Setting, growth, measure, measure_point
from nas.cli.bench import bench as group
from nas.report.attention import PANELS
from search_spaces.errors import NasError

TINY = ("--width", "8", "--heads", "2", "--repeats", "2", "--device", "cpu")
LENGTHS = [(1.0, 50), (2.0, 100), (4.0, 200)]


def attention(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["attention", *TINY, *map(str, arguments)])


def replace_process(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Run ``code`` in the place of the process that measures a point."""
    monkeypatch.setattr(bench, "_command", lambda job: [sys.executable, "-c", code, job])


def replace_points(
    monkeypatch: pytest.MonkeyPatch, status: Callable[..., str], system: float = 0.0
) -> list[Any]:
    """Replace measuring by ``status(kind, frames, phase)``; return what was asked for."""
    asked: list[Any] = []

    def fake(kind: str, seconds: float, frames: int, phase: Any, setting: Setting) -> Point:
        asked.append((kind, frames, phase))
        if (found := status(kind, frames, phase)) == "interrupt":
            raise KeyboardInterrupt
        if found != "measured":
            return Point(kind, seconds, frames, phase, found, detail="because")  # type: ignore[arg-type]
        figures = {"latency": frames * 1e-3, "memory": 4096 * frames, "system": system}
        names = {"gauge": "a gauge", "backend": "torch"}
        return Point(kind, seconds, frames, phase, "measured", **figures, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "measure_point", fake)
    return asked


# -- real processes --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, str]:
    """The JSON, the folder and the progress of a real run."""
    folder = tmp_path_factory.mktemp("bench") / "out"
    done = attention("--kinds", "none,softmax", "--seconds", "0.4", "--json", "--out", folder)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), folder, done.stderr


def test_json_holds_every_point(measured: tuple[dict[str, Any], Path, str]) -> None:
    document, _, _ = measured
    found = [(p["kind"], p["frames"], p["phase"], p["status"]) for p in document["points"]]
    assert found == [
        (kind, 20, phase, "measured")
        for kind in ("none", "softmax")
        for phase in ("forward", "forward+backward")
    ]
    for p in document["points"]:
        assert len(p["latencies"]) == 2
        assert min(p["latencies"]) <= p["latency"] <= max(p["latencies"])
        assert p["memory"] >= 0
        assert p["backend"] == "torch"
    assert document["settings"]["frame_rate"] == 50
    assert document["settings"]["causal"] is False
    assert document["environment"]["versions"]["torch"]
    none = {"forward": None, "forward+backward": None}  # one length has no slope
    assert document["growth"] == [{"kind": "none", **none}, {"kind": "softmax", **none}]


def test_folder_holds_the_same_json_and_progress_is_on_stderr(
    measured: tuple[dict[str, Any], Path, str],
) -> None:
    document, folder, progress = measured
    assert json.loads((folder / "attention.json").read_text()) == document
    assert "4/4 softmax, 0.4 s = 20 frames, forward+backward" in progress


class Sources(HTMLParser):
    """Collects what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [(tag, v) for name, v in attrs if name in ("src", "href", "srcset")]


def test_page_loads_nothing_and_shows_every_kind(
    measured: tuple[dict[str, Any], Path, str],
) -> None:
    _, folder, _ = measured
    html = (folder / "attention.html").read_text()
    parser = Sources()
    parser.feed(html)
    assert parser.loaded == []
    assert "Plotly.newPlot" in html
    assert len(html) > 1_000_000  # plotly itself is inside
    for kind in ("none", "softmax"):
        assert html.count(f'"name":"{kind}"') == len(PANELS)
        assert f"<td>{kind}</td>" in html


def test_peak_memory_is_that_of_the_pass_and_not_of_the_parent() -> None:
    ballast = np.ones(300 << 17)  # 300 MiB: a child inherits its parent's ru_maxrss
    frames, width = 4096, 1024
    one = frames * width * 4  # bytes of one [L, D]
    point = measure_point("none", 1, frames, "forward", Setting(width=width, repeats=1))
    assert ballast.size
    assert point.memory is not None, point.detail
    assert 0.9 * one <= point.memory <= 4 * one  # the identity holds a few copies


def test_a_pass_over_the_limit_is_ended_and_recorded() -> None:
    point = measure_point("none", 1, 64, "forward", Setting(width=8, repeats=1, limit=1e-6))
    assert (point.status, point.latency) == ("too slow", None)


# -- processes that end badly ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "out of memory"),
        ("raise MemoryError", "out of memory"),
        ('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")', "out of memory"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGALRM)})", "too slow"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", "failed"),
        ("raise ValueError('no such thing')", "failed"),
    ],
)
def test_a_process_that_ends_badly_is_a_point(
    code: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_process(monkeypatch, code)
    point = measure_point("softmax", 1, 50, "forward", Setting())
    assert (point.status, point.latency, point.memory) == (status, None, None)
    assert point.detail


def test_what_a_kind_refuses_is_recorded_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = (
        "from search_spaces.errors import NasError; raise NasError('too wide', hint='mend it')"
    )
    replace_process(monkeypatch, refusal)
    point = measure_point("softmax", 1, 50, "forward", Setting())
    assert (point.status, point.detail) == ("failed", "search_spaces.errors.NasError: too wide")


# -- growth and limits -----------------------------------------------------------------------


def synthetic(power: float) -> list[Point]:
    """Forward points whose latency is frames ** power but for the shortest one."""
    times = {50: 7.0, 100: 100**power, 400: 400**power}
    return [Point("k", n / 50, n, "forward", "measured", t) for n, t in times.items()]


@pytest.mark.parametrize(("power", "exponent"), [(0, 0.0), (1, 1.0), (2, 2.0)])
def test_growth_of_short_lengths_is_the_slope_between_the_two_longest(
    power: float, exponent: float
) -> None:
    lost = Point("k", 16, 800, "forward", "out of memory")
    [row] = growth([lost, *synthetic(power)])
    assert row["forward"] == {"exponent": pytest.approx(exponent), "frames": [100, 400]}
    assert row["forward+backward"] is None


def test_growth_is_fitted_over_all_lengths_from_a_thousand_frames() -> None:
    """log t over log n at 1000, 2000, 4000: 0, 1, 3 doublings; the slope is 3 / 2."""
    times = {500: 9.0, 1000: 1.0, 2000: 2.0, 4000: 8.0}
    points = [Point("k", n / 50, n, "forward", "measured", t) for n, t in times.items()]
    [row] = growth(points)
    assert row["forward"] == {"exponent": pytest.approx(1.5), "frames": [1000, 4000]}


def test_a_kind_over_the_limit_stops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace_points(
        monkeypatch, lambda kind, n, phase: "too slow" if (kind, n) == ("a", 100) else "measured"
    )
    points = list(measure(["a", "b"], LENGTHS, Setting()))
    assert [a for a in asked if a[0] == "a"] == [
        ("a", 50, "forward"), ("a", 50, "forward+backward"), ("a", 100, "forward"),
    ]  # fmt: skip
    assert len([a for a in asked if a[0] == "b"]) == 6
    assert [p.status for p in points if p.kind == "a"] == [
        "measured", "measured", "too slow", "skipped", "skipped", "skipped",
    ]  # fmt: skip
    assert points[-1].status == "measured"


def test_a_kind_that_cannot_go_backward_goes_on_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_points(
        monkeypatch,
        lambda kind, n, phase: "out of memory" if phase != "forward" and n == 100 else "measured",
    )
    points = list(measure(["a"], LENGTHS, Setting()))
    assert [p.status for p in points if p.phase == "forward"] == ["measured"] * 3
    assert [p.status for p in points if p.phase != "forward"] == [
        "measured", "out of memory", "skipped",
    ]  # fmt: skip


def test_the_table_says_where_a_kind_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_points(
        monkeypatch, lambda kind, n, phase: "too slow" if kind == "gsa" and n > 50 else "measured"
    )
    done = attention("--kinds", "gsa,fox", "--seconds", "1,2,4")
    assert done.exit_code == 0
    assert "gsa: forward too slow at 100 frames (because); longer lengths skipped" in done.stdout
    [fox] = [line.split() for line in done.stdout.splitlines() if re.match(r" fox +4 ", line)]
    assert fox == ["fox", "4", "200", "200.0", "200.0", "0.8", "0.8"]
    assert re.search(r" fox +1\.00 +100 to 200 +1\.00 +100 to 200", done.stdout)
    assert "back end: torch; memory by a gauge" in done.stdout


@pytest.mark.parametrize(("system", "said"), [(0.2, False), (0.7, True)])
def test_time_that_went_to_the_system_is_told(
    system: float, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_points(monkeypatch, lambda kind, n, phase: "measured", system)
    done = attention("--kinds", "fox", "--seconds", "1,4")
    assert ("fox forward at 200 frames (70 %)" in done.stdout) is said
    assert "fox forward at 50 frames" not in done.stdout  # 50 ms: too short to tell


def test_nothing_measured_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_points(monkeypatch, lambda kind, n, phase: "failed")
    assert attention("--kinds", "fox", "--seconds", "1", "--quiet").exit_code == 1


def test_ctrl_c_prints_and_writes_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replace_points(
        monkeypatch, lambda kind, n, phase: "interrupt" if kind == "fox" else "measured"
    )
    done = attention("--kinds", "gsa,fox", "--seconds", "1", "--json", "--out", tmp_path / "out")
    assert done.exit_code == 130
    document = json.loads(done.stdout)
    assert document["interrupted"] is True
    assert [p["kind"] for p in document["points"]] == ["gsa", "gsa"]
    assert json.loads((tmp_path / "out/attention.json").read_text()) == document


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kinds", "sofmax"], "did you mean 'softmax'?"),
        (["--kinds", "none,"], "no attention is called ''"),
        (["--seconds", "10,long"], "'long' is not a length"),
        (["--seconds", "-1"], "'-1' is not a length"),
        (["--seconds", "inf"], "'inf' is not a length"),
        (["--seconds", ""], "'' is not a length"),
        (["--seconds", "0.001"], "less than a frame"),
        (["--width", "10", "--heads", "4"], "try --heads 5"),
        (["--limit-seconds", "nan"], "finite"),
        (["--frame-rate", "inf"], "finite"),
    ],
)
def test_malformed_input_names_the_way_out(arguments: list[str], words: str) -> None:
    done = attention(*arguments)
    assert isinstance(done.exception, NasError)
    assert words in str(done.exception)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--repeats", "0"], ["--threads", "x"], ["--device", "tpu"], ["--json", "-q"]]
)
def test_malformed_options_are_usage_errors(arguments: list[str]) -> None:
    assert attention(*arguments).exit_code == 2


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    done = attention("--kinds", "none", "--out", tmp_path)
    assert isinstance(done.exception, NasError)
    assert "exists already" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = attention("--kinds", "none", "--out", tmp_path / "file/out")
    assert isinstance(done.exception, NasError)
    assert "cannot write there: Not a directory" in str(done.exception)


def test_the_command_module_loads_neither_torch_nor_plotly() -> None:
    code = "import nas.cli.bench, sys; sys.exit(bool({'torch', 'plotly'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
    )


def test_equal_lengths_are_measured_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace_points(monkeypatch, lambda kind, n, phase: "measured")
    done = attention("--kinds", "fox,fox", "--seconds", "2,1,1.001", "--quiet")
    assert [n for _, n, _ in asked] == [50, 50, 100, 100]
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
