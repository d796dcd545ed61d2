"""Tables of a report: what was run, what it cost, how to run it again. A column a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from nas.cli.output import heading, shown
from nas.folding import WARNING, described
from nas.report.compare import Box, growth
from nas.report.data import RunData
from nas.report.panel import Table
from nas.report.units import with_unit
from nas.repricing import run_profile
from nas.run_config import FILE
from search_spaces.errors import NasError

EXTRA = ("macro_f1", "parameters", "spikes", "spike_rate", "latency", "latency_steps")


def summary(runs: Sequence[RunData], box: Box | None) -> Table:
    """Return what was searched, on what, how far, and what came out."""
    return _side_by_side(runs, [_summary(r, box) for r in runs])


def _train_rate(source: Mapping[str, Any]) -> dict[str, str]:
    rate = source.get("train_rate")
    return {} if rate is None else {"trained at": f"{rate:g} steps a second, then adapted"}


def _summary(run: RunData, box: Box | None) -> dict[str, str]:
    config, done = run.study.config, run.archive.evaluations
    source: Mapping[str, Any] = config.evaluator
    failed = sum(not e.ok for e in done)
    modes = [m for m in ("guidance", "halving", "warm_start", "remeasure") if getattr(config, m)]
    modes += [f"proxy {config.proxy}"] if config.proxy != "none" else []
    facts = {
        "space": _joined(config.space.name, config.space.description),
        "objectives": ", ".join(f"{n} ({d})" for n, d in run.objectives.items()),
        "constraints": ", ".join(_bounds(c) for c in config.space.constraints) or "none",
        "searcher": _joined(config.searcher, *(m.replace("_", " ") for m in modes)),
        "seed": str(config.seed),
    }
    if run.corpus:
        facts |= {
            "corpus": _corpus(source),
            "protocol": _protocol(source),
            "measured on": f"validation {_parts(source)} (never the test {_parts(source)}): "
            + ", ".join(map(str, source.get("validation") or [])),
            f"test {_parts(source)}": f"fold {source.get('test')}, not touched by the search",
            **_train_rate(source),
            "cost model of the energy": f"{_profile(run)}, head only",
        }
    else:
        facts["measured by"] = f"an evaluator of its own: {source.get('reference')}"
    broken = [e.error for e in done if e.error]
    infeasible = sum(e.ok and not e.feasible for e in done)
    facts |= {
        "budget": f"{run.study.spent:g} of {config.budget} units spent{_state(run)}",
        "evaluations": _joined(
            str(len(done)),
            f"{failed} failed",
            f"{infeasible} outside the constraints" if infeasible else "",
        ),
        **({"last failure": broken[-1].strip().splitlines()[-1][:200]} if broken else {}),
        "front": f"{len(run.front)} architectures",
        "knee": run.knee.architecture.hash if run.knee is not None else "none",
    }
    for name, direction in run.objectives.items():
        values = [e.objectives[name] for e in run.front]
        best = (max if direction == "maximize" else min)(values, default=None)
        facts[f"best {name}"] = with_unit(name, best) if best is not None else "none"
    if box is not None:
        grown = growth(run, box)
        last = 100 * grown.measured[-1] if grown.measured else 0.0
        facts["hypervolume"] = f"{last:.2f} % of the box"
        if grown.repeated:
            facts["hypervolume of the front's means"] = f"{100 * grown.front[-1]:.2f} % of the box"
    return facts


def _profile(run: RunData) -> str:
    try:
        return run_profile(run.study).name
    except NasError:  # of a later version, or a file that is gone
        return str(run.study.config.evaluator.get("profile"))


def costs(runs: Sequence[RunData]) -> Table:
    """Return what the runs cost, in units and in seconds."""
    return _side_by_side(runs, [_costs(r) for r in runs])


def _costs(run: RunData) -> dict[str, str]:
    done = run.archive.evaluations
    training = [e.metrics["train_seconds"] for e in done if "train_seconds" in e.metrics]
    proxy = proxy_seconds(run.events)
    partial = sum(e.fidelity < 1.0 for e in done)
    repeated = sum(e.metrics.get("measurements", 1) - 1 for e in run.archive.full)
    workers: Mapping[str, Any] = run.study.config.created.get("workers") or {}
    return {
        "units": f"{run.study.spent:g}",
        "of them by failed evaluations": f"{sum(e.cost for e in done if not e.ok):g}",
        "evaluations": f"{len(done)}, {partial} partial, {repeated} repeats of an architecture",
        "seconds evaluating, summed over workers": f"{sum(e.seconds for e in done):.1f}",
        "of them training and measuring": f"{sum(training):.1f}" if training else "not recorded",
        "seconds of the proxy, not charged": f"{proxy:.1f}" if proxy is not None else "no proxy",
        "seconds the run was driven": f"{run.wall:.1f}",
        "workers": str(workers.get("workers", 1)),
    }


def proxy_seconds(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return what the proxy took, over all processes that drove a run; None without one."""
    total, last = 0.0, None
    for event in events:
        said = event.get("proxy_seconds")
        if said is None:
            continue
        if last is not None and said < last:  # another process, from the beginning
            total += last
        last = said
    return total + last if last is not None else None


def reproduce(runs: Sequence[RunData]) -> list[Table]:
    """Return how to run it again: command, versions, machine, whole configuration."""
    facts = []
    for run in runs:
        created = run.study.config.created
        versions: Mapping[str, Any] = created.get("versions") or {}
        machine: Mapping[str, Any] = created.get("machine") or {}
        facts.append(
            {
                "command": str(created.get("command")),
                "go on with it": f"nas search --resume {shlex.quote(str(run.study.folder))}",
                "seed": str(run.study.config.seed),
                "started": str(created.get("date")),
                "nas": str(created.get("nas")),
                "versions": ", ".join(f"{k} {v}" for k, v in versions.items()),
                "machine": ", ".join(f"{k} {v}" for k, v in machine.items()),
                "content of the corpus": str(run.study.config.evaluator.get("digest") or "-"),
            }
        )
    tables = [_side_by_side(runs, facts)]
    for run in runs:
        text = (run.study.folder / FILE).read_text(encoding="utf-8")
        tables.append(Table((), (), title=f"{FILE} of {run.label}", preformatted=text))
    return tables


def front_table(runs: Sequence[RunData]) -> Table | None:
    """Return the members of the fronts, best first objective first; None where there is none."""
    members = [(r, e) for r in runs for e in r.front]
    if not members:
        return None
    objectives = list(runs[0].objectives)
    extra = [n for n in EXTRA if n not in objectives and any(n in e.metrics for _, e in members)]
    repeated = any("measurements" in e.metrics for _, e in members)
    names = [*objectives, *extra, *(["measurements"] if repeated else [])]
    rows = []
    for run, e in members:
        known = {"measurements": 1, **e.metrics, **e.objectives}
        cells = [shown(n, known.get(n)) for n in names]
        knee = run.knee is not None and run.knee.architecture == e.architecture
        rows.append([e.architecture.hash, run.label, *cells, "knee" if knee else ""])
    return Table(["hash", "run", *map(heading, names), ""], rows, title="Members of the front")


def baseline_table(runs: Sequence[RunData]) -> Table | None:
    """Return the simple models measured on the same folds; None without."""
    rows = [(r, n, row) for r in runs for n, row in r.study.baselines().items()]
    if not rows:
        return None
    names = [n for n in (*runs[0].objectives, *EXTRA) if any(n in row for *_, row in rows)]
    names = list(dict.fromkeys(names))
    cells = [[n, r.label, *(shown(k, row.get(k)) for k in names)] for r, n, row in rows]
    return Table(["model", "run", *map(heading, names)], cells, title="Simple models, same folds")


def _side_by_side(runs: Sequence[RunData], facts: Sequence[Mapping[str, str]]) -> Table:
    names = dict.fromkeys(k for row in facts for k in row)
    rows = [[name, *(row.get(name, "-") for row in facts)] for name in names]
    return Table(["", *(r.label for r in runs)], rows)


def _protocol(source: Mapping[str, Any]) -> str:
    found = described(source)
    return _joined(found["protocol"], WARNING if found["speaker_dependent"] else "")


def _parts(source: Mapping[str, Any]) -> str:
    return "utterances" if described(source)["speaker_dependent"] else "speakers"


def _corpus(source: Mapping[str, Any]) -> str:
    about: Mapping[str, Any] = source.get("source") or {}
    encoder = f"{about['encoder']} layer {about.get('layer')}" if about.get("encoder") else ""
    counted = f"{about['utterances']} items" if about.get("utterances") else ""
    classes = ", ".join(map(str, source.get("classes") or []))
    return _joined(str(source.get("data")), counted, encoder, f"classes {classes}")


def _state(run: RunData) -> str:
    if run.study.spent >= run.study.config.budget - 1e-9:
        return ""
    last = next((e["event"] for e in reversed(run.events) if e.get("event") in _ENDS), None)
    return {"finished": ", nothing left to try", "stopped": ", stopped"}.get(
        str(last), ", not finished"
    )


_ENDS = ("started", "stopped", "finished")


def _bounds(c: Any) -> str:
    low = f"{c.min:,.10g} <= " if c.min is not None else ""
    high = f" <= {c.max:,.10g}" if c.max is not None else ""
    return f"{low}{c.quantity}{high}"


def _joined(*parts: str) -> str:
    return "; ".join(p for p in parts if p)
