"""Resizing and cropping on the host, with OpenCV.

The window that the crop will show is cut out first and then resized, which touches fewer pixels
than resizing whole frames. The window is rounded to whole source pixels; where it is already as
large as the crop, its pixels are passed through unchanged.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

__all__ = ["eval_crops", "random_crop_resize"]

# Parallelism is the loader's; OpenCV's own threads would fight it.
cv2.setNumThreads(0)


def random_crop_resize(
    frames: np.ndarray,
    *,
    short_side: int,
    crop: tuple[int, int],
    position: tuple[float, float],
) -> np.ndarray:
    """Resizes so that the shorter side has a given length, and cuts out one crop.

    A crop that would not fit then (rectangular ones can be too wide for a video) makes the video
    be enlarged until it does; proportions are always kept.

    Args:
        frames: uint8 [T, height, width, 3].
        short_side: Pixels of the shorter side after resizing.
        crop: (height, width) of the crop in pixels.
        position: Of the crop, (vertical, horizontal), each in [0, 1); uniform draws make every
            position equally likely.

    Returns:
        uint8 [T, crop height, crop width, 3], contiguous.
    """
    window = _window(frames, short_side, crop)
    corner = [
        min(math.floor(fraction * (length - size + 1)), length - size)
        for fraction, length, size in zip(position, frames.shape[1:3], window, strict=True)
    ]
    return _cut(frames, corner, window, crop)


def eval_crops(
    frames: np.ndarray, *, short_side: int, crop: tuple[int, int], crops: int = 1
) -> np.ndarray:
    """Resizes so that the shorter side has a given length, and cuts out fixed crops.

    Args:
        frames: uint8 [T, height, width, 3].
        short_side: Pixels of the shorter side after resizing.
        crop: (height, width) of a crop in pixels.
        crops: 1 for the centre; 3 for left, centre, right, or top, centre, bottom of upright
            videos, along the longer side and centred on the other.

    Returns:
        uint8 [crops, T, crop height, crop width, 3], contiguous.

    Raises:
        ValueError: ``crops`` is neither 1 nor 3.
    """
    if crops not in (1, 3):
        raise ValueError(f"{crops=} must be 1 or 3.")
    height, width = frames.shape[1:3]
    window = _window(frames, short_side, crop)
    room = (height - window[0], width - window[1])
    corners = [[room[0] // 2, room[1] // 2]]
    if crops == 3:
        axis = 0 if height > width else 1
        corners = [list(corners[0]) for _ in range(3)]
        corners[0][axis], corners[2][axis] = 0, room[axis]
    return np.stack([_cut(frames, corner, window, crop) for corner in corners])


def _window(frames: np.ndarray, short_side: int, crop: tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) in source pixels of what a crop shows."""
    height, width = frames.shape[1:3]
    scale = min(min(height, width) / short_side, height / crop[0], width / crop[1])
    return (
        min(height, max(1, round(crop[0] * scale))),
        min(width, max(1, round(crop[1] * scale))),
    )


def _cut(
    frames: np.ndarray, corner: list[int], window: tuple[int, int], crop: tuple[int, int]
) -> np.ndarray:
    """Returns the window at ``corner`` (vertical, horizontal), resized to the crop."""
    (top, left), (height, width) = corner, window
    cut = frames[:, top : top + height, left : left + width]
    if window == tuple(crop):
        return np.ascontiguousarray(cut)
    # Two source pixels suffice for bilinear weights up to a factor of 2; beyond, average them all.
    shrinking = max(height / crop[0], width / crop[1])
    method = cv2.INTER_AREA if shrinking > 2 else cv2.INTER_LINEAR
    resized = np.empty((len(frames), *crop, 3), np.uint8)
    for source, target in zip(cut, resized, strict=True):
        cv2.resize(source, (crop[1], crop[0]), dst=target, interpolation=method)
    return resized
