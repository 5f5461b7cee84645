"""Frames to MP4 bytes, with the two encoder settings that the project stores videos in."""

from __future__ import annotations

import fractions
import io
from collections.abc import Mapping
from types import MappingProxyType

import av
import numpy as np

__all__ = ["CANONICAL", "INTRA", "Mp4Writer", "encode_mp4"]

# Closed groups of 12 with many non-reference B-frames: a reader skips what it does not want, and
# gets its clip several times as fast as from x264's defaults. Without the macroblock tree, whose
# vector code reads memory that it has not written: with it, the same frames give other bytes now
# and then (x264 core 165).
CANONICAL: Mapping[str, str] = MappingProxyType(
    {
        "crf": "23",
        "preset": "medium",
        "g": "12",
        "keyint_min": "12",
        "sc_threshold": "0",
        "bf": "7",
        "b_strategy": "0",
        "x264-params": "b-pyramid=none:open-gop=0:mbtree=0",
    }
)

# Every frame coded alone at one quantiser. Nothing in x264 then carries over from one frame to the
# next (no reference, no rate control, no lookahead), so a decoded picture depends on its source
# picture alone, and a clip played backwards decodes to exactly the same pictures, backwards.
INTRA: Mapping[str, str] = MappingProxyType(
    {
        "qp": "18",
        "preset": "veryfast",
        "tune": "zerolatency",
        "g": "1",
        "bf": "0",
        "x264-params": "keyint=1:scenecut=0:rc-lookahead=0:aq-mode=0",
    }
)


class Mp4Writer:
    """Writes an H.264 MP4 in memory, frame by frame, on one thread; a context manager.

    Args:
        height: Pixels.
        width: Pixels.
        rate: Frames per second; frame n is shown at n / rate.
        options: libx264 options.
        pix_fmt: FFmpeg's name of the pixel format that is stored.
        colorspace: FFmpeg's number of the matrix that frames were made with; None for untold.
        color_range: FFmpeg's number of their range; None for untold.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        rate: fractions.Fraction,
        options: Mapping[str, str] = CANONICAL,
        pix_fmt: str = "yuv420p",
        colorspace: int | None = None,
        color_range: int | None = None,
    ):
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, mode="w", format="mp4")
        stream = self._container.add_stream("libx264", rate=rate, options=dict(options))
        stream.height, stream.width = height, width
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = 1 / rate
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if color_range is not None:
            stream.codec_context.color_range = color_range
        self._stream = stream
        self._time_base = 1 / rate
        self._pix_fmt = pix_fmt
        # One reformatter for all frames: a fresh one for each costs more than a small frame does.
        self._reformatter = av.video.reformatter.VideoReformatter()
        self.num_frames = 0

    @property
    def num_bytes(self) -> int:
        """Bytes written so far; the encoder may hold back some frames."""
        return self._buffer.tell()

    def write(self, frame: av.VideoFrame) -> None:
        """Adds one frame of the writer's size; its own time does not matter."""
        frame = self._reformatter.reformat(frame, format=self._pix_fmt, threads=1)
        frame.pts, frame.time_base = self.num_frames, self._time_base
        self._container.mux(self._stream.encode(frame))
        self.num_frames += 1

    def finish(self) -> bytes:
        """Returns the bytes of the complete file, of at least one frame."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()

    def __enter__(self) -> Mp4Writer:
        return self

    def __exit__(self, *exception) -> None:
        self._container.close()


def encode_mp4(
    frames: np.ndarray,
    *,
    fps: float,
    options: Mapping[str, str] = CANONICAL,
    pix_fmt: str = "yuv420p",
) -> bytes:
    """Encodes frames as an H.264 MP4 in memory.

    One thread encodes, so the same frames always give the same bytes.

    Args:
        frames: uint8 [T, height, width, 3], RGB.
        fps: Frames per second, above 0.
        options: libx264 options; ``CANONICAL`` for stored data sets, ``INTRA`` where frames must
            be coded independently of each other.
        pix_fmt: FFmpeg's name of the pixel format that is stored. ``yuv420p`` halves the colour
            resolution and needs even sizes; ``yuv444p`` takes any.

    Returns:
        The bytes of a complete MP4 file with constant frame rate.

    Raises:
        ValueError: The frames have another shape or dtype, there are none, the sizes are odd under
            ``yuv420p``, or ``fps`` is not positive.
    """
    frames = _checked(frames, fps, pix_fmt)
    # A denominator up to 1001 holds the broadcast rates (30000/1001) exactly.
    rate = fractions.Fraction(fps).limit_denominator(1001)
    height, width = frames.shape[1:3]
    with Mp4Writer(height, width, rate=rate, options=options, pix_fmt=pix_fmt) as writer:
        for picture in frames:
            writer.write(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        return writer.finish()


def _checked(frames: np.ndarray, fps: float, pix_fmt: str) -> np.ndarray:
    """Returns the frames as one contiguous array, or says what is wrong with the call."""
    frames = np.ascontiguousarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(
            f"{frames.shape=} {frames.dtype=} must be uint8 [T, height, width, 3] with no axis "
            "empty; convert the frames before encoding them."
        )
    height, width = frames.shape[1:3]
    if pix_fmt == "yuv420p" and (height % 2 or width % 2):
        raise ValueError(
            f"{height=} and {width=} must be even, as yuv420p stores one colour sample for 2x2 "
            "pixels; crop by one pixel or pass pix_fmt='yuv444p'."
        )
    if not fps > 0:
        raise ValueError(f"{fps=} must be above 0 frames per second.")
    return frames
