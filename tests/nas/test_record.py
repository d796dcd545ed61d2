"""The journal: what a kill or a power cut leaves behind can be gone on with."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from spaces import DOCUMENT, measure, measure_slowly
from test_search import rows

import nas
from nas.record import JOURNAL, FlockLock, repair_tail
from search_spaces.errors import NasError

HERE = Path(__file__).parent
BUDGET = 60


def test_kill_9_at_ten_random_moments_gives_the_record_of_an_unbroken_run(
    tmp_path: Path,
) -> None:
    """Through the command line; each kill lands at a random time after the start.

    Every start lives long enough to import and, mostly, to evaluate something: an evaluation
    takes 20 ms, a start about 300 ms.
    """
    space = tmp_path / "toy.yaml"
    space.write_text(yaml.safe_dump(DOCUMENT))
    evaluator = f"{HERE / 'spaces.py'}:measure_slowly"
    whole = nas.search(
        space=space, evaluator=evaluator, searcher="nsga2", budget=BUDGET, out=tmp_path / "whole"
    )
    folder = tmp_path / "broken"
    base = [sys.executable, "-m", "nas", "search", "--quiet"]
    first = ["--space", str(space), "--evaluator", evaluator, "--searcher", "nsga2"]
    first += ["--budget", str(BUDGET), "--out", str(folder)]
    chance = random.Random(0)
    kills, inside = 0, 0
    while kills < 10:
        begun = folder.exists()
        arguments = ["--resume", str(folder)] if begun else first
        process = subprocess.Popen(base + arguments, stdout=subprocess.DEVNULL)
        before = _journal_size(folder)
        deadline = time.monotonic() + 30
        # wait until it works on the record, so that the kill is not spent on the imports
        while _journal_size(folder) == before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.1))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            inside += len(nas.open_run(folder).evaluations) < BUDGET
        process.wait()
        kills += 1
    assert inside >= 8  # or the run was over before most of the kills
    subprocess.run([*base, "--resume", str(folder)], check=True, stdout=subprocess.DEVNULL)
    assert rows(nas.open_run(folder)) == rows(whole)
    assert nas.open_run(folder).pending == []


def _journal_size(folder: Path) -> int:
    path = folder / JOURNAL
    return path.stat().st_size if path.exists() else -1


def test_ctrl_c_prints_how_to_go_on_and_exits_130(tmp_path: Path) -> None:
    space = tmp_path / "toy.yaml"
    space.write_text(yaml.safe_dump(DOCUMENT))
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "nas", "search", "--space", str(space), "--budget", "500"]
    command += ["--evaluator", f"{HERE / 'spaces.py'}:measure_slowly", "--out", str(folder)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # a test run in the background of a shell ignores SIGINT, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 30
    while not (folder / "log.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"nas search --resume {folder}" in said
    assert "Traceback" not in said
    done = len(nas.open_run(folder).evaluations)
    assert 0 < done < 500
    assert nas.search(resume=folder, budget=done + 1).spent == done + 1


def test_a_torn_last_line_is_cut_and_its_evaluation_made_again(tmp_path: Path) -> None:
    whole = nas.search(space=DOCUMENT, evaluator=measure, budget=8, out=tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "torn")
    journal = tmp_path / "torn" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-7])  # the record that evaluation 8 is complete
    assert rows(nas.search(resume=tmp_path / "torn", evaluator=measure)) == rows(whole)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"), (b"torn", b"")],
)
def test_repair_keeps_whole_lines(before: bytes, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(before)
    repair_tail(path)
    assert path.read_bytes() == after


def test_repair_finds_the_line_end_far_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"line\n" + b"x" * 200_000)
    repair_tail(path)
    assert path.read_bytes() == b"line\n"


def test_the_lock_of_a_dead_process_is_free_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holding = (
        "import sys; from pathlib import Path; from nas.record import FlockLock\n"
        "FlockLock(Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holding, str(lock)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.kill()
    process.wait()
    mine = FlockLock(lock)
    assert mine.acquire()
    mine.release()


def test_a_kill_while_the_folder_is_made_leaves_no_run_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename is the last step: stopped before it, the same command starts afresh."""

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", power_cut)
        with pytest.raises(KeyboardInterrupt):
            nas.search(space=DOCUMENT, evaluator=measure, budget=3, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    study = nas.search(space=DOCUMENT, evaluator=measure, budget=3, out=tmp_path / "run")
    assert study.spent == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": {**DOCUMENT, "name": "other"}}, "space.name"),
        ({"searcher": "random"}, "searcher"),
        ({"seed": 9}, "seed"),
        ({"evaluator": measure_slowly}, "evaluator.reference"),
    ],
)
def test_resuming_with_other_settings_is_refused_with_the_difference(
    changed: dict[str, object], said: str, tmp_path: Path
) -> None:
    nas.search(space=DOCUMENT, evaluator=measure, budget=3, out=tmp_path / "run")
    options: dict[str, object] = {"evaluator": measure, **changed}
    with pytest.raises(NasError, match="not the run that was started") as caught:
        nas.search(resume=tmp_path / "run", **options)
    assert said in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_changed_evaluator_file_is_another_evaluator(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    source = "def f(architecture, fidelity, seed):\n    return {'ua': 0.5, 'energy': %s}\n"
    file.write_text(source % 1.0)
    nas.search(space=DOCUMENT, evaluator=f"{file}:f", budget=2, out=tmp_path / "run")
    assert nas.search(resume=tmp_path / "run", budget=3).spent == 3
    file.write_text(source % 2.0)
    with pytest.raises(NasError, match="sha256"):
        nas.search(resume=tmp_path / "run", budget=4)


def test_a_run_of_another_format_is_refused(tmp_path: Path) -> None:
    nas.search(space=DOCUMENT, evaluator=measure, budget=2, out=tmp_path / "run")
    file = tmp_path / "run" / "run.yaml"
    file.write_text(file.read_text().replace("format: 1", "format: 99"))
    with pytest.raises(NasError, match="format 99"):
        nas.open_run(tmp_path / "run")
