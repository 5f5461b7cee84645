"""Features in files: parts that are whole or absent, joined as Parquet or NumPy's .npz."""

import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_pipelines.video_files import printable
from vidtx.errors import ConfigError
from vidtx.inference.answers import FailedVideo
from vidtx.inference.features import VideoFeatures

__all__ = ["SUFFIXES", "Part", "join", "read_part", "suffix_of", "write_part"]

SUFFIXES = (".parquet", ".npz")
KEY = b"vidtx"  # of the metadata of a file
_OLDEST = (1980, 1, 1, 0, 0, 0)  # that a zip archive knows: equal features make equal files


class Part:
    """What is known of a part that is written, its rows left in the file.

    Attributes:
      path: of the file.
      failed: videos of which there are none.
      partly: paths of videos that could be read in part only, with what is to be told of each.
      videos: how many there are, those included.
      rows: how many.
    """

    def __init__(self, path: pathlib.Path):
        file = pq.ParquetFile(path)
        facts = json.loads(file.schema_arrow.metadata[KEY])
        self.path = path
        self.failed = tuple(FailedVideo(**one) for one in facts["failed"])
        self.partly: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
            (video, tuple(notes)) for video, notes in facts["partly"]
        )
        self.videos: int = facts["videos"]
        self.rows: int = file.metadata.num_rows


def suffix_of(out: pathlib.Path) -> str:
    """The format that a name asks for.

    Raises:
      ConfigError: none that is known.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(
            f"out is {out}; its name must end in {' or '.join(SUFFIXES)}, which says the format."
        )
    return out.suffix


def write_part(
    path: pathlib.Path,
    found: Sequence[VideoFeatures | FailedVideo],
    labels: Mapping[str, str | None],
    dim: int,
) -> Part:
    """Writes features of some videos; the file is there whole or not at all.

    Arrow's strings are UTF-8: what is none in names of files and folders becomes escapes.
    """
    good = [one for one in found if isinstance(one, VideoFeatures)]
    facts = {
        "failed": [one.to_dict() for one in found if isinstance(one, FailedVideo)],
        "partly": [[one.video, list(one.notes)] for one in good if not one.complete],
        "videos": len(found),
    }
    schema = _schema(dim, facts)
    rows = [(one.video, labels.get(one.video)) for one in good for _ in one.clips]

    def column(name: str, dtype: Any) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(getattr(one, name) for one in good)])

    flat = np.concatenate([np.zeros(0, np.float32), *(one.features.reshape(-1) for one in good)])
    table = pa.Table.from_arrays(
        [
            pa.array([printable(video) for video, _ in rows], pa.string()),
            pa.array(column("clips", np.int32), pa.int32()),
            pa.array(column("crops", np.int32), pa.int32()),
            pa.array(column("starts", np.float64), pa.float64()),
            pa.array(column("ends", np.float64), pa.float64()),
            pa.array([label and printable(label) for _, label in rows], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dim),
        ],
        schema=schema,
    )
    _appearing(path, lambda place: pq.write_table(table, place))
    return Part(path)


def read_part(path: pathlib.Path) -> Part | None:
    """What is known of a part; None where it is not written yet, or cannot be read."""
    try:
        return Part(path)
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None


def join(out: pathlib.Path, parts: Sequence[Part], facts: Mapping[str, Any]) -> None:
    """Writes all parts as one file, a part at a time; it is there whole or not at all.

    Args:
      out: the file, of a name with one of ``SUFFIXES``.
      parts: in order; at least one.
      facts: what the file says of itself: in Parquet under the key ``vidtx`` of the schema's
        metadata, in .npz as ``metadata``, both JSON.
    """
    write = {".parquet": _join_parquet, ".npz": _join_npz}[suffix_of(out)]
    _appearing(out, lambda place: write(place, parts, facts))


def _schema(dim: int, facts: Mapping[str, Any]) -> pa.Schema:
    fields = [
        pa.field("video", pa.string()),
        pa.field("clip", pa.int32()),
        pa.field("crop", pa.int32()),
        pa.field("start_seconds", pa.float64()),
        pa.field("end_seconds", pa.float64()),
        pa.field("label", pa.string()),
        pa.field("embedding", pa.list_(pa.float32(), dim)),
    ]
    return pa.schema(fields, metadata={KEY: json.dumps(facts).encode()})


def _join_parquet(place: pathlib.Path, parts: Sequence[Part], facts: Mapping[str, Any]) -> None:
    schema = _schema(facts["dim"], facts)
    with pq.ParquetWriter(place, schema) as writer:
        for part in parts:
            if part.rows:
                table = pq.read_table(part.path)
                writer.write_table(table.replace_schema_metadata(schema.metadata))


def _join_npz(place: pathlib.Path, parts: Sequence[Part], facts: Mapping[str, Any]) -> None:
    count, dim = sum(part.rows for part in parts), facts["dim"]
    with zipfile.ZipFile(place, "w") as archive:
        for name in ("video", "label"):
            # An array has one width, which is known once all of it has been seen.
            longest = max((len(one) for texts in _texts(parts, name) for one in texts), default=0)
            dtype = np.dtype(f"<U{max(1, longest)}")
            chunks = (np.array(texts, dtype) for texts in _texts(parts, name))
            _member(archive, name, dtype, (count,), chunks)
        for name in ("clip", "crop", "start_seconds", "end_seconds"):
            dtype = np.dtype("<i4" if name in ("clip", "crop") else "<f8")
            chunks = (column.to_numpy().astype(dtype) for column in _columns(parts, name))
            _member(archive, name, dtype, (count,), chunks)
        chunks = (
            column.combine_chunks().flatten().to_numpy() for column in _columns(parts, "embedding")
        )
        _member(archive, "embedding", np.dtype("<f4"), (count, dim), chunks)
        text = np.array(json.dumps(facts))
        _member(archive, "metadata", text.dtype, (), [text])


def _columns(parts: Sequence[Part], name: str) -> Iterator[pa.ChunkedArray]:
    for part in parts:
        yield pq.read_table(part.path, columns=[name])[name]


def _texts(parts: Sequence[Part], name: str) -> Iterator[list[str]]:
    for column in _columns(parts, name):
        yield [text or "" for text in column.to_pylist()]


def _member(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    chunks: Iterable[np.ndarray],
) -> None:
    """Writes one array of an .npz, a chunk at a time."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    info = zipfile.ZipInfo(f"{name}.npy", _OLDEST)
    with archive.open(info, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.tobytes())


def _appearing(path: pathlib.Path, write: Callable[[pathlib.Path], None]) -> None:
    """Has a file written beside a path, and renames it once it is stored."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
