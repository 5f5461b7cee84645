"""Video bytes to frames, decoding only what the wanted frames depend on.

Three steps: list every packet (cheap, nothing is decoded), find the packets of the wanted frames,
then decode each group of pictures that holds one, from its key frame to the last wanted packet,
while the decoder drops non-reference frames that nobody asked for. The pictures are, bit for bit,
those of plain sequential decoding, which also takes over wherever the packets of a stream cannot be
trusted to number its frames.

Frame numbers count displayed frames from 0. One thread decodes; parallelism is the loader's. What
hostile files can cost is bounded in ``data_pipelines.decoding.packets``.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipelines.decoding.coded import coded_stream, watch_of
from data_pipelines.decoding.found import MAX_BYTES, Found, rotation_of, too_few
from data_pipelines.decoding.frames import all_frames, selected_frames
from data_pipelines.decoding.packets import BROKEN, check_size, demux, display_order, opened
from data_pipelines.errors import UndecodableError

__all__ = ["MAX_BYTES", "VideoInfo", "decode_all", "decode_frames", "probe"]


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        num_frames: Displayed frames.
        fps: Mean frames per second.
        height: Pixels, after rotation.
        width: Pixels, after rotation.
        rotation: Degrees counter-clockwise by which the stored picture is turned for display, one
            of 0, 90, 180, 270. Decoded frames have it applied.
    """

    num_frames: int
    fps: float
    height: int
    width: int
    rotation: int

    @property
    def seconds(self) -> float:
        """Its length at the mean rate."""
        return self.num_frames / self.fps if self.fps > 0 else float("nan")


def probe(data: bytes) -> VideoInfo:
    """Reads a video's frame count, rate, size and rotation.

    Frames are counted from the packets, never from the header, which truncated files keep intact;
    where packets do not number the frames, from decoding.

    Args:
        data: A whole media file.

    Returns:
        Its ``VideoInfo``. ``num_frames`` equals ``len(decode_all(data))`` for every sound file.

    Raises:
        UndecodableError: The bytes are no media file, no frame of it can be decoded, or it is
            beyond the bounds of ``data_pipelines.decoding.packets``.
        NoVideoStreamError: It holds no moving pictures.
    """
    with opened(data) as (container, stream):
        watch = watch_of(stream.codec_context)
        packets = list(demux(container, stream, len(data), watch))
        order = display_order(container, stream, packets, watch.certain)
        frames = all_frames(stream.codec_context, packets)
        try:
            first = next(frames, None)
        except BROKEN:
            first = None
        if first is None:
            raise UndecodableError(f"none of {len(packets)} packets can be decoded.")
        span = 0
        if order is not None:
            num_frames, span = len(order), packets[order[-1]].pts - packets[order[0]].pts
        else:
            num_frames = 1
            with contextlib.suppress(*BROKEN):
                for _ in frames:
                    num_frames += 1
        fps = float(stream.average_rate or stream.guessed_rate or 30)
        if span > 0 and stream.time_base:  # average_rate is not the rate of files with varying ones
            fps = float((num_frames - 1) / (span * stream.time_base))
        rotation = rotation_of(first)
        height, width = first.height, first.width
        check_size(height, width)
        if rotation % 180:
            height, width = width, height
        return VideoInfo(num_frames, fps, height, width, rotation)


def decode_all(data: bytes, *, strict: bool = False) -> np.ndarray:
    """Decodes every frame, in order.

    Args:
        data: A whole media file.
        strict: Raise at any damage. Otherwise decoders conceal bit errors silently, frames before
            the first refused packet are returned, and what precedes the first frame that can be
            decoded, as in a recording that begins in the middle, is passed over.

    Returns:
        uint8 [N, height, width, 3], RGB, upright.

    Raises:
        UndecodableError: No frame can be decoded, the picture size changes, pictures or their
            number are beyond the bounds, or ``strict`` and there is damage.
        NoVideoStreamError: There are no moving pictures.
    """
    found = Found()
    _decode_sequentially(data, found, strict)
    return found.stacked()


def decode_frames(data: bytes, indices: Sequence[int], *, strict: bool = False) -> np.ndarray:
    """Decodes chosen frames, and little else.

    Args:
        data: A whole media file.
        indices: Frame numbers in display order, each at least 0, in any order, repeats allowed.
        strict: Raise at damage in what is decoded, instead of returning concealed pictures.

    Returns:
        uint8 [len(indices), height, width, 3], RGB, upright; equal to ``decode_all(data)[indices]``
        for every sound file.

    Raises:
        ValueError: ``indices`` is empty or has a negative number.
        UndecodableError: The bytes are no media file, no wanted frame can be decoded, the picture
            size changes, pictures are beyond the bounds, or ``strict`` and there is damage.
        NoVideoStreamError: There are no moving pictures.
        TooFewFramesError: A wanted frame lies beyond the end or behind damage.
    """
    indices = [int(index) for index in indices]
    if not indices or min(indices) < 0:
        raise ValueError(f"{indices=} must hold at least one frame number, none below 0.")
    found = Found(indices)
    if not _decode_selectively(data, found, strict):
        found = Found(indices)
        _decode_sequentially(data, found, strict)
    return found.stacked()


def _decode_selectively(data: bytes, found: Found, strict: bool) -> bool:
    """Fills ``found``; False where that is not possible, or would not be exact."""
    with coded_stream(data, strict) as coded:
        if coded is None:
            return False
        if max(found.wanted) >= len(coded.order):
            raise too_few(max(found.wanted), len(coded.order))
        try:
            for number, frame in selected_frames(coded, found.wanted):
                found.keep(number, frame)
        except BROKEN:
            return False  # the sequential decoder finds what can be saved, and words the error
        return found.complete()


def _decode_sequentially(data: bytes, found: Found, strict: bool) -> None:
    """Fills ``found``, decoding from the beginning to the last wanted frame."""
    number = 0
    with opened(data, strict) as (container, stream):
        packets = demux(container, stream, len(data), strict=strict)
        try:
            for frame in all_frames(stream.codec_context, packets, strict):
                if strict and frame.is_corrupt:
                    raise UndecodableError(f"frame {number} is damaged.")
                if found.wanted is None or number in found.wanted:
                    found.keep(number, frame)
                    if found.complete():
                        return
                number += 1
        except BROKEN as error:
            if strict or not len(found):
                raise UndecodableError(
                    f"decoding stopped after {number} frames ({error}); the file is damaged."
                ) from error
    if number and not len(found):
        raise too_few(min(found.wanted), number)
