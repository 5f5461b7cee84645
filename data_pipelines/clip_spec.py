"""How clips are cut from videos: one frozen specification, checked as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from data_pipelines.augmentation.rand_augment import MAX_MAGNITUDE
from data_pipelines.sampling import POSITIONS, SAMPLINGS, SHORT_POLICIES
from data_pipelines.spatial import SHORT_SIDE_DRAWS

__all__ = ["ClipSpec"]


# Beyond these, nothing is meant any more: a frame in ten days, a frame in two minutes.
_LONGEST_STRIDE = 1_000_000
_RATES = (0.01, 1000.0)


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """How clips are cut from videos; with data, seed and batch size it decides every pixel.

    Attributes:
        frames: Frames in a clip.
        stride: Frames from one to the next, of the source or at ``target_fps``.
        target_fps: Frames per second that the stride counts in; None for each video's own.
        crop: (height, width) of a clip in pixels.
        short_side: (lowest, highest) length in pixels of a training video's shorter side before
            the crop, both included.
        eval_short_side: The same length in evaluation.
        short: What a video shorter than a clip does, ``repeat_last`` or ``loop``.
        temporal_views: Clips of one video in evaluation; under ``cover`` the most of them.
        spatial_crops: Crops of each clip in evaluation, 1 (centre) or 3 (along the longer side).
        sampling: ``stride``, ``span`` or ``segments``: see :mod:`data_pipelines.sampling`.
        temporal_position: Where evaluation takes its clips, ``middle``, ``start`` or ``cover``: see
            :func:`~data_pipelines.sampling.eval_indices`. Segments span the video: ``middle``.
        short_side_draw: ``uniform``, or ``inverse`` for 1/length to be.
        rand_augment: Operations of RandAugment on a training clip; 0 for none.
        rand_augment_magnitude: Their magnitude, 0 to 10.
        color_jitter: Largest relative change of a training clip's brightness, contrast and
            saturation; 0 for none.
        erase: Share of training clips that lose a rectangle.

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
    sampling: str = "stride"
    temporal_position: str = "middle"
    short_side_draw: str = "uniform"
    rand_augment: int = 0
    rand_augment_magnitude: float = 9.0
    color_jitter: float = 0.0
    erase: float = 0.0

    def __post_init__(self):
        problems = [*self._of_time(), *self._of_space(), *self._of_augmentation()]
        if problems:
            raise ValueError("\n".join(f"{problem}." for problem in problems))

    @property
    def views(self) -> int:
        """Clips of one video in evaluation, over time and space."""
        return self.temporal_views * self.spatial_crops

    def _of_time(self) -> Iterator[str]:
        for name in ("frames", "stride", "temporal_views"):
            if getattr(self, name) < 1:
                yield f"{name} is {getattr(self, name)}; it must be at least 1"
        if self.stride > _LONGEST_STRIDE:
            yield f"stride is {self.stride}; it must be at most {_LONGEST_STRIDE}"
        lowest, highest = _RATES
        if self.target_fps is not None and not lowest <= self.target_fps <= highest:
            yield (
                f"target_fps is {self.target_fps}; it must lie in [{lowest:g}, {highest:g}], or be "
                "None"
            )
        yield from self._other("short", SHORT_POLICIES)
        yield from self._other("sampling", SAMPLINGS)
        yield from self._other("temporal_position", POSITIONS)
        if self.sampling != "segments":
            return
        # Otherwise these would be ignored in silence.
        alone = {"target_fps": None, "temporal_views": 1, "temporal_position": "middle"}
        for name, only in alone.items():
            if getattr(self, name) != only:
                yield (
                    f"{name} is {getattr(self, name)}; with sampling segments, whose one clip "
                    f"spans the whole video at any rate, it must be {only}"
                )

    def _of_space(self) -> Iterator[str]:
        lowest, highest = self.short_side
        narrow = min(self.crop)
        if len(self.crop) != 2 or narrow < 1:
            yield f"crop is {self.crop}; it must be two lengths of 1 or more"
        if not narrow <= lowest <= highest:
            yield (
                f"short_side is {self.short_side}; it must ascend from at least the crop's shorter "
                f"side, {narrow}"
            )
        if narrow > self.eval_short_side:
            yield (
                f"eval_short_side is {self.eval_short_side}; it must be at least the crop's "
                f"shorter side, {narrow}"
            )
        yield from self._other("short_side_draw", SHORT_SIDE_DRAWS)
        if self.spatial_crops not in (1, 3):
            yield f"spatial_crops is {self.spatial_crops}; it must be 1 or 3"

    def _of_augmentation(self) -> Iterator[str]:
        if self.rand_augment < 0:
            yield f"rand_augment is {self.rand_augment}; it must be at least 0, which is none"
        if not 0 <= self.rand_augment_magnitude <= MAX_MAGNITUDE:
            yield (
                f"rand_augment_magnitude is {self.rand_augment_magnitude}; it must lie in "
                f"[0, {MAX_MAGNITUDE:g}]"
            )
        if self.color_jitter < 0:
            yield f"color_jitter is {self.color_jitter}; it must be at least 0, which is none"
        if not 0 <= self.erase <= 1:
            yield f"erase is {self.erase}; it is a share of the clips and must lie in [0, 1]"

    def _other(self, name: str, choices: tuple[str, ...]) -> Iterator[str]:
        if getattr(self, name) not in choices:
            yield f"{name} is {getattr(self, name)}; it must be one of {choices}"
