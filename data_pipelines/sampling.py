"""Which frames make a clip: arithmetic on frame numbers, no pixels.

A clip is ``frames`` frames, ``stride`` apart. The stride counts frames of the source, or, given
``target_fps``, frames of a clock at that rate, so that videos of different rates show the same
stretch of time. The distance from the first to the last frame, both included, is the clip's span.
"""

from __future__ import annotations

import math

import numpy as np

from data_pipelines.errors import TooFewFramesError, UndecodableError

__all__ = ["SHORT_POLICIES", "eval_indices", "train_indices"]

# What a video shorter than a clip's span does: hold its last frame, or begin again.
SHORT_POLICIES = ("repeat_last", "loop")


def train_indices(
    num_frames: int,
    fps: float,
    *,
    frames: int,
    stride: int,
    target_fps: float | None = None,
    start_fraction: float,
    short: str = "repeat_last",
) -> np.ndarray:
    """Returns the frame numbers of one clip whose start is drawn by the caller.

    Args:
        num_frames: Frames in the video.
        fps: Its frames per second; matters only with ``target_fps``.
        frames: Frames in the clip.
        stride: Frames from one to the next, of the source or at ``target_fps``.
        target_fps: Frames per second that the stride counts in, or None for the source's.
        start_fraction: In [0, 1), uniform for every possible start to be equally likely.
        short: ``repeat_last`` or ``loop``, for videos shorter than the clip's span.

    Returns:
        int64 [frames], each in 0 … num_frames - 1.

    Raises:
        ValueError: ``start_fraction`` or ``short`` is none of the above.
        TooFewFramesError: The video has no frames.
        UndecodableError: ``target_fps`` is given, and ``fps`` is no positive number.
    """
    if not 0 <= start_fraction < 1:
        raise ValueError(f"{start_fraction=} must be at least 0 and below 1.")
    offsets, room = _offsets(num_frames, fps, frames, stride, target_fps)
    start = math.floor(start_fraction * (room + 1))
    return _fit(start + offsets, num_frames, short)


def eval_indices(
    num_frames: int,
    fps: float,
    *,
    frames: int,
    stride: int,
    target_fps: float | None = None,
    views: int = 1,
    short: str = "repeat_last",
) -> np.ndarray:
    """Returns the frame numbers of a fixed set of clips.

    One view is the middle clip. If the frames left over on both sides are even in number and the
    stride is whole, that clip maps to itself when time is reversed, i to num_frames - 1 - i.
    Several views start evenly spread from the first possible start to the last.

    Args:
        num_frames: Frames in the video.
        fps: Its frames per second; matters only with ``target_fps``.
        frames: Frames in each clip.
        stride: Frames from one to the next, of the source or at ``target_fps``.
        target_fps: Frames per second that the stride counts in, or None for the source's.
        views: Clips, at least 1.
        short: ``repeat_last`` or ``loop``, for videos shorter than the clip's span.

    Returns:
        int64 [views, frames], each in 0 … num_frames - 1.

    Raises:
        ValueError: ``views`` is below 1 or ``short`` is none of the above.
        TooFewFramesError: The video has no frames.
        UndecodableError: ``target_fps`` is given, and ``fps`` is no positive number.
    """
    if views < 1:
        raise ValueError(f"{views=} must be at least 1.")
    offsets, room = _offsets(num_frames, fps, frames, stride, target_fps)
    if views == 1:
        starts = np.array([room // 2])
    else:
        starts = np.floor(np.linspace(0, room, views) + 0.5).astype(np.int64)
    return _fit(starts[:, None] + offsets, num_frames, short)


def _offsets(
    num_frames: int, fps: float, frames: int, stride: int, target_fps: float | None
) -> tuple[np.ndarray, int]:
    """Returns a clip's frame numbers counted from its start, and how far the start can move."""
    if num_frames < 1:
        raise TooFewFramesError(f"{num_frames=} must be at least 1; the recorded count is wrong.")
    step = float(stride)
    if target_fps is not None:
        if not (fps > 0 and math.isfinite(fps)):
            raise UndecodableError(
                f"{fps=} must be above 0 to sample at {target_fps=}; the recorded rate is wrong."
            )
        step *= fps / target_fps
    # To the nearest frame, so that 29.97 for 30 frames per second does not slip by one.
    offsets = np.floor(np.arange(frames) * step + 0.5).astype(np.int64)
    return offsets, max(0, num_frames - 1 - int(offsets[-1]))


def _fit(indices: np.ndarray, num_frames: int, short: str) -> np.ndarray:
    """Brings frame numbers beyond the end of a short video back into it."""
    if short == "repeat_last":
        return np.minimum(indices, num_frames - 1)
    if short == "loop":
        return indices % num_frames
    raise ValueError(f"{short=} must be one of {SHORT_POLICIES}.")
