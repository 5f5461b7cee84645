"""A folder of checkpoints, of which each is named by its step. The stores are made of it.

Every process of a run opens the same folder and makes the same calls in the same order. The folder
must lie where all of them see it.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vidtx.checkpoints.agreement import DamagedError, agreed, gather
from vidtx.checkpoints.digests import digests
from vidtx.checkpoints.places import Path, in_bucket, keep, remove
from vidtx.checkpoints.reading import Choose, first_line, read_tree
from vidtx.errors import CheckpointError, MachineError
from vidtx.sharding.processes import is_lead, raised_by_all

_PATIENCE = 60  # seconds in which shared storage shows every process the same


class Folder:
    """Checkpoints that Orbax writes and we read, set aside and delete.

    Attributes:
      directory: where they are.
      read_only: whether nothing is changed here.
    """

    def __init__(
        self,
        directory: Path,
        *,
        note: Callable[[str], None],
        read_only: bool = False,
        policy: checkpoint_managers.PreservationPolicy | None = None,
    ):
        """Opens the folder; unless it is only read, it is made, and remains of deletions go.

        Args:
          directory: where it is or shall be.
          note: told by one process what a person should know.
          read_only: change nothing, as another run may be saving there.
          policy: which checkpoints a save leaves; None for all.

        Raises:
          MachineError: processes do not see the same there.
        """
        self.directory = directory
        self.read_only = read_only
        self.note = note if is_lead() else lambda text: None
        handlers = {
            "state": ocp.StandardCheckpointHandler(),
            "digests": ocp.JsonCheckpointHandler(),
            "score": ocp.JsonCheckpointHandler(),
            "contract": ocp.JsonCheckpointHandler(),
        }
        if is_lead() and not read_only:
            try:
                keep(directory)
            except self._failures as error:
                raise self._unwritable(error) from error
        # That a folder is only read is what was asked for, and nothing to be warned of.
        with _quiet(), _unlisted_told(directory):
            options = ocp.CheckpointManagerOptions(
                preservation_policy=policy,
                create=not read_only,
                cleanup_tmp_directories=not read_only,
                read_only=read_only,
                # Two folders may be saved to at the same time; the processes that wait for each
                # other must do so over the same one.
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    barrier_sync_key_prefix=directory.name
                ),
            )
            self._manager = ocp.CheckpointManager(
                directory, options=options, item_handlers=handlers
            )
        if is_lead() and not read_only:
            for remains in directory.glob("deleted-*"):
                remove(remains)
        self.list_again()

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def list_again(self) -> None:
        """Looks which checkpoints there are; returns when all processes see the same."""
        patience = time.monotonic() + _PATIENCE
        while True:
            with _unlisted_told(self.directory):
                self._manager.reload()
            seen = gather([self.directory.is_dir(), self.steps])
            if all(one == seen[0] for one in seen):
                return
            # Decided by one, so that all go on or stop.
            if gather(time.monotonic() > patience)[0]:
                break
            time.sleep(1)
        raise raised_by_all(
            MachineError(
                f"Processes of this run do not see the same checkpoints in {self.directory}. The "
                "run directory must lie on storage that all of them share: name such a --workdir."
            )
        )

    def save(self, step: int, state: Any, *, late: bool = False, **facts: dict) -> None:
        """Starts saving ``state``; when this returns, its buffers may be donated.

        Args:
          step: its number, which is not there yet.
          state: the tree of arrays.
          late: it may be older than the newest.
          **facts: tables that are saved beside it as JSON.

        Raises:
          MachineError: it, or the save before, could not be written.
        """
        self.wait()
        items = {name: ocp.args.JsonSave(fact) for name, fact in facts.items()}
        items["digests"] = ocp.args.JsonSave(digests(state))
        items["state"] = ocp.args.StandardSave(state)
        try:
            started = self._manager.save(step, args=ocp.args.Composite(**items), force=late)
        except self._failures as error:
            raise self._unwritable(error) from error
        if not started:
            raise self._unwritable(ValueError(f"a checkpoint newer than {step} is there"))

    def wait(self) -> None:
        """Waits until what is being saved is complete.

        Raises:
          MachineError: it could not be written.
        """
        agreed(self._finish)

    def _finish(self) -> None:
        try:
            self._manager.wait_until_finished()
        except self._failures as error:
            raise self._unwritable(error) from error

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        """What a failed write raises; the clients of stores have many kinds of errors."""
        return (Exception,) if in_bucket(self.directory) else (OSError, ValueError)

    def _unwritable(self, error: Exception) -> MachineError:
        return MachineError(
            f"A checkpoint could not be written to {self.directory}: {first_line(error)}. Free "
            "space or mend the storage; the same command then resumes from the newest complete "
            "checkpoint."
        )

    def read_first(
        self,
        order: Callable[[], list[int]],
        choose: Choose,
        cure: str,
    ) -> tuple[int, Any] | None:
        """The first checkpoint that can be read; damaged ones before it are set aside.

        Args:
          order: steps as they are to be tried; asked again after each that is damaged.
          choose: what to read of it.
          cure: what to do if none can be read.

        Returns:
          ``(step, tree)``, or None if there is no checkpoint at all.

        Raises:
          CheckpointError: there are checkpoints, but none can be read; or raised by what ``choose``
            gave.
          MachineError: as `reading.read_tree`.
        """
        self.wait()
        damaged = gather(sorted(path.name for path in self.directory.glob("damaged-*")))[0]
        tried = set()
        while left := [step for step in order() if step not in tried]:
            step = left[0]
            tried.add(step)
            try:
                return step, read_tree(self._path(step), choose)
            except DamagedError as error:
                if self.set_aside(step, error):
                    damaged.append(f"{step} ({error})")
        if damaged:
            raise raised_by_all(
                CheckpointError(
                    f"No checkpoint in {self.directory} can be read; damaged are "
                    f"{', '.join(damaged)}. {cure}"
                )
            )
        return None

    def _path(self, step: int) -> Path:
        return self.directory / str(step)

    def set_aside(self, step: int, cause: Exception) -> bool:
        """Renames a damaged checkpoint, or passes it over where nothing may be changed.

        Returns:
          Whether it is damaged: not if another process has deleted it while it was read.
        """
        if self.read_only:
            there = gather(self._path(step).exists())[0]
            self.list_again()
            if there:
                self.note(f"Checkpoint {step} is damaged ({cause}); it is passed over.")
            return there
        target = self._rename(step, f"damaged-{step}")
        self.note(f"Checkpoint {step} is damaged ({cause}); it is set aside as {target}.")
        return True

    def delete(self, step: int) -> None:
        """Deletes a checkpoint, of which nothing is left half: it goes under another name first.

        In a bucket it does not, as that would be to write it again.
        """
        if not in_bucket(self.directory):
            target = self._rename(step, f"deleted-{step}")
            if is_lead():
                remove(target)
            return
        if is_lead():
            remove(self._path(step))
        self.list_again()

    def _rename(self, step: int, name: str) -> Path:
        def rename() -> str:
            target, attempt = self.directory / name, 1
            while target.exists():
                attempt += 1
                target = target.with_name(f"{name}-{attempt}")
            if is_lead():
                try:
                    self._path(step).rename(target)
                except self._failures as error:
                    raise MachineError(
                        f"Checkpoint {step} in {self.directory} cannot be renamed to "
                        f"{target.name}: {first_line(error)}. Mend the permissions or the storage."
                    ) from error
            return target.name

        target = self.directory / gather(agreed(rename))[0]
        self.list_again()
        return target

    def close(self) -> None:
        """Waits for saves under way and closes the folder."""
        # Not agreed upon: a process that closes because it fails would wait for ever.
        self._finish()
        self._manager.close()


@contextlib.contextmanager
def _unlisted_told(directory: Path) -> Iterator[None]:
    """Whatever the clients of a store raise while a folder is listed becomes ours."""
    try:
        yield
    except Exception as error:
        if not in_bucket(directory):
            raise
        raise MachineError(
            f"The checkpoints in {directory} cannot be listed: {first_line(error)}. Mend the "
            "network, or the permissions: the account needs storage.objects.* and "
            "storage.buckets.get of the bucket."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
