"""One video file as clips: those of an evaluation, or windows along the whole of it.

Memory holds the clips that are asked for, already cut to the size that a model is fed, and one
decoded picture: neither the file nor the video, however long it is.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.clip_trace import ClipTrace
from data_pipelines.decoding.decode import VideoInfo
from data_pipelines.decoding.media_file import MediaFile
from data_pipelines.errors import MissingFileError, UnreadableError
from data_pipelines.sampling import eval_indices, segment_indices
from data_pipelines.spatial import Window, cut, eval_windows
from data_pipelines.video_windows import Windows, windows_along

__all__ = ["VideoReader"]


class VideoReader:
    """A video file, open; a context manager. Use it from one thread at a time.

        with VideoReader("clip.mov") as video:
            clips = video.clips(ClipSpec(frames=8, stride=32, spatial_crops=3))

    Args:
        path: Of a file of this machine, of any container, length and rotation.

    Attributes:
        path: As given.

    Raises:
        MissingFileError: There is no such file.
        UnreadableError: The operating system refuses it, or it is a folder.
        NoVideoStreamError: It holds no moving pictures.
        UndecodableError: It is no video, or cannot be decoded at all.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self._file = _open(self.path)
        try:
            self._media = MediaFile(self._file)
        except BaseException:
            self._file.close()
            raise

    @property
    def info(self) -> VideoInfo:
        """What the file holds."""
        return self._media.info

    @property
    def cut_off(self) -> str | None:
        """What tells that the file ends before its time; None where nothing does."""
        return self._media.cut_off

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def readable(self) -> int:
        """Counts the frames that can be decoded from the beginning, decoding all of them."""
        return self._media.readable()

    def seconds(self, numbers: np.ndarray) -> np.ndarray:
        """When frames are shown, float64, in seconds from the first, by the file's own times."""
        return self._media.seconds(numbers)

    def clips(
        self, spec: ClipSpec, *, num_frames: int | None = None, keep_frames: bool = False
    ) -> list[ClipTrace]:
        """Makes all evaluation views of the video, over time and then space.

        They are, bit for bit, those that `data_pipelines.clips.EvalClips` makes of the same file.

        Args:
            spec: How clips are cut. Where views cover a video, there may be fewer than its number.
            num_frames: Sample as if the video ended after so many frames; None for all it has.
            keep_frames: Whether the traces also hold the decoded pictures, whole. Otherwise their
                ``frames`` are uint8 [0, height, width, 3].

        Raises:
            VideoError: A frame that is needed cannot be decoded.
        """
        count = self.info.num_frames if num_frames is None else num_frames
        if spec.sampling == "segments":
            clips = segment_indices(count, spec.frames)[None]
        else:
            clips = eval_indices(
                count,
                self.info.fps,
                frames=spec.frames,
                stride=spec.stride,
                target_fps=spec.target_fps,
                sampling=spec.sampling,
                position=spec.temporal_position,
                views=spec.temporal_views,
                short=spec.short,
            )
        windows = self._windows_of(spec)
        places = collections.defaultdict(list)
        for view, numbers in enumerate(clips):
            for slot, number in enumerate(numbers):
                places[int(number)].append((view, slot))
        views = np.empty((len(clips), len(windows), spec.frames, *spec.crop, 3), np.uint8)
        kept: dict[int, np.ndarray] = {}
        for number, picture in self._media.pictures(places, again=True):
            cuts = _cuts(picture, windows, spec.crop)
            for view, slot in places[number]:
                views[view, :, slot] = cuts
            if keep_frames:
                kept[number] = np.ascontiguousarray(picture)
        return [
            self._trace(spec, numbers, window, clip, kept)
            for numbers, crops in zip(clips, views, strict=True)
            for window, clip in zip(windows, crops, strict=True)
        ]

    def along(
        self, spec: ClipSpec, *, hop_seconds: float | None = None, length: float | None = None
    ) -> Windows:
        """Plans windows that cover the video, each as long as one clip.

        Args:
            spec: How clips are cut; of views, the centre crop alone is taken.
            hop_seconds: From one window to the next; None for half a window.
            length: Seconds of a window where the specification knows none (``segments``).
        """
        return windows_along(self.info, spec, hop_seconds=hop_seconds, length=length)

    def windows(
        self, spec: ClipSpec, planned: Windows, on_frame: Callable[[int], None] | None = None
    ) -> Iterator[ClipTrace]:
        """Yields a clip for each of some windows, in order, in one pass over the video.

        Frames are forgotten once no later window needs them.

        Args:
            spec: As for `along`.
            planned: By `along`; or any of its rows.
            on_frame: Told the number of each frame that was decoded, for progress.

        Yields:
            Clips of the centre crop.

        Raises:
            VideoError: A frame cannot be decoded; the windows before it have been yielded.
        """
        spec = dataclasses.replace(spec, spatial_crops=1)
        (window,) = self._windows_of(spec)
        rows = planned.numbers
        last_use = {int(number): row for row, numbers in enumerate(rows) for number in numbers}
        held: dict[int, np.ndarray] = {}
        row = 0
        for number, picture in self._media.pictures(last_use):
            held[number] = cut(_contiguous(picture), window, spec.crop)[0]
            if on_frame is not None:
                on_frame(number)
            while row < len(rows) and all(int(wanted) in held for wanted in rows[row]):
                clip = np.stack([held[int(wanted)] for wanted in rows[row]])
                yield self._trace(spec, rows[row], window, clip, {})
                for wanted in set(map(int, rows[row])):
                    if last_use[wanted] == row:
                        del held[wanted]
                row += 1

    def thumbnails(self, numbers: Sequence[int], height: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yields whole pictures of chosen frames, made small.

        Args:
            numbers: Frames.
            height: Pixels of what comes out; the width follows.

        Yields:
            (number, uint8 [height, width, 3], RGB).
        """
        size = self.info.height, self.info.width
        width = max(1, round(height * size[1] / size[0]))
        for number, picture in self._media.pictures(numbers):
            whole = Window(0, 0, *picture.shape[:2])
            yield number, cut(_contiguous(picture), whole, (height, width))[0]

    def _windows_of(self, spec: ClipSpec) -> list[Window]:
        return eval_windows(
            (self.info.height, self.info.width),
            short_side=spec.eval_short_side,
            crop=spec.crop,
            crops=spec.spatial_crops,
        )

    def _trace(
        self,
        spec: ClipSpec,
        numbers: np.ndarray,
        window: Window,
        clip: np.ndarray,
        kept: dict[int, np.ndarray],
    ) -> ClipTrace:
        size = self.info.height, self.info.width
        return ClipTrace(
            index=0,
            video_id=self.path,
            targets={},
            frame_numbers=numbers,
            times=numbers / (self.info.fps if self.info.fps > 0 else np.nan),
            short_side=spec.eval_short_side,
            window=window,
            operations=(),
            frames=(
                np.stack([kept[int(number)] for number in numbers])
                if kept
                else np.empty((0, *size, 3), np.uint8)
            ),
            clip=clip,
        )


def _cuts(picture: np.ndarray, windows: Sequence[Window], crop: tuple[int, int]) -> np.ndarray:
    """Returns all crops of one picture, uint8 [S, height, width, 3]."""
    frames = _contiguous(picture)
    return np.stack([cut(frames, window, crop)[0] for window in windows])


def _contiguous(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture)[None]


def _open(path: str) -> BinaryIO:
    """Opens a file for reading.

    Raises:
        VideoError: It is not there, no file, or may not be read.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UnreadableError(f"{path} is no file; name a video file.")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {path}.") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UnreadableError(
            f"{path} cannot be read ({cause}); mend its permissions or its storage."
        ) from error
