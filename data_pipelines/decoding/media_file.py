"""A media file of any length: what it holds, and chosen frames of it, in bounded memory.

As `data_pipelines.decoding.decode`, bit for bit, without the file's bytes in memory: they are read
once to list the packets (of which 24 bytes and a little are kept, not their content), and once more
as far as frames are wanted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import os
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import av
import numpy as np

from data_pipelines.decoding.coded import Coded, watch_of
from data_pipelines.decoding.cut_off import cut_off
from data_pipelines.decoding.decode import VideoInfo
from data_pipelines.decoding.found import Upright, rotation_of, too_few
from data_pipelines.decoding.fragments import fragment_packets
from data_pipelines.decoding.frames import all_frames, selected_frames
from data_pipelines.decoding.packets import (
    BROKEN,
    MAX_PACKETS,
    check_size,
    demux,
    display_order,
    opened_file,
    reason,
)
from data_pipelines.errors import UndecodableError

__all__ = ["MediaFile"]

_CHUNK = 1 << 20


class _Mark(NamedTuple):
    """What a packet tells without its content."""

    pts: int | None
    is_keyframe: bool
    is_discard: bool


@dataclasses.dataclass(frozen=True)
class _Nothing:
    """Of any packet: not known to be disposable; the decoder will see."""

    def __getitem__(self, position: int) -> bool:
        return False


class MediaFile:
    """An open file; use it from one thread at a time.

    Args:
        file: A media file, opened for reading; it is not closed. It must be of this machine.

    Attributes:
        info: As `data_pipelines.decoding.decode.probe` gives it for the file's bytes.
        cut_off: What tells that the file ends before its time, such as ``its header tells of 300
            frames, and 150 are there``; None where nothing does. Damage within the file shows when
            it is decoded.

    Raises:
        UndecodableError: It is no media file, no frame of it can be decoded, or it is beyond the
            bounds of ``data_pipelines.decoding.packets``.
        NoVideoStreamError: It holds no moving pictures.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._check_fragments()
        with self._opened() as (container, stream):
            watch = watch_of(stream.codec_context)
            marks, latest = [], -1
            for packet in demux(container, stream, self._size, watch):
                marks.append(_Mark(packet.pts, packet.is_keyframe, packet.is_discard))
                latest = max(latest, -1 if packet.dts is None else packet.dts)
            self._order = display_order(container, stream, marks, watch.certain)
            self.cut_off = cut_off(
                container, stream, [mark.pts for mark in marks], latest, self._size
            )
            timed = "avi" not in container.format.name.split(",")  # whose times lie
            rate = float(stream.average_rate or stream.guessed_rate or 30)
            base = stream.time_base
        count, span = None, 0
        if self._order is not None:
            self._times = [mark.pts for mark in marks]
            self._keys = [place for place, mark in enumerate(marks) if mark.is_keyframe]
            count = len(self._order)
            span = self._times[self._order[-1]] - self._times[self._order[0]]
        packets = len(marks)
        del marks
        self.info, shown = self._looked_at(packets, count, rate, span, base)
        if self._order is not None:
            shown = [self._times[place] for place in self._order]
        self._seconds = _seconds(shown, base) if timed else None

    def _looked_at(self, packets, count, rate, span, base) -> tuple[VideoInfo, list[int | None]]:
        """Returns what the file holds, and the frames' times if they had to be decoded."""
        with self._opened() as (container, stream):
            frames = all_frames(stream.codec_context, demux(container, stream, self._size))
            try:
                first = next(frames, None)
            except BROKEN:
                first = None
            if first is None:
                raise UndecodableError(f"none of {packets} packets can be decoded.")
            rotation, height, width = rotation_of(first), first.height, first.width
            check_size(height, width)
            shown = [first.pts]
            if count is None:
                try:
                    shown.extend(frame.pts for frame in frames)
                except BROKEN as error:
                    cause = f"decoding stops after {len(shown)} frames ({reason(error)})"
                    self.cut_off = self.cut_off or cause
                count = len(shown)
        fps = float((count - 1) / (span * base)) if span > 0 and base else rate
        if rotation % 180:
            height, width = width, height
        return VideoInfo(count, fps, height, width, rotation), shown

    def seconds(self, numbers: np.ndarray) -> np.ndarray:
        """When frames are shown, float64, in seconds from the first one.

        By the file's own times wherever they ascend, so that it is right at varying rates too;
        else, and in AVI, by the mean rate.

        Args:
            numbers: int64, of any shape, each in 0 … num_frames - 1.
        """
        numbers = np.asarray(numbers, np.int64)
        if self._seconds is None:
            return numbers / (self.info.fps if self.info.fps > 0 else np.nan)
        return self._seconds[numbers]

    def pictures(
        self, numbers: Collection[int], *, again: bool = False
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yields chosen frames, in one pass, in the order in which they are shown.

        Args:
            numbers: Frames, each in 0 … num_frames - 1; repeats are yielded once.
            again: Yield all from the first on once more where a damaged file makes decoding begin
                anew, as what was concealed before may look otherwise then.

        Yields:
            (number, uint8 [height, width, 3], RGB, upright).

        Raises:
            UndecodableError: The picture size changes, or damage was met; what was sound before it
                has been yielded.
            TooFewFramesError: The same, of a file that just ends.
        """
        wanted = set(numbers)
        upright = Upright()
        if self._order is not None:
            ascending = iter(sorted(wanted))
            with contextlib.suppress(*BROKEN), self._opened() as (container, stream):
                for number, frame in selected_frames(self._coded(container, stream), wanted):
                    if number in wanted:
                        if number != next(ascending):
                            break  # one was dropped: whoever waits for it need not hold the rest
                        picture = upright.picture(frame)
                        wanted.discard(number)
                        yield number, picture
            if not wanted:
                return
            if again:
                wanted = set(numbers)
        # From the beginning: exact for all files, and it finds what can be saved.
        number, broken = 0, None
        with self._opened() as (container, stream):
            packets = demux(container, stream, self._size)
            try:
                for frame in all_frames(stream.codec_context, packets):
                    if number in wanted:
                        picture = upright.picture(frame)
                        wanted.discard(number)
                        yield number, picture
                        if not wanted:
                            return
                    number += 1
            except BROKEN as error:
                broken = error
        if broken is not None:
            raise UndecodableError(
                f"decoding stopped after {number} of {self.info.num_frames} frames "
                f"({reason(broken)}); the file is damaged."
            ) from broken
        raise too_few(min(wanted), number)

    def readable(self) -> int:
        """Counts the frames that can be decoded from the beginning, decoding all of them."""
        number = 0
        with contextlib.suppress(*BROKEN), self._opened() as (container, stream):
            packets = demux(container, stream, self._size)
            for _ in all_frames(stream.codec_context, packets):
                number += 1
        return min(number, self.info.num_frames)

    def _coded(self, container: av.container.InputContainer, stream: av.VideoStream) -> Coded:
        order = self._order
        return Coded(
            decoder=stream.codec_context,
            times=self._times,
            keys=self._keys,
            order=order,
            disposable=_Nothing(),
            packet=_ascending(demux(container, stream, self._size)),
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
        self._file.seek(0)
        with opened_file(self._file) as both:
            yield both

    def _check_fragments(self) -> None:
        """Refuses what would fill the memory when FFmpeg opens it, as of bytes in memory."""
        if not self._size:
            raise UndecodableError("the file is empty.")
        self._file.seek(0)
        tail = b""
        # Read, not mapped: pages of a mapped file count as memory of the process.
        while chunk := self._file.read(_CHUNK):
            if b"trun" in tail + chunk:
                break
            tail = chunk[-3:]
        else:
            return
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            claimed = fragment_packets(data)
        if claimed > MAX_PACKETS:
            raise UndecodableError(
                f"the file's fragments claim {claimed} packets; at most {MAX_PACKETS} are read. "
                "Its tables are damaged, or it has to be cut into several."
            )


def _ascending(packets: Iterator[av.Packet]) -> Callable[[int], av.Packet]:
    """Returns what gives the packet at a position; positions must ascend."""
    next_position = 0

    def packet(position: int) -> av.Packet:
        nonlocal next_position
        while True:
            current = next(packets, None)
            if current is None:
                raise ValueError(f"the file ends before packet {position}")
            next_position += 1
            if next_position > position:
                return current

    return packet


def _seconds(shown: list[int | None], base: Fraction | None) -> np.ndarray | None:
    """Returns when frames are shown, from the first one; None where their times do not tell."""
    if not base or None in shown:
        return None
    times = np.array(shown, np.int64)
    return (times - times[0]) * float(base) if (np.diff(times) > 0).all() else None
