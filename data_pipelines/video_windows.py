"""Windows along a video: which frames each of them shows, and when it begins and ends."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.decoding.decode import VideoInfo
from data_pipelines.sampling import eval_indices, segment_indices

__all__ = ["SEGMENT_SECONDS", "Windows", "windows_along"]

# Of a window, where clips span whole videos of any length: what Something-Something's videos last.
SEGMENT_SECONDS = 4.0


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows along a video, ascending.

    Attributes:
        numbers: int64 [N, T], the frames of each.
        starts: int64 [N], the first frame that each stands for.
        ends: int64 [N], the frame behind the last.
    """

    numbers: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)


def windows_along(
    info: VideoInfo,
    spec: ClipSpec,
    *,
    hop_seconds: float | None = None,
    length: float | None = None,
) -> Windows:
    """Plans windows that cover a video, each as long as one clip.

    The first begins with the video, the last ends with it, and so may overlap its neighbour more
    than the others do. A video that is shorter than a clip has one window, filled as
    ``spec.short`` says.

    Args:
        info: Of the video.
        spec: How clips are cut.
        hop_seconds: From one window to the next; at least a frame. None for half a window.
        length: Seconds of a window under ``segments``, whose clips span what they are given; None
            for `SEGMENT_SECONDS`.

    Raises:
        ValueError: ``hop_seconds`` or ``length`` is not above 0.
        UndecodableError: ``target_fps`` is given, and the rate of the video is none.
    """
    for name, value in (("hop_seconds", hop_seconds), ("length", length)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}; it must be above 0.")
    count, fps = info.num_frames, info.fps
    rate = fps if fps > 0 and math.isfinite(fps) else 30.0
    if spec.sampling == "segments":
        lasting = max(1, round((length or SEGMENT_SECONDS) * rate))
        offsets = segment_indices(min(lasting, count), spec.frames)
    else:
        step = 1.0 if spec.target_fps is None else fps / spec.target_fps
        lasting = max(1, round(spec.frames * spec.stride * step)) if step > 0 else 1
        # Of a video that is just long enough, so that nothing of it is bent back.
        offsets = eval_indices(
            2 * lasting + spec.stride,
            fps,
            frames=spec.frames,
            stride=spec.stride,
            target_fps=spec.target_fps,
            sampling=spec.sampling,
            position="start",
        )[0]
    hop = max(1, round(hop_seconds * rate) if hop_seconds else lasting // 2)
    # Frames behind the last one shown belong to no picture of the clip; the video may end there.
    room = max(0, count - 1 - int(offsets[-1]))
    starts = np.arange(0, room + 1, hop, dtype=np.int64)
    if starts[-1] != room:
        starts = np.append(starts, room)
    numbers = starts[:, None] + offsets
    numbers = numbers % count if spec.short == "loop" else np.minimum(numbers, count - 1)
    return Windows(numbers, starts, np.minimum(starts + lasting, count))
