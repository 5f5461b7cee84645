"""Tracing a window of steps for a profiler."""

import os

import jax

from vidtx.config import ProfileSpec
from vidtx.training.state import TrainState


class Trace:
    """Traces the steps that a run's config names.

    A window is traced from its first step on: a run that resumes inside of it leaves it out. Use it
    as a context manager, so that a run that ends within the window leaves a trace too.
    """

    def __init__(self, spec: ProfileSpec, folder: str | os.PathLike):
        """Prepares a trace.

        Args:
          spec: which steps.
          folder: where the trace is written, for TensorBoard or Perfetto to show.
        """
        self._spec, self._folder = spec, os.fspath(folder)
        self._under_way = False

    def before(self, step: int) -> None:
        """To be called before the step that is taken from state ``step``."""
        if step == self._spec.first_step:
            jax.profiler.start_trace(self._folder)
            self._under_way = True

    def after(self, step: int, state: TrainState) -> None:
        """To be called with state ``step`` once it is under way."""
        if self._under_way and step == self._spec.first_step + self._spec.steps:
            jax.block_until_ready(state.step)  # the last steps belong into the trace as well
            self._stop()

    def _stop(self) -> None:
        self._under_way = False
        jax.profiler.stop_trace()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        if self._under_way:
            self._stop()
