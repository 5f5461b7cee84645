"""Media bytes to packets, and which packets a frame needs: everything short of decoding.

The rules here were each paid for with wrong pictures: AVI's times lie once there are B-frames, some
codecs have packets that show nothing, edit lists hide packets that still have to be decoded, frames
of an open group of pictures lean on the group before it, and are dropped where that was cut away.

Hostile files are bounded here: by :data:`MAX_PIXELS` and :data:`MAX_SIDE` before a picture is
allocated, by :data:`MAX_PACKETS` and by the file's own size before packets fill the memory. All
bounds count; none looks at a clock, so that what is refused is refused everywhere.
"""

from __future__ import annotations

import bisect
import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import av
from av.error import FFmpegError

from data_pipelines.decoding.bitstream import OneFrameEach
from data_pipelines.decoding.fragments import fragment_packets
from data_pipelines.errors import NoVideoStreamError, TooLargeError, UndecodableError

__all__ = [
    "BROKEN",
    "MAX_PACKETS",
    "MAX_PIXELS",
    "MAX_SIDE",
    "check_size",
    "demux",
    "display_order",
    "one_thread",
    "opened",
    "opened_file",
    "reason",
    "runs",
]

# What PyAV raises on damaged input.
BROKEN = (FFmpegError, OSError, ValueError)

# Bounds of a picture: 8K has 33 million pixels, and H.264 knows no longer side.
MAX_PIXELS = 1 << 26
MAX_SIDE = 16384

# Packets of one stream: nine hours at 30 frames a second.
MAX_PACKETS = 1_000_000

# Packets may hold the file's bytes twice over (edit lists repeat some), and little beyond that:
# tables of a hostile file can let every packet be the whole file.
_MAX_COPIES = 2
_SLACK_BYTES = 1 << 20

# Containers whose packet times give the display order. AVI's do not, once there are B-frames.
_TIMED_CONTAINERS = frozenset({"mov", "mp4", "matroska", "webm"})

# Codecs that put exactly one displayed frame in a packet. VP8, for one, has packets that show none.
_FRAME_PER_PACKET_CODECS = frozenset({"h264", "hevc", "vp9", "av1", "mjpeg"})

# FFmpeg's numbers of field orders: not told, and whole pictures. All others are interlaced.
_WHOLE_PICTURES = (0, 1)

# PyAV 18 raises on tags that are not UTF-8 unless told otherwise; PyAV 19 dropped the argument.
_OPEN_ARGUMENTS = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}

# FFmpeg decodes a little when it opens a file, so the bound has to be known by then. No file may
# name other files or addresses to be read in its place, as playlists do.
_OPEN_OPTIONS = {"max_pixels": str(MAX_PIXELS), "protocol_whitelist": "none"}


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
        UndecodableError: The bytes are no media file, no decoder is known, or pictures are beyond
            ``MAX_PIXELS`` or ``MAX_SIDE``.
        NoVideoStreamError: There are no moving pictures.
    """
    claimed = fragment_packets(data)
    if claimed > MAX_PACKETS:
        raise UndecodableError(
            f"the file's fragments claim {claimed} packets; at most {MAX_PACKETS} are read. Its "
            "tables are damaged, or it has to be cut into several."
        )
    with opened_file(io.BytesIO(data), strict) as (container, stream):
        yield container, stream


@contextlib.contextmanager
def opened_file(
    file: BinaryIO, strict: bool = False
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """As :func:`opened`, for a file that is not held in memory.

    Args:
        file: A media file, opened for reading; it is not closed.
        strict: Have the decoder refuse bit errors.

    Yields:
        The container and its best video stream.

    Raises:
        UndecodableError, NoVideoStreamError: As of :func:`opened`.
    """
    try:
        container = av.open(file, mode="r", options=_OPEN_OPTIONS, **_OPEN_ARGUMENTS)
    except BROKEN as error:
        raise UndecodableError(
            f"it cannot be opened as video ({reason(error)}); it is no media file, or was cut."
        ) from error
    with container:
        stream = _best_stream(container)
        context = stream.codec_context
        if context is None:
            raise UndecodableError(
                "no decoder is known for the video stream; convert the file to H.264."
            )
        check_size(context.height, context.width)
        one_thread(context, strict)
        yield container, stream


def _best_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Returns the best video stream, attached pictures such as cover art left out."""
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & stream.disposition.attached_pic
    ]
    if not moving:
        kinds = sorted({stream.type for stream in container.streams})
        raise NoVideoStreamError(f"the file holds no moving pictures, only {kinds}.")
    best = container.streams.best("video")
    return next((stream for stream in moving if best and stream.index == best.index), moving[0])


def reason(error: Exception) -> str:
    """Returns what went wrong, without FFmpeg's numbers and function names."""
    return getattr(error, "strerror", None) or str(error)


def one_thread(context: av.VideoCodecContext, strict: bool) -> None:
    """Sets a decoder up: one thread, bounded pictures, and whether bit errors are refused."""
    context.thread_count = 1
    context.thread_type = "NONE"
    refusing = {"err_detect": "explode"} if strict else {}
    context.options = {"max_pixels": str(MAX_PIXELS), **refusing}


def check_size(height: int, width: int) -> None:
    """Refuses pictures beyond the bounds.

    Raises:
        TooLargeError: They are.
    """
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise TooLargeError(
            f"pictures of {height}x{width} pixels; at most {MAX_PIXELS} pixels and sides of "
            f"{MAX_SIDE} are decoded. Shrink the video first."
        )


def demux(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    data_size: int,
    watch: OneFrameEach | None = None,
    strict: bool = False,
) -> Iterator[av.Packet]:
    """Yields the packets of a stream up to its end or to where the file breaks off.

    Args:
        container: The opened file.
        stream: One of its streams.
        data_size: Bytes of the whole file.
        watch: Is shown every packet.
        strict: Raise where the file breaks off, too.

    Raises:
        UndecodableError: There is no packet, there are more than the bounds allow, or ``strict``
            and the file breaks off.
    """
    count, total = 0, 0
    most = _MAX_COPIES * data_size + _SLACK_BYTES
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            count, total = count + 1, total + packet.size
            if count > MAX_PACKETS or total > most:
                raise UndecodableError(
                    f"a file of {data_size} bytes has {count} packets or more, of {total} bytes; "
                    f"at most {MAX_PACKETS} of {most} bytes are read. Its tables are damaged, or "
                    "it has to be cut into several."
                )
            if watch is not None:
                watch.see(packet)
            yield packet
    except BROKEN as error:
        if strict or not count:
            raise UndecodableError(
                f"the stream breaks off after {count} packets ({error}); the file is damaged."
            ) from error
    if not count:
        raise UndecodableError("the video stream is empty; the file is truncated.")


def display_order(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    packets: Sequence[av.Packet],
    certain: bool = True,
) -> list[int] | None:
    """Returns packet positions in display order, or None where packets do not number frames.

    Args:
        container: The opened file.
        stream: The stream that the packets are of.
        packets: All of them, in decoding order; what is looked at is ``pts``, ``is_keyframe`` and
            ``is_discard``.
        certain: Whether each packet shows one frame, as far as ``OneFrameEach`` has seen.
    """
    codec = stream.codec_context
    name = codec.codec.canonical_name
    if not certain or not packets[0].is_keyframe:
        return None
    if not _TIMED_CONTAINERS & set(container.format.name.split(",")):
        return None
    if name not in _FRAME_PER_PACKET_CODECS:
        return None
    if name == "h264":
        # x264 names its version in the first packet only. The decoder needs it to undo an old
        # 4:4:4 fault, so starting at a later key frame would give garbage, silently.
        if "444" in (codec.pix_fmt or "444"):
            return None
        # The two fields of a picture may come in a packet each.
        if codec.field_order not in _WHOLE_PICTURES:
            return None
    times = [packet.pts for packet in packets]
    if None in times or len(set(times)) < len(times):
        return None
    # Edit lists discard packets that are decoded and never shown: before the first frame or after
    # the last. In between, pieces of the file are joined, and times alone do not tell how.
    shown = [position for position, packet in enumerate(packets) if not packet.is_discard]
    if not shown:
        return None
    shown.sort(key=times.__getitem__)
    first, last = times[shown[0]], times[shown[-1]]
    if sum(first <= time <= last for time in times) > len(shown):
        return None
    # Frames shown before the first key frame lean on what was cut away; decoders drop some.
    if first < times[0]:
        return None
    return shown


def runs(times: Sequence[int], keys: Sequence[int], wanted: Iterable[int]) -> list[tuple[int, int]]:
    """Returns the packet ranges to decode for some packets' frames.

    Args:
        times: When each packet is shown, in decoding order.
        keys: Positions of the key frames' packets, ascending, the first one 0.
        wanted: Positions of the packets whose frames are wanted.

    Returns:
        (first, last) positions, both included, ascending and apart; each starts at a key frame.
    """
    ranges: list[tuple[int, int]] = []
    for position in sorted(wanted):
        group = bisect.bisect_right(keys, position) - 1
        # In an open group, frames shown before the key frame lean on the group before it.
        if times[position] < times[keys[group]] and group > 0:
            group -= 1
        start = keys[group]
        # Joining neighbours spares a restart of the decoder, dear where every frame is a group.
        if ranges and start <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((start, position))
    return ranges
