"""Lists of ``path label`` rows, as SlowFast, TimeSformer, VideoMAE, V-JEPA and others read them."""

from __future__ import annotations

import collections
import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable

from etils import epath

from data_pipelines.annotations.dialects import read_path_labels
from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files, read_class_list
from data_pipelines.annotations.problems import AnnotationError, Problems, some
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.rows import Row, Rows, assemble
from data_pipelines.annotations.splits import held_out, split_in
from data_pipelines.annotations.video_folder import VideoFolder, absolute, is_video

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = (
    "one list of `path label` rows, .csv, .tsv, .txt, .list or .lst; or several of which each "
    "name says its split, such as train.csv and val.csv"
)
_LIST = re.compile(r".*\.(csv|tsv|txt|list|lst)")
_WHOLE = re.compile(r"-?\d+")
_MOST = 100_000  # classes that numbers may speak of; above it a number is no label


def list_videos(request: Request, name: str) -> Listing:
    """Lists the videos of one or several lists.

    Labels are whole numbers from 0, with -1 for none, or names, numbered in sorted order or by
    ``request.class_list``. Each list is the split that its name speaks of; of a single list whose
    name speaks of none, a share is held out. Paths are relative to ``request.videos``, or whole.
    A video's id is its path as listed, below ``request.videos`` where it is there.

    Args:
        request: What is asked for.
        name: Of the data set.

    Raises:
        AnnotationError: Annotations or videos are missing, rows are bad, or a file is of another
            format.
    """
    folder = VideoFolder(request.videos)
    files = _files(request.annotations, request.class_list)
    problems = Problems()
    rows = Rows(problems)
    for path, split in files:
        for line, file, label in read_path_labels(path, problems):
            video_id = _relative(file, folder)
            where = split or ("test" if held_out(video_id, request.test_share) else "train")
            label = unicodedata.normalize("NFC", label)  # as class lists are read
            rows.add(Row(video_id, where, label, (video_id,), path, line))
    problems.raise_any()
    used = [path for path, _ in files]
    if request.class_list is not None:
        class_names, number = _listed_classes(request.class_list, rows, problems)
        used.append(request.class_list)
    else:
        class_names, number = _own_classes(rows, problems)
    problems.raise_any()
    counts = collections.Counter(number(row) for row in rows)
    absent = [label for index, label in enumerate(class_names) if not counts[index]]
    notes = []
    if absent:
        hint = "" if counts[0] else " Labels that count from 1 leave class 0 without any."
        notes.append(f"{len(absent)} classes have no video: {some(absent)}.{hint}")
    return assemble(
        name,
        folder,
        rows,
        class_names,
        number,
        annotations=used,
        source="lists of paths and labels",
        notes=notes,
        repeated=rows.repeated,
        locate=lambda file: _locate(file, folder),
    )


def _files(
    paths: tuple[epath.Path, ...], class_list: epath.Path | None
) -> list[tuple[epath.Path, str | None]]:
    """Returns the lists, each with its split; None for one that is to be divided."""
    found: list[epath.Path] = []
    for path in paths:
        files = find_files([path], {"list": _LIST}, EXPECTED)["list"]
        files = [file for file in files if file != class_list]
        if path.is_dir() and len(files) > 1:
            named = [file for file in files if split_in(file.name)]
            files = named or files
        found += [file for file in files if file not in found]
    if not found:
        raise AnnotationError(f"no annotations are given; --annotations must name {EXPECTED}.")
    splits = [split_in(file.name) for file in found]
    if len(found) > 1 and None in splits:
        nameless = [os.fspath(file) for file, split in zip(found, splits, strict=True) if not split]
        raise AnnotationError(
            f"got {len(found)} lists, of which {some(nameless)} do not say their split; expected "
            "one of train, val and test in the name of each."
        )
    return list(zip(found, splits, strict=True))


def _relative(file: str, folder: VideoFolder) -> str:
    """Returns a listed path, relative to the folder of videos if it is in it."""
    if "://" not in file:
        file = posixpath.normpath(file.replace("\\", "/"))
    root = os.fspath(folder.root).rstrip("/") + "/"
    return file[len(root) :] if file.startswith(root) else file


def _locate(file: str, folder: VideoFolder) -> tuple[str | None, str | None]:
    """Finds a listed file among the walked ones, or, where those cannot hold it, on disk."""
    if file in folder:
        return file, folder.path(file)
    whole = file.startswith("/") or "://" in file or re.match(r"[A-Za-z]:/", file)
    if whole or file.startswith("../") or not is_video(file):
        path = absolute(epath.Path(file if whole else folder.path(file)))
        if path.exists() and not path.is_dir():
            return None, os.fspath(path)
    return None, None


def _own_classes(rows: Iterable[Row], problems: Problems) -> tuple[list[str], Callable[[Row], int]]:
    """Returns the classes that labels of numbers, or of names, speak of; and a row's number."""
    rows = list(rows)
    whole = [bool(_WHOLE.fullmatch(row.label)) for row in rows]
    if any(whole) and not all(whole):
        numeric = sum(whole) * 2 >= len(whole)
        expected = "a whole number" if numeric else "a name"
        for row, is_whole in zip(rows, whole, strict=True):
            if is_whole != numeric:
                got = f"label {row.label!r}"
                problems.add(row.path, row.line, got, f"{expected}, as most rows have")
        return [], lambda row: -1
    if not any(whole):
        names = sorted({row.label for row in rows})
        numbers = {name: index for index, name in enumerate(names)}
        return names, lambda row: numbers[row.label]
    for row in rows:
        if not -1 <= int(row.label) < _MOST:
            expected = f"a class's number in 0 … {_MOST - 1}, or -1 for none"
            problems.add(row.path, row.line, f"label {row.label}", expected)
    problems.raise_any()
    most = max(int(row.label) for row in rows)
    if most < 0:
        raise AnnotationError("every label is -1, none known; expected a class for some video.")
    return [str(number) for number in range(most + 1)], lambda row: int(row.label)


def _listed_classes(
    path: epath.Path, rows: Iterable[Row], problems: Problems
) -> tuple[tuple[str, ...], Callable[[Row], int]]:
    """Returns the classes of a class list; and the number of a row, by its label as name first."""
    names = read_class_list(path)
    numbers = {str(number): number for number in range(-1, len(names))}
    numbers.update({name: number for number, name in enumerate(names)})
    for row in rows:
        if row.label not in numbers:
            expected = f"one of the {len(names)} names of {os.fspath(path)}, or such a number"
            problems.add(row.path, row.line, f"label {row.label!r}", expected)
    problems.raise_any()
    return names, lambda row: numbers[row.label]
