"""The search: propose, evaluate, record, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.chosen_evaluator import choose_evaluator
from nas.evaluation import plain
from nas.executors.workers import Workers
from nas.folding import recorded as recorded_split
from nas.guides import can_warm, halves, proxy_kind, remeasures
from nas.loop import Observer, Say, run
from nas.run_config import RunConfig, describe_environment
from nas.runs import default_folder, refuse_existing
from nas.searchers import DEFAULT_SEARCHER, guides, make_searcher
from nas.study import Study
from search_spaces.errors import NasError
from search_spaces.schema import load_space
from search_spaces.space import Space


def search(
    *,
    space: Space | str | Path | Mapping[str, Any] | None = None,
    evaluator: str | Callable[..., Mapping[str, Any]] | None = None,
    data: str | Path | None = None,
    searcher: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    encoder: str | None = None,
    layer: int | None = None,
    frame_rate: float | None = None,
    sampling: str | None = None,
    class_map: str | Path | Mapping[str, str | None] | None = None,
    protocol: str | None = None,
    speaker_dependent: bool | None = None,
    folds: str | Path | None = None,
    precision: str | None = None,
    max_seconds: float | None = None,
    skip_bad: bool | None = None,
    test_fold: int | None = None,
    validation_folds: int | None = None,
    train_rate: float | None = None,
    dtype: str | None = None,
    guidance: bool | None = None,
    proxy: str | None = None,
    warm_start: bool | None = None,
    halving: bool | None = None,
    remeasure: bool | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    gpus_per_worker: float | None = None,
    cpus_per_worker: float | None = None,
    timeout: float | None = None,
    observer: Observer | None = None,
    say: Say | None = None,
    command: str | None = None,
) -> Study:
    """Search a space and record everything in a run's folder.

    Args:
        space: Path or packaged name of a space, a mapping of the same form, or a ``Space``.
        evaluator: ``file.py:function``, ``package.module:function`` or a function
            ``(architecture: dict, fidelity: float, seed: int) -> dict`` that returns every
            objective by name; None trains the space's family on ``data``.
        data: Corpus name, folder with a ``manifest.csv`` or as a corpus's owner ships it, also
            as ``LAYOUT:FOLDER``; None is the bundled default of what the family reads.
        searcher: ``auto``, ``nsga2``, ``tpe``, ``gp``, ``local`` or ``random``; by default what
            the space asks for, else ``auto``.
        budget: Full-training equivalents of unique architectures (default 200); failed
            evaluations count. On resume, a higher budget prolongs the run.
        seed: Of everything random (default 0).
        out: Folder of the run; by default ``runs/<space>-<date>-<n>``.
        resume: Folder of a run to go on with. What is given beside it must agree with it.
        encoder: Encoder name or folder, for audio.
        layer: Hidden layer of the encoder.
        frame_rate: Frames per second after pooling; of events, frames they are counted into.
        sampling: Which event frames make a clip, such as ``E4-S3``; for events.
        class_map: The class of some of the corpus's labels, None for those to leave out; or
            the path of a YAML file that says so. The run keeps its content.
        protocol: How the corpus is split, as in `eval.protocols.NAMES`; by default the corpus's
            usual one.
        speaker_dependent: Let one voice be on both sides of a split, by random utterances if
            neither ``protocol`` nor ``folds`` says otherwise. Every result then says so.
        folds: A file or folder that lists the folds; the run keeps a copy.
        precision: Of the encoder: ``fp32`` (the default), ``fp16`` or ``bf16``.
        max_seconds: Keep the beginning of every recording, up to this; by default what the
            space says, else all of it.
        skip_bad: Leave out files and rows that cannot be used; by default they are an error.
        test_fold: Which outer fold the search never sees (default 0).
        validation_folds: Train each candidate on this many folds only (default: every one).
        train_rate: Train candidates at so many frames a second [Hz] and adapt them, without
            training, to the frame rate of the run, where they are measured; by default they
            are trained at that. Input pooling counts: one that pools to no more is trained as
            it is. Confirming and retraining are at the rate of the run.
        dtype: Number format of the matrix products of trainings: ``float32``, ``bfloat16``, or
            ``auto`` (the default): bfloat16 where the processor has it. Membranes, weights and
            everything that is measured are float32.
        guidance: Let a surrogate learned on the run's own evaluations screen proposals; by
            default on for ``auto`` and off for the others.
        proxy: Scores that the surrogate may learn from besides: ``supernet`` (the default with
            guidance on a corpus), ``ann`` (each candidate's own ReLU counterpart, trained
            briefly) or ``none``.
        warm_start: Begin every training from the weights of a ReLU supernet, trained once on
            the same part of the corpus. Off by default; ``confirm`` always begins anew.
        halving: Give every new architecture a first look, and go on with the best quarter only:
            one of several validation folds, charged as its share of a unit, or, with one fold
            or an evaluator of your own, an eighth of the training. By default on with guidance
            where there are several folds and a budget of 30 or more.
        remeasure: Measure contenders for the front again, with another seed, where that is
            worth more than something new; needs guidance, and is on with it by default.
        workers: Evaluations at the same time (default 1). With one, and none of the four
            below, they run in this process; else Ray Tune runs them. May change on resume.
        ray_address: ``host:port`` of a running Ray cluster, or ``auto``; by default Ray is
            started on this machine for the length of the run.
        gpus_per_worker: Such as 0.25 for four workers to a GPU (default 0).
        cpus_per_worker: Also their threads (default 1).
        timeout: Seconds after which an evaluation is ended and tried again, three times in
            all (default: never).
        observer: Told about progress.
        say: Takes one line about slow preparations.
        command: For the record; by default the process's own command line.

    Returns:
        The study, closed for writing; ``evaluations`` are in order of completion.

    Raises:
        NasError: Bad input, with what, where and what to do.
        KeyboardInterrupt: Interrupted; what was finished is in the record.
    """
    say = say or (lambda _: None)
    places = Workers(workers, ray_address, gpus_per_worker, cpus_per_worker, timeout)
    places.check()
    corpus = {
        "data": str(data) if data is not None else None,
        "encoder": encoder,
        "layer": layer,
        "frame_rate": frame_rate,
        "sampling": sampling,
        "class_map": class_map,
        "protocol": protocol,
        "speaker_dependent": speaker_dependent or None,
        "folds": str(folds) if folds is not None else None,
        "precision": precision,
        "max_seconds": max_seconds,
        "skip_bad": skip_bad,
        "test_fold": test_fold,
        "validation_folds": validation_folds,
        "train_rate": train_rate,
        "dtype": dtype,
        # only a run that began with others than today's has its own
        "bucket": None,
        "looks": None,
    }
    if budget is not None and (isinstance(budget, bool) or budget != int(budget) or budget < 1):
        raise NasError(
            f"a budget of {budget} evaluates nothing",
            hint="give a whole number of full trainings, 1 or more",
        )
    if seed is not None and (isinstance(seed, bool) or seed != int(seed) or seed < 0):
        raise NasError(f"{seed} is no seed", hint="give a whole number, 0 or more")
    modes: dict[str, Any] = {"guidance": guidance, "proxy": proxy, "halving": halving}
    modes |= {"warm_start": warm_start, "remeasure": remeasure}
    if resume is not None:
        if out is not None:
            raise NasError("out and resume exclude each other", hint="a run stays in its folder")
        study, chosen = _resume(
            Path(resume), space, evaluator, corpus, searcher, budget, seed, modes, say
        )
    else:
        if space is None:
            raise NasError("no space given", hint="for example --space pts_snn.yaml")
        loaded = load_space(space)
        name = searcher or loaded.searcher or DEFAULT_SEARCHER
        size = int(budget) if budget is not None else 200
        make_searcher(name, loaded, size)  # an unknown name should fail before data is fetched
        folder = Path(out) if out is not None else default_folder(loaded.name)
        refuse_existing(folder)
        chosen = choose_evaluator(evaluator, loaded, corpus, say)
        guided = guides(name) if guidance is None else guidance
        config = RunConfig(
            space=loaded,
            searcher=name,
            budget=size,
            planned=size,
            seed=0 if seed is None else int(seed),
            evaluator=plain(chosen.describe()),
            halving=halves(halving, guided, chosen, size),
            guidance=guided,
            proxy=proxy_kind(proxy, guided, chosen),
            warm_start=can_warm(warm_start, chosen),
            remeasure=remeasures(remeasure, guided),
            created={**describe_environment(command), "workers": places.describe()},
        )
        study = _create(folder, out is None, config, getattr(chosen, "files", None))
    if hasattr(chosen, "how"):
        how = chosen.how()
        study.log("trainings", **how)
        if how["neurons"].endswith("(no C compiler found)"):
            say("neurons run as torch operations; with a C compiler they would be faster")
    try:
        run(study, chosen, places, observer, say)
    finally:
        study.close()
    return study


def _create(
    folder: Path, unnamed: bool, config: RunConfig, files: Mapping[str, str] | None
) -> Study:
    """Make the run's folder; where nobody named it, the next one that is still free."""
    while True:
        try:
            return Study.create(folder, config, files)
        except NasError:
            if not (unnamed and folder.exists()):
                raise
        folder = default_folder(config.space.name)  # another search took that one meanwhile


def _resume(
    folder: Path,
    space: Any,
    evaluator: Any,
    corpus: dict[str, Any],
    searcher: str | None,
    budget: int | None,
    seed: int | None,
    modes: Mapping[str, Any],
    say: Say,
) -> tuple[Study, Any]:
    """Open a run for writing after checking that nothing asked for contradicts it."""
    from eval.evaluate import EPOCHS
    from eval.training import BEFORE

    config = RunConfig.read(folder)
    recorded: dict[str, Any] = dict(config.evaluator)
    if recorded["kind"] == "corpus":
        recorded |= recorded_split(recorded, folder)
        # a record of before protocols had names is compared as one that names its own
        named = {k: recorded[k] for k in ("protocol", "speaker_dependent")}
        named["recipe"] = {**BEFORE, **recorded["recipe"]}  # nor did all of a recipe
        named["looks"] = recorded.setdefault("looks", EPOCHS)
        recorded |= {key: named["recipe"][key] for key in BEFORE}
        config = replace(config, evaluator={**config.evaluator, **named})
    wanted_space = load_space(space) if space is not None else config.space
    if recorded["kind"] == "function" and evaluator is None:
        evaluator = recorded["reference"]
        if evaluator.startswith("<"):
            raise NasError(
                "this run used a Python function that was passed in, not one that can be found",
                where=str(folder),
                hint="resume from Python: nas.search(resume=..., evaluator=the_function)",
            )
    if recorded["kind"] == "corpus":
        corpus = {k: recorded.get(k) if v is None else v for k, v in corpus.items()}
    chosen = choose_evaluator(evaluator, wanted_space, corpus, say)
    described = plain(chosen.describe())
    if "input_shape" not in recorded:  # of a record that was written before it was kept
        described.pop("input_shape", None)
    asked = RunConfig(
        space=wanted_space,
        searcher=searcher or config.searcher,
        budget=config.budget,
        planned=config.planned,
        seed=config.seed if seed is None else int(seed),
        evaluator=described,
        **{k: getattr(config, k) if v is None else v for k, v in modes.items()},
    )
    different = config.differences(asked)
    if different:
        raise NasError(
            "this is not the run that was started: " + "; ".join(different),
            where=str(folder),
            hint="resume with the same settings (or none), or start a new run with --out",
        )
    study = Study.open(folder, write=True)
    if budget is not None and budget + 1e-9 < study.committed:  # what was begun is evaluated again
        committed, pending = study.committed, len(study.pending)
        study.close()
        under_way = f" or under way ({pending} evaluations)" if pending else " already"
        raise NasError(
            f"{committed:g} units are spent{under_way}, more than a budget of {budget}",
            where=str(folder),
            hint="leave --budget out, or give a higher one",
        )
    if budget is not None and int(budget) != study.config.budget:
        study.set_budget(int(budget))
    return study, chosen
