"""Which frames make a clip: arithmetic on frame numbers, no pixels.

A clip is ``frames`` frames. Under ``sampling``

* ``stride`` (the TimeSformer paper's words) they are ``stride`` frames apart;
* ``span`` (the code of PySlowFast and TimeSformer) they are spread evenly from the first to the
  last of the ``frames · stride`` frames that the clip lasts, ends included, and so a little further
  apart: 8 × 32 from frame 0 is 0, 36, 72, 109, 145, 182, 218, 255;
* ``segments`` (TSN, and the Something-Something recipes) the video is cut into ``frames`` segments,
  and one frame is taken of each: see :func:`segment_indices`.

The stride counts frames of the source, or, given ``target_fps``, frames of a clock at that rate, so
that videos of different rates show the same stretch of time.
"""

from __future__ import annotations

import math

import numpy as np

from data_pipelines.errors import TooFewFramesError, UndecodableError

__all__ = [
    "POSITIONS",
    "SAMPLINGS",
    "SHORT_POLICIES",
    "eval_indices",
    "segment_indices",
    "train_indices",
]

# What a video shorter than a clip does: hold its last frame, or begin again.
SHORT_POLICIES = ("repeat_last", "loop")

SAMPLINGS = ("stride", "span", "segments")

# Where the clips of an evaluation lie.
POSITIONS = ("middle", "start", "cover")


def train_indices(
    num_frames: int,
    fps: float,
    *,
    frames: int,
    stride: int,
    target_fps: float | None = None,
    sampling: str = "stride",
    start_fraction: float,
    short: str = "repeat_last",
) -> np.ndarray:
    """Returns the frame numbers of one clip whose start is drawn by the caller.

    Under ``span`` the start is a real number between 0 and the video's length less the clip's, as
    in the published code, whose numbers these are, bit for bit, wherever it decodes a whole video.
    Where it can seek it decodes from the first frame at or behind the start and counts from there,
    so that its numbers are up to 1 higher; from frame 0, as in its test, both agree.

    Args:
        num_frames: Frames in the video.
        fps: Its frames per second; matters only with ``target_fps``.
        frames: Frames in the clip.
        stride: Frames from one to the next, of the source or at ``target_fps``.
        target_fps: Frames per second that the stride counts in, or None for the source's.
        sampling: ``stride`` or ``span``.
        start_fraction: In [0, 1), uniform for every possible start to be equally likely.
        short: ``repeat_last`` or ``loop``, for videos shorter than the clip.

    Returns:
        int64 [frames], each in 0 … num_frames - 1.

    Raises:
        ValueError: ``start_fraction``, ``sampling`` or ``short`` is none of the above.
        TooFewFramesError: The video has no frames.
        UndecodableError: ``target_fps`` is given, and ``fps`` is no positive number.
    """
    if not 0 <= start_fraction < 1:
        raise ValueError(f"{start_fraction=} must be at least 0 and below 1.")
    step, length = _lengths(num_frames, fps, frames, stride, target_fps, sampling)
    if sampling == "span":
        start = start_fraction * max(num_frames - length, 0.0)
        return _fit(_span(np.array([start]), frames, length), num_frames, short)[0]
    offsets, room = _offsets(num_frames, frames, step)
    start = math.floor(start_fraction * (room + 1))
    return _fit(start + offsets, num_frames, short)


def eval_indices(
    num_frames: int,
    fps: float,
    *,
    frames: int,
    stride: int,
    target_fps: float | None = None,
    sampling: str = "stride",
    position: str = "middle",
    views: int = 1,
    short: str = "repeat_last",
) -> np.ndarray:
    """Returns the frame numbers of a fixed set of clips.

    ``middle``: one view is the middle clip. Under ``stride``, if the frames left over on both sides
    are even in number and the stride is whole, that clip maps to itself when time is reversed, i to
    num_frames - 1 - i. Several views start evenly spread from the first possible start to the last.

    ``start``, the published code's: view k of K starts at k/K of the last possible start, so that
    one view starts at frame 0.

    ``cover``, the paper's for long videos: clips of ``frames · stride`` frames, one directly behind
    the other from frame 0, as many as hold the whole video; the last one may run over its end. If
    more than ``views`` were needed, that many of them, evenly spread from the first to the last
    (one: a middle one).

    Args:
        num_frames: Frames in the video.
        fps: Its frames per second; matters only with ``target_fps``.
        frames: Frames in each clip.
        stride: Frames from one to the next, of the source or at ``target_fps``.
        target_fps: Frames per second that the stride counts in, or None for the source's.
        sampling: ``stride`` or ``span``.
        position: ``middle``, ``start`` or ``cover``.
        views: Clips, at least 1; under ``cover`` the most of them.
        short: ``repeat_last`` or ``loop``, for what lies beyond the video's end.

    Returns:
        int64 [views, frames], under ``cover`` maybe fewer than ``views``; each in
        0 … num_frames - 1.

    Raises:
        ValueError: ``views`` is below 1, or ``sampling``, ``position`` or ``short`` is none of the
            above.
        TooFewFramesError: The video has no frames.
        UndecodableError: ``target_fps`` is given, and ``fps`` is no positive number.
    """
    if views < 1:
        raise ValueError(f"{views=} must be at least 1.")
    if position not in POSITIONS:
        raise ValueError(f"{position=} must be one of {POSITIONS}.")
    step, length = _lengths(num_frames, fps, frames, stride, target_fps, sampling)
    if sampling == "span":
        room = max(num_frames - length, 0.0)
        if position == "cover":
            starts = length * _spread(math.ceil(num_frames / length), views)
        elif position == "start":
            starts = room * np.arange(views) / views
        else:
            starts = np.array([room / 2]) if views == 1 else np.linspace(0, room, views)
        return _fit(_span(starts, frames, length), num_frames, short)
    if position == "cover":
        # Of the frames 0, step, 2 · step, …, to the nearest, those that the video has.
        held = math.ceil((num_frames - 0.5) / step)
        clips = _spread(math.ceil(held / frames), views)
        steps = clips[:, None] * frames + np.arange(frames)
        return _fit(_nearest(steps * step), num_frames, short)
    offsets, room = _offsets(num_frames, frames, step)
    if position == "start":
        starts = room * np.arange(views) // views
    elif views == 1:
        starts = np.array([room // 2])
    else:
        starts = _nearest(np.linspace(0, room, views))
    return _fit(starts[:, None] + offsets, num_frames, short)


def segment_indices(
    num_frames: int, frames: int, fractions: np.ndarray | None = None
) -> np.ndarray:
    """Returns one frame of each of a video's equal segments, after TSN (arXiv 1608.00859).

    As PySlowFast and TimeSformer do it for Something-Something: with s = (num_frames - 1) / frames,
    segment i reaches from round(s · i) to round(s · (i + 1)), both included, halves rounded to the
    even neighbour as ``np.round`` does. So neighbours share a frame, and each clip spans the video
    whatever its length; short videos repeat frames. Rates and strides do not matter.

    Args:
        num_frames: Frames in the video.
        frames: Segments, and frames in the clip.
        fractions: float [frames], each in [0, 1): where in its segment each frame lies; uniform
            draws make every frame of a segment equally likely. None for the middle of each, the
            earlier one of two.

    Returns:
        int64 [frames], each in 0 … num_frames - 1.

    Raises:
        ValueError: ``fractions`` has another length, or a number outside of [0, 1).
        TooFewFramesError: The video has no frames.
    """
    _check_frames(num_frames)
    length = float(num_frames - 1) / frames
    bounds = np.round(length * np.arange(frames + 1)).astype(np.int64)
    first, last = bounds[:-1], bounds[1:]
    if fractions is None:
        return (first + last) // 2
    fractions = np.asarray(fractions)
    if fractions.shape != (frames,) or not ((fractions >= 0) & (fractions < 1)).all():
        raise ValueError(f"{fractions=} must be {frames} numbers, each at least 0 and below 1.")
    return np.minimum(first + np.floor(fractions * (last - first + 1)).astype(np.int64), last)


def _check_frames(num_frames: int) -> None:
    if num_frames < 1:
        raise TooFewFramesError(f"{num_frames=} must be at least 1; the recorded count is wrong.")


def _lengths(
    num_frames: int,
    fps: float,
    frames: int,
    stride: int,
    target_fps: float | None,
    sampling: str,
) -> tuple[float, float]:
    """Returns the stride, and what a clip lasts, in frames of the source."""
    if sampling not in ("stride", "span"):
        raise ValueError(f"{sampling=} must be 'stride' or 'span'.")
    _check_frames(num_frames)
    if target_fps is None:
        return float(stride), float(frames * stride)
    if not (fps > 0 and math.isfinite(fps)):
        raise UndecodableError(
            f"{fps=} must be above 0 to sample at {target_fps=}; the recorded rate is wrong."
        )
    # In the published code's order of operations, for the last bit to be the same.
    return stride * (fps / target_fps), frames * stride / target_fps * fps


def _offsets(num_frames: int, frames: int, step: float) -> tuple[np.ndarray, int]:
    """Returns a clip's frame numbers counted from its start, and how far the start can move."""
    offsets = _nearest(np.arange(frames) * step)
    return offsets, max(0, num_frames - 1 - int(offsets[-1]))


def _nearest(places: np.ndarray) -> np.ndarray:
    """Rounds to whole frames, so that 29.97 for 30 frames per second does not slip by one."""
    return np.floor(places + 0.5).astype(np.int64)


def _span(starts: np.ndarray, frames: int, length: float) -> np.ndarray:
    """Returns int64 [len(starts), frames]: ``torch.linspace`` over each clip, cut to whole numbers.

    Many of these numbers are whole before they are cut, at 25 frames per second for 30 say, so the
    last bit decides. Hence torch's own arithmetic: single precision, from both ends to the middle,
    each product and sum rounded together (as processors with fused multiply-add do it; the double
    precision in between here gives the same).
    """
    first = np.float32(starts)[:, None]
    last = np.float32(starts + length - 1)[:, None]
    if frames == 1:
        return np.maximum(first, 0).astype(np.int64)
    gap = ((last - first) / np.float32(frames - 1)).astype(np.float64)
    number = np.arange(frames)
    places = np.where(
        number < frames // 2, first + gap * number, last - gap * (frames - 1 - number)
    )
    return np.maximum(places.astype(np.float32), 0).astype(np.int64)


def _spread(count: int, most: int) -> np.ndarray:
    """Returns all of 0 … count - 1, or ``most`` of them, evenly spread."""
    if count <= most:
        return np.arange(count)
    return np.array([(count - 1) // 2]) if most == 1 else _nearest(np.linspace(0, count - 1, most))


def _fit(indices: np.ndarray, num_frames: int, short: str) -> np.ndarray:
    """Brings frame numbers beyond the end of a video back into it."""
    if short == "repeat_last":
        return np.minimum(indices, num_frames - 1)
    if short == "loop":
        return indices % num_frames
    raise ValueError(f"{short=} must be one of {SHORT_POLICIES}.")
