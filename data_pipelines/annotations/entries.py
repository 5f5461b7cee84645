"""What annotations say about a data set, whichever format they are in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Caption", "Entry", "Listing"]


@dataclasses.dataclass(frozen=True, slots=True)
class Caption:
    """Words that are said or shown during a stretch of a video.

    Attributes:
        start: Seconds from the beginning of the video.
        end: Seconds from the beginning of the video.
        text: The words.
    """

    start: float
    end: float
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One listed video.

    Attributes:
        video_id: Its name, unique within the data set.
        path: Its file, or None where there is none.
        label: Its class, -1 where none is known.
    """

    video_id: str
    path: str | None
    label: int = -1


@dataclasses.dataclass(frozen=True)
class Listing:
    """A data set as its annotations list it, before any video is opened.

    Attributes:
        name: Of the data set, as TFDS will know it.
        class_names: In label order, equal for all splits.
        splits: Split name to its videos, those without a file included.
        annotations: Name of each annotation file to the SHA-256 of its bytes, hexadecimal.
        mirrorable: False where classes tell left from right, so that clips must not be mirrored.
        unlisted: Video files in the folder of videos that nothing lists, or that repeat a listed
            one under another suffix or in another folder; relative to that folder, sorted.
        captions: Where videos have captions: gives (video_id, its captions) of every captioned
            video in the annotations' order, reading them anew at each call, a few at a time.
        source: Where the annotations are from, for the data set's description.
        notes: What a person should know of this listing, a sentence each: rows that repeat others,
            classes that are absent, files that are passed over.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[Entry]]
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mirrorable: bool = True
    unlisted: Sequence[str] = ()
    captions: Callable[[], Iterator[tuple[str, Sequence[Caption]]]] | None = None
    source: str = ""
    notes: Sequence[str] = ()
