"""Kinetics-400, 600 and 700: one CSV file a split, a row for each ten seconds of a YouTube video.

Kay et al. 2017, arXiv:1705.06950; Carreira et al. 2018, arXiv:1808.01340; Smaira et al. 2020,
arXiv:2010.10864.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterable

from etils import epath

from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files, read_class_list, read_table
from data_pipelines.annotations.problems import AnnotationError, Problems, place, some
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.rows import Row, Rows, assemble, class_count_note
from data_pipelines.annotations.splits import split_in, split_named
from data_pipelines.annotations.video_folder import VideoFolder

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = (
    "train.csv, val.csv (or validate.csv) and test.csv, any of them, as .txt too, or with a "
    "prefix as in kinetics-600_train.csv; or a file of which a column `split` tells the split"
)
_OTHER = "A list of `path label` rows is built as `list`."
# Any file may be named outright; in a folder, beside lists of downloads, only what ends in a split.
_NAMED = re.compile(r"(.*[-_])?(train|val|valid|validate|validation|test)\.(csv|txt)")
_LISTED = {"rows": re.compile(r".*\.(csv|txt)")}
_WHOLE = re.compile(r"\d+(\.0*)?")


def list_videos(request: Request, name: str, classes: int) -> Listing:
    """Lists Kinetics.

    A video's id is ``YOUTUBEID_START_END`` with six digits each, as its file is called by most
    downloads; a file ``YOUTUBEID`` is taken too where one segment of that video is listed. The
    class numbers are those of all listed names sorted, which for the whole data set are the
    published ones, or those of ``request.class_list``.

    Args:
        request: What is asked for.
        name: Of the data set.
        classes: Number of classes of the whole data set.

    Raises:
        AnnotationError: Annotations or videos are missing, or rows are bad.
    """
    folder = VideoFolder(request.videos)
    files = _files(request.annotations)
    problems = Problems()
    rows = Rows(problems)
    notes = []
    segments: collections.Counter[str] = collections.Counter()
    for path in files:
        notes += _read(path, rows, segments, problems)
    problems.raise_any()
    for row in rows:
        youtube_id = row.names[-1]
        if segments[youtube_id] > 1:
            row.names = row.names[:1]
    if request.class_list is not None:
        class_names = _chosen(request.class_list, rows, problems)
        files.append(request.class_list)
    else:
        class_names = _class_names(rows, classes)
        notes += class_count_note(len(class_names), classes)
    numbers = {label: index for index, label in enumerate(class_names)}
    return assemble(
        name,
        folder,
        rows,
        class_names,
        lambda row: numbers.get(row.label, -1),
        annotations=files,
        source=f"Kinetics-{classes}, https://github.com/cvdfoundation/kinetics-dataset",
        notes=notes,
        repeated=rows.repeated,
    )


def _files(paths: tuple[epath.Path, ...]) -> list[epath.Path]:
    """Returns the files of rows."""
    found = []
    for path in paths or [None]:
        outright = path is not None and not path.is_dir()
        roles = _LISTED if outright else {"rows": _NAMED}
        found += find_files([path] if path else [], roles, EXPECTED)["rows"]
    return list(dict.fromkeys(found))


def _read(
    path: epath.Path, rows: Rows, segments: collections.Counter[str], problems: Problems
) -> list[str]:
    """Reads one file into ``rows``; counts each video's segments; returns notes."""
    by_name = split_in(path.name)
    other_splits: collections.Counter[str] = collections.Counter()
    required = ("youtube_id", "time_start", "time_end")
    for line, row in read_table(path, required, _OTHER, problems):
        youtube_id, start, end = (row[column] for column in required)
        label = " ".join(row.get("label", "").split()) or None
        by_column = split_named(row.get("split", ""))
        split = by_name or by_column
        if not re.fullmatch(r"[^\s/\\#]+", youtube_id):
            hint = "; a spreadsheet has replaced it" if youtube_id.startswith("#") else ""
            problems.add(path, line, f"youtube_id {youtube_id!r}", f"a YouTube id{hint}")
        elif not (_WHOLE.fullmatch(start) and _WHOLE.fullmatch(end)):
            problems.add(
                path, line, f"time_start {start!r}, time_end {end!r}", "whole numbers of seconds"
            )
        elif float(start) >= float(end):
            problems.add(
                path, line, f"time_start {start}, time_end {end}", "a start before the end"
            )
        elif split is None:
            got = f"split {row.get('split', '')!r} in a file named {path.name}"
            problems.add(path, line, got, "train, validate or test in one of the two")
        elif label is None and split != "test":
            problems.add(path, line, "no label", f"a label, as all rows of {split} have")
        else:
            if by_column not in (None, split):
                other_splits[by_column] += 1
            video_id = f"{youtube_id}_{int(float(start)):06d}_{int(float(end)):06d}"
            if video_id not in rows:
                segments[youtube_id] += 1
            prefer = (row.get("split", ""), split, path.stem)
            if label is not None:
                prefer += (label, label.replace(" ", "_"))
            rows.add(Row(video_id, split, label, (video_id, youtube_id), path, line, prefer))
    return [
        f"{count} rows of {path.name} name the split {other}; they are in {by_name}, as their "
        "file is called."
        for other, count in sorted(other_splits.items())
    ]


def _class_names(rows: Iterable[Row], classes: int) -> list[str]:
    """Returns all labels, sorted.

    Raises:
        AnnotationError: There are more than the data set has, or two spellings of one.
    """
    first: dict[str, Row] = {}
    counts: collections.Counter[str] = collections.Counter()
    for row in rows:
        if row.label is not None:
            first.setdefault(row.label, row)
            counts[row.label] += 1
    spellings: dict[str, str] = {}
    for label in sorted(first):
        plain = re.sub(r"[\W_]+", " ", label).casefold().strip()
        if plain in spellings:
            one, two = first[spellings[plain]], first[label]
            raise AnnotationError(
                f"{place(two.path, two.line)}: got label {label!r}; expected "
                f"{spellings[plain]!r}, as {place(one.path, one.line)} spells it."
            )
        spellings[plain] = label
    if not first:
        raise AnnotationError(
            "no row has a label; name a split that has them, train.csv or val.csv."
        )
    if len(first) > classes:
        rare = sorted(first, key=lambda label: (counts[label], label))[:3]
        places = ", ".join(
            f"{label!r} ({place(first[label].path, first[label].line)})" for label in rare
        )
        raise AnnotationError(
            f"the annotations have {len(first)} labels; expected at most {classes}. Files of "
            f"another Kinetics may be among them. The rarest labels: {places}."
        )
    return sorted(first)


def _chosen(path: epath.Path, rows: Iterable[Row], problems: Problems) -> tuple[str, ...]:
    """Reads the class list and checks that it has every label."""
    names = read_class_list(path)
    known = set(names)
    for row in rows:
        if row.label is not None and row.label not in known:
            expected = f"one of the {len(names)} names of {os.fspath(path)}, such as {some(names)}"
            problems.add(row.path, row.line, f"label {row.label!r}", expected)
    problems.raise_any()
    return names
