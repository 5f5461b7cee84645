"""The build room: from listed video files to a data set of TFDS, in parallel and resumable.

    listing ──► plan ──► shards, each by any process ──► publish ──► OUT/NAME/VERSION/

Everything on the way lies in ``.building`` inside the data set's folder: the plan and a file of
jobs for each shard, and a note for each finished one. A build that was interrupted, however, goes
on at the last finished shard of each process. ``dataset_info.json`` appears last of all, so that no
reader ever takes an unfinished data set for a whole one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from data_pipelines.annotations.entries import Listing
from data_pipelines.build import files
from data_pipelines.build.jobs import Dropped, ShardResult, finished, shard_jobs
from data_pipelines.build.manifest import Manifest, SplitManifest, read_manifest
from data_pipelines.build.pool import STALL_SECONDS, run_jobs
from data_pipelines.build.prepare import prepared
from data_pipelines.build.progress import Progress
from data_pipelines.build.publish import is_published, publish
from data_pipelines.build.settings import Settings
from data_pipelines.shards import BUILDING

__all__ = [
    "Dropped",
    "Manifest",
    "Progress",
    "Settings",
    "SplitManifest",
    "build",
    "read_manifest",
]


def build(
    listing: Listing,
    out: str | os.PathLike,
    settings: Settings | None = None,
    *,
    version: str = "1.0.0",
    shards: int | None = None,
    workers: int | None = None,
    max_bad: float = 0.01,
    restart: bool = False,
    stall_seconds: float = STALL_SECONDS,
    beam: Sequence[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    between: Callable[[], None] = lambda: None,
) -> Manifest:
    """Builds a data set, or what is left of it to build.

    Args:
        listing: What its annotations list.
        out: The folder of all data sets.
        settings: How videos are stored.
        version: Of the data set.
        shards: Shards of each split; None for a number that suits the number of videos.
        workers: Processes; None for as many as this process may use processors.
        max_bad: Highest share of a split's listed videos that may be missing or unusable.
        restart: Delete what an unfinished build has left in the folder, and begin anew.
        stall_seconds: Seconds without progress after which a video is given up.
        beam: Options of Apache Beam, whose runner then builds the shards instead of processes of
            this machine; None for these.
        report: Called about once a second with how far it has come.
        between: Called about ten times a second. What it raises stops the build at once; finished
            shards stay.

    Returns:
        What is built; at once and without ``built_now``, if the very same data set was built
        before, wherever its videos lay.

    Raises:
        ValueError: Impossible arguments or a listing that cannot be built.
        BuildConflictError: Another data set or build is in the folder, or with ``restart`` this
            very one, finished.
        TooManyBadError: Too many videos are bad: at once, where too many have no file; else nothing
            is published, and finished shards stay.
        BuildFailedError: It cannot go on, for a reason that is in none of the videos.
    """
    if not 0 <= max_bad <= 1:
        raise ValueError(f"{max_bad=} must be a share in 0 … 1.")
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    if workers < 1:
        raise ValueError(f"{workers=} must be at least 1.")
    options = {"version": version, "shards": shards, "restart": restart, "max_bad": max_bad}
    with prepared(listing, out, settings, between=between, **options) as (plan, folder):
        if is_published(folder):
            return read_manifest(folder)
        jobs = shard_jobs(plan, folder)
        # Without the digests of records, of which there may be too many to hold.
        results = [_light(finished(plan, job)) for job in jobs]
        run, options = run_jobs, {"workers": workers, "stall_seconds": stall_seconds}
        if beam is not None:
            from data_pipelines.build.beam import run_jobs_with_beam

            run, options = run_jobs_with_beam, {"options": beam}
        try:
            run(
                [job for job, result in zip(jobs, results, strict=True) if result is None],
                resumed=[result for result in results if result is not None],
                total=sum(plan.videos.values()),
                report=report,
                between=between,
                **options,
            )
        finally:
            if beam is None:  # whose workers may still be at it; others were ended
                files.remove_leftovers(folder / BUILDING)
        return publish(plan, folder, max_bad)


def _light(result: ShardResult | None) -> ShardResult | None:
    return result and dataclasses.replace(result, digests=())
