"""UCF101: a list of classes and three splits of lists of files.

Soomro et al. 2012, arXiv:1212.0402. A group (``g01`` … ``g25``) is cut from one recording, so that
one on both sides of a split would be testing on what was trained on.
"""

from __future__ import annotations

import re

from etils import epath

from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files, read_lines
from data_pipelines.annotations.problems import AnnotationError, Problems, place
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.rows import Row, Rows, assemble, class_count_note
from data_pipelines.annotations.video_folder import VideoFolder, stem_of

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = (
    "classInd.txt, trainlist01.txt and testlist01.txt (02 and 03 for --fold=2 and 3), as in the "
    "folder ucfTrainTestlist"
)
_CLASSES = 101


def list_videos(request: Request, name: str) -> Listing:
    """Lists one of the three splits of UCF101; a video's id is its file's name without suffix.

    Names match in whichever case: lists say ``HandStandPushups`` where folders say
    ``HandstandPushups``.

    Args:
        request: What is asked for.
        name: Of the data set.

    Raises:
        AnnotationError: Annotations or videos are missing, rows are bad, or a group is on both
            sides.
    """
    folder = VideoFolder(request.videos)
    roles = {
        "classes": re.compile(r"classind\.txt"),
        "train": re.compile(rf"trainlist0?{request.fold}\.txt"),
        "test": re.compile(rf"testlist0?{request.fold}\.txt"),
        "other": re.compile(r"(train|test)list0?\d\.txt"),
    }
    found = find_files(request.annotations, roles, EXPECTED)
    found.pop("other", None)
    missing = [role for role in ("classes", "train", "test") if len(found.get(role, [])) != 1]
    if missing:
        raise AnnotationError(
            f"fold {request.fold} needs one file each of classes, train and test, and has other "
            f"than one of {', '.join(missing)}; expected {EXPECTED}."
        )
    class_names = _class_names(found["classes"][0])
    problems = Problems()
    rows = Rows(problems)
    groups: dict[tuple[str, str], Row] = {}
    for split in ("train", "test"):
        _read(found[split][0], split, class_names, rows, groups, problems)
    problems.raise_any()
    return assemble(
        name,
        folder,
        rows,
        class_names,
        lambda row: row.label,
        annotations=[path for files in found.values() for path in files],
        source=f"UCF101, split {request.fold}, https://www.crcv.ucf.edu/data/UCF101.php",
        notes=class_count_note(len(class_names), _CLASSES),
        repeated=rows.repeated,
        fold_case=True,
    )


def _class_names(path: epath.Path) -> list[str]:
    """Reads the classes, lines of ``1 ApplyEyeMakeup``."""
    problems = Problems()
    names: dict[int, str] = {}
    for line, text in read_lines(path):
        number, _, name = text.strip().partition(" ")
        known = {known.casefold() for known in names.values()}
        if not number.isdecimal() or int(number) in names or not name.strip():
            problems.add(path, line, repr(text), "`NUMBER NAME`, each number once")
        elif name.strip().casefold() in known:
            problems.add(path, line, repr(text), "a name that no class before it has")
        else:
            names[int(number)] = name.strip()
    problems.raise_any()
    if sorted(names) != list(range(1, len(names) + 1)):
        raise AnnotationError(
            f"{path}: got classes {min(names, default=0)} … {max(names, default=0)}, "
            f"{len(names)} of them; expected every number from 1 on."
        )
    return [names[number] for number in sorted(names)]


def _read(
    path: epath.Path,
    split: str,
    class_names: list[str],
    rows: Rows,
    groups: dict[tuple[str, str], Row],
    problems: Problems,
) -> None:
    """Reads one list, lines of ``Class/v_Class_g01_c01.avi 1``, without number for testing."""
    numbers = {name.casefold(): number for number, name in enumerate(class_names)}
    for line, text in read_lines(path):
        file, _, number = text.strip().partition(" ")
        class_folder = file.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
        label = numbers.get(class_folder.casefold())
        video_id = stem_of(file.replace("\\", "/"))
        group = re.search(r"_g(\d+)_c\d+$", video_id)
        if label is None or group is None:
            got = repr(text)
            problems.add(
                path, line, got, "`CLASS/v_CLASS_gNN_cNN.avi` with a class of classInd.txt"
            )
        elif number.strip() and number.strip() != str(label + 1):
            problems.add(path, line, repr(text), f"{label + 1}, the number of {class_folder}")
        else:
            row = Row(video_id, split, label, (video_id,), path, line, (class_folder,))
            first = groups.setdefault((class_folder.casefold(), group[1]), row)
            if first.split != split:
                got = f"{video_id!r} of group g{group[1]} in {split}"
                expected = f"{first.split}, where {place(first.path, first.line)} has its group"
                problems.add(path, line, got, expected)
            rows.add(row)
