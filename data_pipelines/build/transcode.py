"""Any readable video to the records in which it is stored, one frame at a time."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from data_pipelines.build.settings import Settings
from data_pipelines.build.source import VideoFile
from data_pipelines.build.timing import make_clock
from data_pipelines.decoding.decode import probe
from data_pipelines.encode import Mp4Writer
from data_pipelines.errors import TooLargeError, UndecodableError

__all__ = ["MAX_RECORD_BYTES", "StoredVideo", "store", "stored_size"]

# A record is read whole, and protocol buffers end at 2 GiB.
MAX_RECORD_BYTES = 1 << 30

# The last piece of a video that is cut into records is left out if it is shorter, in seconds.
_SHORTEST_PIECE = 1.0

# FFmpeg's numbers of the matrices of luma and chroma that swscale knows and players undo: BT.709,
# not told (BT.601 to all that is used here), FCC, BT.601 of either kind, SMPTE 240M, BT.2020.
_KNOWN_MATRICES = frozenset({1, 2, 4, 5, 6, 7, 9})
_BT601 = 6


@dataclasses.dataclass(frozen=True)
class StoredVideo:
    """One record's worth of a video.

    Attributes:
        video: Bytes of a media file; None where ``frames`` are stored.
        frames: Bytes of one JPEG a frame; None where ``video`` is stored.
        num_frames: Frames.
        height: Pixels, upright.
        width: Pixels, upright.
        fps: Frames per second.
        source_start: Seconds from the source's first frame to this record's first.
        source_end: Seconds from the source's first frame to the end of this record's last.
    """

    video: bytes | None
    frames: list[bytes] | None
    num_frames: int
    height: int
    width: int
    fps: float
    source_start: float
    source_end: float


def store(
    source: bytes | str | os.PathLike,
    settings: Settings,
    *,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[StoredVideo]:
    """Reads a video strictly and yields what is stored of it.

    Memory holds one frame of the source and one record of the result. Damage may show only after
    some records of a video have been yielded: what the error leaves behind must not be kept.

    Args:
        source: A path, or the bytes of a whole media file.
        settings: How videos are stored.
        alive: Called at every step, so that whoever waits knows that there is progress.

    Yields:
        One record, or with ``record_seconds`` those of [0, s), [s, 2s), …; a last one of less than
        a second (or half of ``record_seconds``, if that is less) is left out unless it is the only
        one. Short sides are exactly ``short_side`` (rounded down to an even number) or the source's
        own if that is less; both sides are even, so that an odd one loses a pixel.

    Raises:
        VideoError: ``undecodable``, ``no_video_stream``, ``too_large``, ``missing_file`` or
            ``unreadable``.
    """
    file = VideoFile(source, alive)
    if settings.storage == "as_is":
        yield _as_is(source, file)
        return
    survey = file.survey()
    clock = make_clock(survey.times, survey.time_base, survey.rates, settings.max_fps)
    seconds = settings.record_seconds and Fraction(settings.record_seconds).limit_denominator(1000)
    piece, written, pieces = None, 0, 0
    pictures = _Pictures(settings)
    try:
        for number, frame in enumerate(file.frames(survey.num_frames)):
            copies = clock.first(number + 1) - clock.first(number)
            picture = pictures(frame) if copies else None
            for _ in range(copies):
                if piece and seconds and written >= math.ceil(pieces * seconds * clock.rate):
                    yield piece.finish()
                    piece = None
                if piece is None:
                    piece = pictures.piece(clock.rate, written)
                    pieces += 1
                piece.add(picture)
                written += 1
                alive()
        long_enough = min(_SHORTEST_PIECE, float(seconds or 0) / 2) * clock.rate
        if pieces == 1 or piece.num_frames >= long_enough:
            yield piece.finish()
    finally:
        if piece:
            piece.discard()


def stored_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Returns the (height, width) in which pictures of a size are stored, both even."""
    shrink = min(1.0, short_side / min(height, width)) if short_side else 1.0
    # Rounded down: an odd side loses a pixel rather than gains one. 2 is the least there can be.
    sides = [side if shrink == 1.0 else round(side * shrink) for side in (height, width)]
    return tuple(max(2, side - side % 2) for side in sides)


def _as_is(source: bytes | str | os.PathLike, file: VideoFile) -> StoredVideo:
    """Returns the file's own bytes, once every frame has been decoded."""
    if not isinstance(source, bytes):
        with file.open() as opened:
            data = opened.read(MAX_RECORD_BYTES + 1)
    else:
        data = source
    if len(data) > MAX_RECORD_BYTES:
        raise _too_large(len(data))
    survey = file.survey()
    count = sum(1 for _ in file.frames(survey.num_frames))
    info = probe(data)
    if info.num_frames != count:
        raise UndecodableError(
            f"{count} frames can be decoded, and its packets tell of {info.num_frames}; storing it "
            "as canonical makes the two agree."
        )
    end = round(count / info.fps, 6)
    return StoredVideo(data, None, count, info.height, info.width, info.fps, 0.0, end)


class _Pictures:
    """Frames of one source to pictures of the stored size, upright."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._jpeg = settings.storage == "jpeg"
        self._reformatter = VideoReformatter()
        self._matrix = _BT601
        self._size = None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns uint8 [height, width, 3], BGR, for JPEGs; else [height * 3/2, width], planes."""
        height, width = stored_size(frame.height, frame.width, self._settings.short_side)
        known = int(frame.colorspace) in _KNOWN_MATRICES
        self._matrix = int(frame.colorspace) if known else _BT601
        conversion = {"format": "bgr24"} if self._jpeg else {
            "format": "yuv420p",
            "dst_color_range": ColorRange.MPEG,
            "dst_colorspace": None if known else Colorspace.ITU601,
        }  # fmt: skip
        frame = self._reformatter.reformat(
            frame, width=width, height=height, interpolation="AREA", threads=1, **conversion
        )
        # An array, and not the frame: that would hand on marks of its old coding to the encoder.
        picture = frame.to_ndarray()
        rotation = int(frame.rotation) % 360
        turns = rotation // 90 if rotation % 90 == 0 else 0
        self._size = (width, height) if turns % 2 else (height, width)
        if self._jpeg:
            return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
        return _rotate_planes(picture, height, width, turns) if turns else picture

    def piece(self, rate: Fraction, start: int) -> _Mp4Piece | _JpegPiece:
        """Returns an empty record that begins with stored frame ``start``."""
        if self._jpeg:
            return _JpegPiece(self._size, rate, start, self._settings.jpeg_quality)
        return _Mp4Piece(self._size, rate, start, self._matrix)


class _Piece:
    """A record that frames are added to."""

    def __init__(self, size: tuple[int, int], rate: Fraction, start: int):
        self.num_frames = 0
        self._size, self._rate, self._start = size, rate, start

    def _stored(self, video: bytes | None, frames: list[bytes] | None) -> StoredVideo:
        span = [(self._start + count) / self._rate for count in (0, self.num_frames)]
        start, end = (round(float(second), 6) for second in span)
        rate = float(self._rate)
        return StoredVideo(video, frames, self.num_frames, *self._size, rate, start, end)

    def _check(self, num_bytes: int) -> None:
        if num_bytes > MAX_RECORD_BYTES:
            raise _too_large(num_bytes)


class _Mp4Piece(_Piece):
    """A record of canonical storage."""

    def __init__(self, size, rate, start, matrix):
        super().__init__(size, rate, start)
        self._writer = Mp4Writer(
            *size, rate=rate, colorspace=matrix, color_range=int(ColorRange.MPEG)
        )

    def add(self, picture: np.ndarray) -> None:
        self._writer.write(av.VideoFrame.from_ndarray(picture, format="yuv420p"))
        self.num_frames += 1
        self._check(self._writer.num_bytes)

    def finish(self) -> StoredVideo:
        return self._stored(self._writer.finish(), None)

    def discard(self) -> None:
        self._writer.__exit__()


class _JpegPiece(_Piece):
    """A record of JPEGs."""

    def __init__(self, size, rate, start, quality):
        super().__init__(size, rate, start)
        self._quality = quality
        self._frames, self._num_bytes = [], 0

    def add(self, picture: np.ndarray) -> None:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        self._frames.append(data.tobytes())
        self.num_frames += 1
        self._num_bytes += data.size
        self._check(self._num_bytes)

    def finish(self) -> StoredVideo:
        return self._stored(None, self._frames)

    def discard(self) -> None:
        self._frames = []


def _rotate_planes(picture: np.ndarray, height: int, width: int, turns: int) -> np.ndarray:
    """Turns a yuv420p picture counter-clockwise, plane by plane."""
    flat, planes, begin = picture.reshape(-1), [], 0
    for rows, columns in ((height, width), *[(height // 2, width // 2)] * 2):
        plane = flat[begin : begin + rows * columns].reshape(rows, columns)
        planes.append(np.rot90(plane, turns).reshape(-1))
        begin += rows * columns
    return np.concatenate(planes).reshape(-1, height if turns % 2 else width)


def _too_large(num_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"a record of {num_bytes} bytes or more; at most {MAX_RECORD_BYTES} are kept in one. Cut "
        "videos into records: --record_seconds=30."
    )
