"""What a training clip costs, stage by stage: the loader's own steps, with a clock in between."""

from __future__ import annotations

import collections
import copy
import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence

import grain
import numpy as np

from data_pipelines.augmentation.erase import erase
from data_pipelines.augmentation.rand_augment import apply
from data_pipelines.clip_draws import ClipDraws
from data_pipelines.clip_spec import ClipSpec
from data_pipelines.clips import TrainClips
from data_pipelines.errors import DataQualityError, VideoError
from data_pipelines.folder import FolderSource
from data_pipelines.loader import train_batches
from data_pipelines.pictures import pictures
from data_pipelines.records import SplitSource, _plain
from data_pipelines.sampling import segment_indices, train_indices
from data_pipelines.spatial import cut, random_window

__all__ = ["STAGES", "ClipCosts", "measure"]

# In the order in which a clip goes through them.
STAGES = ("read", "parse", "decode", "crop", "augment")

# Clips of a batch here: what a clip costs does not depend on it, and a batch is what threads make.
_BATCH = 8

# Repetitions of the plain loop and the loader, in turns; the median of their ratios counts.
_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class ClipCosts:
    """CPU seconds that one training clip takes of a host, whatever thread takes them.

    Attributes:
        clips: That were made in each way. Stages are means over them; of the plain loop and the
            loader, medians of rounds.
        records: Of the split.
        unreadable: Records met on the way that cannot be used.
        stages: Of each of ``STAGES``. Where files are read without a build, parsing is in reading.
        plain: Of a plain loop over clips that are stacked to batches, without any loader.
        loader: Of the loader, its threads' work included.
        overhead: The share that the loader takes more than the plain loop, median of rounds.
        wall: Seconds, not of CPU: what one clip took with the loader's threads.
        threads: The loader's threads.
        stored_bytes: Of a record's video.
    """

    clips: int
    records: int
    unreadable: int
    stages: dict[str, float]
    plain: float
    loader: float
    overhead: float
    wall: float
    threads: int
    stored_bytes: float


def measure(
    source: SplitSource | FolderSource,
    spec: ClipSpec,
    *,
    clips: int,
    seed: int = 0,
    multi_label: bool = False,
    threads: int = 1,
) -> ClipCosts:
    """Measures training clips, in the order and with the draws that the loader would have.

    Args:
        source: Records.
        spec: How clips are cut from them.
        clips: How many are measured in each way; rounded up to whole batches of 8 in each of 3
            rounds.
        seed: Of the order and the draws.
        multi_label: Whether records have any number of classes.
        threads: Of the loader; in each other way, one.

    Raises:
        DataQualityError: None of the records can be used, or eight in a row cannot.
        DataError: The source is empty, or has no labels of this kind.
    """
    batches = -(-clips // (_BATCH * _ROUNDS))
    count = batches * _BATCH * _ROUNDS
    pairs = list(_order(source, seed, count))
    stages, used, unreadable, stored = _by_stage(source, spec, pairs)
    make = TrainClips(source, spec, multi_label)
    plain, loader, wall = [], [], []
    for first in range(0, batches * _ROUNDS, batches):
        begin = time.process_time()
        for row in range(_BATCH * first, _BATCH * (first + batches), _BATCH):
            np.stack([make(index, rng)["video"] for index, rng in pairs[row : row + _BATCH]])
        plain.append((time.process_time() - begin) / (batches * _BATCH))
        seconds, passed = _through_loader(
            source, spec, seed, multi_label, first, batches * _BATCH, threads
        )
        loader.append(seconds)
        wall.append(passed)
    return ClipCosts(
        clips=count,
        records=len(source),
        unreadable=unreadable,
        stages={stage: seconds / used for stage, seconds in stages.items()},
        plain=float(np.median(plain)),
        loader=float(np.median(loader)),
        overhead=float(np.median(np.array(loader) / plain)) - 1,
        wall=float(np.median(wall)),
        threads=threads,
        stored_bytes=stored / used,
    )


def _through_loader(
    source: SplitSource | FolderSource,
    spec: ClipSpec,
    seed: int,
    multi_label: bool,
    first: int,
    clips: int,
    threads: int,
) -> tuple[float, float]:
    """Returns seconds of CPU and seconds that passed for each clip that the loader made."""
    counted = _Counted(source)
    loaded = train_batches(
        counted,
        spec,
        global_batch=_BATCH,
        seed=seed,
        multi_label=multi_label,
        start_batch=first,
        threads=threads,
        max_bad=1.0,
    )
    with loaded:
        next(loaded)  # threads start with it, and are in the middle of clips then as at the end
        begin, reads = (time.process_time(), time.perf_counter()), counted.reads
        while counted.reads < reads + clips:
            next(loaded)
        end, made = (time.process_time(), time.perf_counter()), counted.reads - reads
    _wait_for_quiet()
    return (end[0] - begin[0]) / made, (end[1] - begin[1]) / made


def _wait_for_quiet() -> None:
    """Waits while threads that are no longer needed finish their batches, ten seconds at most."""
    for _ in range(200):
        before = time.process_time()
        time.sleep(0.05)
        if time.process_time() - before < 0.005:
            return


class _Counted:
    """A source that counts how many records were asked for; all else is the source's own."""

    def __init__(self, source: SplitSource | FolderSource):
        self._source = source
        self._numbers = itertools.count()  # of which next() is one step to all threads
        self.reads = 0

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict:
        self.reads = next(self._numbers) + 1
        return self._source[index]

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)


def _order(
    source: SplitSource | FolderSource, seed: int, count: int
) -> Iterator[tuple[int, np.random.Generator]]:
    """Yields record numbers and random generators, as the loader has them."""
    order = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat(None)
    # The generator is copied, as grain lends the same one to several elements.
    drawn = order.random_map(lambda index, rng: (int(index), copy.deepcopy(rng)))
    return (drawn[row] for row in range(count))


def _by_stage(
    source: SplitSource | FolderSource,
    spec: ClipSpec,
    pairs: Sequence[tuple[int, np.random.Generator]],
) -> tuple[dict[str, float], int, int, int]:
    """Returns CPU seconds by stage, clips, unreadable records, and bytes of stored video."""
    spent: collections.Counter[str] = collections.Counter(dict.fromkeys(STAGES, 0.0))
    used, unreadable, stored, error = 0, 0, 0, None
    for number, (index, rng) in enumerate([pairs[0], *pairs]):
        try:
            seconds, size = _one(source, spec, index, copy.deepcopy(rng))
        except VideoError as refused:
            unreadable, error = unreadable + (number > 0), refused
            continue
        if number:  # the first is for caches and imports
            spent.update(seconds)
            used, stored = used + 1, stored + size
    if not used:
        raise DataQualityError(
            f"none of {unreadable} records of {source!r} can be used; the last one: {error}"
        )
    return dict(spent), used, unreadable, stored


def _one(
    source: SplitSource | FolderSource, spec: ClipSpec, index: int, rng: np.random.Generator
) -> tuple[dict[str, float], int]:
    """Makes one clip as `TrainClips` does; returns CPU seconds by stage and bytes of video."""
    times = [time.thread_time()]

    def tick() -> None:
        times.append(time.thread_time())

    draws = ClipDraws.of(spec, rng)
    raw = _read(source, index)
    tick()
    record = _parse(source, raw)
    tick()
    if spec.sampling == "segments":
        numbers = segment_indices(record["num_frames"], spec.frames, draws.segment_fractions)
    else:
        numbers = train_indices(
            record["num_frames"],
            record["fps"],
            frames=spec.frames,
            stride=spec.stride,
            target_fps=spec.target_fps,
            sampling=spec.sampling,
            short=spec.short,
            start_fraction=draws.start_fraction,
        )
    frames = pictures(record, numbers)
    tick()
    window = random_window(
        frames.shape[1:3], short_side=draws.short_side, crop=spec.crop, position=draws.position
    )
    clip = cut(frames, window, spec.crop)
    tick()
    clip = apply(clip, draws.operations)
    if draws.erasure is not None:
        erase(clip, draws.erasure)
    tick()
    seconds = dict(zip(STAGES, np.diff(times).tolist(), strict=True))
    return seconds, len(record["video"]) if "video" in record else sum(map(len, record["frames"]))


def _read(source: SplitSource | FolderSource, index: int) -> bytes | dict:
    """Reads a record as it is stored; of a folder, whole."""
    if not isinstance(source, SplitSource):
        return source[index]
    try:
        return source._records.data_source[index]  # beneath TFDS, which would parse it at once
    except RuntimeError:
        return source[index]  # raises what is meant


def _parse(source: SplitSource | FolderSource, raw: bytes | dict) -> dict:
    """Returns a record as ``source[index]`` does."""
    if isinstance(raw, dict):
        return raw
    stored = source._records
    features = stored.dataset_info.features
    return _plain(features.deserialize_example_np(raw, decoders=stored.decoders))
