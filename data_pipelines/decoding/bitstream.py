"""What the first bits of compressed frames tell, where containers tell it wrongly or not at all.

Just enough of H.264 (ITU-T H.264, 7.3), HEVC (ITU-T H.265, 7.3) and VP9 (VP9 bitstream, 6.2 and
annex B) to know whether each packet shows exactly one frame, and how large the frames are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["H264Sequence", "OneFrameEach", "h264_sequence"]

_START_CODE = re.compile(b"\0\0\1")
_BYTES_LOOKED_AT = 4  # of a unit: its header, and the flags that a slice begins with


class OneFrameEach:
    """Watches the packets of a stream, in order, for any that may not show exactly one frame.

    A decoder shows nothing until it can show whole pictures, and drops some that lean on what was
    cut away; which ones depends on where it starts, so packets do not number frames then.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: The codec's header from the container, if any.

    Attributes:
        certain: Whether all packets so far show one frame each.
    """

    def __init__(self, codec: str, extradata: bytes | None):
        self.certain = True
        self._check = {"h264": self._h264, "hevc": self._hevc, "vp9": self._vp9}.get(codec)
        self._length_size = _length_size(codec, extradata)
        self._first = True
        self._last_units: list[bytes] = []

    def see(self, packet) -> None:
        """Looks at the next packet, an ``av.Packet``."""
        if self._check and self.certain:
            self.certain = self._check(packet)
        self._first = False

    def _h264(self, packet) -> bool:
        # After anything else than an IDR picture, such as the recovery points that gradual
        # refresh has, frames are withheld until all of the picture is right.
        if not self._first:
            return True
        kinds = [unit[0] & 31 for unit in self._units(packet)]
        slices = [kind for kind in kinds if 1 <= kind <= 5]
        return bool(slices) and slices[0] == 5

    def _hevc(self, packet) -> bool:
        # Behind a broken link or the end of a sequence, frames that lean on what was before are
        # dropped; so are, where a flag asks for it, frames that were not shown in time.
        ended = any(unit[0] >> 1 & 63 in (36, 37) for unit in self._last_units)
        self._last_units = list(self._units(packet))
        for unit in self._last_units:
            kind = unit[0] >> 1 & 63
            if kind > 31:
                continue  # no slice
            if self._first:
                return 16 <= kind <= 23
            cut = 16 <= kind <= 18 or (16 <= kind <= 23 and len(unit) > 2 and unit[2] & 64)
            return not (ended or cut)
        return False

    def _vp9(self, packet) -> bool:
        data = bytes(packet)
        return sum(map(_vp9_shows, _vp9_frames(data))) == 1

    def _units(self, packet) -> Iterator[bytes]:
        """Yields the first bytes of each unit of the network abstraction layer."""
        data = bytes(packet)
        if not self._length_size:
            for match in _START_CODE.finditer(data):
                if match.end() < len(data):
                    yield data[match.end() : match.end() + _BYTES_LOOKED_AT]
            return
        place = 0
        while place + self._length_size < len(data):
            length = int.from_bytes(data[place : place + self._length_size], "big")
            place += self._length_size
            if length:
                yield data[place : place + min(length, _BYTES_LOOKED_AT)]
            place += length


def _length_size(codec: str, extradata: bytes | None) -> int:
    """Returns the bytes of a unit's length, or 0 where start codes divide the units."""
    place = {"h264": 4, "hevc": 21}.get(codec)
    if place is None or not extradata or len(extradata) <= place or extradata[0] != 1:
        return 0
    return (extradata[place] & 3) + 1


def _vp9_frames(data: bytes) -> Iterator[bytes]:
    """Yields the frames that a packet joins, the first bytes of each."""
    marker = data[-1] if data else 0
    count, size = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = 2 + size * count
    if marker & 0xE0 != 0xC0 or len(data) < index or data[-index] != marker:
        yield data[:1]
        return
    place = 0
    for number in range(count):
        start = len(data) - index + 1 + number * size
        length = int.from_bytes(data[start : start + size], "little")
        if length:
            yield data[place : place + 1]
        place += length


def _vp9_shows(frame: bytes) -> bool:
    """Returns whether a frame is shown, or makes another one be shown."""
    if not frame:
        return False
    bits = frame[0] << 1 if frame[0] & 0x30 == 0x30 else frame[0]  # profile 3 has one bit more
    if bits & 8:  # show_existing_frame
        return True
    return bool(bits & 2) and frame[0] & 0xC0 == 0x80


class H264Sequence(NamedTuple):
    """Of an H.264 sequence parameter set.

    Attributes:
        height: Pixels, before cropping; a multiple of 16.
        width: Pixels, before cropping; a multiple of 16.
    """

    height: int
    width: int


# Profiles with 8 bits and colours at half resolution: Baseline, Main, Extended, High.
_PLAIN_PROFILES = frozenset({66, 77, 88, 100})


def h264_sequence(unit: bytes) -> H264Sequence | None:
    """Reads a sequence parameter set, or returns None for any but ordinary progressive 4:2:0.

    Args:
        unit: The unit with its header byte.
    """
    if len(unit) < 5 or unit[0] & 31 != 7 or unit[1] not in _PLAIN_PROFILES:
        return None
    bits = _Bits(unit[4:].replace(b"\0\0\3", b"\0\0"))
    try:
        bits.code()  # its number
        if unit[1] == 100:
            kind = [bits.code(), bits.code(), bits.code(), bits.take(1), bits.take(1)]
            if kind != [1, 0, 0, 0, 0]:  # 4:2:0, 8 and 8 bits, not lossless, no scaling lists
                return None
        bits.code()  # frame number bits
        order = bits.code()
        if order == 0:
            bits.code()
        elif order != 2:
            return None
        bits.code()  # reference frames
        gaps, width, height, frames_only = bits.take(1), bits.code(), bits.code(), bits.take(1)
    except IndexError:
        return None
    if gaps or not frames_only:
        return None
    return H264Sequence(16 * (height + 1), 16 * (width + 1))


class _Bits:
    """Bits, most significant first; raises IndexError at the end."""

    def __init__(self, data: bytes):
        self._text = "".join(f"{byte:08b}" for byte in data[:64])
        self._place = 0

    def take(self, count: int) -> int:
        if self._place + count > len(self._text):
            raise IndexError("out of bits")
        self._place += count
        return int(self._text[self._place - count : self._place] or "0", 2)

    def code(self) -> int:
        """Reads an unsigned Exp-Golomb code."""
        zeros = self._text.find("1", self._place) - self._place
        if not 0 <= zeros <= 32:
            raise IndexError("out of bits")
        self._place += zeros
        return self.take(zeros + 1) - 1
