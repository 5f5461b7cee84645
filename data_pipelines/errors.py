"""What can be wrong with a data set or with one of its videos.

Every message names the value at fault, the bound it broke, the likely cause and the cure. A
:class:`VideoError` concerns one record: training replaces that record and counts it under its
``kind``, evaluation gives it weight zero. Every other :class:`DataError` stops a run.
"""

from __future__ import annotations

__all__ = [
    "BuildConflictError",
    "BuildFailedError",
    "CorruptRecordError",
    "DataError",
    "DataQualityError",
    "DatasetDamagedError",
    "DatasetMissingError",
    "DecoderCrashedError",
    "MissingFileError",
    "NoLabelError",
    "NoVideoStreamError",
    "TimedOutError",
    "TooFewFramesError",
    "TooLargeError",
    "TooManyBadError",
    "UndecodableError",
    "UnknownSplitError",
    "UnreadableError",
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


class BuildConflictError(DataError):
    """Where a data set is to be built there is another one, or another build of it."""


class BuildFailedError(DataError):
    """A build cannot go on, for a reason that lies in none of its videos, such as a full disk."""


class TooManyBadError(DataError):
    """More of the listed videos are missing or unusable than the build allows."""


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


class MissingFileError(VideoError):
    """A listed video that has no file."""

    kind = "missing_file"


class UnreadableError(VideoError):
    """A file that the operating system refuses to read."""

    kind = "unreadable"


class TooLargeError(UndecodableError):
    """Pictures, a number of frames or a record beyond what is taken on."""

    kind = "too_large"


class TimedOutError(VideoError):
    """A video on which the decoder made no progress."""

    kind = "timed_out"


class DecoderCrashedError(VideoError):
    """A video that ended the process which decoded it."""

    kind = "crashed"
