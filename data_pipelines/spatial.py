"""Resizing and cropping on the host, with OpenCV.

The window that the crop will show is cut out first and then resized, which touches fewer pixels
than resizing whole frames. The window is rounded to whole source pixels; where it is already as
large as the crop, its pixels are passed through unchanged.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

__all__ = [
    "SHORT_SIDE_DRAWS",
    "Window",
    "cut",
    "draw_short_side",
    "eval_crops",
    "eval_windows",
    "random_crop_resize",
    "random_window",
]

# Parallelism is the loader's; OpenCV's own threads would fight it.
cv2.setNumThreads(0)

# How the length of a training video's shorter side is drawn.
SHORT_SIDE_DRAWS = ("uniform", "inverse")


class Window(NamedTuple):
    """A rectangle of a picture, in whole pixels."""

    top: int
    left: int
    height: int
    width: int


def draw_short_side(
    bounds: tuple[int, int], rng: np.random.Generator, draw: str = "uniform"
) -> int:
    """Draws the length in pixels of a training video's shorter side before the crop.

    Args:
        bounds: (lowest, highest), both possible.
        rng: Source of the draw; it is asked once.
        draw: ``uniform``: every whole length is equally likely. (PySlowFast and TimeSformer round
            a real number between the bounds, which makes the two bounds half as likely.)
            ``inverse``: 1/length is uniform between 1/highest and 1/lowest, and the length is then
            rounded, as ``INV_UNIFORM_SAMPLE`` of PySlowFast's Something-Something recipes does.

    Raises:
        ValueError: ``draw`` is none of the above.
    """
    lowest, highest = bounds
    if draw == "uniform":
        return int(rng.integers(lowest, highest + 1))
    if draw == "inverse":
        low, high = 1.0 / highest, 1.0 / lowest
        return round(1.0 / (low + (high - low) * rng.random()))
    raise ValueError(f"{draw=} must be one of {SHORT_SIDE_DRAWS}.")


def random_window(
    size: tuple[int, int],
    *,
    short_side: int,
    crop: tuple[int, int],
    position: tuple[float, float],
) -> Window:
    """Returns what one crop shows of a video whose shorter side is resized to a given length.

    A crop that would not fit then (rectangular ones can be too wide for a video) makes the video
    be enlarged until it does; proportions are always kept.

    Args:
        size: (height, width) of the video's pictures in pixels.
        short_side: Pixels of the shorter side after resizing.
        crop: (height, width) of the crop in pixels.
        position: Of the crop, (vertical, horizontal), each in [0, 1); uniform draws make every
            position equally likely, the last included. (PySlowFast never takes that one.)
    """
    window = _window_size(size, short_side, crop)
    top, left = (
        min(math.floor(fraction * (length - part + 1)), length - part)
        for fraction, length, part in zip(position, size, window, strict=True)
    )
    return Window(top, left, *window)


def eval_windows(
    size: tuple[int, int], *, short_side: int, crop: tuple[int, int], crops: int = 1
) -> list[Window]:
    """Returns what fixed crops show of a video whose shorter side is resized to a given length.

    Args:
        size: (height, width) of the video's pictures in pixels.
        short_side: Pixels of the shorter side after resizing.
        crop: (height, width) of a crop in pixels.
        crops: 1 for the centre; 3 for left, centre, right, or top, centre, bottom of upright
            videos, along the longer side and centred on the other.

    Raises:
        ValueError: ``crops`` is neither 1 nor 3.
    """
    if crops not in (1, 3):
        raise ValueError(f"{crops=} must be 1 or 3.")
    height, width = size
    window = _window_size(size, short_side, crop)
    room = (height - window[0], width - window[1])
    corners = [[room[0] // 2, room[1] // 2]]
    if crops == 3:
        axis = 0 if height > width else 1
        corners = [list(corners[0]) for _ in range(3)]
        corners[0][axis], corners[2][axis] = 0, room[axis]
    return [Window(*corner, *window) for corner in corners]


def cut(frames: np.ndarray, window: Window, crop: tuple[int, int]) -> np.ndarray:
    """Cuts a window out of every frame and resizes it.

    Args:
        frames: uint8 [T, height, width, 3].
        window: Which part of them.
        crop: (height, width) in pixels of what comes out.

    Returns:
        uint8 [T, crop height, crop width, 3], contiguous.
    """
    top, left, height, width = window
    part = frames[:, top : top + height, left : left + width]
    if (height, width) == tuple(crop):
        return np.ascontiguousarray(part)
    # Two source pixels suffice for bilinear weights up to a factor of 2; beyond, average them all.
    shrinking = max(height / crop[0], width / crop[1])
    method = cv2.INTER_AREA if shrinking > 2 else cv2.INTER_LINEAR
    resized = np.empty((len(frames), *crop, 3), np.uint8)
    for source, target in zip(part, resized, strict=True):
        cv2.resize(source, (crop[1], crop[0]), dst=target, interpolation=method)
    return resized


def random_crop_resize(
    frames: np.ndarray,
    *,
    short_side: int,
    crop: tuple[int, int],
    position: tuple[float, float],
) -> np.ndarray:
    """Resizes so that the shorter side has a given length, and cuts out one crop.

    Args:
        frames: uint8 [T, height, width, 3].
        short_side: As of :func:`random_window`, and so are the others.
        crop: (height, width) of the crop in pixels.
        position: Of the crop, (vertical, horizontal), each in [0, 1).

    Returns:
        uint8 [T, crop height, crop width, 3], contiguous.
    """
    size = frames.shape[1:3]
    window = random_window(size, short_side=short_side, crop=crop, position=position)
    return cut(frames, window, crop)


def eval_crops(
    frames: np.ndarray, *, short_side: int, crop: tuple[int, int], crops: int = 1
) -> np.ndarray:
    """Resizes so that the shorter side has a given length, and cuts out fixed crops.

    Args:
        frames: uint8 [T, height, width, 3].
        short_side: As of :func:`eval_windows`, and so are the others.
        crop: (height, width) of a crop in pixels.
        crops: 1 or 3.

    Returns:
        uint8 [crops, T, crop height, crop width, 3], contiguous.

    Raises:
        ValueError: ``crops`` is neither 1 nor 3.
    """
    windows = eval_windows(frames.shape[1:3], short_side=short_side, crop=crop, crops=crops)
    return np.stack([cut(frames, window, crop) for window in windows])


def _window_size(size: tuple[int, int], short_side: int, crop: tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) in source pixels of what a crop shows."""
    height, width = size
    scale = min(min(height, width) / short_side, height / crop[0], width / crop[1])
    return (
        min(height, max(1, round(crop[0] * scale))),
        min(width, max(1, round(crop[1] * scale))),
    )
