"""Video data sets on disk: what a record holds, opening a split of them, and their fingerprint.

A data set is an ordinary TFDS folder of ``array_record`` shards, ``DATA_DIR/NAME/VERSION/``, read
without TensorFlow. It may be opened as ``NAME`` (its newest version) or ``NAME:VERSION``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.digests import (
    BUILT_SETTINGS,
    CONTENT_DIGESTS,
    fingerprint,
    noted,
    sample_digest,
)
from data_pipelines.errors import (
    CorruptRecordError,
    DatasetDamagedError,
    DatasetMissingError,
    UnknownSplitError,
)
from data_pipelines.labels import class_names_of
from data_pipelines.schema import features, missing_feature, types_of
from data_pipelines.shards import BUILDING, build_command, check_shard, missing_data_set, shards_of

__all__ = [
    "DatasetDescription",
    "SplitSource",
    "describe",
    "features",
    "open_split",
]


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """What a data set holds, and a fingerprint of it.

    Attributes:
        name: As under TFDS.
        version: Such as ``1.0.0``.
        class_names: In label order.
        splits: Split name to number of examples.
        num_bytes: Size of all shard files together.
        fingerprint: Hexadecimal SHA-256 over name, version, class names, feature types, every
            split's shard lengths (of what `data_pipelines.build` has built, only the length of the
            split), and every split's digest of its content, where the build has left one in
            ``metadata.json`` (TFDS may write the same records as other bytes). Otherwise shard
            file sizes and shard samples instead of digests: eight blocks of 64 KiB,
            evenly spaced from the first to the last of each file. That covers shards of up to 512
            KiB wholly. In larger ones, a change that lies between the samples and moves nothing
            after it goes unnoticed here; if it is a bit error, reading the record fails.
        single_label: Whether its records have ``label``, the one class of a video.
        multi_label: Whether they have ``labels``, any number of classes of a video.
        mirrorable: False where classes tell left from right, so that clips must not be mirrored.
        counts: Where the build has left them, split name to how many videos were ``listed`` and
            ``found``, and how many of them are ``stored``, in how many ``records``.
        dropped: Where the build has left them, split name to the number of listed videos that are
            not stored, by kind of failure; see ``manifest.json`` for the files.
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    splits: dict[str, int]
    num_bytes: int
    fingerprint: str
    single_label: bool
    multi_label: bool
    mirrorable: bool = True
    counts: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)


class SplitSource:
    """Random access to the records of a split, or of a slice of one; picklable, thread-safe.

    ``source[i]`` is a dict with ``video`` (bytes of a media file) or ``frames`` (a list, the bytes
    of a JPEG a frame), ``video_id`` (str), ``num_frames``, ``height``, ``width`` (int), ``fps``
    (float, frames per second) and ``label`` (int), ``labels`` (a sequence of int), or both. Records
    of `data_pipelines.build` also have ``source_start`` and ``source_end`` (float, seconds),
    ``source_sha256`` (str) and, of captioned data sets, ``captions``, a list of dicts of ``start``
    and ``end`` (float, seconds of the record) and ``text`` (str).

    Attributes:
        name: The data set's name.
        split: The split or slice, such as ``train`` or ``train[:10%]``.
        class_names: In label order.
        single_label: Whether records have ``label``.
        multi_label: Whether records have ``labels``.
    """

    def __init__(
        self,
        name: str,
        split: str,
        class_names: tuple[str, ...],
        records: Sequence,
        *,
        single_label: bool = True,
        multi_label: bool = False,
    ):
        self.name = name
        self.split = split
        self.class_names = class_names
        self.single_label = single_label
        self.multi_label = multi_label
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict:
        """Reads one record.

        Raises:
            IndexError: There is no such record.
            CorruptRecordError: Its bytes no longer match their checksum, or its shard is gone.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {self!r} is outside 0 … {len(self) - 1}.")
        try:
            record = self._records[index]
        except RuntimeError as error:  # array_record's only kind
            raise CorruptRecordError(
                f"record {index} of {self!r} cannot be read ({error}); restore its shard from a "
                "copy or build the data set again."
            ) from error
        return _plain(record)

    def label(self, index: int) -> int:
        """Class of one record, -1 where none is known; it is read, and no video decoded.

        Raises:
            IndexError, CorruptRecordError: As reading it does.
        """
        return int(self[index]["label"])

    def __repr__(self) -> str:
        return f"{self.name}/{self.split}"


def open_split(name: str, split: str, data_dir: str | os.PathLike) -> SplitSource:
    """Opens a split for random access, once its shards are known to be whole.

    Args:
        name: ``NAME`` or ``NAME:VERSION``.
        split: A split, or a slice such as ``train[:10%]``.
        data_dir: The folder that holds ``NAME/VERSION/``.

    Raises:
        DatasetMissingError: There is no such data set or version; lists what there is.
        DatasetDamagedError: Half-built, other features than ours, a shard missing or truncated.
        UnknownSplitError: There is no such split, or the slice is empty; lists the splits.
    """
    builder = _builder(name, data_dir)
    try:
        instructions = builder.info.splits[split].file_instructions
        records = builder.as_data_source(split)
    except (KeyError, ValueError) as error:
        raise UnknownSplitError(
            f"{split=} of {name} cannot be read ({error}); it has splits "
            f"{sorted(builder.info.splits)}, of which slices such as 'train[:10%]' may be taken, "
            "if they hold a record."
        ) from error
    needed = {os.fspath(instruction.filename) for instruction in instructions}
    for _, path, length in shards_of(builder):
        if os.fspath(path) in needed:
            check_shard(path, length)
    return SplitSource(name, split, records=records, **_labels(builder))


def describe(name: str, data_dir: str | os.PathLike) -> DatasetDescription:
    """Describes a data set, reading a few blocks of each shard.

    Args:
        name: ``NAME`` or ``NAME:VERSION``.
        data_dir: The folder that holds ``NAME/VERSION/``.

    Raises:
        DatasetMissingError: There is no such data set or version.
        DatasetDamagedError: Half-built, other features than ours, or a shard missing.
    """
    builder = _builder(name, data_dir)
    info = builder.info
    labels = _labels(builder)
    shards = list(shards_of(builder))
    notes = noted(builder.data_path)
    stored = notes.get(CONTENT_DIGESTS) or [
        (path.stat().length, sample_digest(path)) for _, path, _ in shards
    ]
    return DatasetDescription(
        name=info.name,
        version=str(info.version),
        splits={split: info.splits[split].num_examples for split in sorted(info.splits)},
        num_bytes=sum(path.stat().length for _, path, _ in shards),
        fingerprint=fingerprint(
            info.name,
            str(info.version),
            labels["class_names"],
            types_of(info.features),
            # Where we have built it, how many shards there are says nothing of what is in them.
            sorted((split, info.splits[split].num_examples) for split in info.splits)
            if BUILT_SETTINGS in notes
            else [(split, length) for split, _, length in shards],
            stored,
        ),
        mirrorable=notes.get("mirrorable", True),
        counts=notes.get("counts", {}),
        dropped=notes.get("dropped", {}),
        **labels,
    )


def _plain(record: dict) -> dict:
    """Returns a record of TFDS with text as str and sequences as lists."""
    texts = ("video_id", "source_sha256")
    record = {key: value.decode() if key in texts else value for key, value in record.items()}
    if "frames" in record:
        record["frames"] = list(record["frames"])
    if "captions" in record:
        columns = record["captions"]
        rows = zip(columns["start"], columns["end"], columns["text"], strict=True)
        record["captions"] = [
            {"start": float(start), "end": float(end), "text": text.decode()}
            for start, end, text in rows
        ]
    return record


def _labels(builder: tfds.core.DatasetBuilder) -> dict:
    """Returns class names, and which labels the records hold."""
    names = class_names_of(builder.info.features)
    return {
        "class_names": next(iter(names.values())),
        "single_label": "label" in names,
        "multi_label": "labels" in names,
    }


def _builder(name: str, data_dir: str | os.PathLike) -> tfds.core.DatasetBuilder:
    """Returns the builder of a whole data set with our features.

    The folder is found here and not by ``tfds.builder``, which gives a name that TFDS ships (such
    as ucf101) to code that needs TensorFlow.
    """
    base, _, version = name.partition(":")
    root = epath.Path(data_dir) / base
    folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    whole = {
        path.name: path
        for path in folders
        if tfds.core.Version.is_valid(path.name) and (path / "dataset_info.json").exists()
    }
    command = build_command(base, data_dir)
    if not (version in whole if version else whole):
        if any((path / BUILDING).is_dir() for path in folders):
            raise DatasetDamagedError(
                f"data set {base!r} in {data_dir} is not built to its end; the command that began "
                f"it goes on where it stopped. {command}"
            )
        # Of anything else, such as folders of videos, nobody must be told to delete it.
        held = sorted(path.name for path in folders)
        own = all(
            name.startswith("incomplete.") or tfds.core.Version.is_valid(name) for name in held
        )
        if held and own and not version:
            raise DatasetDamagedError(
                f"data set {base!r} in {data_dir} is half-built: {root} holds only {held}, no "
                f"finished version; delete it. {command}"
            )
        raise DatasetMissingError(missing_data_set(name, data_dir, sorted(whole)))
    folder = whole[version or max(whole, key=tfds.core.Version)]
    rebuild = f"delete it. {command}"
    try:
        builder = tfds.builder_from_directory(folder)
        found = builder.info.features
    except Exception as error:  # of many kinds, from TFDS and from protobuf
        raise DatasetDamagedError(f"{folder} cannot be read ({error}); {rebuild}") from error
    lacking = missing_feature(found or {})
    if lacking:
        raise DatasetDamagedError(
            f"{folder} has features {dict(found or {})}, without {lacking}, so it is no data set "
            f"of ours; give another name, or {rebuild}"
        )
    return builder
