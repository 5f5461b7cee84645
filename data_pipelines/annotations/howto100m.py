"""HowTo100M: a million instructional videos, the tasks that they were found by, and captions.

Miech et al. 2019, arXiv:1906.03327. TimeSformer (arXiv:2102.05095, section 4.6) classifies the
tasks of at least a hundred videos, of which it counts 1059.
"""

from __future__ import annotations

import collections
import functools
import os
import re
from collections.abc import Iterable

from etils import epath

from data_pipelines.annotations.captions import read_captions
from data_pipelines.annotations.entries import Listing
from data_pipelines.annotations.files import find_files, read_lines, read_table
from data_pipelines.annotations.problems import AnnotationError, Problems
from data_pipelines.annotations.request import Request
from data_pipelines.annotations.rows import Row, Rows, assemble
from data_pipelines.annotations.splits import held_out
from data_pipelines.annotations.video_folder import VideoFolder, stem_of

__all__ = ["EXPECTED", "list_videos"]

EXPECTED = (
    "HowTo100M_v1.csv; with it, if wanted, caption.json or raw_caption.json (captions), "
    "task_ids.csv (names of tasks), and train.txt, val.txt, test.txt (an id a line: the splits)"
)
_ROLES = {
    "videos": re.compile(r"howto100m.*\.csv"),
    "tasks": re.compile(r"task_ids\.csv"),
    "captions": re.compile(r"caption\.json"),
    "raw_captions": re.compile(r"raw_caption\.json"),
    "train": re.compile(r"train.*\.(txt|csv)"),
    "validation": re.compile(r"val.*\.(txt|csv)"),
    "test": re.compile(r"test.*\.(txt|csv)"),
}


def list_videos(request: Request, name: str) -> Listing:
    """Lists HowTo100M; a video's id is its YouTube id, as its file is called; its class, its task.

    A video that was found by several tasks is of the one for which it ranks highest, then of the
    one with the lowest number. Tasks are numbered by their own numbers, in order. Those with fewer
    than ``request.min_videos`` listed videos are left out with their videos.

    Args:
        request: What is asked for.
        name: Of the data set.

    Raises:
        AnnotationError: Annotations or videos are missing, or rows are bad.
    """
    folder = VideoFolder(request.videos)
    found = find_files(request.annotations, _ROLES, EXPECTED)
    if "videos" not in found:
        held = [path.name for files in found.values() for path in files]
        raise AnnotationError(f"got {', '.join(held)}; expected {EXPECTED}.")
    for files in found.values():
        if len(files) > 1:
            raise AnnotationError(
                f"got {', '.join(map(os.fspath, files))} for one use; expected one of them."
            )
    one = {role: files[0] for role, files in found.items()}
    problems = Problems()
    task_of, notes = _tasks_of(one["videos"], problems)
    counts = collections.Counter(task for task, _, _ in task_of.values())
    kept = sorted(task for task, count in counts.items() if count >= request.min_videos)
    if not kept and counts:
        raise AnnotationError(
            f"no task has {request.min_videos} videos; the largest of {os.fspath(one['videos'])} "
            f"has {max(counts.values())}. Lower --min_videos."
        )
    splits = _splits(one, task_of, problems)
    names = _names(one["tasks"], problems) if "tasks" in one else {}
    problems.raise_any()
    numbers = {task: index for index, task in enumerate(kept)}
    rows, left_out = Rows(problems), Rows(problems)
    for video_id, (task, _, line) in task_of.items():
        if splits is None:
            split = "test" if held_out(video_id, request.test_share) else "train"
        else:
            split = splits.get(video_id)
        row = Row(video_id, split or "", task, (video_id,), one["videos"], line)
        (rows if task in numbers and split else left_out).add(row)
    if len(left_out):
        notes.append(
            f"{len(left_out)} of {len(task_of)} videos are left out: in no split that is given, or "
            f"of the {len(counts) - len(kept)} tasks with fewer than {request.min_videos} videos."
        )
    captions = one.get("captions", one.get("raw_captions"))
    if {"captions", "raw_captions"} <= one.keys():
        dropped = one.pop("raw_captions").name
        notes.append(f"captions are those of {captions.name}; name {dropped} alone for its own.")
    return assemble(
        name,
        folder,
        rows,
        _unique(kept, names),
        lambda row: numbers[row.label],
        annotations=one.values(),
        source="HowTo100M, https://www.di.ens.fr/willow/research/howto100m",
        notes=notes,
        left_out=left_out,
        captions=None if captions is None else functools.partial(read_captions, captions),
    )


def _tasks_of(
    path: epath.Path, problems: Problems
) -> tuple[dict[str, tuple[int, float, int]], list[str]]:
    """Reads video id to (task, rank, line), and notes."""
    found: dict[str, tuple[int, float, int]] = {}
    several = 0
    columns = ("video_id", "task_id", "rank")
    for line, row in read_table(path, columns, "A file of split ids is train.txt.", problems):
        video_id, task, rank = (row[column] for column in columns)
        if not re.fullmatch(r"[^\s/\\#]+", video_id):
            problems.add(path, line, f"video_id {video_id!r}", "a YouTube id")
        elif not task.isdecimal():
            problems.add(path, line, f"task_id {task!r} of {video_id}", "a whole number")
        elif rank and not re.fullmatch(r"\d+(\.\d*)?", rank):
            problems.add(path, line, f"rank {rank!r} of {video_id}", "a number")
        else:
            new = (int(task), float(rank or "inf"), line)
            old = found.setdefault(video_id, new)
            if old is not new:
                several += 1
                found[video_id] = min(old, new, key=lambda entry: (entry[1], entry[0]))
    notes = [f"{several} rows name a video again; each is of its best rank's task."]
    return found, notes if several else []


def _splits(
    one: dict[str, epath.Path], known: Iterable[str], problems: Problems
) -> dict[str, str] | None:
    """Reads which split each video is in; None where no file says so."""
    given = [split for split in ("train", "validation", "test") if split in one]
    rows = Rows(problems)
    for split in given:
        for line, text in read_lines(one[split]):
            video_id = stem_of(re.split(r"[\s,;]", text.strip())[0])
            if video_id in known:
                rows.add(Row(video_id, split, None, (), one[split], line))
            elif line > 1 or video_id != "video_id":
                expected = f"a video id that {one['videos'].name} lists"
                problems.add(one[split], line, repr(text), expected)
    return {row.video_id: row.split for row in rows} if given else None


def _names(path: epath.Path, problems: Problems) -> dict[int, str]:
    """Reads task number to name, lines of ``NUMBER,NAME`` or with a tab; names may hold commas."""
    names = {}
    for line, text in read_lines(path):
        match = re.fullmatch(r"\s*\"?(\d+)\"?\s*[,;\t]\s*(.*?)\s*", text)
        if match:
            names[int(match[1])] = match[2].strip('"')
        elif line > 1:
            problems.add(path, line, repr(text), "`NUMBER,NAME` of a task")
    return names


def _unique(tasks: list[int], names: dict[int, str]) -> list[str]:
    """Returns a name for each task: its own, with the number behind it where two have the same."""
    chosen = [names.get(task) or str(task) for task in tasks]
    counts = collections.Counter(chosen)
    return [
        name if counts[name] == 1 else f"{name} ({task})"
        for name, task in zip(chosen, tasks, strict=True)
    ]
