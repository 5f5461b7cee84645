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
from data_pipelines.build.checks import check_found
from data_pipelines.build.jobs import finished, note_name, shard_jobs
from data_pipelines.build.manifest import MANIFEST, read_manifest
from data_pipelines.build.plan import Plan, make_plan, read_plan, write_plan
from data_pipelines.build.publish import is_published
from data_pipelines.build.settings import Settings
from data_pipelines.errors import (
    BuildConflictError,
    MissingFileError,
    TimedOutError,
    UnreadableError,
)
from data_pipelines.shards import BUILDING

__all__ = ["prepared"]

_LOCK = "lock"

# Kinds of failure that may be the fault of the disk or network on which a video's file lay.
_AWAY = frozenset({MissingFileError.kind, UnreadableError.kind, TimedOutError.kind})


@contextlib.contextmanager
def prepared(
    listing: Listing,
    out: str | os.PathLike,
    settings: Settings | None = None,
    *,
    version: str = "1.0.0",
    shards: int | None = None,
    restart: bool = False,
    max_bad: float = 1.0,
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
        max_bad: Highest share of a split's listed videos that may be missing or unusable.
        between: Called now and then while the plan is written; what it raises stops that.

    Yields:
        The plan, which is written in the folder, and the folder. If the very same data set is
        finished already, :func:`~data_pipelines.build.publish.is_published` says so, and there is
        nothing left to do. When the body has published it, what was needed on the way is deleted.

    Raises:
        ValueError: What is listed cannot be built.
        BuildConflictError: Another data set, another build of it, or something else is there; or
            a finished one is to be begun anew.
        TooManyBadError: More of a split's videos are missing than may be.
    """
    plan = make_plan(listing, settings or Settings(), version, shards)
    folder = epath.Path(out) / plan.name / version
    building = folder / BUILDING
    if _is_built(plan, folder, restart):
        yield plan, folder
    else:
        check_found(listing, max_bad)
        if folder.exists() and not building.exists() and any(folder.iterdir()):
            raise BuildConflictError(
                f"{folder} holds {sorted(path.name for path in folder.iterdir())[:5]}, which no "
                "build has left there; delete it, or choose another --out or --version."
            )
        building.mkdir(parents=True, exist_ok=True)
        with _alone(building):
            if not _is_built(plan, folder, restart):  # by whoever was here until now
                _make_ready(plan, listing, folder, restart, between)
            yield plan, folder
    if is_published(folder) and building.exists():
        building.rmtree()


def _is_built(plan: Plan, folder: epath.Path, restart: bool) -> bool:
    """Whether this very data set is finished; raises BuildConflictError if another one is."""
    if not is_published(folder):
        return False
    found = read_manifest(folder).plan if (folder / MANIFEST).exists() else None
    if found != plan.digest:
        raise BuildConflictError(
            f"{folder} holds a finished data set of other videos, annotations or settings, and "
            "none is ever overwritten; delete it, or build another --version or in another --out."
        )
    if restart:
        raise BuildConflictError(
            f"{folder} is finished, and a restart deletes unfinished builds alone; delete it to "
            "build it anew, or build another --version."
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
    If whole splits have come or gone, the shards of the others stay.
    """
    building, found = folder / BUILDING, read_plan(folder)
    anew = found is None or restart
    if not anew:
        others = _differences(found, plan, folder)
        if others:
            raise BuildConflictError(
                f"{folder} holds the unfinished build of a data set that differs in: "
                f"{', '.join(others)}. Give the same arguments as then to go on with it, or "
                "--restart to delete it and begin anew."
            )
    files.remove_leftovers(building)
    for path in building.iterdir() if anew else ():
        if path.name != _LOCK:
            path.rmtree() if path.is_dir() else path.unlink()
    gone = () if anew else sorted(set(found.videos) - set(plan.videos))
    for path in folder.iterdir():
        split = path.name.partition(".array_record-")[0].removeprefix(f"{plan.name}-")
        if ".array_record-" in path.name and (anew or split in gone):
            path.unlink()
    if anew or (found.digest, found.places) != (plan.digest, plan.places):
        write_plan(plan, listing, folder, between)
    if not anew:
        _take_back(plan, listing, folder)


def _differences(found: Plan, plan: Plan, folder: epath.Path) -> list[str]:
    """Returns in what an unfinished build is so different that nothing of it can be used."""
    keys = {field.name for field in dataclasses.fields(Plan)} - {"digest", "unlisted", "places"}
    others = {key for key in keys if getattr(found, key) != getattr(plan, key)}
    if set(found.videos) != set(plan.videos):
        both = set(found.videos) & set(plan.videos)
        stay = all(
            (found.videos[name], found.shards[name]) == (plan.videos[name], plan.shards[name])
            for name in both
        )
        # What is built of a split is not thrown away because its annotations were left out once.
        held = any(
            result is not None and result.digests
            for name in set(found.videos) - both
            for result in (finished(found, job) for job in shard_jobs(found, folder, name))
        )
        if both and stay and not held:
            others -= {"annotations", "videos", "shards"}  # jobs that differ are done again
    return sorted(others)


def _take_back(plan: Plan, listing: Listing, folder: epath.Path) -> None:
    """Has shards done again that lack a video whose file was away, and is there now."""
    for split in plan.shards:
        paths = None
        for job in shard_jobs(plan, folder, split):
            result = finished(plan, job)
            for one in result.dropped if result else ():
                if one.kind in _AWAY and one.path is not None:
                    if paths is None:
                        paths = {entry.video_id: entry.path for entry in listing.splits[split]}
                    path = paths[one.video_id]
                    moved = one.kind == MissingFileError.kind or path != one.path
                    if path and moved and epath.Path(path).exists():
                        (folder / BUILDING / note_name(job)).unlink(missing_ok=True)
                        break


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
