"""Something-Something V2: JSON lists of videos, whose templates are the classes.

Goyal et al. 2017, arXiv:1706.04261. Its classes tell left from right, so that no clip of it may be
mirrored.
"""

from __future__ import annotations

import re

from etils import epath

from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files, read_lines
from data_pipelines.annotations.json_stream import read_json, read_json_entries
from data_pipelines.annotations.problems import AnnotationError, Problems
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.rows import Row, Rows, assemble, class_count_note
from data_pipelines.annotations.video_folder import VideoFolder

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = (
    "something-something-v2-labels.json (or labels.json) and any of "
    "something-something-v2-train.json, …-validation.json, …-test.json (or train.json, "
    "validation.json, test.json), with test-answers.csv if there is one"
)
_PREFIX = r"(something-something-v2-)?"
_ROLES = {
    "train": re.compile(_PREFIX + r"train\.json"),
    "validation": re.compile(_PREFIX + r"(validation|val)\.json"),
    "test": re.compile(_PREFIX + r"test\.json"),
    "labels": re.compile(_PREFIX + r"labels\.json"),
    "answers": re.compile(_PREFIX + r"test-answers\.csv"),
}
_CLASSES = 174


def list_videos(request: Request, name: str) -> Listing:
    """Lists Something-Something V2; a video's id is its number, as its file is called.

    Args:
        request: What is asked for.
        name: Of the data set.

    Raises:
        AnnotationError: Annotations or videos are missing, or rows are bad.
    """
    folder = VideoFolder(request.videos)
    found = find_files(request.annotations, _ROLES, EXPECTED)
    if len(found.get("labels", [])) != 1:
        raise AnnotationError(
            f"got {len(found.get('labels', []))} files of labels; expected one among {EXPECTED}."
        )
    class_names = _class_names(found["labels"][0])
    problems = Problems()
    answers: dict[str, str] = {}
    for path in found.get("answers", []):
        answers.update(_answers(path, class_names, problems))
    rows = Rows(problems)
    for split in ("train", "validation", "test"):
        for path in found.get(split, []):
            _read(path, split, answers, class_names, rows, problems)
    problems.raise_any()
    return assemble(
        name,
        folder,
        rows,
        list(class_names),
        lambda row: class_names.get(row.label, -1),
        annotations=[path for files in found.values() for path in files],
        source="Something-Something V2, "
        "https://www.qualcomm.com/developer/software/something-something-v-2-dataset",
        notes=class_count_note(len(class_names), _CLASSES),
        repeated=rows.repeated,
        mirrorable=False,
    )


def _class_names(path: epath.Path) -> dict[str, int]:
    """Reads the labels, ``{"Holding something": "40", …}``, into name to number, in that order."""
    problems = Problems()
    numbers: dict[int, str] = {}
    lines = read_json(path, "{")
    for label, (line, value) in lines.items():
        name = " ".join(label.split())
        if not re.fullmatch(r"\d{1,6}", str(value)) or int(value) >= len(lines):
            got = f"number {value!r} of {label!r}"
            problems.add(path, line, got, f'a whole number in quotes, "0" … "{len(lines) - 1}"')
        elif int(value) in numbers:
            got = f"number {value!r} of {label!r}"
            problems.add(path, line, got, f"one that {numbers[int(value)]!r} does not have")
        elif name in numbers.values():
            problems.add(path, line, f"label {label!r}", "one that none before it says")
        else:
            numbers[int(value)] = name
    problems.raise_any()
    return {numbers[number]: number for number in sorted(numbers)}


def _answers(path: epath.Path, class_names: dict[str, int], problems: Problems) -> dict[str, str]:
    """Reads the labels of the test split, lines of ``id;label``."""
    answers = {}
    for line, text in read_lines(path):
        video_id, _, label = (part.strip() for part in text.partition(";"))
        if label not in class_names:
            problems.add(path, line, repr(text), "`id;label` with a name of the labels' file")
        answers[video_id] = label
    return answers


def _read(
    path: epath.Path,
    split: str,
    answers: dict[str, str],
    class_names: dict[str, int],
    rows: Rows,
    problems: Problems,
) -> None:
    """Reads one split into ``rows``."""
    for line, key, entry in read_json_entries(path, "["):
        if not isinstance(entry, dict) or not re.fullmatch(r"[\w-]+", str(entry.get("id", ""))):
            got = f"entry {key}, {str(entry)[:60]!r}"
            problems.add(path, line, got, 'an object with an "id", the name of a video')
            continue
        video_id = str(entry["id"])
        label = answers.get(video_id) if split == "test" else None
        if "template" in entry:
            label = re.sub(r"[\[\]]", "", str(entry["template"]))
            label = " ".join(label.split())
            if label not in class_names:
                got = f"entry {key} ({video_id}) with template {entry['template']!r}"
                problems.add(path, line, got, "a template that the labels' file names")
                continue
        elif split != "test":
            got = f"entry {key} ({video_id}) without a template"
            problems.add(path, line, got, f'a "template", as all videos of {split} have')
            continue
        rows.add(Row(video_id, split, label, (video_id,), path, line, (split,)))
