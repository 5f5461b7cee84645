"""What the fragments of an MP4 claim, counted before FFmpeg believes it."""

from __future__ import annotations

import mmap
import struct

__all__ = ["fragment_packets"]


def fragment_packets(data: bytes | mmap.mmap) -> int:
    """Returns how many packets the fragments of an MP4 claim to hold.

    Such a claim costs its writer nothing, and FFmpeg memory for each packet when it opens the file.
    Boxes are followed as FFmpeg does, damaged sizes included; no packet is looked at.

    Args:
        data: Any file, in memory or mapped; 0 for all but fragmented MP4.
    """
    return _claimed(data, 0, len(data), 0) if data.find(b"trun") >= 0 else 0


def _claimed(data: bytes | mmap.mmap, place: int, end: int, depth: int) -> int:
    total = 0
    while place + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, place)
        inside = place + 8
        if size == 1 and inside + 8 <= end:
            (size,) = struct.unpack_from(">Q", data, inside)
            inside += 8
        elif size == 0:
            size = end - place
        following = min(place + size, end)
        if following < inside:
            return total
        if kind in (b"moof", b"traf") and depth < 4:
            total += _claimed(data, inside, following, depth + 1)
        elif kind == b"trun" and inside + 8 <= len(data):
            total += struct.unpack_from(">I", data, inside + 4)[0]
        place = following
    return total
