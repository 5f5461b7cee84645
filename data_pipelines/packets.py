"""Media bytes to packets, and which packets a frame needs: everything short of decoding.

The rules here were each paid for with wrong pictures: AVI's times lie once there are B-frames, some
codecs have packets that show nothing, edit lists hide packets that still have to be decoded, and
frames of an open group of pictures lean on the group before it.
"""

from __future__ import annotations

import bisect
import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence

import av
from av.error import FFmpegError

from data_pipelines.errors import NoVideoStreamError, UndecodableError

__all__ = ["BROKEN", "demux", "display_order", "opened", "runs"]

# What PyAV raises on damaged input.
BROKEN = (FFmpegError, OSError, ValueError)

# Containers whose packet times give the display order. AVI's do not, once there are B-frames.
_TIMED_CONTAINERS = frozenset({"mov", "mp4", "matroska", "webm"})

# Codecs that put exactly one displayed frame in a packet. VP8, for one, has packets that show none.
_FRAME_PER_PACKET_CODECS = frozenset({"h264", "hevc", "vp9", "av1", "mjpeg"})

# PyAV 18 raises on tags that are not UTF-8 unless told otherwise; PyAV 19 dropped the argument.
_OPEN_ARGUMENTS = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextlib.contextmanager
def opened(
    data: bytes, strict: bool = False
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens media bytes as (container, best video stream) for one decoding thread; closes them.

    Args:
        data: A whole media file.
        strict: Have the decoder refuse bit errors, which it otherwise conceals silently.

    Yields:
        The container and its best video stream, attached pictures such as cover art left out.

    Raises:
        UndecodableError: The bytes are no media file.
        NoVideoStreamError: There are no moving pictures.
    """
    try:
        container = av.open(io.BytesIO(data), mode="r", **_OPEN_ARGUMENTS)
    except BROKEN as error:
        raise UndecodableError(
            f"{len(data)} bytes cannot be opened as video ({error}); they are no media file, or "
            "one that was cut."
        ) from error
    with container:
        moving = [
            stream
            for stream in container.streams.video
            if not stream.disposition & stream.disposition.attached_pic
        ]
        if not moving:
            kinds = sorted({stream.type for stream in container.streams})
            raise NoVideoStreamError(f"the file holds no moving pictures, only {kinds}.")
        best = container.streams.best("video")
        stream = next((one for one in moving if best and one.index == best.index), moving[0])
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        if strict:
            stream.codec_context.options = {"err_detect": "explode"}
        yield container, stream


def demux(container: av.container.InputContainer, stream: av.VideoStream) -> list[av.Packet]:
    """Returns the packets of a stream up to its end or to where the file breaks off.

    Raises:
        UndecodableError: There is no packet.
    """
    packets = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                packets.append(packet)
    except BROKEN as error:
        if not packets:
            raise UndecodableError(f"the stream cannot be read ({error}).") from error
    if not packets:
        raise UndecodableError("the video stream is empty; the file is truncated.")
    return packets


def display_order(
    container: av.container.InputContainer, stream: av.VideoStream, packets: Sequence[av.Packet]
) -> list[int] | None:
    """Returns packet positions in display order, or None where packets do not number frames."""
    codec = stream.codec_context
    if not _TIMED_CONTAINERS & set(container.format.name.split(",")):
        return None
    if codec.codec.canonical_name not in _FRAME_PER_PACKET_CODECS:
        return None
    # x264 names its version in the first packet only. The decoder needs it to undo an old 4:4:4
    # fault, so starting at a later key frame would give garbage, silently.
    if codec.codec.canonical_name == "h264" and "444" in (codec.pix_fmt or "444"):
        return None
    # Edit lists discard packets that are decoded and never shown.
    shown = [position for position, packet in enumerate(packets) if not packet.is_discard]
    times = {packets[position].pts for position in shown}
    if not shown or None in times or len(times) < len(shown) or not packets[0].is_keyframe:
        return None
    return sorted(shown, key=lambda position: packets[position].pts)


def runs(packets: Sequence[av.Packet], wanted: Iterable[int]) -> list[tuple[int, int]]:
    """Returns the packet ranges to decode for some packets' frames.

    Args:
        packets: All packets, in decoding order, the first of them a key frame.
        wanted: Positions of the packets whose frames are wanted.

    Returns:
        (first, last) positions, both included, ascending and apart; each starts at a key frame.
    """
    keys = [position for position, packet in enumerate(packets) if packet.is_keyframe]
    ranges: list[tuple[int, int]] = []
    for position in sorted(wanted):
        group = bisect.bisect_right(keys, position) - 1
        # In an open group, frames shown before the key frame lean on the group before it.
        if packets[position].pts < packets[keys[group]].pts and group > 0:
            group -= 1
        start = keys[group]
        # Joining neighbours spares a restart of the decoder, dear where every frame is a group.
        if ranges and start <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((start, position))
    return ranges
