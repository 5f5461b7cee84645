"""Tracing a window of steps for a profiler."""

import os
import pathlib
import tempfile

import jax
from etils import epath

from vidtx.config import ProfileSpec
from vidtx.errors import MachineError
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
          folder: where the trace is written, for TensorBoard or Perfetto to show; on this machine,
            or in a bucket (``gs://…``).
        """
        self._spec, self._folder = spec, os.fspath(folder)
        self._under_way = False
        self._here: tempfile.TemporaryDirectory | None = None

    def before(self, step: int) -> None:
        """To be called before the step that is taken from state ``step``."""
        if step == self._spec.first_step:
            # JAX writes traces to files of this machine only.
            if "://" in self._folder:
                self._here = tempfile.TemporaryDirectory(prefix="vidtx-")
            jax.profiler.start_trace(self._here.name if self._here else self._folder)
            self._under_way = True

    def after(self, step: int, state: TrainState) -> None:
        """To be called with state ``step`` once it is under way.

        Raises:
          MachineError: the trace cannot be written to its bucket.
        """
        if self._under_way and step == self._spec.first_step + self._spec.steps:
            jax.block_until_ready(state.step)  # the last steps belong into the trace as well
            self._stop()

    def _stop(self) -> None:
        self._under_way = False
        jax.profiler.stop_trace()
        if self._here is not None:
            with self._here as folder:
                _upload(pathlib.Path(folder), epath.Path(self._folder))
            self._here = None

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        if self._under_way:
            self._stop()


def _upload(folder: pathlib.Path, target: epath.Path) -> None:
    """Copies the files of a folder to a bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            place = target.joinpath(*path.relative_to(folder).parts)
            try:
                place.write_bytes(path.read_bytes())
            except Exception as error:  # the clients of stores have errors of many kinds
                raise MachineError(f"The trace cannot be written to {place}: {error}") from error
