"""The whole report, section by section, of one run or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from nas.folding import WARNING, speaker_dependent
from nas.measurements import part_of
from nas.report.attained import attainment_panels
from nas.report.compare import Box, box_of, what_cannot_be_compared
from nas.report.courses import curve_panels, growth_panels, trust_panels
from nas.report.data import RunData, chosen
from nas.report.facts import baseline_table, costs, front_table, reproduce, summary
from nas.report.fronts import front_panels
from nas.report.layers import confusion_panel, layer_panel, metric_rows, parameter_rows
from nas.report.panel import Panel, Section, Table, slug
from nas.report.spaces import importance_panels, parallel_panels
from nas.report.tested import tested_parts
from nas.report.units import with_unit
from search_spaces.errors import NasError

ARROWS = "↑: higher is better, ↓: lower is better."
REPEATED = (
    " Where architectures were measured again, the solid line keeps lucky first measurements;"
    " the dotted one takes their mean, as the front does."
)


def build(runs: Sequence[RunData], show: Sequence[str] = ()) -> list[Section]:
    """Return the sections of a report.

    Args:
        runs: Of the same objectives.
        show: Starts of hashes to look into, beside the knee and the best of every objective.

    Raises:
        NasError: A hash that no run has.
    """
    wanted = _shared_out(runs, show)  # a mistake should show before anything is computed
    box = box_of(runs)
    tables = [t for t in (front_table(runs), baseline_table(runs)) if t is not None]
    return [
        Section("summary", "Summary", [summary(runs, box)], _warning(runs)),
        Section("front", "Pareto front", [*front_panels(runs), *tables], _about_front(runs)),
        Section("growth", "Hypervolume", growth_panels(runs, box), _about_box(runs, box)),
        Section("attainment", "Attainment", attainment_panels(runs)),
        Section("parallel", "The space", parallel_panels(runs)),
        Section("importance", "Which parameters decide", importance_panels(runs), _PED_ANOVA),
        Section("trust", "Trust in the guides", trust_panels(runs), _TRUST),
        Section("chosen", "Chosen architectures", _chosen(runs, wanted)),
        Section("curves", "First looks and full trainings", curve_panels(runs)),
        Section("tested", "Test speakers", _tested(runs), _TESTED),
        Section("costs", "What it cost", [costs(runs)]),
        Section("reproduce", "How to run it again", reproduce(runs)),
    ]


_PED_ANOVA = (
    "PED-ANOVA (arXiv 2304.10255, computed by Optuna): how much the values of the best"
    " architectures differ from those of all, parameter by parameter. It says nothing of"
    " parameters that only matter together."
)
_TRUST = (
    "Rank correlation of what a guide said with what was measured: Spearman's with evaluations"
    " left out for the surrogate, Kendall's for the ReLU proxy and first looks; a first look at"
    " one fold is compared with the others."
)
_TESTED = (
    "Retrained on every outer fold with several seeds. 'Unseen' is the fold the search never"
    " saw; the speakers of the others were validation speakers when the architectures were"
    " chosen. Fold means give the interval (Student's t)."
)


def _warning(runs: Sequence[RunData]) -> str:
    different = what_cannot_be_compared(runs)
    if not different:
        return ""
    return f"These runs differ in {', '.join(different)}: their figures are not of one kind."


def _about_front(runs: Sequence[RunData]) -> str:
    mixed = any(r.corpus and speaker_dependent(r.study.config.evaluator) for r in runs)
    corpora = f"validation {'utterances' if mixed else 'speakers'}"
    what = corpora if any(r.corpus for r in runs) else "the run's own evaluator"
    text = f"Measured on {what}; full trainings only. {ARROWS}"
    if mixed:
        text += f" {WARNING[:1].upper()}{WARNING[1:]}."
    if any("measurements" in e.metrics for r in runs for e in r.archive.full):
        text += " Of an architecture measured several times the mean is shown."
    if any(r.knee is not None for r in runs):
        text += " The star is the knee, the front member nearest to the best of every objective."
    if len(runs) > 1:
        text += " A colour is a run; its faint points are evaluated and not on its front."
    return text


def _about_box(runs: Sequence[RunData], box: Box | None) -> str:
    if box is None or len(runs[0].objectives) == 1:
        return ""
    objectives = runs[0].objectives
    signs = [1.0 if d == "minimize" else -1.0 for d in objectives.values()]
    corners = [
        ", ".join(
            f"{n} {with_unit(n, float(s * v))}"
            for n, s, v in zip(objectives, signs, corner, strict=True)
        )
        for corner in (box.nadir, box.ideal)
    ]
    whose = "this run" if len(runs) == 1 else "all runs shown"
    text = (
        f"In % of the box between the worst and the best value of each objective in {whose}:"
        f" reference point {corners[0]}; best {corners[1]}."
    )
    return text + (REPEATED if any(_measured_again(r) for r in runs) else "")


def _measured_again(run: RunData) -> bool:
    return any("measurements" in e.metrics for e in run.archive.full)


def _chosen(runs: Sequence[RunData], wanted: Sequence[Sequence[str]]) -> list[Panel | Table]:
    parts: list[Panel | Table] = []
    confusions: list[Panel] = []
    for run, hashes in zip(runs, wanted, strict=True):
        picked = chosen(run, hashes)
        alone = len(runs) == 1
        if not picked:
            missing = "The front is empty, so there is nothing to choose."
            words = "Chosen architectures" if alone else f"Chosen of {run.label}"
            parts.append(Panel(f"chosen-{slug(run.label)}", words, missing=missing))
            continue
        members = [e for _, e in picked]
        source = run.study.config.evaluator
        head = [
            ", ".join(filter(None, (f"{e.architecture.hash}: {role}", part_of(e, source))))
            for role, e in picked
        ]
        of = "" if alone else f" of {run.label}"
        parts.append(Table(["", *head], metric_rows(members), title=f"Figures{of}"))
        parts.append(
            Table(["", *head], parameter_rows(run.study.space, members), title=f"Parameters{of}")
        )
        for role, e in picked:
            key = e.architecture.hash if alone else f"{slug(run.label)}-{e.architecture.hash}"
            name = f"{e.architecture.hash} ({role}){of}"
            parts.append(layer_panel(f"layers-{key}", f"Energy and spike rate: {name}", run, e))
            confusions.append(confusion_panel(f"confusion-{key}", f"Confusion: {name}", e))
    return [*parts, *confusions]


def _shared_out(runs: Sequence[RunData], show: Sequence[str]) -> list[list[str]]:
    """Give every run the hashes that it has."""
    out: list[list[str]] = [[] for _ in runs]
    for prefix in show:
        problem: NasError | None = None
        for run, mine in zip(runs, out, strict=True):
            try:
                run.study.find(prefix)
            except NasError as error:
                problem = error
            else:
                mine.append(prefix)
        if problem is not None and not any(prefix in mine for mine in out):
            raise problem
    return out


def _tested(runs: Sequence[RunData]) -> list[Panel | Table]:
    return [part for run in runs for part in tested_parts(run, alone=len(runs) == 1)]
