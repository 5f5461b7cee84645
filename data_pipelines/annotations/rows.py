"""From rows of annotations, each with its place, to a listing of videos with their files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from etils import epath

from data_pipelines.annotations.entries import Caption, Entry, Listing
from data_pipelines.annotations.files import digests
from data_pipelines.annotations.problems import AnnotationError, Problems, place, some
from data_pipelines.annotations.splits import ORDER
from data_pipelines.annotations.video_folder import VideoFolder

__all__ = ["Row", "Rows", "assemble", "class_count_note"]


@dataclasses.dataclass(slots=True)
class Row:
    """One video as a row of annotations lists it.

    Attributes:
        video_id: Unique within the data set.
        split: Name of its split.
        label: Class name or number; None where none is known.
        names: What its file may be called, without suffix, the likeliest first.
        path: The annotation file.
        line: The row's line in it.
        prefer: Names of folders, to choose by among files of one name.
    """

    video_id: str
    split: str
    label: str | int | None
    names: tuple[str, ...]
    path: epath.Path
    line: int
    prefer: tuple[str, ...] = ()


class Rows:
    """Rows by video id, each once.

    Attributes:
        repeated: Number of rows that said again what another had said.
    """

    def __init__(self, problems: Problems):
        self._problems = problems
        self._rows: dict[str, Row] = {}
        self.repeated = 0

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._rows

    def __getitem__(self, video_id: str) -> Row:
        return self._rows[video_id]

    def add(self, row: Row) -> None:
        """Takes a row; one that says of a video what another denies is a problem."""
        first = self._rows.setdefault(row.video_id, row)
        if first is row:
            return
        if (first.split, first.label) == (row.split, row.label):
            self.repeated += 1
            return
        self._problems.add(
            row.path,
            row.line,
            f"{row.video_id!r} {_told(row)}",
            f"{_told(first)}, as {place(first.path, first.line)} has it",
        )


def _told(row: Row) -> str:
    return f"in split {row.split} with " + ("no label" if row.label is None else f"{row.label!r}")


def assemble(
    name: str,
    folder: VideoFolder,
    rows: Iterable[Row],
    class_names: Sequence[str],
    number: Callable[[Row], int],
    *,
    annotations: Iterable[epath.Path],
    source: str,
    notes: Iterable[str] = (),
    repeated: int = 0,
    mirrorable: bool = True,
    fold_case: bool = False,
    left_out: Iterable[Row] = (),
    locate: Callable[[str], tuple[str | None, str | None]] | None = None,
    captions: Callable[[], Iterator[tuple[str, Sequence[Caption]]]] | None = None,
) -> Listing:
    """Finds the file of each row and puts the listing together.

    Args:
        name: Of the data set.
        folder: Where the videos are.
        rows: What is listed.
        class_names: In label order.
        number: Gives a row's label, -1 for none.
        annotations: The files that were read.
        source: Where the annotations are from.
        notes: What a person should know of the listing.
        repeated: Number of rows that said the same as others.
        mirrorable: As in `Listing`.
        fold_case: Whether names of files match in whichever case.
        left_out: Rows that are listed and not wanted, whose files are therefore not unlisted.
        locate: Gives (member of ``folder.files`` or None, whole path or None) for the only name of
            a row; by default the folder is asked for a file of one of the row's names.
        captions: As in `Listing`.

    Raises:
        AnnotationError: Nothing is listed, or there is no file for anything that is.
    """

    def find(row: Row) -> tuple[str | None, str | None]:
        if locate is not None:
            return locate(row.names[0])
        for wanted in row.names:
            found = folder.find(wanted, row.prefer, fold_case)
            if found is not None:
                return found, folder.path(found)
        return None, None

    entries: dict[str, list[Entry]] = {}
    used: set[str] = set()
    missing: list[str] = []
    for row in rows:
        relative, path = find(row)
        if relative is not None:
            used.add(relative)
        if path is None and len(missing) < 3:
            missing.append(row.names[0])
        entries.setdefault(row.split, []).append(Entry(row.video_id, path, number(row)))
    _check_found(folder, entries, missing, " with any video suffix" if locate is None else "")
    used.update(relative for relative in (find(row)[0] for row in left_out) if relative)
    notes = list(notes)
    if repeated:
        notes.append(f"{repeated} rows repeat others word for word; each video is taken once.")
    notes += folder.notes()
    return Listing(
        name=name,
        class_names=tuple(class_names),
        splits={split: entries[split] for split in ORDER if split in entries},
        annotations=digests(annotations),
        mirrorable=mirrorable,
        unlisted=[relative for relative in folder.files if relative not in used],
        captions=captions,
        source=source,
        notes=tuple(notes),
    )


def _check_found(
    folder: VideoFolder, entries: dict[str, list[Entry]], missing: list[str], suffix: str
) -> None:
    """Refuses a listing of which no file is there, the usual sign of a wrong folder."""
    listed = sum(map(len, entries.values()))
    if not listed:
        raise AnnotationError("the annotations list no video; name the files that do.")
    if any(entry.path is not None for split in entries.values() for entry in split):
        return
    held = some(folder.files) if folder.files else f"no video file, and {folder.others} others"
    raise AnnotationError(
        f"none of the {listed} listed videos is in {os.fspath(folder.root)}: looked for "
        f"{', '.join(map(repr, missing))}{suffix}, and it holds {held}. Name the "
        "folder that these annotations are of, or rename the files as its publishers do."
    )


def class_count_note(count: int, official: int) -> list[str]:
    """Returns a note on a number of classes other than the published one."""
    if count == official:
        return []
    return [f"{count} classes are listed; the whole data set has {official}."]
