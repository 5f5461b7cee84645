"""One video file, read strictly, once for its times and once for its pictures.

Nothing of a file is held beyond a packet and a frame, whatever its length. Whatever a lenient
player would pass over in silence is an error here: bit errors that the decoder could conceal, a
file that breaks off before its end, pictures that change their size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import av
from etils import epath

from data_pipelines.build.files import is_local
from data_pipelines.build.guarded import GuardedFile, unreadable
from data_pipelines.build.matroska import promised_bytes
from data_pipelines.build.ogg import missing_end
from data_pipelines.decoding.bitstream import OneFrameEach
from data_pipelines.decoding.packets import (
    BROKEN,
    MAX_PACKETS,
    check_size,
    demux,
    display_order,
    opened_file,
    reason,
)
from data_pipelines.errors import (
    MissingFileError,
    TooLargeError,
    UndecodableError,
)

__all__ = ["MAX_FRAMES", "Survey", "VideoFile", "local_copy"]

# Frames of one file: nine hours at 30 a second.
MAX_FRAMES = MAX_PACKETS

_HASH_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Survey:
    """What the packets of a file tell about its frames, before they are stored.

    Attributes:
        num_frames: Frames that must come out of the decoder; None where packets do not tell.
        times: When each frame appears, ascending, in units of ``time_base``; None where only the
            order of decoding can be trusted.
        time_base: Seconds.
        rates: Frames per second that the container tells, best first.
    """

    num_frames: int | None
    times: Sequence[int] | None
    time_base: Fraction
    rates: tuple[Fraction | None, ...]


class _Packet(NamedTuple):
    """What :func:`~data_pipelines.decoding.packets.display_order` looks at."""

    pts: int | None
    is_keyframe: bool
    is_discard: bool


class VideoFile:
    """A video file, or its bytes.

    Args:
        source: A path, or the bytes of a whole media file.
        alive: Called at every step, so that whoever waits knows that there is progress.
    """

    def __init__(self, source: bytes | str | os.PathLike, alive: Callable[[], None] = lambda: None):
        self._source = source
        self._alive = alive

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Opens the file for reading.

        Raises:
            MissingFileError: There is none.
            UnreadableError: It may not be read, or reading it fails on the way.
        """
        if isinstance(self._source, bytes):
            yield io.BytesIO(self._source)
            return
        try:
            file = epath.Path(self._source).open("rb")
        except FileNotFoundError as error:
            raise MissingFileError(
                f"{os.fspath(self._source)} is not there (any more); restore it, or list it no "
                "longer."
            ) from error
        except OSError as error:
            raise unreadable(os.fspath(self._source), error) from error
        with file:
            guarded = GuardedFile(file, os.fspath(self._source))
            try:
                yield guarded
            except Exception:
                guarded.check()  # the cause of whatever else was raised
                raise
            guarded.check()

    def sha256(self) -> str:
        """Returns the SHA-256 of the file's bytes, hexadecimal."""
        digest = hashlib.sha256()
        with self.open() as file:
            while block := file.read(_HASH_BYTES):
                digest.update(block)
                self._alive()
        return digest.hexdigest()

    def survey(self) -> Survey:
        """Reads every packet, and decodes only where packets do not tell when frames appear.

        Raises:
            VideoError: Of the kinds of :meth:`frames`.
        """
        with self._opened() as (file, container, stream):
            codec = stream.codec_context
            watch = OneFrameEach(codec.codec.canonical_name, codec.extradata)
            packets = self._packets(file, container, stream, watch)
            _check_whole(file, container, stream)
            rates = (stream.average_rate, stream.guessed_rate)
            time_base = Fraction(stream.time_base)
            order = display_order(container, stream, packets, watch.certain)
            timed = "avi" not in container.format.name.split(",")  # whose times lie
        if order is not None:
            return Survey(len(order), [packets[place].pts for place in order], time_base, rates)
        times = [frame.pts for frame in self.frames()] if timed else None
        if times is None or None in times or any(b <= a for a, b in itertools.pairwise(times)):
            times = None
        return Survey(times and len(times), times, time_base, rates)

    def frames(self, num_frames: int | None = None) -> Iterator[av.VideoFrame]:
        """Decodes every frame, in display order, on one thread.

        Args:
            num_frames: How many there must be, if that is known.

        Raises:
            UndecodableError: Bytes that are no media file, damage, or too few frames.
            NoVideoStreamError: There are no moving pictures.
            TooLargeError: Pictures too large to decode, or beyond ``MAX_FRAMES``.
        """
        count, size = 0, None
        with self._opened() as (_, container, stream):
            try:
                for frame in container.decode(stream):
                    self._alive()
                    if frame.is_corrupt:
                        raise UndecodableError(f"frame {count} is damaged.")
                    size = size or (frame.height, frame.width)
                    check_size(frame.height, frame.width)
                    if size != (frame.height, frame.width):
                        raise UndecodableError(
                            f"the picture size changes from {size} to "
                            f"{(frame.height, frame.width)} at frame {count}."
                        )
                    count += 1
                    _check_count(count)
                    yield frame
            except BROKEN as error:
                raise UndecodableError(
                    f"decoding stopped after {count} frames ({reason(error)}); the file is damaged."
                ) from error
        if not count or count < (num_frames or 0):
            raise UndecodableError(
                f"{count} of {num_frames or 'an unknown number of'} frames can be decoded; the "
                "file is damaged."
            )

    @contextlib.contextmanager
    def _opened(
        self,
    ) -> Iterator[tuple[BinaryIO, av.container.InputContainer, av.VideoStream]]:
        """Opens the file as (file, container, best video stream), the latter set to be strict."""
        with self.open() as file, opened_file(file, strict=True) as (container, stream):
            yield file, container, stream

    def _packets(self, file, container, stream, watch: OneFrameEach) -> list[_Packet]:
        """Returns what all packets of the stream tell; their data are not kept."""
        packets = []
        for packet in demux(container, stream, _size(file), watch, strict=True):
            self._alive()
            if packet.is_corrupt:
                raise UndecodableError(
                    f"packet {len(packets)} is cut short; the file is truncated or damaged."
                )
            packets.append(_Packet(packet.pts, packet.is_keyframe, packet.is_discard))
        return packets


@contextlib.contextmanager
def local_copy(path: str | os.PathLike, alive: Callable[[], None]) -> Iterator[str]:
    """Gives the path of a file on this machine: one in a bucket, which is read twice, is fetched.

    Args:
        path: Of the file.
        alive: Called at every step.

    Raises:
        VideoError: Of the kinds of :meth:`VideoFile.open`.
    """
    if is_local(epath.Path(path)):
        yield os.fspath(path)
        return
    with tempfile.NamedTemporaryFile() as local:
        with VideoFile(path, alive).open() as remote:
            while block := remote.read(_HASH_BYTES):
                local.write(block)
                alive()
        local.flush()
        yield local.name


def _check_count(count: int) -> None:
    if count > MAX_FRAMES:
        raise TooLargeError(
            f"more than {MAX_FRAMES} frames in one file; cut the video into several first."
        )


def _size(file: BinaryIO) -> int:
    """Returns a file's size in bytes; leaves it where it is."""
    place = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(place)
    return size


def _check_whole(file: BinaryIO, container, stream) -> None:
    """Refuses files whose own index or header promises bytes that are not there."""
    size = _size(file)
    formats = container.format.name.split(",")
    promised = 0
    if "mp4" in formats:
        promised = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    elif "matroska" in formats:
        promised = promised_bytes(file)
    elif "ogg" in formats:
        lacking = missing_end(file, size)
        if lacking:
            raise UndecodableError(
                f"{lacking}: the file is truncated or damaged. Fetch it again; if that is how it "
                "was made, ffmpeg -i OLD -c copy NEW.ogv writes it whole."
            )
    if promised > size:
        raise UndecodableError(
            f"the file has {size} bytes and refers to byte {promised}: it is truncated. Fetch it "
            "again."
        )
