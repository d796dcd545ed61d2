"""From events to a run and back: the request's keys all the way through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nas.corpus import corpus_evaluator, corpus_for
from nas.driver import search
from nas.export import export, read_folder
from nas.retrain import retrain
from search_spaces.errors import NasError
from search_spaces.families import MEAN_POOL
from search_spaces.family import Family
from search_spaces.schema import load_space

pytestmark = pytest.mark.usefixtures("own_cache")

READS_EVENTS = Family(
    name="reads_events",
    builder="search_spaces.mean_pool:build",
    slots=MEAN_POOL.slots,
    metrics=MEAN_POOL.metrics,
    input="event frames",
)

SPACE: dict[str, Any] = {
    "name": "probes",
    "family": "mean_pool",
    "parameters": {"hidden": {"choice": [0, 4]}},
    "objectives": {"ua": "maximize", "energy": "minimize"},
}


@pytest.fixture
def events_folder(tmp_path: Path, write_manifest: Callable[..., Path]) -> Path:
    """Six people; who is angry looks down, where there are events on the lower half."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    lines = []
    for i in range(24):
        rng = np.random.default_rng(i)
        angry = i % 2
        np.savez(
            folder / f"{i}.npz",
            t=np.sort(rng.integers(0, 700_000, 400)),
            x=rng.integers(0, 8, 400),
            y=rng.integers(0, 4, 400) + 2 * angry,
            p=rng.integers(0, 2, 400),
            width=8,
            height=6,
        )
        lines.append(f"{i}.npz,{'anger' if angry else 'joy'},s{i // 4}")
    write_manifest(folder, *lines)
    (folder / "events.yaml").write_text("size: {width: 4, height: 3}\nclips: 8\n")
    return folder


def test_a_run_on_events(
    events_folder: Path, tmp_path: Path, feature_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    asked: dict[str, Any] = {"space": SPACE, "data": events_folder, "sampling": "e2-s1"}
    study = search(**asked, budget=1, out=run, validation_folds=1)
    recorded = yaml.safe_load((run / "run.yaml").read_text())["evaluator"]
    assert recorded["sampling"] == "e2-s1"
    assert recorded["data"] == str(events_folder)
    assert recorded["source"]["sampling"] == "E2-S1"
    assert recorded["source"]["kind"] == "events"
    assert study.evaluations[0].metrics["ua"] > 0.8

    with pytest.raises(NasError, match=r"evaluator\.sampling: 'e2-s1' in the run, 'E3-S0' asked"):
        search(resume=run, sampling="E3-S0")
    study = search(resume=run, budget=2)
    assert len(study.evaluations) == 2
    folder = export(study, study.front()[0], tmp_path / "best")
    assert read_folder(folder).config["features"] == {
        "data": str(events_folder),
        "encoder": None,
        "layer": None,
        "frame_rate": None,
        "sampling": "e2-s1",
        "class_map": None,
    }
    again = retrain(folder, None, 1, tmp_path / "mine", say=lambda _: None)
    assert again["ua"]["mean"] > 0.8
    assert read_folder(tmp_path / "mine").config["features"]["sampling"] == "e2-s1"
    monkeypatch.chdir(tmp_path)
    other = retrain(folder, feature_corpus.name, 1, tmp_path / "other", say=lambda _: None)
    assert other["corpus"] == feature_corpus.name
    assert read_folder(tmp_path / "other").config["features"] == {"data": str(feature_corpus)}


def test_what_a_family_on_event_frames_is_given(
    events_folder: Path, feature_corpus: Path, audio_corpus: Path, own_cache: Path
) -> None:
    assert corpus_for(MEAN_POOL, None) is None
    assert corpus_for(MEAN_POOL, "polish") == "polish"
    assert corpus_for(READS_EVENTS, None) == "synthetic_eyes"
    assert corpus_for(READS_EVENTS, str(events_folder)) == str(events_folder)
    for data in ("polish", str(feature_corpus), str(audio_corpus)):
        with pytest.raises(NasError, match=r"reads event frames; corpus .* holds") as caught:
            corpus_for(READS_EVENTS, data)
        assert "synthetic_eyes" in str(caught.value.hint)
    assert not own_cache.exists()  # nothing was fetched to find that out


def test_the_default_of_event_frames_is_recorded(
    events_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eval import corpora, features

    monkeypatch.setattr("nas.corpus.get_family", lambda _: READS_EVENTS)
    opened: list[Any] = []
    real = corpora.open_corpus

    def instead(data: Any, say: Any, class_map: Any, bad: Any = None) -> Any:
        opened.append(data)
        return real(events_folder, say, class_map, bad)

    monkeypatch.setattr(features, "open_corpus", instead)
    monkeypatch.setattr(corpora, "open_corpus", instead)
    evaluator = corpus_evaluator(load_space(SPACE), {"data": None}, lambda _: None)
    assert set(opened) == {"synthetic_eyes"}
    assert evaluator.describe()["data"] == "synthetic_eyes"
    with pytest.raises(NasError, match="reads event frames"):
        corpus_evaluator(load_space(SPACE), {"data": "polish"}, lambda _: None)
