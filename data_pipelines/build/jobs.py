"""What there is to do for each shard, and the note that says what a finished one holds."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping

from etils import epath

from data_pipelines.build import files
from data_pipelines.build.plan import Plan
from data_pipelines.shards import BUILDING

__all__ = [
    "Dropped",
    "ShardJob",
    "ShardResult",
    "finished",
    "note_name",
    "shard_jobs",
    "shard_name",
]


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """One shard to be built.

    Attributes:
        folder: The data set's, ``OUT/NAME/VERSION``, with a plan in it.
        split: The shard's.
        number: Of the shard within its split.
        videos: Number of videos that are listed for it.
        skip: Videos that must not be touched, as they stop whoever tries: number of the video
            within the shard to (kind, message).
    """

    folder: str
    split: str
    number: int
    videos: int
    skip: Mapping[int, tuple[str, str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Dropped:
    """A listed video that is not stored.

    Attributes:
        video_id: Its name.
        path: Its file, or None where there is none.
        kind: As of :class:`~data_pipelines.errors.VideoError`.
        message: What is wrong with it.
    """

    video_id: str
    path: str | None
    kind: str
    message: str


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What a finished shard holds.

    Attributes:
        split: Its split.
        number: Of the shard within the split.
        videos: Number of videos that were listed for it.
        num_bytes: Bytes of its records.
        file_bytes: Size of its file.
        sha256: Of its file.
        digests: Of the content of each record, in order.
        dropped: Listed videos that are not in it.
    """

    split: str
    number: int
    videos: int
    num_bytes: int
    file_bytes: int
    sha256: str
    digests: tuple[str, ...]
    dropped: tuple[Dropped, ...]


def shard_jobs(plan: Plan, folder: epath.Path, split: str | None = None) -> list[ShardJob]:
    """Returns the jobs of all shards of a plan, or of one split of it, in order."""
    jobs = []
    for name in plan.shards if split is None else [split]:
        for number in range(plan.shards[name]):
            start, stop = plan.slice(name, number)
            jobs.append(ShardJob(os.fspath(folder), name, number, stop - start))
    return jobs


def shard_name(plan: Plan, split: str, number: int) -> str:
    """Returns the name of a shard's file, which is TFDS's."""
    return f"{plan.name}-{split}.array_record-{number:05d}-of-{plan.shards[split]:05d}"


def note_name(job: ShardJob) -> str:
    """Returns the name of the file in ``.building`` that appears when a shard is finished."""
    return f"{files.stem(job.split, job.number)}{files.DONE}"


def finished(plan: Plan, job: ShardJob) -> ShardResult | None:
    """Returns what a shard holds if it was built before, and its file is there whole."""
    folder = epath.Path(job.folder)
    note = folder / BUILDING / note_name(job)
    shard = folder / shard_name(plan, job.split, job.number)
    if not note.exists() or not shard.exists():
        return None
    try:
        content = json.loads(note.read_text())
        content["digests"] = tuple(content["digests"])
        content["dropped"] = tuple(Dropped(**dropped) for dropped in content["dropped"])
        result = ShardResult(**content)
    except (ValueError, KeyError, TypeError):  # damaged: the shard is done again
        return None
    return result if shard.stat().length == result.file_bytes else None
