"""One record to one clip: the functions that the loader maps over record numbers.

Each is a function of its arguments alone, random draws included, so clips do not depend on which
host, thread or run makes them. A record that cannot be read becomes a :class:`Failure` beside the
clip, never a silent gap.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from data_pipelines.decode import decode_frames
from data_pipelines.errors import DataQualityError, VideoError
from data_pipelines.labels import no_targets, targets_of
from data_pipelines.records import SplitSource
from data_pipelines.sampling import SHORT_POLICIES, eval_indices, train_indices
from data_pipelines.spatial import eval_crops, random_crop_resize

__all__ = ["ClipSpec", "EvalClips", "Failure", "TrainClips"]

# Records tried for one training clip. At 1 % unreadable, eight failures in a row have a chance of
# 1e-16: they mean that the data or the decoder is broken as a whole.
_MAX_TRIES = 8


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """How clips are cut from videos; with data, seed and batch size it decides every pixel.

    Attributes:
        frames: Frames in a clip.
        stride: Frames from one to the next, of the source or at ``target_fps``.
        target_fps: Frames per second that the stride counts in; None for each video's own.
        crop: (height, width) of a clip in pixels.
        short_side: (lowest, highest) length in pixels of a training video's shorter side before
            the crop, drawn uniformly, both included.
        eval_short_side: The same length in evaluation.
        short: What a video shorter than a clip does, ``repeat_last`` or ``loop``.
        temporal_views: Clips of one video in evaluation; one is the middle clip.
        spatial_crops: Crops of each clip in evaluation, 1 (centre) or 3 (along the longer side).

    Raises:
        ValueError: Some value is impossible; lists all that are.
    """

    frames: int = 8
    stride: int = 32
    target_fps: float | None = None
    crop: tuple[int, int] = (224, 224)
    short_side: tuple[int, int] = (256, 320)
    eval_short_side: int = 224
    short: str = "repeat_last"
    temporal_views: int = 1
    spatial_crops: int = 1

    def __post_init__(self):
        lowest, highest = self.short_side
        narrow = min(self.crop)
        checks = [
            (self.frames >= 1, f"frames is {self.frames}; it must be at least 1"),
            (self.stride >= 1, f"stride is {self.stride}; it must be at least 1"),
            (
                self.target_fps is None or self.target_fps > 0,
                f"target_fps is {self.target_fps}; it must be above 0, or None",
            ),
            (
                len(self.crop) == 2 and narrow >= 1,
                f"crop is {self.crop}; it must be two lengths of 1 or more",
            ),
            (
                narrow <= lowest <= highest,
                f"short_side is {self.short_side}; it must ascend "
                f"from at least the crop's shorter side, {narrow}",
            ),
            (
                narrow <= self.eval_short_side,
                f"eval_short_side is {self.eval_short_side}; it must be at least the crop's "
                f"shorter side, {narrow}",
            ),
            (
                self.short in SHORT_POLICIES,
                f"short is {self.short}; it must be one of {SHORT_POLICIES}",
            ),
            (
                self.temporal_views >= 1,
                f"temporal_views is {self.temporal_views}; it must be at least 1",
            ),
            (
                self.spatial_crops in (1, 3),
                f"spatial_crops is {self.spatial_crops}; it must be 1 or 3",
            ),
        ]
        problems = [problem for passed, problem in checks if not passed]
        if problems:
            raise ValueError("\n".join(f"{problem}." for problem in problems))

    @property
    def views(self) -> int:
        """Clips of one video in evaluation, over time and space."""
        return self.temporal_views * self.spatial_crops


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
            "short": spec.short,
        }

    def _attempt(
        self, index: int, make_video: Callable[[dict], np.ndarray]
    ) -> tuple[dict | None, Failure | None]:
        """Returns a clip and its targets, or why that failed."""
        record = {"video_id": None}
        try:
            record = self._source[index]
            targets = targets_of(record, **self._labels)
            return {"video": make_video(record), **targets}, None
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
        index = int(index)
        spec = self._spec
        failures = []
        for _ in range(_MAX_TRIES):
            start, *position = rng.random(3)
            short_side = int(rng.integers(spec.short_side[0], spec.short_side[1] + 1))
            make_video = functools.partial(
                self._clip, start_fraction=start, position=position, short_side=short_side
            )
            clip, failure = self._attempt(index, make_video)
            if clip is not None:
                return {
                    **clip,
                    "index": index,
                    "replaced": len(failures),
                    "failures": failures,
                }
            failures.append(failure)
            index = int(rng.integers(len(self._source)))
        raise DataQualityError(
            f"{_MAX_TRIES} records of {self._source} in a row cannot be used, so the data as a "
            "whole is damaged, or this decoder cannot read it:\n" + "\n".join(map(str, failures))
        )

    def _clip(
        self,
        record: dict,
        start_fraction: float,
        position: tuple[float, float],
        short_side: int,
    ) -> np.ndarray:
        """Returns uint8 [T, height, width, 3]."""
        numbers = train_indices(**self._sampling(record), start_fraction=start_fraction)
        frames = decode_frames(record["video"], numbers)
        return random_crop_resize(
            frames, short_side=short_side, crop=self._spec.crop, position=position
        )


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
            an unreadable record, else 0; ``failures``, a list.
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
        position = int(position)
        if position >= len(self._source):
            return element
        clip, failure = self._attempt(position, self._views)
        if clip is None:
            return {**element, "index": position, "failed": 1, "failures": [failure]}
        return {**element, **clip, "index": position, "weight": 1.0}

    def _views(self, record: dict) -> np.ndarray:
        """Returns uint8 [V, T, height, width, 3]."""
        spec = self._spec
        numbers = eval_indices(**self._sampling(record), views=spec.temporal_views)
        frames = decode_frames(record["video"], numbers.reshape(-1))
        crops = eval_crops(
            frames, short_side=spec.eval_short_side, crop=spec.crop, crops=spec.spatial_crops
        )
        # [crops, views * T, ...] to [views, crops, T, ...]
        crops = crops.reshape(spec.spatial_crops, spec.temporal_views, spec.frames, *spec.crop, 3)
        return np.ascontiguousarray(crops.swapaxes(0, 1)).reshape(
            spec.views, spec.frames, *spec.crop, 3
        )
