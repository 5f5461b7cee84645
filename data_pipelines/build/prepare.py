"""The folder in which a data set is built: whose it is, and what is in it already."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
from collections.abc import Callable, Iterator

from etils import epath

from data_pipelines.annotations.entries import Listing
from data_pipelines.build import files
from data_pipelines.build.manifest import MANIFEST, read_manifest
from data_pipelines.build.plan import Plan, make_plan, read_plan, write_plan
from data_pipelines.build.publish import is_published
from data_pipelines.build.settings import Settings
from data_pipelines.errors import BuildConflictError
from data_pipelines.shards import BUILDING

__all__ = ["prepared"]

_LOCK = "lock"


@contextlib.contextmanager
def prepared(
    listing: Listing,
    out: str | os.PathLike,
    settings: Settings | None = None,
    *,
    version: str = "1.0.0",
    shards: int | None = None,
    restart: bool = False,
    between: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Plan, epath.Path]]:
    """Makes a data set's folder ready for its shards to be built, alone in it; a context manager.

    Args:
        listing: What the annotations list.
        out: The folder of all data sets.
        settings: How videos are stored.
        version: Of the data set.
        shards: Shards of each split; None for a number that suits.
        restart: Delete what an unfinished build has left there, and begin anew.
        between: Called now and then while the plan is written; what it raises stops that.

    Yields:
        The plan, which is written in the folder, and the folder. If the very same data set is
        finished already, :func:`~data_pipelines.build.publish.is_published` says so, and there is
        nothing left to do. When the body has published it, what was needed on the way is deleted.

    Raises:
        ValueError: What is listed cannot be built.
        BuildConflictError: Another data set, another build of it, or something else is there.
    """
    plan = make_plan(listing, settings or Settings(), version, shards)
    folder = epath.Path(out) / plan.name / version
    building = folder / BUILDING
    if _is_built(plan, folder):
        yield plan, folder
    else:
        if folder.exists() and not building.exists() and any(folder.iterdir()):
            raise BuildConflictError(
                f"{folder} holds {sorted(path.name for path in folder.iterdir())[:5]}, which no "
                "build has left there; delete it, or choose another --out or --version."
            )
        building.mkdir(parents=True, exist_ok=True)
        with _alone(building):
            if not _is_built(plan, folder):  # by whoever was here until now
                _make_ready(plan, listing, folder, restart, between)
            yield plan, folder
    if is_published(folder) and building.exists():
        building.rmtree()


def _is_built(plan: Plan, folder: epath.Path) -> bool:
    """Whether this very data set is finished; raises BuildConflictError if another one is."""
    if not is_published(folder):
        return False
    found = read_manifest(folder).plan if (folder / MANIFEST).exists() else None
    if found != plan.digest:
        raise BuildConflictError(
            f"{folder} holds a finished data set of other videos, annotations or settings, and "
            "none is ever overwritten; delete it, or build another --version or in another --out."
        )
    return True


def _make_ready(
    plan: Plan,
    listing: Listing,
    folder: epath.Path,
    restart: bool,
    between: Callable[[], None],
) -> None:
    """Writes the plan, or goes on with the one that is there.

    If only other files were found for the listed videos, shards with any of these are built again.
    """
    building, found = folder / BUILDING, read_plan(folder)
    anew = found is None or restart
    if not anew:
        keys = {field.name for field in dataclasses.fields(Plan)} - {"digest", "unlisted"}
        others = sorted(key for key in keys if getattr(found, key) != getattr(plan, key))
        if others:
            raise BuildConflictError(
                f"{folder} holds the unfinished build of a data set that differs in: "
                f"{', '.join(others)}. Give the same arguments as then to go on with it, or "
                "--restart to delete it and begin anew."
            )
    for path in building.iterdir():
        if path.name.startswith(files.LEFTOVER) or (anew and path.name != _LOCK):
            path.rmtree() if path.is_dir() else path.unlink()
    if anew:
        for path in folder.iterdir():
            if ".array_record-" in path.name:
                path.unlink()
    if anew or found.digest != plan.digest:
        write_plan(plan, listing, folder, between)


@contextlib.contextmanager
def _alone(building: epath.Path) -> Iterator[None]:
    """Makes sure that no other process of this machine builds there."""
    if not files.is_local(building):  # where files cannot be locked
        yield
        return
    with open(os.fspath(building / _LOCK), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildConflictError(
                f"another process is building in {building.parent}; wait until it has ended."
            ) from error
        yield
