"""A few videos of each class, for few-shot learning: which ones, and a source of these alone."""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import itertools
from collections.abc import Iterator, Sequence

from data_pipelines.errors import DatasetMissingError, VideoError
from data_pipelines.folder import FolderSource
from data_pipelines.records import SplitSource

__all__ = ["ChosenSource", "TooFewVideosError", "few_of_each_class"]

# Labels are read so many at once, as a record may lie in a bucket.
_THREADS = 8
_AT_ONCE = 64


class TooFewVideosError(DatasetMissingError):
    """Some classes have fewer videos than are asked for."""


class ChosenSource:
    """Random access to chosen records of a source; picklable, thread-safe.

    ``chosen[i]`` is ``source[records[i]]``.

    Args:
        source: Of all records.
        records: Numbers of those that are chosen.
        split: What to call them.

    Attributes:
        name: The data set's name.
        split: The split, and how it was chosen from.
        class_names: In label order.
        single_label: As of the source.
        multi_label: As of the source.
        records: Numbers in the source.
    """

    def __init__(self, source: SplitSource | FolderSource, records: Sequence[int], split: str):
        self.name = source.name
        self.split = split
        self.class_names = source.class_names
        self.single_label = source.single_label
        self.multi_label = source.multi_label
        self.records = tuple(records)
        self._source = source

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict:
        """Reads one record.

        Raises:
            IndexError: There is no such record.
            VideoError: As of the source.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {self!r} is outside 0 … {len(self) - 1}.")
        return self._source[self.records[index]]

    def label(self, index: int) -> int:
        """Class of one record; no video is decoded."""
        return self._source.label(self.records[index])

    def __repr__(self) -> str:
        return f"{self.name}/{self.split}"


def few_of_each_class(
    source: SplitSource | FolderSource, per_class: int, seed: int
) -> ChosenSource:
    """Chooses so many records of each class: the first ones in an order that a seed draws.

    It is a function of the records' labels, ``per_class`` and ``seed`` alone, on any machine and
    with any version of NumPy; fewer of each class are a part of more. Records are read in that
    order until every class has enough, and none is decoded. One that cannot be read, or whose class
    is not known, is passed over.

    Args:
        source: With one class a video.
        per_class: How many of each, at least 1.
        seed: Of the order.

    Returns:
        ``per_class`` times the number of classes, in the order of the source.

    Raises:
        TooFewVideosError: Some classes have fewer; names them all.
    """
    missing = collections.Counter(dict.fromkeys(range(len(source.class_names)), per_class))
    chosen = []
    for record, label in _labels(source, _order(len(source), seed)):
        if missing[label] > 0:  # of one that is not known, 0
            missing[label] -= 1
            chosen.append(record)
            if len(chosen) == per_class * len(source.class_names):
                break
    lacking = {label: count for label, count in missing.items() if count > 0}
    if lacking:
        listing = ", ".join(
            f"{source.class_names[label]!r} ({per_class - count})"
            for label, count in lacking.items()
        )
        raise TooFewVideosError(
            f"data.per_class is {per_class}, but of {len(lacking)} of the "
            f"{len(source.class_names)} classes {source!r} has fewer videos: {listing}. Set "
            f"data.per_class to {per_class - max(lacking.values())} or less, choose another split, "
            "or build the data set without these classes."
        )
    split = f"{source.split}, {per_class} of each class by seed {seed}"
    return ChosenSource(source, sorted(chosen), split)


def _order(count: int, seed: int) -> list[int]:
    """Numbers of records in an order that depends on the seed alone."""
    digests = [hashlib.sha256(f"{seed} {record}".encode()).digest() for record in range(count)]
    return sorted(range(count), key=digests.__getitem__)


def _labels(
    source: SplitSource | FolderSource, records: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yields each record with its class, -1 where it is not known."""

    def label(record: int) -> int:
        try:
            return source.label(record)
        except VideoError:
            return -1

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        waiting = iter(records)
        while block := list(itertools.islice(waiting, _AT_ONCE)):
            yield from zip(block, pool.map(label, block), strict=True)
