"""Batches of clips: batch *n* is a function of (data, clip specification, seed, batch size, *n*).

It does not depend on the number of hosts, worker processes or threads, nor on where a run resumed,
so a checkpoint needs no reader state beyond *n*. The order of the grain transformations gives that:
shuffling and random draws come before anything is divided, and dividing and seeking come last, over
whole batches. Each global batch is cut into contiguous blocks of rows, one for each shard.
"""

from __future__ import annotations

import collections
import gc
from collections.abc import Iterator, Sequence

import grain
import numpy as np

from data_pipelines.clips import ClipSpec, EvalClips, Failure, TrainClips
from data_pipelines.errors import DataError, DataQualityError
from data_pipelines.labels import check_labels
from data_pipelines.records import SplitSource
from data_pipelines.workers import (
    Reading,
    batch_bytes,
    check_shared_memory,
    explained,
    held_bytes,
    portable,
    start_workers,
    with_workers,
)

__all__ = [
    "Batches",
    "ClipSpec",
    "Failure",
    "Reading",
    "eval_batches",
    "held_bytes",
    "train_batches",
]

# The share of unreadable clips is judged over at least so many, for one early failure to be
# forgiven.
_MIN_JUDGED = 256

# Failures that are kept with their names, for messages and reports.
_MAX_NAMED = 20

_DTYPES = {
    "label": np.int32,
    "labels": np.uint8,
    "index": np.int64,
    "replaced": np.int32,
    "weight": np.float32,
    "failed": np.int32,
    "view_weight": np.float32,
}


class Batches(Iterator[dict[str, np.ndarray]]):
    """An iterator over batches that counts failures; close it, or use it in a ``with`` block.

    Attributes:
        num_batches: Batches in all, or None for an endless stream. Also ``len()``.
        failures: Unreadable records of the batches taken so far, by kind.
        examples: The first of those failures, at most 20.
    """

    def __init__(
        self,
        dataset: grain.MapDataset,
        reading: Reading,
        *,
        num_batches: int | None = None,
        max_bad: float = 1.0,
    ):
        elements = dataset.to_iter_dataset(reading.options)
        self._workers = reading.workers
        self._begun = False
        self._iterator = iter(with_workers(elements, self._workers) if self._workers else elements)
        self._max_bad = max_bad
        self._taken = 0
        self.num_batches = num_batches
        self.failures: collections.Counter[str] = collections.Counter()
        self.examples: list[Failure] = []

    def __len__(self) -> int:
        if self.num_batches is None:
            raise TypeError("training batches are endless and have no length.")
        return self.num_batches

    def __next__(self) -> dict[str, np.ndarray]:
        """Returns the next batch.

        Raises:
            DataQualityError: The share of unreadable records among those read, counted over this
                iterator's batches, is above the bound.
            WorkersError: A worker process was killed.
        """
        batch = self._next() if self._workers else next(self._iterator)
        failures = batch.pop("failures")
        self._taken += len(batch["index"])
        self.failures.update(failure.kind for failure in failures)
        self.examples += failures[: _MAX_NAMED - len(self.examples)]
        bad = self.failures.total()
        read = self._taken + bad
        if failures and bad > self._max_bad * max(read, _MIN_JUDGED):
            raise DataQualityError(
                f"{bad} of {read} records read cannot be used ({dict(self.failures)}), above "
                f"max_bad={self._max_bad}; repair them, build the data set again, or raise "
                "max_bad. They are:\n" + "\n".join(map(str, self.examples))
            )
        return batch

    def __bool__(self) -> bool:
        return True  # not the length, which an endless stream has none of

    def _next(self) -> dict[str, np.ndarray]:
        """Returns a batch of the workers, in memory of its own: theirs is freed at once."""
        self.start()
        try:
            batch = next(self._iterator)
        except RuntimeError as error:
            meant = explained(error)
            if meant is error:
                raise
            raise meant from error
        failures = batch.pop("failures")
        return {**{key: np.array(rows) for key, rows in batch.items()}, "failures": failures}

    def start(self) -> None:
        """Starts reading ahead, so that the first batch is ready sooner."""
        if not self._workers:
            self._iterator.start_prefetch()
        elif not self._begun:
            self._begun = True
            start_workers(self._iterator)

    def close(self) -> None:
        """Stops threads and processes that read; may be called more than once."""
        self._iterator.close()
        if self._workers:
            # Grain's reader thread leaves batches in a circle of references, and with them shared
            # memory, until somebody collects them.
            gc.collect()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def train_batches(
    source: SplitSource,
    spec: ClipSpec,
    *,
    global_batch: int,
    seed: int,
    multi_label: bool = False,
    start_batch: int = 0,
    shard_index: int | Sequence[int] = 0,
    shard_count: int = 1,
    threads: int = 2,
    workers: int = 0,
    buffer: int | None = None,
    max_bad: float = 0.01,
) -> Batches:
    """Returns an endless stream of random clips, in a new order every epoch.

    Args:
        source: Records.
        spec: How clips are cut from them.
        global_batch: Clips of one batch over all shards.
        seed: In 0 … 2**32 - 1.
        multi_label: Give ``labels``, any number of classes a clip, instead of ``label``.
        start_batch: Number of the first batch; n to resume after n batches.
        shard_index: Which block of a batch's rows to read, or which ones, in this order. Hosts that
            hold the same rows of the device mesh pass the same.
        shard_count: Blocks that a batch's rows are cut into.
        threads: As `Reading` has them, as workers and buffer: they change no batch.
        workers: Worker processes. Where there are any, the source is pickled, and the calling
            program needs an ``if __name__ == "__main__"`` round what it does.
        buffer: Batches that are read ahead of use.
        max_bad: Highest share of unreadable records among those that this iterator reads, judged
            over at least 256.

    Returns:
        An iterator of batches with ``video`` uint8 [b, T, height, width, 3], ``label`` int32 [b]
        or ``labels`` uint8 [b, C] (multi-hot), ``index`` int64 [b] (record number) and
        ``replaced`` int32 [b] (unreadable records that this clip stands in for), b being
        ``global_batch / shard_count`` times the blocks read and C the number of classes.

    Raises:
        ValueError: Sizes do not divide or are out of range.
        DataError: The source is empty, or (LabelsMissingError) has no labels of this kind, or
            (WorkersError) there is too little shared memory for so many workers.
    """
    blocks = _blocks(source, global_batch, shard_index, shard_count)
    check_labels(source, multi_label)
    if not 0 <= seed < 2**32:
        raise ValueError(f"{seed=} must be in 0 … 2**32 - 1.")
    reading = Reading(threads, workers, buffer)
    rows = global_batch // shard_count * len(blocks)
    check_shared_memory(reading, batch_bytes(spec, rows))
    order = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat(None)
    clips = order.random_map(portable(TrainClips(source, spec, multi_label)))
    dataset = _batched(clips, global_batch, blocks, shard_count)[start_batch:]
    return Batches(dataset, reading, max_bad=max_bad)


def eval_batches(
    source: SplitSource,
    spec: ClipSpec,
    *,
    global_batch: int,
    multi_label: bool = False,
    shard_index: int | Sequence[int] = 0,
    shard_count: int = 1,
    threads: int = 2,
    workers: int = 0,
    buffer: int | None = None,
) -> Batches:
    """Returns all views of every record, once, in order, in equally many batches on every shard.

    Args:
        source: Records.
        spec: How views are cut from them.
        global_batch: Records of one batch over all shards.
        multi_label: Give ``labels``, any number of classes a video, instead of ``label``.
        shard_index: Which block of a batch's rows to read, or which ones, in this order.
        shard_count: Blocks that a batch's rows are cut into.
        threads: As `Reading` has them, as workers and buffer: they change no batch.
        workers: Worker processes. Where there are any, the source is pickled, and the calling
            program needs an ``if __name__ == "__main__"`` round what it does.
        buffer: Batches that are read ahead of use.

    Returns:
        An iterator of ``len()`` batches with ``video`` uint8 [b, V, T, height, width, 3] (V over
        time, then space), ``label`` int32 [b] or ``labels`` uint8 [b, C] (multi-hot; either 0
        where none could be read), ``index`` int64 [b] (record number, -1 for padding), ``weight``
        float32 [b] (1 for each readable record; 0 for padding and the unreadable) and ``failed``
        int32 [b] (1 for each unreadable record), b as for `train_batches`; where views do not all
        count alike, also ``view_weight`` float32 [b, V].

    Raises:
        ValueError: Sizes do not divide or are out of range.
        DataError: The source is empty, or (LabelsMissingError) has no labels of this kind, or
            (WorkersError) there is too little shared memory for so many workers.
    """
    blocks = _blocks(source, global_batch, shard_index, shard_count)
    check_labels(source, multi_label)
    reading = Reading(threads, workers, buffer)
    rows = global_batch // shard_count * len(blocks)
    check_shared_memory(reading, batch_bytes(spec, rows, evaluation=True))
    num_batches = -(-len(source) // global_batch)
    judged = portable(EvalClips(source, spec, multi_label))
    clips = grain.MapDataset.range(num_batches * global_batch).map(judged)
    dataset = _batched(clips, global_batch, blocks, shard_count)
    return Batches(dataset, reading, num_batches=num_batches)


def _blocks(
    source: SplitSource, global_batch: int, shard_index: int | Sequence[int], shard_count: int
) -> tuple[int, ...]:
    """Returns the blocks of a batch's rows that are read here."""
    if global_batch < 1 or shard_count < 1 or global_batch % shard_count:
        raise ValueError(
            f"{global_batch=} must be a positive multiple of {shard_count=}, as every shard reads "
            "equally many clips; change the batch size."
        )
    blocks = (shard_index,) if isinstance(shard_index, int) else tuple(shard_index)
    if not blocks or not all(0 <= block < shard_count for block in blocks):
        raise ValueError(f"{shard_index=} must be in 0 … {shard_count=} - 1.")
    if not len(source):
        raise DataError(f"{source!r} holds no records; choose another split or a larger slice.")
    return blocks


def _batched(
    clips: grain.MapDataset, global_batch: int, blocks: tuple[int, ...], shard_count: int
) -> grain.MapDataset:
    """Returns those of ``shard_count`` blocks of every batch of clips."""
    cut = clips.batch(global_batch // shard_count, drop_remainder=True, batch_fn=list)
    whole = len(cut) // shard_count * shard_count
    parts = [cut[block:whole:shard_count] for block in blocks]
    return grain.experimental.ZipMapDataset(parts).map(_stack)


def _stack(blocks: Sequence[Sequence[dict]]) -> dict:
    """Stacks the clips of some blocks to a batch, and strings their failures together."""
    elements = [element for block in blocks for element in block]
    batch: dict = {"video": np.stack([element["video"] for element in elements])}
    for key, dtype in _DTYPES.items():
        if key in elements[0]:
            batch[key] = np.array([element[key] for element in elements], dtype)
    batch["failures"] = [failure for element in elements for failure in element["failures"]]
    return batch
