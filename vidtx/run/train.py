"""Training a run from its specification to its report.

In a job all processes train, evaluate, save and restore; process 0 alone writes everything else.
"""

import contextlib
import itertools
import os
from collections.abc import Mapping

import jax
import numpy as np

from vidtx.analysis import utilisation
from vidtx.checkpoints import BestStore, CheckpointStore
from vidtx.config import ProfileSpec, RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import VidtxError
from vidtx.reporting import MetricWriter, Progress, percent, plot_curves, read_metrics
from vidtx.reporting.files import Path, as_path, exists
from vidtx.run.contract import contract_of
from vidtx.run.evaluate import make_evaluator
from vidtx.run.pictures import (
    describe_evaluation,
    draw_contact_sheet,
    evaluation_is_written,
    write_evaluation,
)
from vidtx.run.report import RunReport, Stopwatch
from vidtx.run.setup import Setup, averages, set_up, summary
from vidtx.run.start import FirstWeights, check_source, first_weights
from vidtx.run.workdir import check_claimed, check_free, check_places, claim, data_of_run_named
from vidtx.sharding import done_mark, job, place_batch, processes
from vidtx.training import (
    Parts,
    StopSignal,
    Trace,
    TrainState,
    init_state,
    make_train_step,
    nans_named,
    reset_window,
    start_from,
    train,
)

_NO_TRACE = ProfileSpec(first_step=None, steps=1)


def run_train(spec: RunSpec, workdir: str | os.PathLike) -> None:
    """Trains a run, or goes on with it, and writes everything a person wants to see of it.

    Args:
      spec: the run.
      workdir: its directory: new, empty, or of this very run, which is then resumed.

    Raises:
      ConfigError: the specification is impossible, or the directory another run's.
      DataQualityError: the data are damaged, or too many videos are unreadable.
      DivergedError: loss, gradient or update stopped being finite.
      StoppedError: a signal came; the state is saved.
      CheckpointError: there are checkpoints, but none can be read.
      MachineError: a checkpoint could not be written, or a bucket cannot be reached.
    """
    folder = as_path(workdir)
    with StopSignal() as stop:
        processes.agree(lambda: check_places(spec, workdir))
        new = processes.on_lead(lambda: not exists(check_free(workdir, spec) / "dataset.json"))
        if new:
            processes.agree(lambda: check_source(spec))

        def found() -> Setup:
            with data_of_run_named(workdir, spec.data.data_dir):
                return set_up(spec, stop, may_build=new)

        setup = processes.agree(found)
        # Before the directory is claimed: a wrong name can then be mended.
        weights = _first_weights(setup) if new else None
        processes.on_lead(lambda: _begin(setup, folder))
        processes.agree(lambda: check_claimed(folder))
        keep = spec.checkpoint
        description = setup.data.description
        every = {
            "contract": contract_of(spec, description.class_names, description.fingerprint),
            "note": _print_once,
        }
        with (
            CheckpointStore(
                folder, keep=keep.keep, keep_every=keep.keep_every_steps, **every
            ) as store,
            BestStore(folder, keep=keep.keep_best, **every)
            if keep.keep_best
            else contextlib.nullcontext() as best,
            job.ending_together(),
        ):
            _train(setup, folder, store, best, stop, weights)
    _print_once(
        f"Report: {folder / 'report.html'}   Clips it was fed: {folder / 'contact_sheet.png'}"
    )


def _begin(setup: Setup, folder: Path) -> None:
    claim(folder, setup.spec, setup.data.to_dict())
    print(summary(setup), flush=True)
    draw_contact_sheet(setup, folder)


def _print_once(text: str) -> None:
    if processes.is_lead():
        print(text, flush=True)


def _first_weights(setup: Setup) -> FirstWeights | None:
    names = setup.data.description.class_names
    params = setup.abstract.params
    return first_weights(setup.spec, setup.model, params, setup.mesh, names, _print_once)


def _first_state(setup: Setup, folder: Path, weights: FirstWeights | None) -> TrainState:
    spec = setup.spec
    state = init_state(setup.model, setup.optimizer, spec.seed, setup.mesh, averaged=averages(spec))
    weights = weights or _first_weights(setup)
    if weights is None:
        return state
    _print_once("\n".join(weights.lines()))
    processes.on_lead(lambda: weights.write(folder))
    return start_from(state, weights.over(state.params))


def _train(
    setup: Setup,
    folder: Path,
    store: CheckpointStore,
    best: BestStore | None,
    stop: StopSignal,
    weights: FirstWeights | None,
) -> None:
    spec = setup.spec
    restored = store.restore_newest(setup.abstract)
    step, state = restored or (0, _first_state(setup, folder, weights))
    if restored is None and spec.train.init_from is not None:
        # The run that its weights are of may go on: killed, this one must find the same again.
        store.save(step, state)
        store.wait()
    when = setup.when
    if step == when.total and processes.on_lead(lambda: evaluation_is_written(folder, step)):
        _print_once(f"Finished already, after step {step}. Its report is left as it is.")
        return
    evaluator = make_evaluator(setup, stop)
    first_batch = 0 if spec.debug.one_batch else step
    lead = processes.is_lead()
    with (
        MetricWriter(folder, resume_step=step) if lead else contextlib.nullcontext() as writer,
        open(os.devnull, "w") as nowhere,
        Progress(when.total, start_step=step, stream=None if lead else nowhere) as progress,
        setup.data.train_batches(setup.train_source, first_batch) as batches,
        data_errors_as_ours(),
        Trace(spec.profile if lead else _NO_TRACE, folder / "profile") as trace,
        jax.debug_nans(spec.debug.check_nans),
    ):
        batches.start()  # reads ahead while the step compiles
        if step:
            progress.note(f"Going on after step {step}.")
        if spec.profile.first_step is not None and spec.profile.first_step < step:
            progress.note(
                f"profile.first_step {spec.profile.first_step} is over: nothing is traced."
            )

        def evaluated(step: int) -> bool:
            records = read_metrics(folder / "metrics.jsonl")
            return any(r["step"] == step and "eval/loss" in r for r in records)

        # A run that was stopped while it was evaluated, or before all of that was written.
        missing = processes.on_lead(
            lambda: not (evaluated(step) and evaluation_is_written(folder, step))
        )
        report = RunReport(folder, setup, step=step, note=progress.note) if lead else None
        took, reached = Stopwatch(), step

        def save(step: int, state: TrainState) -> None:
            nonlocal reached
            reached = step
            with took.measured("save"):
                if lead:
                    writer.flush()  # a state that is resumed from has all lines before it
                store.save(step, state)

        def write(step: int, figures: Mapping[str, float]) -> None:
            nonlocal reached
            reached = step
            if lead:
                writer.write(step, {**figures, **took.seconds()})
                report.logged(step)

        def evaluate(step: int, state: TrainState) -> None:
            with took.measured("eval"):
                evaluation = evaluator(step, state)
            if best is not None:
                best.offer(step, evaluation.score, state)
            if not lead:
                return
            writer.flush()
            if not evaluated(step):
                writer.write(step, {**evaluation.figures(), **took.seconds()})
                writer.flush()
            with took.measured("draw"):
                write_evaluation(
                    setup,
                    folder,
                    evaluation,
                    lambda figures: report.evaluated(evaluation, figures, state.judged),
                )
            if step == when.total:
                progress.note(describe_evaluation(setup, evaluation))
            else:
                score = f"{evaluation.score_name} {percent(evaluation.score)}"
                progress.note(f"step {step}: {score} on the whole split")

        parts = Parts(
            batches=itertools.repeat(next(batches)) if spec.debug.one_batch else batches,
            place=lambda batch: place_batch(_fed(batch), setup.mesh),
            step=make_train_step(spec, setup.model, setup.optimizer, setup.mesh, setup.abstract),
            mark=lambda state: done_mark(state.step),
            reset_window=lambda state: reset_window(state, setup.mesh),
            learning_rate=lambda step: float(setup.schedule(step)),
            evaluate=evaluate,
            save=save,
            write=write,
            progress=progress,
            stop=stop,
            trace=trace,
            utilisation=lambda speed: utilisation(
                setup.model, jax.devices()[0], speed / setup.mesh.size
            ),
        )
        try:
            with nans_named():
                train(state, step, parts, when, evaluate_first=when.evaluates(step) and missing)
        except VidtxError as error:
            # What a stopped run was like is worth a look; a full disk must not hide why it stopped.
            with contextlib.suppress(OSError, VidtxError):
                if lead:
                    writer.flush()
                    report.ended(reached, error)
                    plot_curves(read_metrics(folder / "metrics.jsonl"), folder / "curves.png")
            raise
        progress.note(f"{progress.summary()}.")


def _fed(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the step takes of a batch."""
    rows = {name: batch[name] for name in ("video", "label", "labels", "replaced") if name in batch}
    return rows | {"index": batch["index"].astype(np.uint32)}
