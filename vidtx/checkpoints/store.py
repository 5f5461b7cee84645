"""Saving and restoring the train state. With the rest of its room, all that knows Orbax.

A checkpoint ``checkpoints/N`` is the state after *N* updates. It is visible only when complete, so
a process that is killed while saving leaves the one before untouched. A checkpoint that turns out
damaged is renamed to ``damaged-N`` and the one before it is used.

A run of several processes opens its store in all of them, and makes the same calls in all of them.
They agree on which checkpoint is damaged, and restore the same one or fail together. No mesh may be
set (`jax.set_mesh`) meanwhile.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from orbax.checkpoint import checkpoint_managers

from vidtx.checkpoints.folder import Folder
from vidtx.checkpoints.places import absolute
from vidtx.checkpoints.reading import all_of

State = TypeVar("State")


class CheckpointStore:
    """The checkpoints of one run; a context manager, which waits for saves under way.

    Attributes:
      directory: where they are.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        *,
        keep: int | None = None,
        keep_every: int | None = None,
        folder: str = "checkpoints",
        read_only: bool = False,
        contract: Mapping[str, Any] | None = None,
        note: Callable[[str], None] = print,
    ):
        """Opens the store, which need not exist yet.

        Args:
          workdir: the run directory, on this machine or in a bucket (``gs://…``).
          keep: how many of the newest to keep; None to keep all.
          keep_every: those whose step is a multiple of it are kept for ever; None for none.
          folder: where in the run directory they are.
          read_only: change nothing, as another process may be saving there; a damaged checkpoint is
            then passed over, not set aside.
          contract: what the weights ask of whoever uses them, saved as JSON in each checkpoint, so
            that it goes wherever one of them is copied to; see `Weights.contract`.
          note: told what a person should know, a sentence each; in the first process alone.

        Raises:
          MachineError: the processes of a run do not share the run directory.
        """
        self.directory = absolute(workdir) / folder
        self._facts = {} if contract is None else {"contract": dict(contract)}
        self._folder = Folder(
            self.directory, note=note, read_only=read_only, policy=_policy(keep, keep_every)
        )

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return self._folder.steps

    def save(self, step: int, state: Any) -> None:
        """Starts saving ``state``; when this returns, its buffers may be donated.

        A step that is there already is left as it is.

        Raises:
          MachineError: it, or the save before, could not be written.
        """
        if step not in self.steps:
            self._folder.save(step, state, **self._facts)

    def wait(self) -> None:
        """Waits until what is being saved is complete.

        Raises:
          MachineError: it could not be written.
        """
        self._folder.wait()

    def restore_newest(self, abstract: State) -> tuple[int, State] | None:
        """The newest checkpoint that can be read; damaged newer ones are set aside.

        Args:
          abstract: tree of `jax.ShapeDtypeStruct` with the shardings to restore onto; these may
            differ from those it was saved with.

        Returns:
          ``(step, state)``, or None if there is no checkpoint at all.

        Raises:
          CheckpointError: there are checkpoints, but none can be read; or they are of another
            model, and are left alone.
          MachineError: memory does not suffice, or reading is not allowed; they are left alone too.
        """
        return self._folder.read_first(
            lambda: self.steps[::-1],
            all_of(abstract),
            "Restore one from a copy, or start anew in another --workdir.",
        )

    def close(self) -> None:
        """Waits for saves under way and closes the store."""
        self._folder.close()

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _policy(
    keep: int | None, keep_every: int | None
) -> checkpoint_managers.PreservationPolicy | None:
    if not keep:
        return None
    policies = [checkpoint_managers.LatestN(keep)]
    if keep_every:
        policies.append(checkpoint_managers.EveryNSteps(keep_every))
    return checkpoint_managers.AnyPreservationPolicy(policies)
