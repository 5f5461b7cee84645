"""One record to one clip: the functions that the loader maps over record numbers.

Each is a function of its arguments alone, random draws included, so clips do not depend on which
host, thread or run makes them. A record that cannot be read becomes a :class:`Failure` beside the
clip, never a silent gap.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from data_pipelines.augmentation.erase import Erasure, erase
from data_pipelines.augmentation.rand_augment import Operation, apply
from data_pipelines.clip_draws import ClipDraws
from data_pipelines.clip_spec import ClipSpec
from data_pipelines.clip_trace import ClipTrace
from data_pipelines.errors import DataQualityError, VideoError
from data_pipelines.labels import no_targets, targets_of
from data_pipelines.pictures import pictures
from data_pipelines.records import SplitSource
from data_pipelines.sampling import eval_indices, segment_indices, train_indices
from data_pipelines.spatial import Window, cut, eval_windows, random_window

__all__ = ["ClipSpec", "ClipTrace", "EvalClips", "Failure", "TrainClips"]

# Records tried for one training clip. At 1 % unreadable, eight failures in a row have a chance of
# 1e-16: they mean that the data or the decoder is broken as a whole.
_MAX_TRIES = 8

# Pictures of one video that are held at once for its views, unless a single view is larger.
_HELD_BYTES = 1 << 29

_Made = TypeVar("_Made")


@dataclasses.dataclass(frozen=True)
class Failure:
    """A record that could not be used.

    Attributes:
        index: Its number in the split.
        video_id: Its name, or None where the record itself could not be read.
        kind: As of :class:`~data_pipelines.errors.VideoError`.
        message: What was wrong.
    """

    index: int
    video_id: str | None
    kind: str
    message: str

    def __str__(self) -> str:
        return f"record {self.index} ({self.video_id or 'name unknown'}): {self.message}"


class _Clips:
    """What training and evaluation clips share: reading, and putting names on errors.

    Args:
        source: Records.
        spec: How clips are cut from them.
        multi_label: Whether clips have ``labels``, uint8 [C], instead of ``label``, int.
    """

    def __init__(self, source: SplitSource, spec: ClipSpec, multi_label: bool = False):
        self._source = source
        self._spec = spec
        self._labels = {"num_classes": len(source.class_names), "multi_label": multi_label}

    def _sampling(self, record: dict) -> dict:
        """Returns what both sampling functions are told about one record."""
        spec = self._spec
        return {
            "num_frames": record["num_frames"],
            "fps": record["fps"],
            "frames": spec.frames,
            "stride": spec.stride,
            "target_fps": spec.target_fps,
            "sampling": spec.sampling,
            "short": spec.short,
        }

    def _trace(
        self,
        index: int,
        record: dict,
        numbers: np.ndarray,
        frames: np.ndarray,
        short_side: int,
        window: Window,
        operations: tuple[Operation, ...] = (),
        erasure: Erasure | None = None,
    ) -> ClipTrace:
        """Makes one clip from its pictures, uint8 [T, h, w, 3]."""
        clip = apply(cut(frames, window, self._spec.crop), operations)
        done = tuple(map(str, operations))
        if erasure is not None:
            clip = erase(clip, erasure)
            done += ("erase {2}×{3} at {0}, {1}".format(*erasure[0]),)
        # A record's rate may be missing where nothing was sampled by it.
        fps = record["fps"] if record["fps"] > 0 else np.nan
        return ClipTrace(
            index=index,
            video_id=record["video_id"],
            targets=targets_of(record, **self._labels),
            frame_numbers=numbers,
            times=numbers / fps,
            short_side=short_side,
            window=window,
            operations=done,
            frames=frames,
            clip=clip,
        )

    def _attempt(
        self, index: int, make: Callable[[int, dict], _Made]
    ) -> tuple[_Made | None, Failure | None]:
        """Returns what ``make`` makes of a record, or why that failed."""
        record = {"video_id": None}
        try:
            record = self._source[index]
            targets_of(record, **self._labels)  # before anything is decoded in vain
            return make(index, record), None
        except VideoError as error:
            return None, Failure(index, record["video_id"], error.kind, str(error))
        except Exception as error:
            error.add_note(f"while reading record {index} ({record['video_id']}) of {self._source}")
            raise


class TrainClips(_Clips):
    """Maps (record number, random generator) to a random clip of that record.

    An unreadable record is replaced by another, drawn from the same generator.
    """

    def __call__(self, index: int, rng: np.random.Generator) -> dict:
        """Makes one clip.

        Args:
            index: Record number.
            rng: Source of every random choice.

        Returns:
            ``video`` uint8 [T, height, width, 3]; ``label`` int, or ``labels`` uint8 [C];
            ``index`` (of the record that was used) and ``replaced`` (records given up before it),
            both int; ``failures``, a list.

        Raises:
            DataQualityError: Eight records in a row were unreadable.
        """
        trace, failures = self._make(index, rng)
        return {
            "video": trace.clip,
            **trace.targets,
            "index": trace.index,
            "replaced": len(failures),
            "failures": failures,
        }

    def explain(self, index: int, rng: np.random.Generator) -> ClipTrace:
        """Makes the clip that a call with these arguments makes, and tells how.

        Args:
            index: Record number; ``index`` of what is returned is another one if it is unreadable.
            rng: Source of every random choice.

        Raises:
            DataQualityError: Eight records in a row were unreadable.
        """
        trace, _ = self._make(index, rng)
        return trace

    def _make(self, index: int, rng: np.random.Generator) -> tuple[ClipTrace, list[Failure]]:
        """Returns the clip, and the records given up before the one that it is of."""
        index = int(index)
        failures = []
        for _ in range(_MAX_TRIES):
            make = functools.partial(self._clip, draws=ClipDraws.of(self._spec, rng))
            trace, failure = self._attempt(index, make)
            if trace is not None:
                return trace, failures
            failures.append(failure)
            index = int(rng.integers(len(self._source)))
        raise DataQualityError(
            f"{_MAX_TRIES} records of {self._source} in a row cannot be used, so the data as a "
            "whole is damaged, or this decoder cannot read it:\n" + "\n".join(map(str, failures))
        )

    def _clip(self, index: int, record: dict, draws: ClipDraws) -> ClipTrace:
        spec = self._spec
        if spec.sampling == "segments":
            numbers = segment_indices(record["num_frames"], spec.frames, draws.segment_fractions)
        else:
            start = draws.start_fraction
            numbers = train_indices(**self._sampling(record), start_fraction=start)
        frames = pictures(record, numbers)
        window = random_window(
            frames.shape[1:3],
            short_side=draws.short_side,
            crop=spec.crop,
            position=draws.position,
        )
        drawn = (draws.short_side, window, draws.operations, draws.erasure)
        return self._trace(index, record, numbers, frames, *drawn)


class EvalClips(_Clips):
    """Maps a position to all views of the record there; positions beyond the last are padding."""

    def __call__(self, position: int) -> dict:
        """Makes the views of one record.

        Args:
            position: Record number, or any number beyond the last one.

        Returns:
            ``video`` uint8 [V, T, height, width, 3], V over time, then space; ``label`` int, or
            ``labels`` uint8 [C], 0 where none could be read; ``index``, -1 for padding;
            ``weight``, 1 for a readable record, else 0 (and ``video`` is black); ``failed``, 1 for
            an unreadable record, else 0; ``failures``, a list. Where the views cover a video, which
            may take fewer than V, also ``view_weight`` float32 [V], 1 for each of its views and 0
            for what is left (and black).
        """
        spec = self._spec
        element = {
            "video": np.zeros((spec.views, spec.frames, *spec.crop, 3), np.uint8),
            **no_targets(**self._labels),
            "index": -1,
            "weight": 0.0,
            "failed": 0,
            "failures": [],
        }
        if spec.temporal_position == "cover":
            element["view_weight"] = np.zeros(spec.views, np.float32)
        position = int(position)
        if position >= len(self._source):
            return element
        made, failure = self._attempt(position, self._clips_and_targets)
        if made is None:
            return {**element, "index": position, "failed": 1, "failures": [failure]}
        clips, targets = made
        element["video"][: len(clips)] = clips
        if "view_weight" in element:
            element["view_weight"][: len(clips)] = 1
        return {**element, **targets, "index": position, "weight": 1.0}

    def explain(self, position: int) -> list[ClipTrace]:
        """Makes the views that a call with this record number makes, and tells how.

        Args:
            position: Record number.

        Returns:
            As many as the video has views: V, or fewer where they cover it.

        Raises:
            IndexError: There is no such record.
            VideoError: The record cannot be used.
        """
        return list(self._views(int(position), self._source[int(position)]))

    def _clips_and_targets(self, index: int, record: dict) -> tuple[list[np.ndarray], dict]:
        clips, targets = [], {}
        for trace in self._views(index, record):
            clips.append(trace.clip)
            targets = trace.targets
        return clips, targets

    def _views(self, index: int, record: dict) -> Iterator[ClipTrace]:
        spec = self._spec
        if spec.sampling == "segments":
            clips = segment_indices(record["num_frames"], spec.frames)[None]
        else:
            clips = eval_indices(
                **self._sampling(record),
                position=spec.temporal_position,
                views=spec.temporal_views,
            )
        short_side = spec.eval_short_side
        # Together, as neighbouring clips share groups of pictures, but not without a bound.
        view_bytes = spec.frames * max(1, record["height"] * record["width"]) * 3
        together = max(1, _HELD_BYTES // view_bytes)
        for first in range(0, len(clips), together):
            some = clips[first : first + together]
            frames = pictures(record, some.reshape(-1))
            windows = eval_windows(
                frames.shape[1:3], short_side=short_side, crop=spec.crop, crops=spec.spatial_crops
            )
            frames = frames.reshape(len(some), spec.frames, *frames.shape[1:])
            for numbers, shown in zip(some, frames, strict=True):
                for window in windows:
                    yield self._trace(index, record, numbers, shown, short_side, window)
