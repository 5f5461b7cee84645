"""An audit's work on records: reading each, decoding it strictly, and comparing what it says."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath

from data_pipelines.build.source import VideoFile
from data_pipelines.decoding.decode import probe
from data_pipelines.digests import record_digest
from data_pipelines.errors import UndecodableError, VideoError
from data_pipelines.pictures import pictures

__all__ = ["Checksum", "Job", "Part", "Problem", "check_records", "read_id", "work"]

# JPEGs that are decoded at a time.
_JPEGS = 32

# The rate of a container is a fraction of whole numbers, and is kept as float32.
_RATE_TOLERANCE = 0.01

_BLOCK = 1 << 20  # bytes


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        kind: What sort of problem, such as ``undecodable``.
        message: What was found, what was expected.
        shard: File name of the shard, or None where it concerns the data set as a whole.
        record: Number of the record in its shard, or None where it concerns all of them.
        video_id: Of that record, where it can be read.
    """

    kind: str
    message: str
    shard: str | None = None
    record: int | None = None
    video_id: str | None = None

    def __str__(self) -> str:
        place = [] if self.shard is None else [self.shard]
        place += [] if self.record is None else [f"record {self.record}"]
        place += [] if self.video_id is None else [f"({self.video_id})"]
        return f"{' '.join(place) or 'data set'}: {self.kind}: {self.message}"


@dataclasses.dataclass(frozen=True)
class Job:
    """Some records of a shard, to be looked at.

    Attributes:
        folder: Of the data set, ``DATA_DIR/NAME/VERSION``.
        shard: File name.
        start: First record.
        stop: The one after the last.
        decode: Whether every frame is decoded.
        audit: Name of the audit, so that what one has opened is not taken for what another finds.
    """

    folder: str
    shard: str
    start: int
    stop: int
    decode: bool
    audit: str


@dataclasses.dataclass(frozen=True)
class Checksum:
    """A file, to be compared with its checksum.

    Attributes:
        path: Of the file.
    """

    path: str


@dataclasses.dataclass(frozen=True)
class Part:
    """What was found in some records.

    Attributes:
        job: Which.
        ids: First eight bytes of the SHA-256 of each record's ``video_id``, uint64; those of
            records that cannot be read are left out.
        digests: :func:`~data_pipelines.digests.record_digest` of each record, "" for one that was
            not built by `data_pipelines.build`; None for one that cannot be read.
        frames: Frames that the records say they hold.
        unlabelled: Records whose class is not known.
        problems: In order.
    """

    job: Job
    ids: np.ndarray
    digests: list[str | None]
    frames: int
    unlabelled: int
    problems: list[Problem]


def work(job: Job | Checksum) -> Part | str:
    """Does one job: `check_records`, or the SHA-256 of a file, hexadecimal."""
    if isinstance(job, Job):
        return check_records(job)
    digest = hashlib.sha256()
    with epath.Path(job.path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_id(job: Job, number: int) -> str:
    """Returns the ``video_id`` of one record of a job."""
    return _record(job, number)["video_id"].decode()


def check_records(job: Job) -> Part:
    """Reads some records, and decodes them if that is asked for."""
    ids, digests, frames, unlabelled, problems = [], [], 0, 0, []
    for number in range(job.start, job.stop):
        place = {"shard": job.shard, "record": number}
        try:
            record = _record(job, number)
            place["video_id"] = record["video_id"].decode()
        except Exception as error:  # array_record's, of a checksum, or one of many of protobuf's
            message = f"its bytes cannot be read as they were written ({error})"
            problems.append(Problem("corrupt_record", message, **place))
            digests.append(None)
            continue
        ids.append(id_hash(place["video_id"]))
        digests.append(_digest(record))
        frames += int(record["num_frames"])
        unlabelled += int(record.get("label", 0) == -1)
        found = _record_problems(record, _features(job.folder, job.audit), job.decode)
        problems.extend(Problem(kind, message, **place) for kind, message in found)
    return Part(job, np.array(ids, np.uint64), digests, frames, unlabelled, problems)


def id_hash(video_id: str) -> int:
    """Returns the first eight bytes of the SHA-256 of a name."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big")


@functools.lru_cache(maxsize=1)
def _features(folder: str, audit: str) -> tfds.features.FeaturesDict:
    return tfds.builder_from_directory(folder).info.features


@functools.lru_cache(maxsize=1)
def _reader(path: str, audit: str) -> array_record_module.ArrayRecordReader:
    return array_record_module.ArrayRecordReader(path, "readahead_buffer_size:0")


def _record(job: Job, number: int) -> Mapping:
    """Returns one record of a job's shard, as TFDS reads it."""
    data = _reader(os.path.join(job.folder, job.shard), job.audit).read([number])[0]
    return _features(job.folder, job.audit).deserialize_example_np(data)


def _digest(record: Mapping) -> str:
    """Returns what the build of a record has noted of it, "" if it is of another build."""
    if "source_sha256" not in record:
        return ""
    columns = record.get("captions", {"start": (), "end": (), "text": ()})
    captions = zip(columns["start"], columns["end"], columns["text"], strict=True)
    return record_digest(
        record["video_id"].decode(),
        int(record["label"]),
        record["source_sha256"].decode(),
        float(record["source_start"]),
        float(record["source_end"]),
        [(float(start), float(end), text.decode()) for start, end, text in captions],
    )


def _record_problems(record: Mapping, features: Mapping, decode: bool) -> Iterator[tuple[str, str]]:
    """Yields (kind, message) of whatever is wrong with one record."""
    yield from _label_problems(record, features)
    said = {key: int(record[key]) for key in ("num_frames", "height", "width")}
    fps = float(record["fps"])
    if min(said.values()) < 1 or not 0 < fps < math.inf:
        yield "wrong_size", f"it is recorded with {said} and {fps} frames per second"
    stored = len(record["frames"]) if "frames" in record else None
    if stored is not None and stored != said["num_frames"]:
        yield "wrong_frame_count", f"it holds {stored} JPEGs, and says {said['num_frames']}"
    if not decode:
        return
    try:
        count, size = _decode_strictly(record)
        rate = probe(record["video"]).fps if "video" in record and count > 1 else fps
    except VideoError as error:
        yield error.kind, str(error)
        return
    if count != said["num_frames"] and stored is None:
        yield "wrong_frame_count", f"{count} frames are decoded, and {said['num_frames']} recorded"
    if size != (said["height"], said["width"]):
        yield (
            "wrong_size",
            f"frames of {size[1]}×{size[0]} are decoded, and {said['width']}×{said['height']} "
            "recorded",
        )
    if not abs(rate - fps) <= _RATE_TOLERANCE * rate:
        yield "wrong_rate", f"{rate:.4g} frames per second are stored, and {fps:.4g} recorded"


def _label_problems(record: Mapping, features: Mapping) -> Iterator[tuple[str, str]]:
    for key, lowest in (("label", -1), ("labels", 0)):
        if key not in features:
            continue
        classes = getattr(features[key], "feature", features[key]).num_classes
        numbers = np.asarray(record[key]).reshape(-1)
        wrong = [int(number) for number in numbers if not lowest <= number < classes]
        if wrong:
            yield "label_out_of_range", f"{key} holds {wrong}; classes are 0 … {classes - 1}"


def _decode_strictly(record: Mapping) -> tuple[int, tuple[int, int]]:
    """Decodes every frame; returns their number and their (height, width)."""
    if "frames" in record:
        total = len(record["frames"])
        if not total:
            raise UndecodableError("it holds no frame.")
        sizes = {
            pictures(record, range(first, min(first + _JPEGS, total)), strict=True).shape[1:3]
            for first in range(0, total, _JPEGS)
        }
    else:
        total, sizes = _decode_video_strictly(record["video"])
    if len(sizes) > 1:
        raise UndecodableError(f"the picture size changes: {sorted(sizes)}.")
    return total, sizes.pop()


def _decode_video_strictly(data: bytes) -> tuple[int, set[tuple[int, int]]]:
    """Decodes a media file frame by frame, keeping none; returns their number and sizes."""
    count, sizes = 0, set()
    for frame in VideoFile(data).frames():
        turned = int(frame.rotation) % 180 == 90
        size = (frame.height, frame.width)
        sizes.add(size[::-1] if turned else size)
        count += 1
    return count, sizes
