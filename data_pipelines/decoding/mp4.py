"""The index of a plain MP4, read directly: which bytes are which frame.

Opening a file with FFmpeg and demuxing it costs as much as decoding a fifth of a clip, most of it
for packets that nobody wants. A file as vidtx stores it (one track, ordinary H.264, all frames
shown) tells the same in a few tables (ISO/IEC 14496-12, 8.3 to 8.7). Whatever is unusual, or does
not fit together, is left to FFmpeg: this reader either agrees with it or returns nothing.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

import av
import numpy as np

from data_pipelines.decoding.bitstream import h264_sequence

__all__ = ["Mp4Index", "read_index"]

# Boxes that change what is shown, or which frames are keys, in ways that are left to FFmpeg.
_UNUSUAL = frozenset({b"mvex", b"moof", b"sgpd", b"sbgp", b"stps", b"stz2"})
_UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_MAX_BOXES = 64  # in one box

# Within a video's entry, these say nothing about its frames: aspect, bit rates, no colour.
_HARMLESS = frozenset({b"pasp", b"btrt", b"avcC"})


@dataclasses.dataclass(frozen=True)
class Mp4Index:
    """Where the packets of the only track are, in decoding order.

    Attributes:
        times: int64 [n], when each is shown, in units of ``timescale`` a second, all different.
        keys: int64 [k], ascending: the packets where decoding can start.
        places: int64 [n], of the first bytes.
        sizes: int64 [n], in bytes.
        timescale: Units a second.
        height: Pixels.
        width: Pixels.
        coded: (height, width) in pixels before cropping.
        extradata: The decoder's header.
        colors: (primaries, transfer, matrix, full range) by FFmpeg's numbers, or None.
    """

    times: np.ndarray
    keys: np.ndarray
    places: np.ndarray
    sizes: np.ndarray
    timescale: int
    height: int
    width: int
    coded: tuple[int, int]
    extradata: bytes
    colors: tuple[int, int, int, int] | None

    def decoder(self) -> av.VideoCodecContext:
        """Returns a decoder for the packets, of one thread."""
        context = av.CodecContext.create("h264", "r")
        context.extradata = self.extradata
        context.width, context.height = self.width, self.height
        if self.colors is not None:
            primaries, transfer, matrix, full = self.colors
            context.color_primaries, context.color_trc = primaries, transfer
            context.colorspace, context.color_range = matrix, 2 if full else 1
        return context

    def disposable(self, data: bytes) -> list[bool]:
        """Returns which packets begin with a slice that no other frame refers to.

        All slices of a picture agree in that (ITU-T H.264, 7.4.1).
        """
        length_size = (self.extradata[4] & 3) + 1
        first = np.minimum(self.places + length_size, len(data) - 1)
        return (np.frombuffer(data, np.uint8)[first] & 0x7F == 1).tolist()

    def packet(self, data: bytes, position: int) -> av.Packet:
        """Returns a packet, a copy of its bytes in ``data`` with the padding that FFmpeg asks."""
        place, size = int(self.places[position]), int(self.sizes[position])
        packet = av.Packet(size)
        packet.update(data[place : place + size])
        packet.pts = int(self.times[position])
        packet.is_keyframe = bool(self._is_key[position])
        return packet

    def __post_init__(self):
        is_key = np.zeros(len(self.times), bool)
        is_key[self.keys] = True
        object.__setattr__(self, "_is_key", is_key)


class _UnusualError(Exception):
    """The file is not plain; FFmpeg may still read it."""


def read_index(data: bytes) -> Mp4Index | None:
    """Returns the index of a plain MP4 file of one H.264 track, or None for anything else.

    Args:
        data: A whole file. Its tables are bounded by their own size, so hostile ones cost little.
    """
    if data[4:8] != b"ftyp":
        return None
    try:
        return _read(memoryview(data))
    except (_UnusualError, ValueError, struct.error, OverflowError):
        return None


def _read(data: memoryview) -> Mp4Index:
    movie = _only(_tree(data), b"moov")
    movie_boxes = _tree(movie)
    (movie_scale,) = _header(_only(movie_boxes, b"mvhd"), 12, 20, ">I")
    track = _tree(_only(movie_boxes, b"trak"))
    if bytes(_header(_only(track, b"tkhd"), 40, 52, "36s")[0]) != _UPRIGHT:
        raise _UnusualError("rotated")
    media = _tree(_only(track, b"mdia"))
    (timescale,) = _header(_only(media, b"mdhd"), 12, 20, ">I")
    if bytes(_only(media, b"hdlr")[8:12]) != b"vide":
        raise _UnusualError("no video")
    tables = _tree(_only(_tree(_only(media, b"minf")), b"stbl"))

    sizes = _sizes(_only(tables, b"stsz"))
    count = len(sizes)
    steps = _runs(_only(tables, b"stts"), ">u4", count)
    decoded = np.concatenate([[0], np.cumsum(steps[:-1])])
    shifts = _runs(_only(tables, b"ctts"), ">i4", count) if b"ctts" in tables else 0
    times = decoded + shifts
    keys = _numbers(_only(tables, b"stss"), ">u4").astype(np.int64) - 1
    places = _places(tables, sizes)

    ordered = len(keys) and keys[0] == 0 and (np.diff(keys) > 0).all() and keys[-1] < count
    distinct = np.unique(times).size == count and times.min() == times[0]
    inside = (places >= 0).all() and (places + sizes <= len(data)).all()
    apart = sizes.sum() <= len(data)
    if not (
        movie_scale
        and timescale
        and ordered
        and distinct
        and inside
        and apart
        and (sizes > 0).all()
    ):
        raise _UnusualError("tables do not fit together")
    if b"edts" in track:
        _check_all_shown(_only(track, b"edts"), times, movie_scale, timescale)
    return Mp4Index(times, keys, places, sizes, timescale, *_entry(_only(tables, b"stsd")))


def _tree(data: memoryview) -> dict[bytes, list[memoryview]]:
    """Returns the contents of the boxes in ``data`` by type."""
    found: dict[bytes, list[memoryview]] = {}
    for kind, content in _boxes(data):
        if kind in _UNUSUAL:
            raise _UnusualError(kind)
        found.setdefault(kind, []).append(content)
    return found


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    place = 0
    for _ in range(_MAX_BOXES):
        if place == len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, place)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, place + 8)
            header = 16
        if size < header or place + size > len(data):
            raise _UnusualError("a box beyond the end")
        yield kind, data[place + header : place + size]
        place += size
    raise _UnusualError("many boxes")


def _only(boxes: dict[bytes, list[memoryview]], kind: bytes) -> memoryview:
    if len(boxes.get(kind, ())) != 1:
        raise _UnusualError(kind)
    return boxes[kind][0]


def _header(box: memoryview, short: int, long: int, form: str) -> tuple:
    """Reads a field whose place depends on whether the box has times of 32 or 64 bits."""
    if box[0] > 1:
        raise _UnusualError("version")
    return struct.unpack_from(form, box, long if box[0] else short)


def _numbers(box: memoryview, form: str) -> np.ndarray:
    """Reads a table of one column, behind its length."""
    (count,) = struct.unpack_from(">I", box, 4)
    return np.frombuffer(box, form, count, 8)


def _runs(box: memoryview, form: str, total: int) -> np.ndarray:
    """Reads a table of (repeats, value) as int64 [total]."""
    (count,) = struct.unpack_from(">I", box, 4)
    table = np.frombuffer(box, [("repeats", ">u4"), ("value", form)], count, 8)
    repeats = table["repeats"].astype(np.int64)
    if repeats.sum() != total:
        raise _UnusualError("lengths")
    return np.repeat(table["value"].astype(np.int64), repeats)


def _sizes(box: memoryview) -> np.ndarray:
    same, count = struct.unpack_from(">II", box, 4)
    if same or not count:
        raise _UnusualError("sizes")
    return np.frombuffer(box, ">u4", count, 12).astype(np.int64)


def _places(tables: dict[bytes, list[memoryview]], sizes: np.ndarray) -> np.ndarray:
    """Returns where each packet begins: packets lie one after the other in chunks."""
    if b"co64" in tables:
        chunks = _numbers(_only(tables, b"co64"), ">i8").astype(np.int64)
    else:
        chunks = _numbers(_only(tables, b"stco"), ">u4").astype(np.int64)
    box = _only(tables, b"stsc")
    (count,) = struct.unpack_from(">I", box, 4)
    first, per_chunk, entry = np.frombuffer(box, ">u4", 3 * count, 8).reshape(-1, 3).T.astype(int)
    ends = np.append(first[1:], len(chunks) + 1)
    if not count or first[0] != 1 or (ends <= first).any() or (entry != 1).any():
        raise _UnusualError("chunks")
    packets = np.repeat(per_chunk, ends - first)
    if len(packets) != len(chunks) or packets.sum() != len(sizes) or (packets < 1).any():
        raise _UnusualError("chunks")
    before = np.cumsum(sizes) - sizes
    starts = np.cumsum(packets) - packets
    return np.repeat(chunks - before[starts], packets) + before


def _check_all_shown(edits: memoryview, times: np.ndarray, movie_scale: int, timescale: int):
    """Refuses edit lists that hide a frame, or show one twice or at another speed."""
    box = _only(_tree(edits), b"elst")
    form = {0: ">Ii", 1: ">Qq"}.get(box[0])
    (count,) = struct.unpack_from(">I", box, 4)
    if form is None or count != 1:
        raise _UnusualError("edits")
    duration, start = struct.unpack_from(form, box, 8)
    speed = struct.unpack_from(">hh", box, 8 + struct.calcsize(form))
    end = start + duration * timescale // movie_scale
    if speed != (1, 0) or not 0 <= start <= times.min() or times.max() >= end:
        raise _UnusualError("edits")


def _entry(box: memoryview):
    """Reads the description of the frames: the last five fields of the index."""
    (count,) = struct.unpack_from(">I", box, 4)
    entries = list(_boxes(box[8:]))
    if count != 1 or len(entries) != 1 or entries[0][0] != b"avc1":
        raise _UnusualError("codec")
    entry = entries[0][1]
    width, height = struct.unpack_from(">HH", entry, 24)
    boxes = _tree(entry[78:])
    colors = None
    if b"colr" in boxes:
        color = _only(boxes, b"colr")
        if bytes(color[:4]) != b"nclx":
            raise _UnusualError("colours")
        primaries, transfer, matrix, full = struct.unpack_from(">HHHB", color, 4)
        colors = primaries, transfer, matrix, full >> 7
    if set(boxes) - _HARMLESS - {b"colr"}:
        raise _UnusualError("entry")
    extradata = bytes(_only(boxes, b"avcC"))
    if len(extradata) < 8 or extradata[0] != 1 or extradata[5] & 31 != 1:
        raise _UnusualError("parameter sets")
    (length,) = struct.unpack_from(">H", extradata, 6)
    coded = h264_sequence(extradata[8 : 8 + length])
    if coded is None or coded != (-(-height // 16) * 16, -(-width // 16) * 16):
        raise _UnusualError("size")
    return height, width, tuple(coded), extradata, colors
