"""What can be wrong with a data set or with one of its videos.

Every message names the value at fault, the bound it broke, the likely cause and the cure. A
:class:`VideoError` concerns one record: training replaces that record and counts it under its
``kind``, evaluation gives it weight zero. Every other :class:`DataError` stops a run.
"""

from __future__ import annotations

__all__ = [
    "CorruptRecordError",
    "DataError",
    "DataQualityError",
    "DatasetDamagedError",
    "DatasetMissingError",
    "NoLabelError",
    "NoVideoStreamError",
    "TooFewFramesError",
    "UndecodableError",
    "UnknownSplitError",
    "VideoError",
]


class DataError(Exception):
    """Anything wrong with data on disk, as opposed to a wrong call."""


class DatasetMissingError(DataError):
    """There is no data set of this name in the data directory."""


class UnknownSplitError(DataError):
    """The data set exists, and has no such split, or the slice of it is empty."""


class DatasetDamagedError(DataError):
    """Half-built, a shard missing or truncated, or features other than ours."""


class DataQualityError(DataError):
    """More unreadable clips than the run allows."""


class VideoError(DataError):
    """One video, or the record that holds it, cannot be used.

    Attributes:
        kind: The name under which counters and reports list this failure.
    """

    kind: str = "video"


class UndecodableError(VideoError):
    """Bytes that are no video, or a video that the decoder refuses."""

    kind = "undecodable"


class NoVideoStreamError(VideoError):
    """A media file without moving pictures, such as audio alone."""

    kind = "no_video_stream"


class TooFewFramesError(VideoError):
    """A frame was asked for that the stream does not hold."""

    kind = "too_few_frames"


class NoLabelError(VideoError):
    """A video whose class is not known, where it is needed."""

    kind = "no_label"


class CorruptRecordError(VideoError):
    """A record whose bytes on disk no longer match their checksum."""

    kind = "corrupt_record"
