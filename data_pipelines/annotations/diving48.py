"""Diving48, second version of its labels: JSON lists of cut clips, four attributes a class.

Li et al. 2018, "RESOUND: Towards Action Recognition without Representation Bias". Take-off,
somersaults, twists and position make a class, and none of them tells left from right: a mirrored
dive is a dive of the same class.
"""

from __future__ import annotations

import os
import re

from etils import epath

from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files
from data_pipelines.annotations.json_stream import read_json, read_json_entries
from data_pipelines.annotations.problems import AnnotationError, Problems
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.rows import Row, Rows, assemble, class_count_note
from data_pipelines.annotations.video_folder import VideoFolder

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = "Diving48_V2_train.json, Diving48_V2_test.json and Diving48_vocab.json"
_ROLES = {
    "train": re.compile(r"diving48_v2_train\.json"),
    "test": re.compile(r"diving48_v2_test\.json"),
    "vocabulary": re.compile(r"diving48_(v2_)?vocab\.json"),
    "first": re.compile(r"diving48(_v1)?_(train|test)\.json"),
}
_CLASSES = 48


def list_videos(request: Request, name: str) -> Listing:
    """Lists Diving48; a video's id is its ``vid_name``, as its file is called.

    The files are cut already, so that start and end frames, which span them, are not used.

    Args:
        request: What is asked for.
        name: Of the data set.

    Raises:
        AnnotationError: Annotations or videos are missing, rows are bad, or the labels are of the
            first version, many of which are wrong.
    """
    folder = VideoFolder(request.videos)
    found = find_files(request.annotations, _ROLES, EXPECTED)
    first = found.pop("first", [])
    named = [path for path in first if path in request.annotations]
    if named or (first and not ("train" in found or "test" in found)):
        path = (named or first)[0]
        raise AnnotationError(
            f"{os.fspath(path)} has the first version of the labels, many of which are wrong; "
            f"expected {EXPECTED}, from http://www.svcl.ucsd.edu/projects/resound/dataset.html."
        )
    if len(found.get("vocabulary", [])) != 1 or not ("train" in found or "test" in found):
        held = [path.name for files in found.values() for path in files]
        raise AnnotationError(f"got {', '.join(held) or 'no file'}; expected {EXPECTED}.")
    class_names = _class_names(found["vocabulary"][0])
    problems = Problems()
    rows = Rows(problems)
    for split in ("train", "test"):
        for path in found.get(split, []):
            _read(path, split, len(class_names), rows, problems)
    problems.raise_any()
    return assemble(
        name,
        folder,
        rows,
        class_names,
        lambda row: row.label,
        annotations=[path for files in found.values() for path in files],
        source="Diving48 V2, http://www.svcl.ucsd.edu/projects/resound/dataset.html",
        notes=class_count_note(len(class_names), _CLASSES),
        repeated=rows.repeated,
    )


def _class_names(path: epath.Path) -> list[str]:
    """Reads the classes, a list of attributes each: ``["Back", "15som", "05Twis", "FREE"]``."""
    problems = Problems()
    names: list[str] = []
    for key, (line, value) in read_json(path, "[").items():
        parts = value if isinstance(value, list) else [value]
        name = " ".join(part for part in parts if isinstance(part, str))
        if not name or not all(isinstance(part, str) for part in parts) or name in names:
            got = f"class {key}, {value!r}"
            problems.add(path, line, got, "four attributes in quotes, unlike any class before")
        names.append(name)
    problems.raise_any()
    return names


def _read(path: epath.Path, split: str, classes: int, rows: Rows, problems: Problems) -> None:
    """Reads one split into ``rows``."""
    for line, key, entry in read_json_entries(path, "["):
        entry = entry if isinstance(entry, dict) else {}
        video_id, label = entry.get("vid_name"), entry.get("label")
        if not isinstance(video_id, str) or not re.fullmatch(r"[\w-]+", video_id):
            problems.add(path, line, f"entry {key} with vid_name {video_id!r}", "a clip's name")
        elif type(label) is not int or not 0 <= label < classes:
            got = f"entry {key} ({video_id}) with label {label!r}"
            problems.add(path, line, got, f"a whole number in 0 … {classes - 1}")
        else:
            rows.add(Row(video_id, split, label, (video_id,), path, line, (split,)))
