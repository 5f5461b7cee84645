"""Annotation files: finding them among what a person names, and reading their lines and tables."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from etils import epath

from data_pipelines.annotations.problems import AnnotationError, Problems, place, readable, some

__all__ = ["digests", "find_files", "read_class_list", "read_lines", "read_table"]


def find_files(
    paths: Sequence[epath.Path], roles: Mapping[str, re.Pattern[str]], expected: str
) -> dict[str, list[epath.Path]]:
    """Sorts annotation files by what they are for, which their names tell.

    A folder is searched for such files, and the folders in it if it holds none itself; what else
    is in it is passed over. A file that is named by itself must be of some use.

    Args:
        paths: Files and folders.
        roles: What a file may be for, to the pattern that the whole of its lower-case name matches.
        expected: The names that are looked for, in words.

    Returns:
        Role to its files, sorted by path; roles without a file are left out.

    Raises:
        AnnotationError: There is no such file or folder, none of use in it, or it cannot be read.
    """
    if not paths:
        raise AnnotationError(f"no annotations are given; --annotations must name {expected}.")
    found: dict[str, list[epath.Path]] = {}
    for path in paths:
        with readable(path):
            matches = _matches_of(path, roles, expected)
        for role, file in matches:
            files = found.setdefault(role, [])
            if file not in files:
                files.append(file)
    return found


def _matches_of(
    path: epath.Path, roles: Mapping[str, re.Pattern[str]], expected: str
) -> list[tuple[str, epath.Path]]:
    """Returns (role, file) of a file, or of the files in a folder, one at least."""
    if path.is_dir():
        own = sorted(path.iterdir(), key=os.fspath)
        matches = _matches(own, roles)
        if not matches:
            inner = [child for child in own if child.suffix == "" and child.is_dir()]
            below = (file for folder in inner for file in folder.iterdir())
            matches = _matches(sorted(below, key=os.fspath), roles)
        if not matches:
            held = [child.name for child in own]
            raise AnnotationError(
                f"the folder of annotations {os.fspath(path)} holds "
                f"{some(held) if held else 'nothing'}; expected {expected}."
            )
        return matches
    if not path.exists():
        raise AnnotationError(f"there are no annotations {os.fspath(path)}; expected {expected}.")
    matches = _matches([path], roles)
    if not matches:
        raise AnnotationError(
            f"{os.fspath(path)} has a name that says nothing; expected {expected}."
        )
    return matches


def _matches(
    files: Iterable[epath.Path], roles: Mapping[str, re.Pattern[str]]
) -> list[tuple[str, epath.Path]]:
    """Returns (role, file) of those of some files that have a role."""
    return [
        (role, file)
        for file in files
        if not file.name.startswith(".")
        for role, pattern in roles.items()
        if pattern.fullmatch(file.name.lower())
    ]


def digests(files: Iterable[epath.Path]) -> dict[str, str]:
    """Returns the SHA-256 of each file by its name, with its folder where two have one name."""
    files = list(dict.fromkeys(files))
    names = [file.name for file in files]
    found = {}
    for file in files:
        name = file.name if names.count(file.name) == 1 else f"{file.parent.name}/{file.name}"
        with readable(file), file.open("rb") as content:
            digest = hashlib.sha256()
            while block := content.read(1 << 20):
                digest.update(block)
        found[name] = digest.hexdigest()
    return found


def read_lines(path: epath.Path) -> Iterator[tuple[int, str]]:
    """Yields (number from 1, text without the line's end) of each line that is not blank.

    Raises:
        AnnotationError: The file cannot be read, or is not UTF-8.
    """
    with readable(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise AnnotationError(
                    f"{place(path, number)}: got bytes that are not UTF-8 ({error.reason}); "
                    "expected text in UTF-8. A spreadsheet may have saved it otherwise."
                ) from error
            if text.strip():
                yield number, text


def read_table(
    path: epath.Path, required: Sequence[str], other: str, problems: Problems
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line, column name to text) of each row of a CSV file whose first row names columns.

    Args:
        path: The file.
        required: Columns that it must have, in whichever order, beside any others.
        other: Said of a file without them: what it may be instead.
        problems: Gets the rows with too many or too few columns.

    Raises:
        AnnotationError: It lacks a column, is empty, or is no CSV.
    """
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, text in read_lines(path):
            numbers.append(number)
            yield text + "\n"

    rows = csv.reader(texts(), skipinitialspace=True, strict=True)
    columns: list[str] = []
    try:
        for row in rows:
            line = numbers[0]
            numbers.clear()
            if not columns:
                columns = [name.strip().lower() for name in row]
                missing = [name for name in required if name not in columns]
                if missing:
                    raise AnnotationError(
                        f"{place(path, line)}: got {','.join(row)!r}; expected a row that names "
                        f"the columns, with {', '.join(required)} among them. {other}"
                    )
            elif len(row) != len(columns):
                problems.add(
                    path,
                    line,
                    f"{len(row)} columns, {','.join(row)!r}",
                    f"{len(columns)}: {','.join(columns)}, names with a comma in quotes",
                )
            else:
                yield line, {name: text.strip() for name, text in zip(columns, row, strict=True)}
    except csv.Error as error:
        line = numbers[0] if numbers else 1
        raise AnnotationError(
            f"{place(path, line)}: got a row that is no CSV ({error}); expected columns "
            "separated by commas, quotes closed on the line on which they open."
        ) from error
    if not columns:
        raise AnnotationError(f"{os.fspath(path)} is empty; expected {', '.join(required)}.")


def read_class_list(path: epath.Path) -> tuple[str, ...]:
    """Reads a file of class names, one a line, in label order.

    Raises:
        AnnotationError: There is no such file, it is empty, or a name stands twice.
    """
    problems = Problems()
    lines: dict[str, int] = {}
    for line, text in read_lines(path):
        name = unicodedata.normalize("NFC", text.strip())
        if name in lines:
            problems.add(path, line, f"{name!r}", f"a name other than in line {lines[name]}")
        lines[name] = line
    problems.raise_any()
    if not lines:
        raise AnnotationError(f"the class list {os.fspath(path)} is empty; expected a name a line.")
    return tuple(lines)
