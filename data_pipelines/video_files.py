"""Which video files a person means: files, folders and patterns, in an order that never varies."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from collections.abc import Iterable, Iterator

from data_pipelines.annotations.video_folder import VIDEO_SUFFIXES, is_video
from data_pipelines.errors import DatasetMissingError

__all__ = ["VideoFiles", "list_video_files", "printable"]

_DIGITS = re.compile(r"(\d+)")
_MAGIC = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True)
class VideoFiles:
    """What was found.

    Attributes:
        files: Paths as they were named, in the order of what named them, and within a folder or a
            pattern in natural order (``clip9`` before ``clip10``); no file twice, whatever its
            names. One that was named by itself is there even if it does not exist, to be told of.
        passed_over: How many files of folders and patterns are none by their suffix.
        missing: Of folders and patterns that stand for no video, what each is, a line each, such as
            ``clips/*.mov: no file matches``.
    """

    files: tuple[str, ...]
    passed_over: int
    missing: tuple[str, ...] = ()


def printable(name: str | os.PathLike) -> str:
    r"""A file's name as text that may be written anywhere.

    Names are any bytes. Those that are no UTF-8 stand as escapes, as ``vidtx`` prints them.

    Args:
        name: As Python has it; ``caf\xe9.mp4`` of Latin-1 is ``"caf\udce9.mp4"``.
    """
    return os.fspath(name).encode("utf-8", "backslashreplace").decode("utf-8")


def list_video_files(named: Iterable[str | os.PathLike]) -> VideoFiles:
    """Lists video files.

    A file is taken whatever it is called, also if its name could be a pattern. Of a folder, all
    files below it are that have the suffix of a video; what begins with a dot is left out, and so
    is what a link leads back to. A pattern, such as ``"clips/*.mp4"`` or ``"clips/**/*.mov"``, is
    as those of the shell.

    Args:
        named: Files, folders and patterns.

    Raises:
        DatasetMissingError: Nothing is found at all, or something lies in a bucket; says what was
            looked for.
    """
    named = [os.fspath(name) for name in named]
    problems = [
        f"{name} lies in a bucket; copy it to this machine first."
        for name in named
        if "://" in name
    ]
    if problems:
        raise DatasetMissingError("\n".join(problems))
    files: list[str] = []
    seen: set[str] = set()
    passed_over = 0
    missing: list[str] = []
    lacking: list[str] = []  # of these, what was not named as one file
    for name in named:
        found = list(_of(name))
        videos = [path for path, taken in found if taken]
        passed_over += len(found) - len(videos)
        if not videos:
            missing.append(_looked_for(name, len(found)))
            if _MAGIC.search(name) or os.path.isdir(name):
                lacking.append(missing[-1])
            else:
                videos = [name]
        for path in videos:
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                files.append(path)
    if len(missing) == len(named):
        raise DatasetMissingError(
            "There are no videos:\n"
            + "\n".join(f"  - {line}" for line in missing or ["nothing was named"])
            + "\nName files, folders, or patterns in quotes, such as 'clips/*.mp4'."
        )
    return VideoFiles(tuple(files), passed_over, tuple(lacking))


def _of(name: str) -> Iterator[tuple[str, bool]]:
    """Yields (path, whether it is taken) of the files that a name stands for."""
    if os.path.isdir(name):
        yield from _below(name)
    elif os.path.exists(name):
        yield name, True
    elif _MAGIC.search(name):
        for path in sorted(glob.glob(os.path.expanduser(name), recursive=True), key=_natural):
            # With **, folders and what is in them both match.
            if os.path.isfile(path):
                yield path, is_video(os.path.basename(path))
            elif "**" not in name and os.path.isdir(path):
                yield from _below(path)


def _below(folder: str) -> Iterator[tuple[str, bool]]:
    """Yields the files below a folder, hidden ones left out."""
    found = []
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [os.path.join(place, name) for name in names if not name.startswith(".")]
    for path in sorted(found, key=_natural):
        yield path, is_video(os.path.basename(path))


def _looked_for(name: str, others: int) -> str:
    if os.path.isdir(name):
        held = f"{others} files, none of them a video by its suffix" if others else "no files"
        return f"{name}: a folder with {held} ({', '.join(VIDEO_SUFFIXES)})"
    if _MAGIC.search(name):
        held = f"matches {others} files, none of them a video by its suffix" if others else ""
        return f"{name}: {held or 'no file matches'}"
    return f"{name}: there is no such file or folder"


def _natural(path: str) -> tuple:
    """Orders numbers in names by their value, and folders' content together."""
    return tuple(
        (
            tuple(
                (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
                for part in _DIGITS.split(step)
                if part
            ),
            step,
        )
        for step in path.split(os.sep)
    )
