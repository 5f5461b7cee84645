"""The dialects of a list of ``path label`` rows: what separates the two, how they are quoted."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence

from etils import epath

from data_pipelines.annotations.files import read_lines
from data_pipelines.annotations.problems import AnnotationError, Problems, place
from data_pipelines.annotations.video_folder import is_video

__all__ = ["read_path_labels"]

# In the order in which they are tried: the rarer within a path, the sooner.
_SEPARATORS = ("::", "\t", ";", ",", " ")
_TRIED = 200  # rows by which a file's separator is told
# Names of the column of paths, the surest first: a table may hold both `id` and `path`.
_PATHS = (
    "path", "video_path", "file_path", "filepath", "clip_path", "relative_path",
    "filename", "file_name", "file", "video", "clip", "video_name", "clip_name", "name",
    "video_id", "clip_id", "videoid", "id",
)  # fmt: skip
_LABELS = {"label", "class", "category", "label_id", "class_id", "class_name", "label_name", "y"}
_OFFICIAL = {
    "youtube_id": "official Kinetics annotations, which are built as kinetics400, kinetics600 or "
    "kinetics700",
    "task_id": "official HowTo100M annotations, which are built as howto100m",
}
_EXPECTED = "`path label`, separated by a space, comma, tab, semicolon or `::`"
# A path and two numbers or more: frames and label, or several labels.
_NUMBERS = re.compile(r".*\S([\s,;\t]+-?\d+){2,}\s*")


def read_path_labels(path: epath.Path, problems: Problems) -> Iterator[tuple[int, str, str]]:
    """Yields (line, path of a video, label) of a list in any of the field's dialects.

    The separator is that which leaves the most of the first rows with a video file before it, the
    last of its kind in a row: paths and not labels hold spaces. A path or label in double quotes
    may hold the separator. The first row may name the columns, in either order.

    Args:
        path: The list.
        problems: Gets the bad rows.

    Raises:
        AnnotationError: It is empty, or a file of official annotations or of frames.
    """
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        raise AnnotationError(f"{path} is empty; expected rows of {_EXPECTED}.")
    separator = next((each for each in _SEPARATORS if each in first[1].strip()), " ")
    cells = [cell.lower() for cell in _cut(first[1], separator, None)]
    for name, what in _OFFICIAL.items():
        if name in cells:
            raise AnnotationError(
                f"{place(path, first[0])}: got {first[1]!r}, the columns of {what}; expected "
                f"{_EXPECTED}."
            )
    columns, width = (0, 1), 2
    named = not _LABELS.isdisjoint(cells) and not set(_PATHS).isdisjoint(cells)
    if named:
        paths = next(cells.index(name) for name in _PATHS if name in cells)
        labels = next(index for index, cell in enumerate(cells) if cell in _LABELS)
        columns, width = (paths, labels), len(cells)
    head = [] if named else [first]
    head += itertools.islice(lines, _TRIED)
    if not head:
        raise AnnotationError(f"{path} names its columns and nothing else; expected {_EXPECTED}.")
    if not named:
        separator = _separator_of([text for _, text in head])
    for line, text in itertools.chain(head, lines):
        text = text.strip()
        parts = _cut(text, separator, width)
        file, label = (parts[i] for i in columns) if len(parts) == width else ("", "")
        odd = not named and not is_video(file)
        if not file or not label:
            problems.add(path, line, repr(text), _EXPECTED)
        elif odd and _NUMBERS.fullmatch(text):
            hint = "lists of frames or of several labels are not read"
            problems.add(path, line, f"{text!r}, more than one number", f"{_EXPECTED}; {hint}")
        elif odd and separator == " " and " " in file:
            hint = "a label of several words is separated by a comma, a tab or `::`"
            problems.add(path, line, repr(text), f"{_EXPECTED}; {hint}")
        else:
            yield line, file, label


def _separator_of(texts: Sequence[str]) -> str:
    """Returns what separates the columns of rows."""
    scores = []
    for separator in _SEPARATORS:
        cut = [
            parts
            for parts in (_cut(text.strip(), separator, 2) for text in texts)
            if len(parts) == 2 and all(parts)
        ]
        videos = sum(is_video(file) for file, _ in cut)
        numbers = sum(bool(re.fullmatch(r"-?\d+", label)) for _, label in cut)
        scores.append((videos, numbers, len(cut)))
    return _SEPARATORS[scores.index(max(scores))]


def _cut(text: str, separator: str, width: int | None) -> list[str]:
    """Cuts a row into columns; where there are more than ``width``, the first takes the surplus."""
    if '"' in text:
        return _cut_quoted(text, separator, width)
    if separator == " " and width is not None:
        parts = text.rsplit(maxsplit=width - 1)  # spaces within the first stay as they are
    else:
        parts = text.split(separator)
    if width is not None and len(parts) > width:
        surplus = len(parts) - width + 1
        parts = [separator.join(parts[:surplus]), *parts[surplus:]]
    return [part.strip() for part in parts]


def _cut_quoted(text: str, separator: str, width: int | None) -> list[str]:
    """Cuts a row in which there are double quotes.

    They belong to a name unless they stand around the whole of a column, and a quote within such a
    column is written twice.
    """
    text, cell = text.strip(), _cell(separator)
    starts, parts, at = [], [], 0
    while True:
        match = cell.match(text, at)
        quoted, plain, end = match.groups()
        starts.append(at)
        parts.append(plain if quoted is None else quoted.replace('""', '"'))
        if not end:
            break
        at = match.end()
    if width is not None and len(parts) > width:
        surplus = len(parts) - width + 1
        first = text[: starts[surplus]].rstrip().removesuffix(separator)
        parts = [first, *parts[surplus:]]
    return [part.strip() for part in parts]


@functools.cache
def _cell(separator: str) -> re.Pattern[str]:
    """Returns a pattern of one column with what ends it: (inside of quotes, or as it is, end)."""
    end = r"\s+" if separator == " " else re.escape(separator)
    return re.compile(rf' *(?:"((?:[^"]|"")*)"|(.*?)) *({end}|\Z)')
