"""One shard of a build: from a file of jobs to a file of records. All that Beam needs to call."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from array_record.python import array_record_module
from etils import epath
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from data_pipelines.build import files
from data_pipelines.build.plan import Plan, read_plan
from data_pipelines.build.source import VideoFile, local_copy
from data_pipelines.build.transcode import StoredVideo, store
from data_pipelines.digests import record_digest
from data_pipelines.errors import BuildFailedError, MissingFileError, VideoError
from data_pipelines.schema import features
from data_pipelines.shards import BUILDING

__all__ = [
    "Dropped",
    "ShardJob",
    "ShardResult",
    "finished",
    "note_name",
    "shard_jobs",
    "shard_name",
    "write_shard",
]

# Records of one video are held back until all of it is known to be sound, these many bytes of them
# in memory.
_HELD_BYTES = 64 << 20


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
    note, shard = _note(folder, job), folder / shard_name(plan, job.split, job.number)
    if not note.exists() or not shard.exists():
        return None
    content = json.loads(note.read_text())
    content["digests"] = tuple(content["digests"])
    content["dropped"] = tuple(Dropped(**dropped) for dropped in content["dropped"])
    result = ShardResult(**content)
    return result if shard.stat().length == result.file_bytes else None


def write_shard(
    job: ShardJob,
    *,
    begin: Callable[[int, int, int], None] = lambda videos, num_bytes, dropped: None,
    alive: Callable[[], None] = lambda: None,
) -> ShardResult:
    """Builds one shard, unless it was built before; a function of the job alone.

    Any number of processes may do so at once, even for the same shard: a file appears under its
    name only when it is whole, and the note of its content only after it.

    Args:
        job: The shard; there must be a plan in its folder.
        begin: Called before each video, and once after the last, with the number of videos
            before it, the bytes of their records, and how many of them are dropped.
        alive: Called at every step.

    Returns:
        What the shard holds.

    Raises:
        BuildFailedError: There is no plan.
        OSError: The shard cannot be written.
    """
    folder = epath.Path(job.folder)
    plan = read_plan(folder)
    if plan is None:
        raise BuildFailedError(f"{folder} holds no plan of a build; begin the build anew.")
    result = finished(plan, job)
    if result is not None:
        return result
    building = folder / BUILDING
    declared = features(
        plan.class_names,
        storage="jpeg" if plan.settings.storage == "jpeg" else "video",
        built=True,
        captions=plan.captioned,
    )
    serializer = ExampleSerializer(declared.get_serialized_info())

    def encode(record: dict[str, object]) -> bytes:
        # The same bytes in every process, or two that build one shard would disagree about it.
        example = serializer.get_tf_example(declared.encode_example(record))
        return example.SerializeToString(deterministic=True)

    digests, num_bytes, dropped = [], 0, []
    with tempfile.TemporaryDirectory(
        prefix=files.LEFTOVER, dir=files.local_folder(building)
    ) as place:
        local = pathlib.Path(place, "shard")
        writer = array_record_module.ArrayRecordWriter(os.fspath(local), "group_size:1")
        try:
            lines = (building / f"{files.stem(job.split, job.number)}.jsonl").read_text()
            for number, line in enumerate(lines.splitlines()):
                entry = json.loads(line)
                begin(number, num_bytes, len(dropped))
                try:
                    if number in job.skip:
                        raise _SkippedError(*job.skip[number])
                    with tempfile.SpooledTemporaryFile(_HELD_BYTES) as held:
                        written = _write_video(plan, encode, entry, held, alive)
                        held.seek(0)
                        for length, digest in written:
                            writer.write(held.read(length))
                            digests.append(digest)
                            num_bytes += length
                except VideoError as error:
                    video = entry["video_id"], entry["path"]
                    dropped.append(Dropped(*video, error.kind, str(error)))
            begin(job.videos, num_bytes, len(dropped))
        finally:
            writer.close()
        result = ShardResult(
            split=job.split,
            number=job.number,
            videos=job.videos,
            num_bytes=num_bytes,
            file_bytes=local.stat().st_size,
            sha256=VideoFile(local, alive).sha256(),
            digests=tuple(digests),
            dropped=tuple(dropped),
        )
        files.move(local, folder / shard_name(plan, job.split, job.number))
    files.write_whole(_note(folder, job), json.dumps(dataclasses.asdict(result)))
    return result


class _SkippedError(VideoError):
    """A video that is known to stop whoever touches it."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


def _note(folder: epath.Path, job: ShardJob) -> epath.Path:
    return folder / BUILDING / note_name(job)


def _write_video(
    plan: Plan,
    encode: Callable[[dict[str, object]], bytes],
    entry: Mapping[str, Any],
    file: IO[bytes],
    alive: Callable[[], None],
) -> list[tuple[int, str]]:
    """Writes the records of one video after each other; returns length and digest of each."""
    if entry["path"] is None:
        raise MissingFileError("no file of it was found among the videos.")
    written = []
    for record in _records(plan, entry, alive):
        content = encode(record)
        file.write(content)
        rows = [tuple(caption.values()) for caption in record.get("captions", [])]
        source = record["source_sha256"], record["source_start"], record["source_end"]
        written.append(
            (len(content), record_digest(record["video_id"], record["label"], *source, rows))
        )
    return written


def _records(
    plan: Plan, entry: Mapping[str, Any], alive: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Yields the records of one video."""
    with local_copy(entry["path"], alive) as path:
        yield from _records_of(plan, entry, path, alive)


def _records_of(
    plan: Plan, entry: Mapping[str, Any], path: str, alive: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """Yields the records of one video, whose file is at ``path``."""
    sha256 = VideoFile(path, alive).sha256()
    for number, stored in enumerate(store(path, plan.settings, alive=alive)):
        # Of several records, each has a name of its own. No two videos can come to share one, as
        # names before the last underscore are unique.
        suffix = f"_{number:04d}" if plan.settings.record_seconds else ""
        content = dataclasses.asdict(stored)
        record = {key: value for key, value in content.items() if value is not None}
        record |= {
            "video_id": entry["video_id"] + suffix,
            "label": entry["label"],
            "source_sha256": sha256,
        }
        if plan.captioned:
            record["captions"] = _captions_of(stored, entry["captions"])
        yield record


def _captions_of(stored: StoredVideo, captions: Sequence[Sequence]) -> list[dict[str, object]]:
    """Returns the captions that overlap a record, cut to it, in seconds of the record."""
    begin, finish = stored.source_start, stored.source_end
    return [
        {
            "start": round(max(start, begin) - begin, 6),
            "end": round(min(end, finish) - begin, 6),
            "text": text,
        }
        for start, end, text in captions
        if start < finish and (end > begin or start >= begin)
    ]
