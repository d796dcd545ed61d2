"""Guided runs on a corpus: scores in the record, trust in the log, the same run again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from spaces import DOCUMENT, HEADS, measure, small_corpus

import nas
from nas.evaluation import Evaluation
from nas.proxy import Proxy, proxy_agreement
from nas.study import Study
from nas.trust import read_trust
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def search(corpus: Path, out: Path, **changes: Any) -> Study:
    asked = {"searcher": "auto", "budget": 16, "validation_folds": 1, "halving": True, **changes}
    return nas.search(space=HEADS, data=corpus, out=out, **asked)


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return search(corpus, tmp_path_factory.mktemp("runs") / "run")


def events(study: Study, name: str) -> list[Any]:
    lines = (study.folder / "log.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == name]


def test_a_guided_run_on_a_corpus_records_what_the_supernet_said(run: Study) -> None:
    assert run.config.guidance
    assert run.config.proxy == "supernet"
    assert (run.folder / "supernet-0.safetensors").is_file()
    scored = [e for e in run.evaluations if e.metrics.get("proxy")]
    assert len(scored) >= 10
    for e in scored:
        # recall is scored, energy is told by what is computed
        assert set(e.metrics["proxy"]) - {"ua"} == {"operations", "energies"}
        assert 0 <= e.metrics["proxy"].get("ua", 0) <= 1
        assert sum(e.metrics["proxy"]["energies"].values()) == pytest.approx(e.metrics["energy"])
    assert sum("ua" in e.metrics["proxy"] for e in scored) >= 10
    by_hash: dict[str, Any] = {}
    for e in scored:  # a promotion has the counts of its first look
        counts = e.metrics["proxy"]["operations"]
        assert by_hash.setdefault(e.architecture.hash, counts) == counts


def test_trust_is_in_the_log(run: Study) -> None:
    told = events(run, "trust")
    assert told
    last = told[-1]
    assert set(last["surrogate"]) == {"ua", "energy"}
    assert {"correlation", "n", "steers"} <= set(last["surrogate"]["energy"])
    assert last["proxy"]["ua"]["pairs"] > 3
    assert last["proxy_seconds"] > 0
    assert set(last["first_looks"]) == {"ua", "energy"}


def test_trust_is_shown_and_plotted(run: Study, tmp_path: Path) -> None:
    plot = tmp_path / "trust.html"
    done = subprocess.run(
        [sys.executable, "-m", "nas", "trust", str(run.folder), "--plot", str(plot)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for guide in ("surrogate", "proxy", "first looks"):
        assert guide in done.stdout
    text = plot.read_text()
    assert "proxy: ua" in text
    assert 'src="http' not in text  # it works offline
    rows = read_trust(run.folder)
    assert rows[-1]["evaluations"] == len(run.evaluations)
    assert all(r["correlation"] is None or -1 <= r["correlation"] <= 1 for r in rows)


def test_a_run_without_guides_says_so(corpus: Path, tmp_path: Path) -> None:
    study = search(corpus, tmp_path / "run", searcher="random", budget=1, halving=False)
    with pytest.raises(NasError, match="nothing guided this run"):
        read_trust(study.folder)


def test_an_interrupted_guided_run_ends_as_the_unbroken_one(
    run: Study, corpus: Path, tmp_path: Path
) -> None:
    class Stop:
        left = 9

        def started(self, study: Study) -> None:
            pass

        def evaluated(self, study: Study, evaluation: Evaluation) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(corpus, tmp_path / "run", observer=Stop())
    resumed = nas.search(resume=tmp_path / "run")

    def rows(study: Study) -> list[Any]:
        kept = []
        for e in study.evaluations:
            metrics = {k: v for k, v in e.metrics.items() if k != "train_seconds"}
            kept.append((e.architecture.hash, e.fidelity, e.cost, metrics))
        return kept

    assert rows(resumed) == rows(run)
    assert not list((run.folder / "partial").glob("*.partial"))


def test_each_candidates_own_counterpart_can_be_the_proxy(corpus: Path, tmp_path: Path) -> None:
    study = search(corpus, tmp_path / "run", proxy="ann", budget=4, halving=False)
    scores = [e.metrics["proxy"] for e in study.evaluations]
    # what a ReLU network spends is not what spikes will; its operations tell that
    assert all(set(s) == {"ua", "operations", "energies"} for s in scores)
    assert len({sum(s["operations"].values()) for s in scores}) > 1


def test_a_warm_start_takes_a_supernet_for_each_fold(corpus: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "searcher": "random",
        "budget": 6,
        "halving": True,
        "validation_folds": 2,
        "seed": 1,
    }
    cold = search(corpus, tmp_path / "cold", **asked)
    warm = search(corpus, tmp_path / "warm", **asked, warm_start=True)
    names = sorted(p.name for p in warm.folder.glob("supernet-*"))
    assert names == ["supernet-0.safetensors", "supernet-1.safetensors"]

    def first(study: Study) -> dict[str, float]:
        looks = [e for e in study.evaluations if e.fidelity < 1]
        return {e.architecture.hash: e.metrics["loss"] for e in looks}

    a, b = first(cold), first(warm)
    both = a.keys() & b.keys()
    assert len(both) >= 5
    assert all(a[k] != b[k] for k in both)
    with pytest.raises(NasError, match="warm_start: True in the run, False asked"):
        nas.search(resume=warm.folder, warm_start=False)
    with pytest.raises(NasError, match="no ReLU weights to begin from"):
        nas.search(space=DOCUMENT, evaluator=measure, warm_start=True, out=tmp_path / "x")


def test_without_guidance_there_is_no_proxy(corpus: Path, tmp_path: Path) -> None:
    study = search(corpus, tmp_path / "run", searcher="random", budget=2, halving=False)
    assert study.config.proxy == "none"
    assert not (study.folder / "supernet-0.safetensors").exists()
    with pytest.raises(NasError, match="would not be used: nothing is guided"):
        search(corpus, tmp_path / "a", searcher="random", proxy="supernet")
    with pytest.raises(NasError, match="unknown proxy 'supernat'"):
        search(corpus, tmp_path / "b", proxy="supernat")
    with pytest.raises(NasError, match="no ReLU counterpart"):
        nas.search(
            space=DOCUMENT, evaluator=measure, searcher="auto", proxy="ann", out=tmp_path / "c"
        )
    guided = nas.search(
        space=DOCUMENT, evaluator=measure, searcher="auto", budget=2, out=tmp_path / "d"
    )
    with pytest.raises(NasError, match="guidance: True in the run, False asked"):
        nas.search(resume=guided.folder, evaluator=measure, guidance=False)


def test_a_candidate_that_cannot_be_built_has_no_score() -> None:
    def score(architectures: Any) -> Any:
        if architectures[0]["a"] == 2:
            raise NasError("heads do not divide the width")
        return [{"ua": 0.5, "wa": 0.4, "energy": 1.0}]

    proxy = Proxy(score, ["ua", "energy"])
    found = proxy([Architecture({"a": 1}), Architecture({"a": 2})])
    assert found == [{"ua": 0.5, "energy": 1.0}, {}]


def test_agreement_counts_full_trainings_with_a_score(run: Study) -> None:
    found = proxy_agreement(run.archive())["ua"]
    pairs = [e for e in run.evaluations if e.fidelity == 1.0 and "ua" in e.metrics["proxy"]]
    assert found["pairs"] == len(pairs)
