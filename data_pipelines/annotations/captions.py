"""The captions of HowTo100M, from a JSON file of several gigabytes, one video at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from etils import epath

from data_pipelines.annotations.entries import Caption
from data_pipelines.annotations.json_stream import read_json_entries
from data_pipelines.annotations.problems import AnnotationError, place

__all__ = ["read_captions"]

_KEYS = ("text", "start", "end")


def read_captions(path: epath.Path, chunk: int = 1 << 20) -> Iterator[tuple[str, list[Caption]]]:
    """Yields (video_id, its captions) in the file's order.

    A caption without words, which the file has as NaN, is left out; one that ends before it begins
    ends where it begins.

    Args:
        path: ``caption.json`` or ``raw_caption.json``:
            ``{VIDEO: {"text": […], "start": […], "end": […]}, …}``, times in seconds.
        chunk: Bytes that are read at a time; memory holds a few times as much.

    Raises:
        AnnotationError: The file is no such object, breaks off, or an entry is bad.
    """
    for line, video_id, entry in read_json_entries(path, "{", chunk):
        columns = [entry.get(key) if isinstance(entry, dict) else None for key in _KEYS]
        if not all(isinstance(column, list) for column in columns):
            raise _error(path, line, video_id, f"{str(entry)[:60]!r}", f"lists {_KEYS}")
        if len({len(column) for column in columns}) != 1:
            lengths = ", ".join(
                f"{len(column)} {key}" for key, column in zip(_KEYS, columns, strict=True)
            )
            raise _error(path, line, video_id, lengths, "as many of each")
        yield video_id, list(_captions(path, line, video_id, columns))


def _captions(
    path: epath.Path, line: int, video_id: str, columns: Sequence[list]
) -> Iterator[Caption]:
    """Yields one video's captions."""
    for text, start, end in zip(*columns, strict=True):
        if not isinstance(text, str) or not text.strip():
            continue
        times = (start, end)
        if not all(type(time) in (int, float) and math.isfinite(time) for time in times):
            raise _error(path, line, video_id, f"times {times}", "numbers of seconds")
        yield Caption(float(start), float(max(start, end)), text.strip())


def _error(path: epath.Path, line: int, video_id: str, got: str, expected: str) -> AnnotationError:
    return AnnotationError(
        f"{place(path, line)}: captions of {video_id!r}: got {got}; expected {expected}."
    )
