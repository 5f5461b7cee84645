"""A person's own videos in a folder for each class, or in folders of splits with such folders."""

from __future__ import annotations

import collections
import os
import unicodedata

from data_pipelines.annotations.entries import Entry, Listing
from data_pipelines.annotations.files import digests, read_class_list
from data_pipelines.annotations.problems import SHOWN, AnnotationError, some
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.splits import ORDER, held_out, split_named
from data_pipelines.annotations.video_folder import VideoFolder

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = "none: classes are folders, CLASS/clip.mp4, or train/CLASS/clip.mp4 and val/CLASS/…"


def list_videos(request: Request, name: str) -> Listing:
    """Lists folders of classes.

    The folder of a class is the first level, or the second below folders that are all named as
    splits (train, val, test and the like); whatever lies deeper in it is of that class. A video's
    id is its path below ``request.videos``. Classes are numbered in sorted order, or by
    ``request.class_list``.

    Args:
        request: What is asked for; it has no annotations.
        name: Of the data set.

    Raises:
        AnnotationError: There are no videos in such folders, splits beside classes, a class that
            the class list lacks, or, without such a list, a class without a video, which another
            machine's copy may have or lack and so number the classes otherwise.
    """
    if request.annotations:
        raise AnnotationError(
            f"got --annotations={os.fspath(request.annotations[0])}; expected none for a folder, "
            "whose folders tell the classes. Files of rows are built as `list`."
        )
    folder = VideoFolder(request.videos)
    by_split = _has_splits(folder)
    depth = 2 if by_split else 1
    stray, placed = [], []
    for relative in folder.files:
        parts = relative.split("/")
        if len(parts) <= depth:
            stray.append(relative)
            continue
        video_id = unicodedata.normalize("NFC", relative)
        if by_split:
            split = split_named(parts[0])
        else:
            split = "test" if held_out(video_id, request.test_share) else "train"
        placed.append((video_id, relative, split, _plain(parts[depth - 1])))
    _check_names(folder, [relative for _, relative, *_ in placed])
    if not placed:
        held = some(folder.files) if folder.files else f"no video, and {folder.others} other files"
        raise AnnotationError(
            f"{os.fspath(request.videos)} holds {held}; expected a folder for each class, "
            "CLASS/clip.mp4, or train/CLASS/clip.mp4 and val/CLASS/clip.mp4."
        )
    present = {class_name for *_, class_name in placed}
    if request.class_list is not None:
        class_names = read_class_list(request.class_list)
        unknown = sorted(present.difference(class_names))
        if unknown:
            raise AnnotationError(
                f"{os.fspath(request.videos)} has folders {some(unknown, SHOWN)}; expected only "
                f"classes that {os.fspath(request.class_list)} names, such as {some(class_names)}."
            )
    else:
        class_names = tuple(sorted(present))
        _check_empty(folder, depth, present)
    numbers = {class_name: index for index, class_name in enumerate(class_names)}
    entries: dict[str, list[Entry]] = collections.defaultdict(list)
    seen: dict[str, set[str]] = collections.defaultdict(set)
    for video_id, relative, split, class_name in placed:
        entries[split].append(Entry(video_id, folder.path(relative), numbers[class_name]))
        seen[split].add(class_name)
    return Listing(
        name=name,
        class_names=class_names,
        splits={split: entries[split] for split in ORDER if split in entries},
        annotations=digests([request.class_list] if request.class_list is not None else []),
        unlisted=stray,
        source="folders of classes",
        notes=tuple(_notes(folder, class_names, seen, stray)),
    )


def _plain(name: str) -> str:
    """Returns a folder's name, of whose accents file systems differ in the encoding."""
    return unicodedata.normalize("NFC", name).strip()


def _has_splits(folder: VideoFolder) -> bool:
    """Tells whether the first level is of splits."""
    tops = sorted({path.split("/")[0] for path in folder.files if "/" in path})
    splits = [top for top in tops if split_named(top)]
    classes = [top for top in tops if not split_named(top)]
    if splits and classes:
        raise AnnotationError(
            f"{os.fspath(folder.root)} holds the splits {some(splits)} beside {some(classes)}; "
            "expected folders of splits only, or of classes only. If "
            f"{splits[0]!r} is a class, rename its folder, such as {splits[0] + '_class'!r}, or "
            "build from a list of files and labels (vidtx data build list)."
        )
    return bool(splits)


def _check_names(folder: VideoFolder, files: list[str]) -> None:
    """Refuses names that no record could hold."""
    bad = []
    for relative in files:
        try:
            relative.encode("utf-8")
        except UnicodeEncodeError:
            bad.append(relative)
    if bad:
        raise AnnotationError(
            f"{os.fspath(folder.root)} has names of files that are not UTF-8: {some(bad)}; rename "
            "them."
        )


def _check_empty(folder: VideoFolder, depth: int, present: set[str]) -> None:
    """Refuses folders of classes without a video in any split."""
    below = [path.split("/") for path in folder.folders]
    if depth == 2:
        below = [parts for parts in below if split_named(parts[0])]
    named = {_plain(parts[depth - 1]) for parts in below if len(parts) == depth}
    empty = sorted(named - present)
    if empty:
        raise AnnotationError(
            f"{os.fspath(folder.root)} has folders without a video: {some(empty, SHOWN)}; expected "
            "at least one video a class. Fill them, remove them, or name the classes by "
            "--class_list."
        )


def _notes(
    folder: VideoFolder, class_names: tuple[str, ...], seen: dict[str, set[str]], stray: list[str]
) -> list[str]:
    """Returns what a person should know."""
    notes = []
    for split in ORDER:
        absent = [class_name for class_name in class_names if class_name not in seen[split]]
        if seen[split] and absent:
            notes.append(f"{split} has no video of {len(absent)} classes: {some(absent)}.")
    if stray:
        notes.append(f"{len(stray)} videos are in no class's folder: {some(stray)}.")
    return notes + folder.notes()
