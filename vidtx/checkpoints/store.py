"""Saving and restoring the train state. The only room that knows Orbax.

A checkpoint ``checkpoints/N`` is the state after *N* updates. It is visible only when complete, so
a process that is killed while saving leaves the one before untouched. A checkpoint that turns out
damaged is renamed to ``damaged-N`` and the one before it is used.
"""

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vidtx.checkpoints.digests import digests, path_name
from vidtx.errors import CheckpointError, MachineError

State = TypeVar("State")

_MISMATCHES_SHOWN = 5
_LONGEST_CAUSE = 160


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
        read_only: bool = False,
        note: Callable[[str], None] = print,
    ):
        """Opens the store, which need not exist yet.

        Args:
          workdir: the run directory.
          keep: how many of the newest to keep; None to keep all.
          read_only: change nothing, as another process may be saving there; a damaged checkpoint is
            then passed over, not set aside.
          note: told what a person should know, a sentence each.
        """
        self.directory = pathlib.Path(workdir).absolute() / "checkpoints"
        self._note = note
        policy = checkpoint_managers.LatestN(keep) if keep else None
        self._read_only = read_only
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=policy,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        handlers = {
            "state": ocp.StandardCheckpointHandler(),
            "digests": ocp.JsonCheckpointHandler(),
        }
        return ocp.CheckpointManager(self.directory, options=self._options, item_handlers=handlers)

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
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), digests=ocp.args.JsonSave(digests(state))
        )
        try:
            started = self._manager.save(step, args=items)
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error
        if not started:
            raise self._unwritable(ValueError(f"a checkpoint newer than {step} is there"))

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
            f"A checkpoint could not be written to {self.directory}: {_first_line(error)}. Free "
            "space or mend the storage; the same command then resumes from the newest complete "
            "checkpoint."
        )

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
        damaged = sorted(path.name for path in self.directory.glob("damaged-*"))
        for step in reversed(self.steps):
            try:
                return step, self._restore(step, abstract)
            except CheckpointError:
                raise
            except (MemoryError, PermissionError, jax.errors.JaxRuntimeError) as error:
                raise MachineError(
                    f"Checkpoint {step} in {self.directory} cannot be restored on this machine: "
                    f"{_first_line(error)}. Use more devices or memory, or mend the permissions."
                ) from error
            # Whatever reading raises means that it cannot be read: storage errors reach us as
            # bare exceptions too.
            except Exception as error:
                damaged.append(f"{step} ({_first_line(error)})")
                self._set_aside(step, error)
        if damaged:
            raise CheckpointError(
                f"No checkpoint in {self.directory} can be read; damaged are {', '.join(damaged)}. "
                "Restore one from a copy, or start anew in another --workdir."
            )
        return None

    def _restore(self, step: int, abstract: State) -> State:
        saved = self._manager.item_metadata(step)["state"]
        if not jax.tree.leaves(saved):
            raise ValueError("its list of arrays is missing")
        mismatches = list(_mismatches(saved, abstract))
        if mismatches:
            more = len(mismatches) - _MISMATCHES_SHOWN
            listing = "\n".join(f"  - {line}" for line in mismatches[:_MISMATCHES_SHOWN])
            raise CheckpointError(
                f"Checkpoint {step} in {self.directory} is of another model or optimiser:\n"
                f"{listing}{f'{chr(10)}  - and {more} more' if more > 0 else ''}\n"
                "Use the config and the version of vidtx that it was saved with, or start anew in "
                "another --workdir. Nothing was changed."
            )
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract), digests=ocp.args.JsonRestore()
            ),
        )
        found, noted = digests(restored["state"]), restored["digests"]
        if found != noted:
            changed = sorted(name for name in found if found[name] != noted.get(name))
            raise ValueError(f"the stored bits of {changed[0]} have changed")
        if int(restored["state"].step) != step:
            raise ValueError(f"it holds the state of step {int(restored['state'].step)}")
        return restored["state"]

    def _set_aside(self, step: int, error: Exception) -> None:
        if self._read_only:
            self._note(f"Checkpoint {step} is damaged ({_first_line(error)}); it is passed over.")
            return
        source = self.directory / str(step)
        target = source.with_name(f"damaged-{step}")
        attempt = 1
        while target.exists():
            attempt += 1
            target = source.with_name(f"damaged-{step}-{attempt}")
        self._manager.close()
        source.rename(target)
        self._manager = self._open()
        self._note(
            f"Checkpoint {step} is damaged ({_first_line(error)}); it is set aside as {target}."
        )

    def close(self) -> None:
        """Waits for saves under way and closes the store."""
        self.wait()
        self._manager.close()

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _mismatches(saved: Any, abstract: Any) -> Iterator[str]:
    """Where saved arrays and those asked for differ in name, shape or type, a line each."""
    before, after = (
        {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (saved, abstract)
    )
    for name in sorted(before.keys() | after.keys()):
        described = [
            f"{leaf.dtype}{list(leaf.shape)}" if (leaf := tree.get(name)) is not None else "absent"
            for tree in (before, after)
        ]
        if described[0] != described[1]:
            yield f"{name}: {described[0]} saved, {described[1]} wanted"


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = line.partition(" See full TensorStore details")[0]
    # Of a long one the end is told: there the storage layers put the cause.
    return line if len(line) <= _LONGEST_CAUSE else f"… {line[-_LONGEST_CAUSE:]}"
