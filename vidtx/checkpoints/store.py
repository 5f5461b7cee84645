"""Saving and restoring the train state. The only file that knows Orbax.

A checkpoint ``checkpoints/N`` is the state after *N* updates. It is visible only when complete, so
a process that is killed while saving leaves the one before untouched. A checkpoint that turns out
damaged is renamed to ``damaged-N`` and the one before it is used.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vidtx.errors import CheckpointError, MachineError

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
        note: Callable[[str], None] = print,
    ):
        """Opens the store, which need not exist yet.

        Args:
          workdir: the run directory.
          keep: how many of the newest to keep; None to keep all.
          note: told what a person should know, a sentence each.
        """
        self.directory = pathlib.Path(workdir).absolute() / "checkpoints"
        self._note = note
        policy = checkpoint_managers.LatestN(keep) if keep else None
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=policy, create=True, cleanup_tmp_directories=True
        )
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(self.directory, options=self._options)

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Starts saving ``state``; when this returns, its buffers may be donated.

        Raises:
          MachineError: it, or the save before, could not be written.
        """
        if step in self.steps:
            return
        try:
            self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error

    def wait(self) -> None:
        """Waits until what is being saved is complete.

        Raises:
          MachineError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> MachineError:
        return MachineError(
            f"A checkpoint could not be written to {self.directory}: {error}. Free space or mend "
            "the storage; the same command then resumes from the newest complete checkpoint."
        )

    def restore_newest(self, abstract: State) -> tuple[int, State] | None:
        """The newest checkpoint that can be read; damaged newer ones are set aside.

        Args:
          abstract: tree of `jax.ShapeDtypeStruct` with the shardings to restore onto; these may
            differ from those it was saved with.

        Returns:
          ``(step, state)``, or None if there is no checkpoint at all.

        Raises:
          CheckpointError: there are checkpoints, but none can be read.
        """
        damaged = []
        for step in reversed(self.steps):
            try:
                state = self._restore(step, abstract)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                damaged.append(f"{step} ({_first_line(error)})")
                self._set_aside(step)
                continue
            return step, state
        if damaged:
            raise CheckpointError(
                f"No checkpoint in {self.directory} can be read: {', '.join(damaged)}. They are "
                "kept as damaged-STEP. Restore one from a copy, or start anew in another "
                "--workdir."
            )
        return None

    def _restore(self, step: int, abstract: State) -> State:
        restored = self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        )["state"]
        # Orbax casts to the asked-for type without a word.
        if int(jax.device_get(restored.step)) != step:
            raise ValueError(f"holds the state of step {restored.step}")
        return restored

    def _set_aside(self, step: int) -> None:
        source = self.directory / str(step)
        target = source.with_name(f"damaged-{step}")
        attempt = 1
        while target.exists():
            attempt += 1
            target = source.with_name(f"damaged-{step}-{attempt}")
        self._manager.close()
        source.rename(target)
        self._manager = self._open()
        self._note(f"Checkpoint {step} is damaged; it is set aside as {target}.")

    def close(self) -> None:
        """Waits for saves under way and closes the store."""
        self.wait()
        self._manager.close()

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
