"""From annotation files, as their publishers have them, and a folder of videos to a `Listing`.

Nothing here opens a video: listing costs one walk through the folder and one pass over the files.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping

from data_pipelines.annotations import (
    class_folders,
    diving48,
    hmdb51,
    howto100m,
    kinetics,
    lists,
    something_something,
    ucf101,
)
from data_pipelines.annotations.entries import Caption, Entry, Listing
from data_pipelines.annotations.problems import AnnotationError
from data_pipelines.annotations.request import Request

__all__ = [
    "DATASETS",
    "AnnotationError",
    "Caption",
    "Dataset",
    "Entry",
    "Listing",
    "Request",
    "list_videos",
]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A kind of annotations.

    Attributes:
        name: By which it is asked for, and under which it is stored.
        summary: What it is, in a line.
        annotations: The annotation files that it takes, in words.
        listing: Lists it under a name.
        takes: The fields of `Request` that it minds, beside videos and annotations.
    """

    name: str
    summary: str
    annotations: str
    listing: Callable[[Request, str], Listing]
    takes: tuple[str, ...] = ()


def _kinetics(classes: int) -> Dataset:
    return Dataset(
        f"kinetics{classes}",
        f"Kinetics-{classes}: ten seconds of YouTube, {classes} human actions.",
        kinetics.EXPECTED,
        functools.partial(kinetics.list_videos, classes=classes),
        ("class_list",),
    )


DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        _kinetics(400),
        _kinetics(600),
        _kinetics(700),
        Dataset(
            "something_something_v2",
            "Something-Something V2: 174 things done to objects; never mirrored.",
            something_something.EXPECTED,
            something_something.list_videos,
        ),
        Dataset(
            "diving48",
            "Diving48, labels V2: 48 kinds of competitive dives.",
            diving48.EXPECTED,
            diving48.list_videos,
        ),
        Dataset(
            "howto100m",
            "HowTo100M: instructional videos of YouTube with captions, by task.",
            howto100m.EXPECTED,
            howto100m.list_videos,
            ("min_videos", "test_share"),
        ),
        Dataset(
            "ucf101",
            "UCF101: 101 actions of YouTube, in three splits.",
            ucf101.EXPECTED,
            ucf101.list_videos,
            ("fold",),
        ),
        Dataset(
            "hmdb51",
            "HMDB51: 51 actions, most of them of films, in three splits.",
            hmdb51.EXPECTED,
            hmdb51.list_videos,
            ("fold",),
        ),
        Dataset(
            "folder",
            "Your own videos, a folder for each class, with folders of splits above or without.",
            class_folders.EXPECTED,
            class_folders.list_videos,
            ("class_list", "test_share"),
        ),
        Dataset(
            "list",
            "Your own videos, by lists of paths and labels.",
            lists.EXPECTED,
            lists.list_videos,
            ("class_list", "test_share"),
        ),
    )
}

_NAME = re.compile(r"[a-z][a-z0-9_]*")  # of which TFDS and its folders make no other name
_EVERYWHERE = ("videos", "annotations")


def list_videos(kind: str, request: Request, name: str | None = None) -> Listing:
    """Lists a data set.

    Args:
        kind: A key of `DATASETS`.
        request: Where its parts are, and the choices to be made.
        name: Name of the data set, by default ``kind``: lower-case letters, digits and
            underscores.

    Raises:
        AnnotationError: The kind or the name is none, a choice is made that the kind does not
            have, annotations or videos are missing, or rows are bad: each with file and line.
    """
    if kind not in DATASETS:
        raise AnnotationError(f"there is no data set {kind!r}; expected one of {sorted(DATASETS)}.")
    dataset = DATASETS[kind]
    name = dataset.name if name is None else name
    if not _NAME.fullmatch(name):
        raise AnnotationError(
            f"got the name {name!r}; expected lower-case letters, digits and underscores, "
            "a letter first, such as my_videos."
        )
    for field in dataclasses.fields(Request):
        value = getattr(request, field.name)
        if field.name not in (*_EVERYWHERE, *dataset.takes) and value != field.default:
            has = f"only {', '.join(dataset.takes)}" if dataset.takes else "none of the kind"
            raise AnnotationError(
                f"--{field.name}={value} is no choice that {kind} has; it has {has}."
            )
    return dataset.listing(request, name)
