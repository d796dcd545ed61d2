"""Re-pricing: the same as having measured with the profile; ranks, old records, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command import nas

import nas as package
from eval.energy.pricing import COLUMNS
from eval.energy.profile import load_profile, profile_names
from nas.energy_report import choose_profiles, report, time_steps
from nas.evaluation import Evaluation
from nas.repricing import kendall, ranks, reprice, reprice_run, summary
from nas.study import Study
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.schema import load_space

SPACE = {
    "name": "few",
    "family": "pts_snn",
    "parameters": {
        "encoder.depth": {"int": [0, 1]},
        "encoder.width": {"choice": [8, 12]},
        "neuron.type": {"choice": ["plif", "if", "ttfs"]},
    },
    "objectives": {"ua": "maximize", "energy": "minimize"},
    "constraints": {"energy": {"max": 1e-6}},
}
OWN = {
    "name": "own",
    "title": "a chip of my own",
    "source": "measured by me",
    "node": "28 nm",
    "precision": "int8",
    "unit": "pJ",
    "prices": {"synaptic_operation": 3.0, "neuron_update": 20.0},
    "host": "45nm_int8",
    "excludes": ["memory"],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker"]
    for speaker in ("ann", "bob", "cat"):
        for label in ("calm", "sad"):
            for i in range(4):
                frames = (label == "sad") + rng.normal(size=(int(rng.integers(4, 9)), 6))
                np.save(folder / f"{speaker}-{label}-{i}.npy", frames.astype(np.float32))
                rows.append(f"{speaker}-{label}-{i}.npy,{label},{speaker}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def search(space: dict[str, Any], corpus: Path, folder: Path, **options: Any) -> Study:
    return package.search(
        space=space, data=str(corpus), searcher="random", budget=6, seed=3, out=folder, **options
    )


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return search(SPACE, corpus, tmp_path_factory.mktemp("runs") / "default")


def named(profile: Any) -> dict[str, Any]:
    objectives = {"ua": "maximize", "energy": {"minimize": True, "profile": profile}}
    return {**SPACE, "objectives": objectives}


@pytest.mark.parametrize("profile", ["loihi", "lemaire2022", "own"])
def test_repricing_is_measuring_with_the_profile_in_the_first_place(
    profile: str, run: Study, corpus: Path, tmp_path: Path
) -> None:
    """The random searcher ignores energies, so both runs evaluate the same, in order."""
    spec: Any = OWN if profile == "own" else profile
    other = search(named(spec), corpus, tmp_path / "run")
    assert other.config.evaluator["profile"] == spec
    again = reprice(run.evaluations, run.space, load_profile(spec))
    found = {e.number: e for e in again.full}
    assert len(found) == len(other.evaluations) == 6
    for e in other.evaluations:
        assert e.metrics["energy_profile"] == profile
        assert found[e.number].objectives == e.objectives
        assert found[e.number].violations == e.violations
        assert found[e.number].metrics["layers"] == e.metrics["layers"]
    assert list(again.front) == [e.architecture.hash for e in other.front()]
    # and under its own profile a run stays what it is
    same = reprice(other.evaluations, other.space, load_profile(spec))
    assert {e.number: e.objectives for e in same.full} == {
        e.number: e.objectives for e in other.evaluations
    }


def test_a_profile_from_a_file_is_kept_with_the_run(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN))
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(named("own.yaml")))
    folder = tmp_path / "run"
    first = package.search(space=str(space), data=str(corpus), budget=2, seed=0, out=folder)
    assert first.config.evaluator["profile"] == OWN
    (tmp_path / "own.yaml").unlink()
    study = package.search(resume=folder, budget=3)
    assert len(study.evaluations) == 3
    assert {e.metrics["energy_profile"] for e in study.evaluations} == {"own"}
    document = json.loads(nas("energy", folder, "--profiles", "45nm_fp32", "--json").stdout)
    assert document["reference"] == "own"


def made(number: int, energy: float, ua: float, **changes: float) -> Evaluation:
    row = {**dict.fromkeys(COLUMNS, 0.0), "layer": "a", "rate": 0.5, "neuron_steps": 1.0}
    metrics = {
        "ua": ua,
        "energy": energy,
        "energy_profile": "45nm_fp32",
        "layers": [row | changes],
    }
    return Evaluation(
        number=number,
        architecture=Architecture({"n": number}),
        fidelity=1.0,
        cost=1.0,
        seed=0,
        objectives={"ua": ua, "energy": energy},
        metrics=metrics,
    )


TOY = load_space(
    {
        "name": "toy",
        "parameters": {"n": {"int": [0, 9]}},
        "objectives": {"ua": "maximize", "energy": "minimize"},
    }
)


def test_ranks_and_fronts_follow_the_prices() -> None:
    """a: 10 synaptic operations; b: 5 updates without a leak; c: 100 products; recall rises.

    45 nm FP32: 9, 9 (5 accumulates, 5 comparisons) and 460 pJ. Loihi: 236, 405, 460 on its host.
    a and b are equal under the first, so a, which recognises less, leaves the front there; under
    Loihi it is the cheapest and on the front.
    """
    a = made(0, 9e-12, 0.5, synops=10, acs=10)
    b = made(1, 9e-12, 0.6, updates=5, acs=5, compares=5)
    c = made(2, 460e-12, 0.7, macs=100, digital=1)
    fp32, loihi = (reprice([a, b, c], TOY, load_profile(p)) for p in ("45nm_fp32", "loihi"))
    ha, hb, hc = (e.architecture.hash for e in (a, b, c))
    assert list(fp32.front) == [hc, hb]
    assert list(loihi.front) == [hc, hb, ha]
    assert {h: 1e12 * v for h, v in loihi.energies.items()} == pytest.approx(
        {ha: 236, hb: 405, hc: 460}
    )
    assert ranks(fp32.energies, [ha, hb, hc]) == {ha: 1, hb: 1, hc: 3}
    assert ranks(loihi.energies, [ha, hb, hc]) == {ha: 1, hb: 2, hc: 3}
    # of 3 pairs 2 agree, one is tied in the first: 2 / sqrt(2 x 3)
    assert kendall(fp32.energies, loihi.energies) == pytest.approx(2 / 6**0.5)
    assert kendall({"x": 1.0}, {"x": 2.0}) is None


def test_a_summary_marks_who_is_on_every_front(run: Study) -> None:
    profiles = choose_profiles("all")
    document = summary(run, reprice_run(run, profiles))
    assert list(document["profiles"]) == profile_names()
    for m in document["members"]:
        on = [n for n, p in document["profiles"].items() if m["hash"] in p["front"]]
        assert m["front"] == on
        assert m["every"] == (len(on) == len(profiles))
        assert set(m["energy"]) == set(profile_names())


def test_an_older_record_says_what_is_missing(run: Study) -> None:
    """Before comparisons were counted, and before synapses were counted apart."""
    older = []
    for e in run.evaluations[:4]:
        names = ("layer", "macs", "acs", "spikes", "neuron_steps", "rate", "parameters", "kind")
        names += ("compares",) if e.number % 2 else ()
        table = [{k: row[k] for k in names} for row in e.metrics["layers"]]
        older.append(replace(e, metrics={**e.metrics, "layers": table}))
    plain = reprice(older, run.space, load_profile("45nm_int8"))
    assert (len(plain.full), plain.unpriced) == (2, 2)
    assert list(plain.lacking) == ["compares"]
    chip = reprice(older, run.space, load_profile("loihi"))
    assert (len(chip.full), chip.unpriced) == (0, 4)
    assert "synops" in chip.lacking
    own = reprice(older, run.space, load_profile("45nm_fp32"))
    assert {e.number: e.objectives for e in own.full} == {e.number: e.objectives for e in older}
    found = report(older[0].metrics, [load_profile("loihi")])
    assert not found.comparisons
    assert "synops" in found.lacking["loihi"]


def test_steps_are_those_in_which_a_neuron_can_say_something_else() -> None:
    def steps(family: str, values: dict[str, Any], times_held: int = 1) -> int | None:
        return time_steps(get_family(family).filled(values), times_held)

    assert steps("pts_snn", {"neuron.steps_per_frame": 4}) == 4
    assert steps("pts_snn", {"neuron.type": "ttfs", "ttfs.steps": 32}) == 32
    assert steps("pts_snn", {"neuron.steps_per_frame": 4}, times_held=3) == 12
    assert steps("pts_snn", {"neuron.type": "ttfs", "ttfs.steps": 32}, times_held=3) == 32
    assert steps("pts_snn", {"neuron.type": "relu"}) is None
    assert steps("mean_pool", {}) is None
    assert steps("ttfs_conv", {}) == 16
    assert time_steps({"neuron.type": "of mine"}) is None


def test_profiles_are_chosen_by_name_and_file(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN))
    chosen = choose_profiles(f"loihi, {tmp_path / 'own.yaml'},loihi")
    assert [p.name for p in chosen] == ["loihi", "own"]
    with pytest.raises(NasError, match=r"'loih'(?s:.)*did you mean 'loihi'"):
        choose_profiles("loih")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**OWN, "name": "loihi"}))
    with pytest.raises(NasError, match="two profiles are named 'loihi'"):
        choose_profiles(f"loihi,{tmp_path / 'own.yaml'}")


# -- the command line ------------------------------------------------------------------------


def refused(*arguments: str | Path) -> str:
    done = nas(*arguments, code=2)
    assert done.stdout == ""
    return done.stderr


def test_the_command_prices_a_run_an_architecture_and_an_export(
    run: Study, tmp_path: Path
) -> None:
    shown = nas("energy", run.folder, "--profiles", "45nm_fp32,loihi").stdout
    assert "loihi: tau" in shown
    assert "every" in shown
    best = tmp_path / "best"
    nas("export", run.folder, "--best", "energy", "--out", best)
    exported = json.loads(nas("energy", best, "--layers", "--json").stdout)
    assert list(exported["profiles"]) == profile_names()
    written = json.loads((best / "energy.json").read_text())
    assert written["profiles"] == exported["profiles"]
    assert "break-even" in (best / "README.md").read_text()
    of_run = json.loads(nas("energy", run.folder, exported["hash"][:8], "--json").stdout)
    assert of_run["profiles"] == exported["profiles"]
    total = sum(row["energy"]["loihi"] for row in exported["layers"])
    assert total == pytest.approx(exported["profiles"]["loihi"]["energy"])
    text = nas("energy", best, "--profiles", "loihi", "--layers").stdout
    assert "break-even" in text
    assert "project" in text
    shown = nas("show", run.folder, exported["hash"][:8]).stdout
    assert "bit-matched" in shown or "ReLU twin" in shown


def test_profiles_are_listed_with_sources_and_what_they_leave_out() -> None:
    text = nas("energy", "--list").stdout
    for name in profile_names():
        assert f"{name}: " in text
    assert "Horowitz" in text
    assert "left out: memory and data movement" in text
    assert "sources differ" in text
    assert [p["name"] for p in json.loads(nas("energy", "--list", "--json").stdout)] == (
        profile_names()
    )


def test_a_mistake_is_refused_with_its_place(run: Study, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump({**OWN, "prices": {"mac": -1}}, sort_keys=False))
    assert "bad.yaml:8:prices.mac: a price must be a positive" in refused(
        "energy", run.folder, "--profiles", bad
    )
    bad.write_text(yaml.safe_dump({k: v for k, v in OWN.items() if k != "unit"}))
    assert "'unit' is missing" in refused("energy", run.folder, "--profiles", bad)
    space = tmp_path / "space.yaml"
    bad.write_text(yaml.safe_dump({**OWN, "prices": {"add": 1}}, sort_keys=False))
    space.write_text(yaml.safe_dump(named("bad.yaml"), sort_keys=False))
    assert "bad.yaml:8:prices.add: unknown operation" in refused("space", "check", space)
    space.write_text(yaml.safe_dump(named("lohi"), sort_keys=False))
    assert "did you mean 'loihi'" in refused("space", "check", space)
    with pytest.raises(NasError, match="an evaluator measures its energy itself"):
        package.search(space=named("loihi"), evaluator=lambda a, f, s: {}, out=tmp_path / "run")
    with pytest.raises(NasError, match="did you mean 'loihi'"):  # before the corpus is looked for
        package.search(space=named("lohi"), data=str(tmp_path / "no"), out=tmp_path / "run")
    assert "which run or folder" in refused("energy")
    assert "no run here" in refused("energy", tmp_path)
    assert "leave the hash out" in nas_on_export(run, tmp_path)


def nas_on_export(run: Study, tmp_path: Path) -> str:
    nas("export", run.folder, "--out", tmp_path / "out")
    return refused("energy", tmp_path / "out", "3fa9")
