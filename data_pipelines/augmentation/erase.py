"""Random erasing (arXiv 1708.04896): one rectangle of a clip becomes noise, in all frames alike."""

from __future__ import annotations

import math

import numpy as np

from data_pipelines.spatial import Window

__all__ = ["Erasure", "draw_erasure", "erase"]

# The paper's: share of the picture's area, and height over width.
_AREA = (0.02, 0.4)
_ASPECT = (0.3, 1 / 0.3)

# Rectangles tried until one fits; of a square picture, every tenth does not.
_MAX_TRIES = 10

Erasure = tuple[Window, np.ndarray]


def draw_erasure(share: float, size: tuple[int, int], rng: np.random.Generator) -> Erasure | None:
    """Draws whether a clip loses a rectangle, which one, and what fills it.

    As in the paper, area and proportions are uniform in their ranges (2 % to 40 %, 0.3 to 3.3), and
    every place is equally likely. The filling is the paper's best, a random value for every pixel
    and channel; it stands still, so that it does not look like something that moves.

    Args:
        share: Chance that there is one.
        size: (height, width) of the clip in pixels.
        rng: Source of the draws.

    Returns:
        The rectangle and uint8 [its height, its width, 3], or None.
    """
    if rng.random() >= share:
        return None
    for _ in range(_MAX_TRIES):
        area = rng.uniform(*_AREA) * size[0] * size[1]
        aspect = rng.uniform(*_ASPECT)
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 1 <= height <= size[0] and 1 <= width <= size[1]:
            top = int(rng.integers(size[0] - height + 1))
            left = int(rng.integers(size[1] - width + 1))
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            return Window(top, left, height, width), noise
    return None


def erase(clip: np.ndarray, erasure: Erasure) -> np.ndarray:
    """Returns a copy of a clip, uint8 [T, height, width, 3], with the rectangle filled."""
    (top, left, height, width), noise = erasure
    erased = clip.copy()
    erased[:, top : top + height, left : left + width] = noise
    return erased
