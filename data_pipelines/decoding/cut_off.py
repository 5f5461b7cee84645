"""Whether a media file was cut off: what its header tells, against what is there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import av

__all__ = ["cut_off"]


def cut_off(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    times: Sequence[int | None],
    latest: int,
    size: int,
) -> str | None:
    """Returns what tells that a stream ends before its time, or None.

    Of a sound file nothing does: neither one that an edit list trims, nor one whose frames were
    skipped, nor one whose last picture stands as long as others.

    Args:
        container: Its packets have been read.
        stream: Of it.
        times: When each packet is shown, if that is told.
        latest: The last time at which a packet is decoded, -1 where none is told.
        size: Bytes of the file.
    """
    claimed, there = stream.frames, len(times)
    formats = container.format.name.split(",")
    if "mp4" in formats:
        # An edit list may hide packets, which are counted and not read: the bytes tell.
        ends = [entry.pos + entry.size for entry in stream.index_entries]
        claimed, there = len(ends), sum(end <= size for end in ends)
    elif "avi" in formats:
        # Skipped frames are empty chunks, which are counted and not read: they take up time.
        there = max(there, latest + 1)
    if claimed > there:
        return f"its header tells of {claimed} frames, and {there} are there"
    tag = {name.upper(): text for name, text in stream.metadata.items()}.get("DURATION")
    times = sorted(time for time in times if time is not None)
    if not tag or len(times) < 2 or not stream.time_base:
        return None
    try:
        hours, minutes, seconds = map(float, tag.split(":"))
    except ValueError:
        return None
    told = 3600 * hours + 60 * minutes + seconds
    ends = float(times[-1] * stream.time_base)
    # The last frame's own time on the screen is not known; those of the others are.
    gap = float(max(after - before for before, after in itertools.pairwise(times)))
    if ends + max(1.0, 2 * gap * float(stream.time_base)) < told:
        return f"its header tells of {told:.1f} s, and {ends:.1f} s are there"
    return None
