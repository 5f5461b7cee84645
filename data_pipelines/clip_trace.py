"""Where a clip came from: what a contact sheet shows, or a person who doubts their data asks."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.spatial import Window

__all__ = ["ClipTrace"]


@dataclasses.dataclass(frozen=True, eq=False)
class ClipTrace:
    """One clip, and everything that was done to make it.

    Mirroring, mixing and normalising are the compiled step's, and so in none of it. Channels are
    RGB here whatever ``data.channel_order`` is.

    Attributes:
        index: Number of the record that was used, which for a training clip may stand in for an
            unreadable one.
        video_id: That record's name.
        targets: ``{"label": int}``, or ``{"labels": uint8 [C]}`` for any number of classes.
        frame_numbers: int64 [T], frames of the video from 0.
        times: float64 [T], seconds from the video's first frame, at the recorded mean rate.
        short_side: Pixels that the video's shorter side was resized to, before the crop.
        window: What the crop shows, in whole pixels of ``frames``: (top, left, height, width).
        operations: What was done to the clip's pixels after the crop, in order, such as
            ``rotate -27``; empty if nothing was.
        frames: uint8 [T, h, w, 3], RGB, the video's pictures as they were decoded.
        clip: uint8 [T, height, width, 3], RGB, as the loader gives it.
    """

    index: int
    video_id: str
    targets: dict[str, object]
    frame_numbers: np.ndarray
    times: np.ndarray
    short_side: int
    window: Window
    operations: tuple[str, ...]
    frames: np.ndarray
    clip: np.ndarray
