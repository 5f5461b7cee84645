"""Video bytes to frames, decoding only what the wanted frames depend on.

Three steps: demux every packet (cheap, nothing is decoded), find the packets of the wanted frames,
then decode each group of pictures that holds one, from its key frame to the last wanted packet,
while the decoder drops non-reference frames that nobody asked for. The pictures are, bit for bit,
those of plain sequential decoding, which also takes over wherever the packets of a stream cannot be
trusted to number its frames.

Frame numbers count displayed frames from 0. One thread decodes; parallelism is the loader's.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from data_pipelines.errors import TooFewFramesError, UndecodableError
from data_pipelines.packets import BROKEN, demux, display_order, opened, runs

__all__ = ["VideoInfo", "decode_all", "decode_frames", "probe"]


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


def probe(data: bytes) -> VideoInfo:
    """Reads a video's frame count, rate, size and rotation.

    Frames are counted from the packets, never from the header, which truncated files keep intact;
    where packets do not number the frames, from decoding.

    Args:
        data: A whole media file.

    Returns:
        Its ``VideoInfo``. ``num_frames`` equals ``len(decode_all(data))`` for every sound file.

    Raises:
        UndecodableError: The bytes are no media file, or no frame of it can be decoded.
        NoVideoStreamError: It holds no moving pictures.
    """
    with opened(data) as (container, stream):
        packets = demux(container, stream)
        order = display_order(container, stream, packets)
        frames = _decode_packets(stream, packets)
        first = next(frames, None)
        if first is None:
            raise UndecodableError(f"none of {len(packets)} packets could be decoded.")
        if order is not None:
            num_frames, span = len(order), packets[order[-1]].pts - packets[order[0]].pts
        else:
            num_frames, span = 1 + sum(1 for _ in frames), 0
        fps = float(stream.average_rate or stream.guessed_rate or 30)
        if span > 0:  # average_rate is not the rate of files with a variable one
            fps = float((num_frames - 1) / (span * stream.time_base))
        rotation = _rotation(first)
        height, width = first.height, first.width
        if rotation % 180:
            height, width = width, height
        return VideoInfo(num_frames, fps, height, width, rotation)


def decode_all(data: bytes, *, strict: bool = False) -> np.ndarray:
    """Decodes every frame, in order.

    Args:
        data: A whole media file.
        strict: Raise at any damage. Otherwise decoders conceal bit errors silently, and frames
            before the first refused packet are returned.

    Returns:
        uint8 [N, height, width, 3], RGB, upright.

    Raises:
        UndecodableError: No frame can be decoded, or the picture size changes, or ``strict`` and
            there is damage.
        NoVideoStreamError: There are no moving pictures.
    """
    found = _decode_sequentially(data, None, strict)
    return _stack(found, range(len(found)))


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
            size changes, or ``strict`` and there is damage.
        NoVideoStreamError: There are no moving pictures.
        TooFewFramesError: A wanted frame lies beyond the end or behind damage.
    """
    indices = [int(index) for index in indices]
    if not indices or min(indices) < 0:
        raise ValueError(f"{indices=} must hold at least one frame number, none below 0.")
    wanted = set(indices)
    found = _decode_selectively(data, wanted, strict)
    if found is None:
        found = _decode_sequentially(data, wanted, strict)
    return _stack(found, indices)


def _decode_selectively(
    data: bytes, wanted: set[int], strict: bool
) -> dict[int, np.ndarray] | None:
    """Returns the wanted frames by number, or None where only sequential decoding is exact."""
    with opened(data, strict) as (container, stream):
        packets = demux(container, stream)
        order = display_order(container, stream, packets)
        if order is None:
            return None
        if max(wanted) >= len(order):
            raise _too_few(max(wanted), len(order))
        number_of = {packets[order[index]].pts: index for index in wanted}
        found: dict[int, np.ndarray] = {}
        reformatter = VideoReformatter()
        context = stream.codec_context

        def take(frames: Iterable[av.VideoFrame]) -> bool:
            """Keeps wanted frames; returns whether all were sound."""
            for frame in frames:
                index = number_of.get(frame.pts)
                if index is not None:
                    if frame.is_corrupt:
                        return False
                    found[index] = _picture(frame, reformatter)
            return True

        try:
            for first, last in runs(packets, [order[index] for index in wanted]):
                for packet in packets[first : last + 1]:
                    context.skip_frame = "DEFAULT" if packet.pts in number_of else "NONREF"
                    if not take(context.decode(packet)):
                        return None
                if not take(context.decode(None)):
                    return None
                context.flush_buffers()
        except BROKEN:
            return None  # the sequential decoder finds what can be saved, and words the error
        return found if len(found) == len(number_of) else None


def _decode_sequentially(
    data: bytes, wanted: set[int] | None, strict: bool
) -> dict[int, np.ndarray]:
    """Returns the wanted frames (all of them for None) by number, decoding from the beginning."""
    found: dict[int, np.ndarray] = {}
    reformatter = VideoReformatter()
    with opened(data, strict) as (container, stream):
        length = 0
        try:
            for frame in container.decode(stream):
                if strict and frame.is_corrupt:
                    raise UndecodableError(f"frame {length} is damaged.")
                if wanted is None or length in wanted:
                    found[length] = _picture(frame, reformatter)
                    if wanted is not None and len(found) == len(wanted):
                        break
                length += 1
        except BROKEN as error:
            if strict or not found:
                raise UndecodableError(
                    f"decoding stopped after {length} frames ({error}); the file is damaged."
                ) from error
    if length and not found:
        raise _too_few(min(wanted), length)
    return found


def _stack(found: dict[int, np.ndarray], indices: Sequence[int]) -> np.ndarray:
    """Returns the frames at ``indices`` as one array."""
    if not found:
        raise UndecodableError("no frame could be decoded; the file is damaged or empty.")
    missing = [index for index in indices if index not in found]
    if missing:
        raise _too_few(missing[0], max(found) + 1)
    shapes = {picture.shape for picture in found.values()}
    if len(shapes) > 1:
        raise UndecodableError(f"the picture size changes inside the stream: {sorted(shapes)}.")
    return np.stack([found[index] for index in indices])


def _too_few(index: int, length: int) -> TooFewFramesError:
    return TooFewFramesError(
        f"frame {index} was asked for, and {length} can be decoded; the file is truncated, or its "
        "recorded frame count is wrong."
    )


def _decode_packets(stream, packets: Iterable[av.Packet]) -> Iterator[av.VideoFrame]:
    """Yields the frames of packets, passing over packets that the decoder refuses."""
    for packet in (*packets, None):
        with contextlib.suppress(*BROKEN):
            yield from stream.codec_context.decode(packet)


def _rotation(frame: av.VideoFrame) -> int:
    """Returns the display rotation in degrees, 0 for angles that are no quarter turns."""
    rotation = int(frame.rotation) % 360
    return rotation if rotation % 90 == 0 else 0


def _picture(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Returns uint8 [height, width, 3], RGB and upright."""
    picture = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    rotation = _rotation(frame)
    return np.ascontiguousarray(np.rot90(picture, k=rotation // 90)) if rotation else picture
