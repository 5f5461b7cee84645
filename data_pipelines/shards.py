"""The shards of a data set on disk: finding them, and telling whether they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath

from data_pipelines.errors import DatasetDamagedError

__all__ = ["BUILDING", "build_command", "check_shard", "missing_data_set", "shards_of"]

# The folder in an unfinished data set that holds what its build needs to go on.
BUILDING = ".building"

# What `vidtx data build` knows by name; other names are those of folders and lists.
_KNOWN = frozenset(
    {
        "diving48",
        "hmdb51",
        "howto100m",
        "kinetics400",
        "kinetics600",
        "kinetics700",
        "something_something_v2",
        "ucf101",
    }
)


def shards_of(builder: tfds.core.DatasetBuilder) -> Iterator[tuple[str, epath.Path, int]]:
    """Yields (split, path, number of records) of each shard, in order, if the file exists."""
    for split in sorted(builder.info.splits):
        info = builder.info.splits[split]
        for path, length in zip(info.filepaths, info.shard_lengths, strict=True):
            if not path.exists():
                raise DatasetDamagedError(
                    f"shard {path} is missing, with {length} records of split {split!r}; restore "
                    f"it from a copy, or {_rebuild(path)}"
                )
            yield split, path, length


def check_shard(path: epath.Path, length: int) -> None:
    """Opens a shard and compares its number of records; a truncated one does not open."""
    try:
        reader = array_record_module.ArrayRecordReader(os.fspath(path), "readahead_buffer_size:0")
        found = reader.num_records()
        reader.close()
    except RuntimeError as error:
        found = error
    if found != length:
        raise DatasetDamagedError(
            f"shard {path} should hold {length} records and holds: {found}; it was truncated or "
            f"replaced. Restore it from a copy, or {_rebuild(path)}"
        )


def build_command(base: str, data_dir: str | os.PathLike) -> str:
    """Says how a data set is built."""
    if base == "motions":
        return f"Build it with: python -m data_pipelines.motions --out={os.fspath(data_dir)}"
    if base in _KNOWN:
        return (
            f"Build it with: vidtx data build {base} --videos=FOLDER --annotations=FILES "
            f"--out={os.fspath(data_dir)}"
        )
    return (
        "Build it from its videos (vidtx data build --help), or point data.data_dir at the folder "
        "that holds it."
    )


def missing_data_set(name: str, data_dir: str | os.PathLike, versions: list[str]) -> str:
    """Says what there is in place of a data set or version that is asked for."""
    base = name.partition(":")[0]
    if versions:
        return f"data set {base!r} in {data_dir} has versions {versions}, not {name!r}; name one."
    folder = epath.Path(data_dir)
    if (folder / base).is_dir():
        return (
            f"{folder / base} holds no built data set. If it holds folders of videos, read "
            "them as they are with data.source=folder, or build them: vidtx data build folder "
            f"--videos={os.fspath(folder / base)} --name={base}_built --out={os.fspath(data_dir)}"
        )
    held = "no folder"
    if folder.is_dir():  # beside data sets there may be files and what begins with a dot
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
        held = sorted(path.name for path in inside if path.is_dir())
    return f"no data set {base!r} in {data_dir} (it holds {held}). {build_command(base, data_dir)}"


def _rebuild(shard: epath.Path) -> str:
    """Says how the data set of a shard is made anew."""
    root = shard.parent.parent
    return f"delete {shard.parent}. {build_command(root.name, root.parent)}"
