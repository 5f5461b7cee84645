"""How long a Matroska (or WebM) file says that it is; its demuxer takes a cut one for a whole."""

from __future__ import annotations

import io
from typing import BinaryIO

__all__ = ["promised_bytes"]

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def promised_bytes(file: BinaryIO) -> int:
    """Returns where the first segment of a Matroska file ends, in bytes; 0 where it does not say.

    The layout is that of RFC 8794: an element is an identifier, the length of its data, its data;
    both are numbers whose first byte tells by its leading zeros how many bytes follow. Files that
    were written as they were recorded have a length of all ones: unknown.
    """
    file.seek(0)
    if _number(file, keep_marker=True) != _EBML:
        return 0
    header = _number(file)
    if not header:
        return 0
    file.seek(header, io.SEEK_CUR)
    if _number(file, keep_marker=True) != _SEGMENT:
        return 0
    length = _number(file)
    return file.tell() + length if length else 0


def _number(file: BinaryIO, keep_marker: bool = False) -> int | None:
    """Reads one number; None for one that is unknown or cut short."""
    head = file.read(1)
    extra = 8 - head[0].bit_length() if head and head[0] else None
    if extra is None:
        return None
    content = head + file.read(extra)
    if len(content) <= extra:
        return None
    value = int.from_bytes(content, "big")
    if keep_marker:
        return value
    largest = (1 << 7 * (extra + 1)) - 1
    value &= largest
    return None if value == largest else value
