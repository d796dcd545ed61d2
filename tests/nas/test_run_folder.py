"""A run's folder is one search's own, and what a search says at its ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command import nas as command
from spaces import DOCUMENT, TINY, measure
from test_search import rows

import nas
from nas.record import JOURNAL
from nas.study import Study
from search_spaces.errors import NasError

HERE = Path(__file__).parent


def started_together(base: list[str], folder: Path) -> list[tuple[int, str, int]]:
    """Run searches at the same moment; return exit code, errors and seed of each."""
    running = {
        seed: subprocess.Popen(
            [*base, "--seed", str(seed)],
            cwd=folder,
            env={**os.environ, "NAS_RUNS": str(folder / "runs")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    }
    return [(p.wait(), p.communicate()[1], seed) for seed, p in running.items()]


@pytest.mark.parametrize("named", [False, True])
def test_searches_started_together_do_not_write_one_record(named: bool, tmp_path: Path) -> None:
    """Without a name each has a folder of its own; of those that want the same one, one has it."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(DOCUMENT))
    base = [sys.executable, "-m", "nas", "search", "--quiet", "--space", "toy.yaml"]
    base += ["--evaluator", f"{HERE / 'spaces.py'}:measure", "--budget", "3"]
    base += ["--searcher", "random", *(["--out", "runs/mine"] if named else [])]
    outcomes = started_together(base, tmp_path)
    assert not any("Traceback" in said for _, said, _ in outcomes)
    assert sorted(code for code, _, _ in outcomes) == ([0, 2, 2] if named else [0, 0, 0])
    made = [nas.open_run(folder) for folder in sorted((tmp_path / "runs").iterdir())]
    assert sorted(s.config.seed for s in made) == sorted(s for c, _, s in outcomes if c == 0)
    for study in made:
        assert len(study.evaluations) == 3
        alone = nas.search(
            space=tmp_path / "toy.yaml",
            evaluator=measure,
            budget=3,
            seed=study.config.seed,
            searcher="random",
            out=tmp_path / f"alone-{study.config.seed}",
        )
        assert rows(study) == rows(alone)


def test_a_budget_below_what_is_under_way_is_refused(tmp_path: Path) -> None:
    study = nas.search(space=DOCUMENT, evaluator=measure, budget=3, out=tmp_path / "run")
    folder = study.folder
    study = Study.open(folder, write=True)
    study.set_budget(5)
    new = study.space.sample(np.random.default_rng(99))
    study.start(new, 1.0, 0)
    study.close()
    with pytest.raises(NasError, match="4 units are spent or under way"):
        nas.search(resume=folder, evaluator=measure, budget=3)


def test_a_negative_seed_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="-1 is no seed"):
        nas.search(space=DOCUMENT, evaluator=measure, seed=-1, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def emptied(folder: Path) -> None:
    (folder / JOURNAL).write_text("")


def garbled(folder: Path) -> None:
    text = (folder / JOURNAL).read_text()
    (folder / JOURNAL).write_text(text.replace("{", "<", 3))


def changed(key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        document = yaml.safe_load((folder / "run.yaml").read_text())
        (folder / "run.yaml").write_text(yaml.safe_dump({**document, key: value}))

    return change


DAMAGES = {
    emptied: "record is empty or damaged",
    garbled: "record is empty or damaged",
    changed("created", None): "created is None, not a mapping",
    changed("evaluator", "f"): "evaluator is 'f', not a mapping",
    changed("budget", "abc"): "budget is 'abc', not a whole number",
    changed("seed", True): "seed is True, not a whole number",
}


def test_a_damaged_run_is_told_and_hides_no_other(tmp_path: Path) -> None:
    nas.search(space=DOCUMENT, evaluator=measure, budget=2, out=tmp_path / "0")
    for i, (damage, says) in enumerate(DAMAGES.items(), 1):
        shutil.copytree(tmp_path / "0", tmp_path / str(i))
        damage(tmp_path / str(i))
        with pytest.raises(NasError, match=says) as error:
            nas.open_run(tmp_path / str(i))
        assert str(error.value).startswith(str(tmp_path / str(i)))
    good, *poor = json.loads(command("runs", tmp_path, "--json").stdout)
    assert good["spent"] == 2
    told = [row["problem"] for row in poor]
    assert all(says in what for says, what in zip(DAMAGES.values(), told, strict=True))


def test_a_space_that_is_used_up_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    given = [
        "--space",
        tmp_path / "tiny.yaml",
        "--evaluator",
        f"{HERE / 'spaces.py'}:measure_tiny",
    ]
    done = command("search", *given, "--budget", "40", "--out", tmp_path / "run")
    left = 40 - nas.open_run(tmp_path / "run").spent
    assert left >= 1
    assert f"{left:g} units are left over" in done.stdout
