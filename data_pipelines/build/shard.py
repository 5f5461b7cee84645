"""One shard of a build: from a file of jobs to a file of records. All that Beam needs to call."""

from __future__ import annotations

import contextlib
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
from data_pipelines.build.jobs import (
    Dropped,
    ShardJob,
    ShardResult,
    finished,
    note_name,
    shard_name,
)
from data_pipelines.build.plan import Plan, read_plan
from data_pipelines.build.source import VideoFile, local_copy
from data_pipelines.build.transcode import StoredVideo, store
from data_pipelines.digests import record_digest
from data_pipelines.errors import BuildFailedError, MissingFileError, VideoError
from data_pipelines.schema import features
from data_pipelines.shards import BUILDING

__all__ = ["write_shard"]

# Records of one video are held back until all of it is known to be sound, these many bytes of them
# in memory.
_HELD_BYTES = 64 << 20


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
        BuildFailedError: There is no plan, or the shard cannot be written.
        OSError: Something else cannot be written or read, other than a video.
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
        writer = _Writer(local)
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
    files.write_whole(building / note_name(job), json.dumps(dataclasses.asdict(result)))
    return result


class _Writer:
    """Writes records to a file of ``array_record``, whose only error is RuntimeError."""

    def __init__(self, path: pathlib.Path):
        with self._told():
            self._writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")

    def write(self, record: bytes) -> None:
        with self._told():
            self._writer.write(record)

    def close(self) -> None:
        with self._told():
            self._writer.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise BuildFailedError(
                f"its records cannot be written ({str(error).splitlines()[0]}), as where the disk "
                "is full or a quota is used up"
            ) from error


class _SkippedError(VideoError):
    """A video that is known to stop whoever touches it."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


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
