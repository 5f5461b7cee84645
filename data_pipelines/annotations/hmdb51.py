"""HMDB51: for each class and each of three splits, a list of files with their use.

Kuehne et al. 2011, "HMDB: A Large Video Database for Human Motion Recognition".
"""

from __future__ import annotations

import re

from etils import epath

from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files, read_lines
from data_pipelines.annotations.problems import AnnotationError, Problems, some
from data_pipelines.annotations.request import FOLDS, Request
from data_pipelines.annotations.rows import Row, Rows, assemble, class_count_note
from data_pipelines.annotations.video_folder import VideoFolder, stem_of

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = (
    "the folder testTrainMulti_7030_splits, or its files CLASS_test_split1.txt (2 and 3 for "
    "--fold=2 and 3), one for each class"
)
_SPLITS = {"0": None, "1": "train", "2": "test"}
_CLASSES = 51


def list_videos(request: Request, name: str) -> Listing:
    """Lists one of the three splits of HMDB51; a video's id is ``CLASS/NAME`` without suffix.

    Classes are numbered in sorted order. Videos that the split leaves unused are left out.

    Args:
        request: What is asked for.
        name: Of the data set.

    Raises:
        AnnotationError: Annotations or videos are missing, or rows are bad.
    """
    folder = VideoFolder(request.videos)
    roles = {str(fold): re.compile(rf".+_test_split{fold}\.txt") for fold in FOLDS}
    found = find_files(request.annotations, roles, EXPECTED)
    of_fold = {fold: {_class_of(path): path for path in found.get(str(fold), [])} for fold in FOLDS}
    files = of_fold[request.fold]
    missing = sorted(set().union(*of_fold.values()) - set(files))
    if missing:
        raise AnnotationError(
            f"fold {request.fold} has no file for {len(missing)} classes that other folds have, "
            f"such as {some(missing)}; expected {EXPECTED}."
        )
    class_names = sorted(files)
    problems = Problems()
    rows, unused = Rows(problems), Rows(problems)
    for class_name in class_names:
        _read(files[class_name], class_name, rows, unused, problems)
    problems.raise_any()
    numbers = {label: index for index, label in enumerate(class_names)}
    notes = class_count_note(len(class_names), _CLASSES)
    if len(unused):
        notes.append(f"{len(unused)} videos are in neither part of split {request.fold}.")
    return assemble(
        name,
        folder,
        rows,
        class_names,
        lambda row: numbers[row.label],
        annotations=[files[class_name] for class_name in class_names],
        source=f"HMDB51, split {request.fold}, "
        "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database",
        notes=notes,
        repeated=rows.repeated,
        left_out=unused,
    )


def _class_of(path: epath.Path) -> str:
    """Returns the class that a file's name begins with."""
    return path.name[: path.name.lower().rindex("_test_split")]


def _read(path: epath.Path, class_name: str, rows: Rows, unused: Rows, problems: Problems) -> None:
    """Reads one class's list, lines of ``NAME.avi USE``; names may hold spaces, # and !."""
    for line, text in read_lines(path):
        file, _, use = text.strip().rpartition(" ")
        if not file or use not in _SPLITS:
            expected = "`NAME.avi USE`, where USE is 1 (train), 2 (test) or 0 (neither)"
            problems.add(path, line, repr(text), expected)
            continue
        stem = stem_of(file.strip())
        split = _SPLITS[use]
        row = Row(
            f"{class_name}/{stem}",
            split or "unused",
            class_name,
            (stem,),
            path,
            line,
            (class_name,),
        )
        (unused if split is None else rows).add(row)
