"""Training a run from its specification to its report."""

import contextlib
import os
import pathlib

from vidtx.checkpoints import CheckpointStore
from vidtx.config import RunSpec
from vidtx.errors import VidtxError
from vidtx.evaluation import Evaluation
from vidtx.reporting import MetricWriter, Progress, plot_curves, read_metrics
from vidtx.run.data import data_errors_as_ours
from vidtx.run.evaluate import make_evaluator
from vidtx.run.pictures import (
    describe_evaluation,
    draw_contact_sheet,
    evaluation_is_written,
    write_evaluation,
)
from vidtx.run.setup import Setup, set_up, summary
from vidtx.run.workdir import check_free, claim, data_of_run_named
from vidtx.sharding import place_batch
from vidtx.training import (
    Parts,
    StopSignal,
    TrainState,
    init_state,
    make_train_step,
    reset_window,
    train,
)

_FED = ("video", "label", "replaced")  # what the step takes of a batch


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
      MachineError: a checkpoint could not be written.
    """
    with StopSignal() as stop:
        new = not (check_free(workdir, spec) / "dataset.json").exists()
        with data_of_run_named(workdir):
            setup = set_up(spec, stop, may_build=new)
        folder = claim(workdir, spec, setup.data.to_dict())
        print(summary(setup), flush=True)
        draw_contact_sheet(setup, folder)
        with CheckpointStore(folder, keep=spec.checkpoint.keep) as store:
            _train(setup, folder, store, stop)
    print(f"Report: {folder / 'report.html'}   Clips it was fed: {folder / 'contact_sheet.png'}")


def _train(setup: Setup, folder: pathlib.Path, store: CheckpointStore, stop: StopSignal) -> None:
    spec = setup.spec
    step, state = store.restore_newest(setup.abstract) or (0, _first_state(setup))
    if step == setup.when.total and evaluation_is_written(folder, step):
        print(f"Finished already, after step {step}. Its report is left as it is.")
        return
    when = setup.when
    evaluator = make_evaluator(setup, stop)
    with (
        MetricWriter(folder, resume_step=step) as writer,
        Progress(when.total, start_step=step) as progress,
        setup.data.train_batches(setup.train_source, step) as batches,
        data_errors_as_ours(),
    ):
        batches.start()  # reads ahead while the step compiles
        if step:
            progress.note(f"Going on after step {step}.")

        def evaluated(step: int) -> bool:
            records = read_metrics(folder / "metrics.jsonl")
            return any(r["step"] == step and "eval/top1" in r for r in records)

        def evaluate(step: int, state: TrainState) -> None:
            evaluation = evaluator(step, state)
            if not evaluated(step):
                writer.write(step, _eval_figures(evaluation))
            write_evaluation(setup, folder, evaluation)
            if step == when.total:
                progress.note(describe_evaluation(setup, evaluation))
            else:
                progress.note(f"step {step}: top-1 {evaluation.top1:.1%} on the whole split")

        parts = Parts(
            batches=batches,
            place=lambda batch: place_batch({name: batch[name] for name in _FED}, setup.mesh),
            step=make_train_step(spec, setup.model, setup.optimizer, setup.mesh, setup.abstract),
            reset_window=lambda state: reset_window(state, setup.mesh),
            learning_rate=lambda step: float(setup.schedule(step)),
            evaluate=evaluate,
            save=store.save,
            write=writer.write,
            progress=progress,
            stop=stop,
        )
        # A run that was stopped while it was evaluated, or before all of that was written.
        missing = not (evaluated(step) and evaluation_is_written(folder, step))
        try:
            train(state, step, parts, when, evaluate_first=when.evaluates(step) and missing)
        except VidtxError:
            # What a stopped run was like is worth a look; a full disk must not hide why it stopped.
            with contextlib.suppress(OSError):
                plot_curves(read_metrics(folder / "metrics.jsonl"), folder / "curves.png")
            raise
        progress.note(f"{progress.summary()}.")


def _first_state(setup: Setup) -> TrainState:
    return init_state(setup.model, setup.optimizer, setup.spec.seed, setup.mesh)


def _eval_figures(evaluation: Evaluation) -> dict[str, float]:
    return {
        "eval/top1": evaluation.top1,
        "eval/top5": evaluation.top5,
        "eval/loss": evaluation.loss,
        "eval/examples": evaluation.examples,
        "eval/failed": evaluation.failed,
    }
