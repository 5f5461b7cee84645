"""Rewriting the tables of an MP4 whose index comes last, as no writer would."""

import struct

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def with_tables(data, **tables):
    """Replaces the contents of boxes, each given as its 32-bit words."""
    result = bytearray(data)
    for kind, words in tables.items():
        box = struct.pack(f">I4s{len(words)}I", 8 + 4 * len(words), kind.encode(), *words)
        _replace(result, kind.encode(), box, PARENTS)
    return bytes(result)


def with_edits(data, pieces):
    """Replaces the edit list; pieces are (first frame, frames) at 30 frames a second."""
    start = data.index(b"elst")
    (offset,) = struct.unpack_from(">i", data, start + 16)
    entries = b"".join(
        struct.pack(">IiHH", round(frames * 1000 / 30), offset + first * 512, 1, 0)
        for first, frames in pieces
    )
    table = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(pieces)) + entries
    result = bytearray(data)
    _replace(result, b"edts", struct.pack(">I4s", 8 + len(table), b"edts") + table, PARENTS[:2])
    return bytes(result)


def _replace(data, kind, box, parents):
    place = data.index(kind) - 4
    (old,) = struct.unpack_from(">I", data, place)
    for parent in parents:
        at = data.index(parent) - 4
        (size,) = struct.unpack_from(">I", data, at)
        struct.pack_into(">I", data, at, size + len(box) - old)
    data[place : place + old] = box
