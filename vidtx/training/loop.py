"""The training loop."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import jax
import numpy as np

from vidtx.errors import DivergedError, StoppedError, VidtxError
from vidtx.sharding import Pace, processes
from vidtx.training.clock import Clock
from vidtx.training.profile import Trace
from vidtx.training.signals import StopSignal
from vidtx.training.state import TrainState, Window

Batch = Mapping[str, np.ndarray]


class ProgressLine(Protocol):
    """Where a person sees how the run is getting on."""

    def update(
        self,
        step: int,
        *,
        loss: float,
        accuracy: float | None,
        clips_per_second: float,
        input_wait: float,
    ) -> None:
        """Shows the figures of the steps up to ``step``."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the loop is handed.

    Attributes:
      batches: batch *n*, *n* + 1, … for state *n*.
      place: puts a batch on the devices.
      step: ``(state, batch) -> state``.
      mark: something small that is ready once a state is, and outlives it; `done_mark` makes one.
      reset_window: the state with an empty window.
      learning_rate: of the step that is taken from state *n*.
      evaluate: judges a state and writes what it found; may raise `StoppedError`.
      save: starts saving state *n*.
      write: writes metrics of state *n*.
      progress: shows them.
      stop: notes signals.
      trace: of the steps that are profiled.
      utilisation: the share of the chips' peak that so many clips per second take, or None where
        the chip is not known.
    """

    batches: Iterator[Batch]
    place: Callable[[Batch], Mapping[str, jax.Array]]
    step: Callable[[TrainState, Mapping[str, jax.Array]], TrainState]
    mark: Callable[[TrainState], jax.Array]
    reset_window: Callable[[TrainState], TrainState]
    learning_rate: Callable[[int], float]
    evaluate: Callable[[int, TrainState], None]
    save: Callable[[int, TrainState], None]
    write: Callable[[int, Mapping[str, float]], None]
    progress: ProgressLine
    stop: StopSignal
    trace: Trace
    utilisation: Callable[[float], float | None]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When the loop does what, in steps; the last step does all of it.

    Attributes:
      total: length of the run.
      log: from one line of metrics to the next.
      save: from one checkpoint to the next.
      evaluate: from one evaluation to the next, or None for the last step only.
      keep: multiples of it are saved too, as they are kept for ever; or None.
    """

    total: int
    log: int
    save: int
    evaluate: int | None
    keep: int | None = None

    def _due(self, every: int | None, step: int) -> bool:
        return step == self.total or (every is not None and step > 0 and step % every == 0)

    def logs(self, step: int) -> bool:
        """Whether metrics are written after ``step``."""
        return self._due(self.log, step)

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is saved after ``step``."""
        return self._due(self.save, step) or self._due(self.keep, step)

    def evaluates(self, step: int) -> bool:
        """Whether the state after ``step`` is judged."""
        return self._due(self.evaluate, step)


def train(
    state: TrainState, step: int, parts: Parts, when: Schedule, *, evaluate_first: bool = False
) -> TrainState:
    """Takes state ``step`` to the end of the run.

    The order within a step is what makes a resumed run equal to an undisturbed one: metrics are
    written before the state that has forgotten them is saved, and the state is saved before it is
    judged, which takes long and can be done again.

    Args:
      state: state ``step``.
      step: its number.
      parts: what the loop works with.
      when: when it does what.
      evaluate_first: judge ``state`` before anything else, as its evaluation was interrupted.

    Returns:
      The last state.

    Raises:
      DivergedError: loss or gradient stopped being finite; that state is not saved.
      StoppedError: a signal came; the state is saved.
    """
    clock = Clock()
    # The operation with a NaN is searched for one by one, outside of any program.
    guard = "allow" if jax.config.jax_debug_nans else "disallow"
    timed = step  # the step that the clock's figures begin at
    pace = Pace()
    if evaluate_first:
        with clock.paused():
            _evaluate(step, state, parts)
    while step < when.total:
        pace.wait()
        if parts.stop.reached():
            parts.save(step, _checked(state, step))
            raise processes.raised_by_all(
                StoppedError(
                    f"Stopped by {parts.stop.received} after step {step}, which is saved. The same "
                    "command goes on from there."
                )
            )
        parts.trace.before(step)
        # Nothing in here may wait for the devices, or move data to or from them unasked: the batch
        # is on its way to them while they are at the steps before.
        with (
            jax.profiler.StepTraceAnnotation("train", step_num=step),
            jax.transfer_guard(guard),
        ):
            try:
                with clock.waiting(idle=state.step.is_ready):
                    batch = next(parts.batches)
            except Exception:
                if processes.count() == 1:  # a save takes all of them
                    with jax.transfer_guard("allow"):
                        parts.save(step, _checked(state, step))
                raise
            state = parts.step(state, parts.place(batch))
            pace.begun(parts.mark(state))
        step += 1
        parts.trace.after(step, state)

        if when.logs(step):
            window = jax.device_get(state.window)
            figures = _figures(window, parts.learning_rate(step - 1))
            # A run that was resumed within the window has not seen all of its clips itself.
            timing = clock.lap(int(window.clips) // int(window.steps) * (step - timed))
            timed = step
            utilisation = parts.utilisation(timing["clips_per_second"])
            more = {} if utilisation is None else {"mfu": utilisation}
            parts.write(step, figures | {f"timing/{k}": v for k, v in (timing | more).items()})
            parts.progress.update(
                step, loss=figures["train/loss"], accuracy=figures["train/accuracy"], **timing
            )
            _check(window, step)
            state = parts.reset_window(state)
        if when.saves(step):
            parts.save(step, _checked(state, step))
        if when.evaluates(step):
            with clock.paused():
                _evaluate(step, state, parts)
    return state


def _evaluate(step: int, state: TrainState, parts: Parts) -> None:
    state = _checked(state, step)
    try:
        parts.evaluate(step, state)
    except VidtxError as error:
        if error.together or processes.count() == 1:  # a save takes all of them
            parts.save(step, state)
        raise


def _checked(state: TrainState, step: int) -> TrainState:
    _check(jax.device_get(state.window), step)
    return state


def _check(window: Window, step: int) -> None:
    bad = int(window.first_bad_step)
    if bad >= 0:
        raise processes.raised_by_all(
            DivergedError(
                f"Loss, gradient or update was not finite at step {bad + 1} (seen at step {step}). "
                "The checkpoints are older and sound. Start in another --workdir with a lower "
                "optimizer.learning_rate, a longer optimizer.warmup_steps or an "
                "optimizer.clip_norm."
            )
        )


def _figures(window: Window, learning_rate: float) -> dict[str, float]:
    return {
        "train/loss": float(window.loss) / int(window.steps),
        "train/accuracy": int(window.correct) / int(window.clips),
        "train/grad_norm": float(window.grad_norm) / int(window.steps),
        "train/learning_rate": learning_rate,
        "train/replaced": int(window.replaced),
        "train/clip_ids": int(window.clip_ids),
    }
