"""What the guides of a search are worth on the bundled corpus.

Draws candidates of ``pts_snn``, PLIF and time-to-first-spike apart, and measures for each: its
full training on the validation folds, the points of its learning curve on the way there, the
same from a warm start, its score by the ReLU supernet and that of its own ReLU counterpart
after a quarter of the epochs on one fold. Reports Kendall's tau of every guide with the full
training, and how many epochs a warm start saves. Finished candidates are kept in
``results/guidance.jsonl``, so that an interrupted run goes on; delete it to start afresh.

    python benchmarks/guidance.py
    python benchmarks/guidance.py --wall 200

The second measures the wall time of a guided search and of an unguided one instead, one after
the other, and where it went.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import report

import nas
from nas.corpus import corpus_evaluator
from nas.halving import kendall
from nas.outer import read_rows
from nas.proxy import make_proxy, supernets
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space

FIDELITIES = (0.125, 0.25, 0.5, 1.0)
NEURONS = ("plif", "ttfs")
OBJECTIVES = ("wa", "ua", "energy")


def candidates(space: Any, neuron: str, n: int) -> list[Architecture]:
    rng = np.random.default_rng(NEURONS.index(neuron))
    found: dict[str, Architecture] = {}
    while len(found) < n:
        drawn = space.sample(rng)
        if drawn["neuron.type"] == neuron:
            found[drawn.hash] = drawn
    return list(found.values())


def curve(evaluator: Any, architecture: Architecture, seed: int) -> dict[str, Any]:
    """Return the objectives at each fidelity of one training, and its seconds."""
    began = time.perf_counter()
    points = {}
    with tempfile.TemporaryDirectory() as scratch:
        state = Path(scratch) / "state.safetensors"
        for fidelity in FIDELITIES:
            found = evaluator(architecture, fidelity, seed, partial=state)
            points[str(fidelity)] = {name: found[name] for name in OBJECTIVES}
    return {"points": points, "seconds": time.perf_counter() - began}


def wall(budget: int, folds: int) -> dict[str, Any]:
    """Time a guided and an unguided search, and the parts of each."""
    out: dict[str, Any] = {"budget": budget, "folds": folds}
    for kind, guided in (("unguided", False), ("guided", True)):
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            study = nas.search(
                space="pts_snn.yaml",
                budget=budget,
                validation_folds=folds,
                guidance=guided,
                out=Path(scratch) / "run",
            )
            seconds = time.perf_counter() - began
            log = (study.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
            asked = [e for e in map(json.loads, log) if "proxy_seconds" in e]
            evaluating = sum(e.seconds for e in study.evaluations)
            proxy = asked[-1]["proxy_seconds"] if asked else 0.0
            out[kind] = {
                "seconds": seconds,
                "evaluating": evaluating,
                "proxy": proxy,
                "the rest": seconds - evaluating - proxy,
                "spent": study.spent,
                "best": {
                    name: max(e.objectives[name] for e in study.front()) for name in ("wa", "ua")
                },
                "front": len(study.front()),
            }
            print(kind, json.dumps(out[kind]))
    ratio = out["guided"]["seconds"] / out["unguided"]["seconds"]
    rest = {k: out[k]["seconds"] - out[k]["evaluating"] for k in ("guided", "unguided")}
    out["ratio"] = ratio
    out["guidance seconds a unit"] = (rest["guided"] - rest["unguided"]) / budget
    print(
        f"guided / unguided: {ratio:.2f}; guidance: {out['guidance seconds a unit']:.2f} s a unit"
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--candidates", type=int, default=30, help="of each kind of neuron")
    parser.add_argument("--folds", type=int, default=2, help="validation folds of a training")
    parser.add_argument("--wall", type=int, metavar="BUDGET", help="time two searches instead")
    options = parser.parse_args()
    if options.wall:
        report.write("guided_wall", wall(options.wall, options.folds))
        return
    space = load_space("pts_snn.yaml")
    evaluator = corpus_evaluator(space, {"validation_folds": options.folds}, print)
    record = report.RESULTS / "guidance.jsonl"
    done = {row["hash"]: row for row in read_rows(record)}
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        nets = supernets(evaluator, Path(scratch), 0, print)
        training = time.perf_counter() - began
        proxies = {
            kind: make_proxy(kind, evaluator, Path(scratch), 0, print)
            for kind in ("supernet", "ann")
        }
        for neuron in NEURONS:
            for a in candidates(space, neuron, options.candidates):
                if a.hash in done:
                    continue
                row: dict[str, Any] = {"hash": a.hash, "neuron": neuron}
                for name, warm in (("cold", None), ("warm", nets)):
                    evaluator.warm = warm
                    row[name] = curve(evaluator, a, 0)
                evaluator.warm = None
                for kind, proxy in proxies.items():
                    before = time.perf_counter()
                    row[kind] = dict(proxy([a])[0]) if proxy is not None else {}
                    # a twin's energy ranks as its operations do
                    row[kind]["energy"] = sum(row[kind].pop("operations", {}).values())
                    row[f"{kind}_seconds"] = time.perf_counter() - before
                done[a.hash] = row
                with record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"\r{len(done)}/{2 * options.candidates}", end="", flush=True)
    print()
    measured: dict[str, Any] = {
        "supernets_seconds": training,
        "candidates": len(done),
        "folds": options.folds,
    }
    for neuron in NEURONS:
        rows = [r for r in done.values() if r["neuron"] == neuron]
        measured[neuron] = summary(rows)
        print(f"{neuron}: {len(rows)} candidates")
        for guide, taus in measured[neuron]["tau"].items():
            cells = [f"{n} {t['tau']:+.2f}" for n, t in taus.items() if t["tau"] is not None]
            print(f"  tau of {guide:<16} {', '.join(cells)}")
        for start, means in measured[neuron]["mean_ua"].items():
            told = ", ".join(f"{f}: {100 * v:.1f} %" for f, v in means.items())
            print(f"  mean UA, {start}: {told}")
    report.write("guidance", measured)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    full = {o: [r["cold"]["points"]["1.0"][o] for r in rows] for o in OBJECTIVES}
    tau: dict[str, Any] = {}
    for kind in ("supernet", "ann"):
        tau[kind] = {
            o: kendall([r[kind][o] for r in rows], full[o])
            for o in OBJECTIVES
            if o in rows[0][kind]
        }
    for fidelity in FIDELITIES[:-1]:
        tau[f"first look {fidelity}"] = {
            o: kendall([r["cold"]["points"][str(fidelity)][o] for r in rows], full[o])
            for o in OBJECTIVES
        }
    return {
        "tau": tau,
        "mean_ua": {
            start: {
                str(f): float(np.mean([r[start]["points"][str(f)]["ua"] for r in rows]))
                for f in FIDELITIES
            }
            for start in ("cold", "warm")
        },
        "seconds": {
            "training": float(np.mean([r["cold"]["seconds"] for r in rows])),
            "supernet": float(np.mean([r["supernet_seconds"] for r in rows])),
            "ann": float(np.mean([r["ann_seconds"] for r in rows])),
        },
    }


if __name__ == "__main__":
    main()
