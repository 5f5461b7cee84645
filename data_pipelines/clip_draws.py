"""What is random about a training clip: drawn at once, before anything is read."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.augmentation.erase import Erasure, draw_erasure
from data_pipelines.augmentation.rand_augment import Operation, draw_color_jitter, draw_rand_augment
from data_pipelines.clip_spec import ClipSpec
from data_pipelines.spatial import draw_short_side

__all__ = ["ClipDraws"]


@dataclasses.dataclass(frozen=True)
class ClipDraws:
    """What is random about one training clip.

    Attributes:
        start_fraction: Where in its possible range the clip starts, in [0, 1).
        segment_fractions: float [T], where in its segment each frame lies, in [0, 1); None without
            segments.
        position: Of the crop, (vertical, horizontal), each in [0, 1).
        short_side: Pixels of the video's shorter side before the crop.
        operations: What is done to the clip's pixels, in order.
        erasure: The rectangle that the clip then loses, or None.
    """

    start_fraction: float
    segment_fractions: np.ndarray | None
    position: tuple[float, float]
    short_side: int
    operations: tuple[Operation, ...]
    erasure: Erasure | None

    @classmethod
    def of(cls, spec: ClipSpec, rng: np.random.Generator) -> ClipDraws:
        """Draws for one attempt at one clip.

        The order is part of what a seed means. An option that is off draws nothing, and those that
        came later draw last, so that switching one on leaves the earlier ones' draws as they were.

        Args:
            spec: How clips are cut.
            rng: Source of every draw.
        """
        start, *position = rng.random(3)
        short_side = draw_short_side(spec.short_side, rng, spec.short_side_draw)
        segments = rng.random(spec.frames) if spec.sampling == "segments" else None
        operations = []
        if spec.rand_augment:
            operations += draw_rand_augment(spec.rand_augment, spec.rand_augment_magnitude, rng)
        if spec.color_jitter:
            operations += draw_color_jitter(spec.color_jitter, rng)
        erasure = draw_erasure(spec.erase, spec.crop, rng) if spec.erase else None
        return cls(start, segments, tuple(position), short_side, tuple(operations), erasure)
