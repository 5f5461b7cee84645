"""The audit of a data set: every record read, every frame decoded, all that is noted compared.

It reads shards as they lie on disk, over several processes, without JAX and without TensorFlow.
What it finds is listed, and nothing is changed. Data sets of other builds, without a manifest, are
audited as far as they can be.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath

from data_pipelines.audit_notes import fingerprint_of, read_notes
from data_pipelines.audit_records import Checksum, Job, Part, Problem, read_id, work
from data_pipelines.errors import DatasetDamagedError, DatasetMissingError
from data_pipelines.labels import class_names_of
from data_pipelines.pool import cores, in_processes
from data_pipelines.schema import missing_feature

__all__ = ["Audit", "Problem", "SplitAudit", "audit", "locate"]

# Records that a process looks at before it tells how far it is.
_RECORDS_A_JOB = 16


@dataclasses.dataclass(frozen=True)
class SplitAudit:
    """What a split was found to hold.

    Attributes:
        shards: Files that are there.
        records: Records that can be read.
        frames: Frames of these, as recorded.
        unlabelled: Those of them whose class is not known.
        num_bytes: Size of its files.
    """

    shards: int = 0
    records: int = 0
    frames: int = 0
    unlabelled: int = 0
    num_bytes: int = 0


def locate(folder: str | os.PathLike) -> epath.Path:
    """Returns the folder of a data set's version.

    Args:
        folder: That folder, ``DATA_DIR/NAME/VERSION``, or the one above, of whose versions the
            newest is taken.

    Raises:
        DatasetMissingError: There is neither.
        DatasetDamagedError: There is only what an unfinished build has left.
    """
    folder = epath.Path(folder)
    if (folder / "dataset_info.json").exists():
        return folder
    inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    versions = [name for name in inside if tfds.core.Version.is_valid(name)]
    whole = [name for name in versions if (folder / name / "dataset_info.json").exists()]
    if whole:
        return folder / max(whole, key=tfds.core.Version)
    if versions or any("array_record" in name for name in inside):
        raise DatasetDamagedError(
            f"{folder} holds {inside} and no dataset_info.json: a build that has not come to its "
            "end, or a copy of one; build it to the end, or copy it again."
        )
    held = f"holds {inside}" if folder.is_dir() else "is no folder"
    raise DatasetMissingError(
        f"{folder} {held}, and so is no data set; name DATA_DIR/NAME or DATA_DIR/NAME/VERSION."
    )


@dataclasses.dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        folder: Of the data set.
        name: Of the data set.
        version: Of the data set.
        classes: Number of classes.
        splits: Split name to what it holds.
        fingerprint: Of the data set as it lies there, "" where a part of it is missing.
        decoded: Whether every frame was decoded.
        unchecked: What could not be looked at, and why, a sentence each.
        problems: Everything that is not as it should be; none in a sound data set.
    """

    folder: str
    name: str
    version: str
    classes: int
    splits: Mapping[str, SplitAudit]
    fingerprint: str
    decoded: bool
    unchecked: Sequence[str]
    problems: Sequence[Problem]

    def to_dict(self) -> dict:
        """The audit as plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "sound": not self.problems}


def audit(
    folder: str | os.PathLike,
    *,
    workers: int | None = None,
    decode: bool = True,
    report: Callable[[int, int, int], None] = lambda done, total, problems: None,
    between: Callable[[], None] = lambda: None,
) -> Audit:
    """Looks at everything in a data set.

    Args:
        folder: As of :func:`locate`.
        workers: Processes, by default one a core.
        decode: Decode every frame, strictly. Otherwise records are read and compared alone.
        report: Is told of records done, records in all, problems so far.
        between: Called now and then; what it raises ends the audit.

    Raises:
        DatasetMissingError: There is no data set.
        DatasetDamagedError: It cannot be opened at all.
        ProcessKilledError: Memory ran out, or a video ended the process that decoded it.
    """
    folder = locate(folder)
    try:
        builder = tfds.builder_from_directory(os.fspath(folder))
        lacking = missing_feature(builder.info.features or {})
    except Exception as error:  # of many kinds, from TFDS and from protobuf
        raise DatasetDamagedError(
            f"{folder} cannot be opened ({error}); restore its files from a copy."
        ) from error
    if lacking:
        raise DatasetDamagedError(f"{folder} is no data set of ours: it has no {lacking}.")
    notes, problems = read_notes(folder)
    found = _Found(folder, builder, problems)
    done, total = 0, sum(info.num_examples for info in builder.info.splits.values())
    jobs = found.jobs(notes.checksums, decode)
    for job, result in in_processes(work, jobs, workers or cores(), between):
        if isinstance(job, Job):
            found.take(result)
            done += job.stop - job.start
        elif result != notes.checksums[epath.Path(job.path).name]:
            found.add("shard_changed", "its SHA-256 is not the manifest's", job.path)
        report(done, total, len(problems))
    problems += found.repeated_ids()
    problems += notes.problems(builder, found.digests)
    fingerprint = fingerprint_of(folder)
    problems += notes.fingerprint_problems(fingerprint) if fingerprint else ()
    return Audit(
        folder=os.fspath(folder),
        name=builder.info.name,
        version=str(builder.info.version),
        classes=len(next(iter(class_names_of(builder.info.features).values()))),
        splits=found.splits,
        fingerprint=fingerprint,
        decoded=decode,
        unchecked=[*notes.unchecked, *([] if decode else ["No frame was decoded."])],
        problems=problems,
    )


class _Found:
    """What an audit finds, gathered."""

    def __init__(
        self, folder: epath.Path, builder: tfds.core.DatasetBuilder, problems: list[Problem]
    ):
        self._folder = folder
        self._info = builder.info.splits
        self._split_of: dict[str, str] = {}
        self._ids: list[tuple[Job, np.ndarray]] = []
        self._problems = problems
        self.splits = {split: SplitAudit() for split in self._info}
        self.digests: dict[str, list[str | None]] = {split: [] for split in self._info}

    def add(self, kind: str, message: str, path: str | os.PathLike) -> None:
        """Notes a problem with a shard."""
        self._problems.append(Problem(kind, message, shard=epath.Path(path).name))

    def jobs(self, checksums: Mapping[str, str], decode: bool) -> Iterator[Checksum | Job]:
        """Yields what there is to do about each shard that can be opened."""
        folder, name = os.fspath(self._folder), uuid.uuid4().hex
        for split, info in self._info.items():
            for path, length in zip(info.filepaths, info.shard_lengths, strict=True):
                path = epath.Path(path)
                records = self._open(split, path, length)
                if records is None:
                    self.digests[split].append(None)
                    continue
                self._split_of[path.name] = split
                if path.name in checksums:
                    yield Checksum(os.fspath(path))
                for start in range(0, records, _RECORDS_A_JOB):
                    stop = min(start + _RECORDS_A_JOB, records)
                    yield Job(folder, path.name, start, stop, decode, name)
        known = {epath.Path(path).name for info in self._info.values() for path in info.filepaths}
        for path in sorted(self._folder.iterdir()):
            if "array_record" in path.name and path.name not in known:
                self.add("unknown_file", "it is a shard of no split", path)

    def _open(self, split: str, path: epath.Path, length: int) -> int | None:
        """Opens a shard, and returns its number of records."""
        if not path.exists():
            self.add("shard_missing", f"it should hold {length} records of {split!r}", path)
            return None
        self._count(split, shards=1, num_bytes=path.stat().length)
        try:
            reader = array_record_module.ArrayRecordReader(
                os.fspath(path), "readahead_buffer_size:0"
            )
            records = reader.num_records()
            reader.close()
        except RuntimeError as error:  # array_record's only kind
            try:
                with path.open("rb") as file:
                    file.read(1)
            except OSError as refusal:  # array_record's error tells nothing of it
                reason = f"it cannot be read ({refusal.strerror}); mend its permissions or its disk"
                self.add("shard_unreadable", reason, path)
            else:
                self.add("shard_damaged", f"it cannot be opened, as if it were cut ({error})", path)
            return None
        if records != length:
            self.add("wrong_record_count", f"it holds {records} records, not {length}", path)
        return records

    def take(self, part: Part) -> None:
        """Adds what was found in some records."""
        split = self._split_of[part.job.shard]
        self._ids.append((part.job, part.ids))
        self._problems += part.problems
        self.digests[split] += part.digests
        self._count(split, records=len(part.ids), frames=part.frames, unlabelled=part.unlabelled)

    def _count(self, split: str, **more: int) -> None:
        old = self.splits[split]
        self.splits[split] = dataclasses.replace(
            old, **{key: getattr(old, key) + number for key, number in more.items()}
        )

    def repeated_ids(self) -> Iterator[Problem]:
        """Yields each ``video_id`` that more than one record has."""
        hashes = np.concatenate([np.zeros(0, np.uint64), *(ids for _, ids in self._ids)])
        values, counts = np.unique(hashes, return_counts=True)
        repeated = set(values[counts > 1].tolist())
        places = collections.defaultdict(list)
        for job, ids in self._ids if repeated else ():
            if repeated.isdisjoint(ids.tolist()):
                continue
            for number in range(job.start, job.stop):
                with contextlib.suppress(Exception):  # told already
                    places[read_id(job, number)].append((job.shard, number))
        for video_id, found in places.items():
            if len(found) > 1:
                named = ", ".join(f"{shard} record {number}" for shard, number in found[1:4])
                message = f"{len(found)} records have this name, also {named}"
                yield Problem("repeated_id", message, *found[0], video_id)
