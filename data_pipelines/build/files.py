"""Writing files so that they are there whole or not at all, on disks and in buckets."""

from __future__ import annotations

import os
import pathlib
import uuid

from etils import epath

__all__ = [
    "DONE",
    "LEFTOVER",
    "is_local",
    "local_folder",
    "move",
    "remove_leftovers",
    "stem",
    "write_whole",
]

# How names of what an interrupted process leaves behind begin.
LEFTOVER = "tmp-"

# How the name ends of the note that a shard is finished.
DONE = ".done.json"


def stem(split: str, number: int) -> str:
    """Returns how the files of a shard's job begin."""
    return f"{split}-{number:05d}"


def is_local(path: epath.Path) -> bool:
    """Whether a path is one of this machine's file system, rather than of a bucket."""
    return "://" not in os.fspath(path)


def local_folder(path: epath.Path) -> str | None:
    """Returns a path for local files: itself if it is local, None for the system's default."""
    return os.fspath(path) if is_local(path) else None


def remove_leftovers(folder: epath.Path) -> None:
    """Deletes what interrupted processes have left in a folder that no process writes to."""
    for path in folder.iterdir():
        if path.name.startswith(LEFTOVER):
            path.rmtree() if path.is_dir() else path.unlink(missing_ok=True)


def move(local: str | os.PathLike, target: epath.Path) -> None:
    """Moves a finished local file to its place, where it appears whole.

    A bucket shows an object only when it is there whole. On a disk the file is flushed first, so
    that not even a power cut leaves half of it under its name.

    Args:
        local: The file; if the target is local too, on the same file system.
        target: Where it goes.
    """
    local = pathlib.Path(local)
    if not is_local(target):
        epath.Path(local).copy(target, overwrite=True)
        local.unlink()
        return
    with open(local, "rb") as file:
        os.fsync(file.fileno())
    os.replace(local, os.fspath(target))


def write_whole(path: epath.Path, text: str, flush: bool = True) -> None:
    """Writes a text file that appears whole.

    Args:
        path: Of the file.
        text: Its content.
        flush: Whether it must survive a power cut, too.
    """
    if not is_local(path):
        path.write_text(text)
        return
    beside = pathlib.Path(os.fspath(path.with_name(f"{LEFTOVER}{uuid.uuid4().hex}")))
    with open(beside, "w") as file:
        file.write(text)
        if flush:
            file.flush()
            os.fsync(file.fileno())
    os.replace(beside, os.fspath(path))
