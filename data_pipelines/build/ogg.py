"""Whether an Ogg file is whole; its demuxer takes a cut one for a shorter one."""

from __future__ import annotations

import io
from typing import BinaryIO

__all__ = ["missing_end"]

_HEADER_BYTES = 27
_END_OF_STREAM = 4


def missing_end(file: BinaryIO, size: int) -> str | None:
    """Returns what an Ogg file lacks at its end; None where it is whole.

    The layout is that of RFC 3533: pages follow each other without gaps, and the last page of each
    stream in it is marked as its last.

    Args:
        file: The file.
        size: Its length in bytes.
    """
    begin, ended = 0, {}
    while begin < size:
        file.seek(begin)
        header = file.read(_HEADER_BYTES)
        lengths = file.read(header[-1]) if len(header) == _HEADER_BYTES else b""
        if not b"OggS".startswith(header[:4]):
            return f"no page of Ogg begins at byte {begin} of {size}"
        end = begin + len(header) + len(lengths) + sum(lengths)
        if len(header) < _HEADER_BYTES or len(lengths) < header[-1] or end > size:
            return f"the page that begins at byte {begin} of {size} is cut short"
        ended[header[14:18]] = bool(header[5] & _END_OF_STREAM)
        begin = end
    file.seek(0, io.SEEK_SET)
    if not all(ended.values()):
        return f"of {len(ended)} streams, {list(ended.values()).count(False)} have no last page"
    return None
