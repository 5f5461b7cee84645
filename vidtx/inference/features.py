"""Videos read in pieces for a model that tells features, and put together again."""

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.errors import VideoError
from data_pipelines.video_reader import VideoReader
from vidtx.inference.answers import FailedVideo
from vidtx.inference.reading import ReadVideo, broken_note, failed, read_ahead

__all__ = ["Piece", "VideoFeatures", "collected", "view_pieces", "window_pieces"]

_NO_CLIPS = np.zeros((0,), np.uint8)
_NO_FEATURES = np.zeros((0, 0), np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFeatures:
    """The features of one video.

    Attributes:
      video: its path.
      clips: int32 ``[N]``, the number over time of the clip that each row is of.
      crops: int32 ``[N]``, the same over space.
      starts: float64 ``[N]``, seconds from the first frame of the video to the first of the clip.
      ends: float64 ``[N]``, the same to the end of its last frame.
      features: float32 ``[N, D]``.
      complete: False where the file ends or is damaged before its time.
      notes: what a person should know, a sentence each.
    """

    video: str
    clips: np.ndarray
    crops: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    features: np.ndarray
    complete: bool = True
    notes: tuple[str, ...] = ()

    def averaged(self) -> "VideoFeatures":
        """One row: the mean of all."""
        zero = np.zeros(1, np.int32)
        mean = self.features.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
        starts, ends = self.starts.min(keepdims=True), self.ends.max(keepdims=True)
        return dataclasses.replace(
            self, clips=zero, crops=zero, starts=starts, ends=ends, features=mean
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """Some rows of a video, whose features are to come, or why there are none.

    Attributes:
      rows: the rows.
      is_last: whether the video has no more of them.
    """

    rows: VideoFeatures | FailedVideo
    is_last: bool


_Things = Iterator[tuple[Piece, np.ndarray]]  # each with its clips


def view_pieces(videos: Iterable[str | os.PathLike], spec: ClipSpec, threads: int) -> _Things:
    """All views of each video, in one piece.

    Args:
      videos: their paths.
      spec: how clips are cut.
      threads: that read ahead.
    """
    with contextlib.closing(read_ahead(videos, spec, threads=threads)) as read:
        for item in read:
            if isinstance(item, FailedVideo):
                yield Piece(item, is_last=True), _NO_CLIPS
            else:
                yield Piece(_rows(item, spec), is_last=True), item.clips


def _rows(read: ReadVideo, spec: ClipSpec) -> VideoFeatures:
    number = np.arange(len(read.clips), dtype=np.int32)
    frame = 1 / read.info.fps if read.info.fps > 0 else 0.0
    return VideoFeatures(
        video=read.video,
        clips=number // spec.spatial_crops,
        crops=number % spec.spatial_crops,
        starts=np.array([min(view.seconds) for view in read.views]),
        ends=np.array([max(view.seconds) + frame for view in read.views]),
        features=_NO_FEATURES,
        complete=read.complete,
        notes=read.notes,
    )


def window_pieces(
    videos: Iterable[str | os.PathLike], spec: ClipSpec, hop_seconds: float
) -> _Things:
    """Window after window of each video, a piece each; the last piece has no window.

    Args:
      videos: their paths.
      spec: how clips are cut; of views, the centre crop alone is taken.
      hop_seconds: from one window to the next.
    """
    for path in videos:
        number, end = 0, 0.0
        try:
            with VideoReader(path) as video:
                notes = [f"The file breaks off: {video.cut_off}."] if video.cut_off else []
                planned = video.along(spec, hop_seconds=hop_seconds)
                frame = 1 / video.info.fps if video.info.fps > 0 else 0.0
                try:
                    for trace in video.windows(spec, planned):
                        seconds = video.seconds(trace.frame_numbers)
                        end = float(seconds.max()) + frame
                        row = _window(video.path, [number], [seconds.min()], [end])
                        yield Piece(row, is_last=False), trace.clip[None]
                        number += 1
                except VideoError as error:
                    if not number:
                        raise
                    notes.append(broken_note(error, end))
                last = _window(video.path, [], [], [])
                last = dataclasses.replace(last, complete=not notes, notes=tuple(notes))
                yield Piece(last, is_last=True), _NO_CLIPS
        except VideoError as error:
            yield Piece(failed(path, error), is_last=True), _NO_CLIPS


def _window(
    path: str, numbers: Sequence[int], starts: Sequence[float], ends: Sequence[float]
) -> VideoFeatures:
    return VideoFeatures(
        video=path,
        clips=np.array(numbers, np.int32),
        crops=np.zeros(len(numbers), np.int32),
        starts=np.array(starts, np.float64),
        ends=np.array(ends, np.float64),
        features=_NO_FEATURES,
    )


def collected(
    scored_pieces: Iterable[tuple[Piece, np.ndarray]],
) -> Iterator[VideoFeatures | FailedVideo]:
    """Whole videos, of their pieces.

    Args:
      scored_pieces: with the features of their clips, float32 ``[N, D]``.
    """
    held: list[VideoFeatures] = []
    for piece, features in scored_pieces:
        if isinstance(piece.rows, VideoFeatures) and len(features):
            held.append(dataclasses.replace(piece.rows, features=features))
        if piece.is_last:
            yield _joined(held, piece.rows) if held else piece.rows
            held = []


def _joined(pieces: Sequence[VideoFeatures], last: VideoFeatures) -> VideoFeatures:
    columns = ("clips", "crops", "starts", "ends", "features")
    values = {name: np.concatenate([getattr(one, name) for one in pieces]) for name in columns}
    return dataclasses.replace(last, **values)
