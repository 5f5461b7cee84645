"""Evaluating a state: while training, and for a run directory on its own."""

import dataclasses
import itertools
import json
import os
from collections.abc import Callable
from typing import Any

from vidtx.checkpoints import BestStore, CheckpointStore
from vidtx.config import RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import CheckpointError, DataQualityError, StoppedError
from vidtx.evaluation import EvalStep, Evaluation, evaluate, make_eval_step
from vidtx.reporting.files import Path, as_path, exists
from vidtx.run.pictures import describe_evaluation, write_evaluation
from vidtx.run.report import write_clips, write_page
from vidtx.run.setup import Setup, set_up
from vidtx.run.workdir import check_places, check_same_data, check_same_run, data_of_run_named
from vidtx.sharding import processes
from vidtx.training import StopSignal, TrainState


def make_evaluator(setup: Setup, stop: StopSignal) -> Callable[[int, TrainState], Evaluation]:
    """A function from a state and its number to what an evaluation of it finds.

    It raises `StoppedError` when a signal comes, and `DataQualityError` where more videos than
    allowed cannot be read.
    """
    eval_step: EvalStep = make_eval_step(setup.spec, setup.model, setup.mesh)

    def stop_if_asked() -> None:
        if stop.reached():
            raise processes.raised_by_all(
                StoppedError(
                    f"Stopped by {stop.received} during an evaluation. The same command repeats it."
                )
            )

    def evaluate_state(step: int, state: TrainState) -> Evaluation:
        with data_errors_as_ours(), setup.data.eval_batches(setup.eval_source) as batches:
            evaluation = evaluate(
                eval_step,
                state.judged,
                batches,
                step=step,
                class_names=setup.data.description.class_names,
                mesh=setup.mesh,
                between=stop_if_asked,
            )
            own = json.dumps([str(failure) for failure in batches.examples])
        # Processes that share rows have found the same.
        told = tuple(dict.fromkeys(itertools.chain(*map(json.loads, processes.exchange(own)))))
        evaluation = dataclasses.replace(evaluation, failures=told)
        failures = "\n".join(f"  - {failure}" for failure in told)
        videos = evaluation.examples + evaluation.failed
        if evaluation.failed > setup.spec.data.max_bad * videos:
            raise processes.raised_by_all(
                DataQualityError(
                    f"{evaluation.failed} of the {videos} videos of split "
                    f"{setup.spec.data.eval_split} cannot be read, more than data.max_bad "
                    f"{setup.spec.data.max_bad} allows:\n{failures}\n"
                    "Repair them, build the data set again, or raise data.max_bad."
                )
            )
        return evaluation

    return evaluate_state


def run_eval(spec: RunSpec, workdir: str | os.PathLike) -> Evaluation:
    """Evaluates the newest checkpoint of a run directory, or its best, and rewrites its report.

    Args:
      spec: the run, as it was trained; what it is evaluated on may differ.
      workdir: the run directory.

    Raises:
      ConfigError: the directory holds no run, or another's.
      CheckpointError: it holds no checkpoint that can be read.
      DataQualityError: the data are damaged, or too many videos are unreadable.
      StoppedError: a signal came.
      MachineError: a bucket cannot be reached.
    """
    folder = as_path(workdir)

    def check_run() -> None:
        check_places(spec, workdir)
        check_same_run(folder, spec)
        checkpoints = folder / "checkpoints"
        if not (exists(checkpoints) and checkpoints.is_dir()):
            raise CheckpointError(
                f"{workdir} holds no checkpoints. Train first, with --mode=train."
            )

    processes.agree(check_run)
    with StopSignal() as stop:

        def found() -> Setup:
            with data_of_run_named(folder, spec.data.data_dir):
                return set_up(spec, stop, may_build=False)

        setup = processes.agree(found)
        processes.on_lead(lambda: check_same_data(folder, setup.data.to_dict()))
        notes: list[str] = []
        step, state = _restored(setup, folder, notes.append)
        evaluation = make_evaluator(setup, stop)(step, state)
    if not processes.is_lead():
        return evaluation

    def show(figures: dict[str, Any]) -> None:
        write_clips(folder, setup, evaluation, state.judged)
        write_page(folder, setup, evaluation=figures)

    write_evaluation(setup, folder, evaluation, show)
    print(describe_evaluation(setup, evaluation))
    print(f"Report: {folder / 'report.html'}")
    for note in notes:
        print(f"NOTE: {note} What is above is the state after step {step}.")
    return evaluation


def _restored(setup: Setup, folder: Path, note: Callable[[str], None]) -> tuple[int, TrainState]:
    """The state that is asked for, and its number."""
    if setup.spec.eval.state == "best":
        cure = (
            f"{folder / 'best'} holds no state: keep some with checkpoint.keep_best, or leave "
            "eval.state at newest."
        )
        with BestStore(folder, read_only=True, note=note) as best:
            restored = best.restore_best(setup.abstract)
    else:
        cure = (
            f"{folder / 'checkpoints'} is empty: the run stopped before its first save. Train "
            "first, with --mode=train."
        )
        with CheckpointStore(folder, read_only=True, note=note) as store:
            restored = store.restore_newest(setup.abstract)
    if restored is None:
        raise processes.raised_by_all(CheckpointError(cure))
    return restored
