"""Where checkpoints lie: folders of this machine, or of a bucket (``gs://…``).

A bucket has no folders, only objects with ``/`` in their names. There Orbax marks a checkpoint as
complete with an object of its own, which is written last.
"""

import contextlib
import os
import pathlib
import shutil
from typing import TypeAlias

from etils import epath

Path: TypeAlias = pathlib.Path | epath.Path

_FOLDER = ".folder"
_MARK = "commit_success.txt"  # Orbax's
# Where the libraries that talk to a store are told apart from those that read what it gave.
_CLIENTS = {"aiohttp", "gcsfs", "google", "requests", "urllib3"}
# As TensorStore says of what is not the data's fault.
_NOT_REACHED = (
    "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED", "UNAVAILABLE",
)  # fmt: skip


def absolute(path: str | os.PathLike) -> Path:
    """The path, meaning the same in any folder."""
    text = os.fspath(path)
    return epath.Path(text) if "://" in text else pathlib.Path(path).absolute()


def in_bucket(path: Path) -> bool:
    """Whether a path is in a bucket."""
    return not isinstance(path, pathlib.Path)


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; raises whatever keeps that from being found out."""
    if not in_bucket(path):
        return path.exists()
    try:
        path.stat()  # `exists` takes all that goes wrong for a no
    except FileNotFoundError:
        return False
    return True


def keep(folder: Path) -> None:
    """Puts an object into a folder of a bucket, so that it stays there when nothing else does.

    Orbax deletes what was saved by half while it lists what is there, and would stumble over a
    folder that is gone with the last of it. On this machine Orbax itself makes the folder.
    """
    if in_bucket(folder) and not exists(folder / _FOLDER):
        (folder / _FOLDER).write_bytes(b"")


def remove(folder: Path) -> None:
    """Deletes a checkpoint as far as that can be done; killed in between, none is left half.

    On this machine the folder has been renamed before, to what is no checkpoint's name.
    """
    if not in_bucket(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(Exception):  # of many libraries, and what remains is deleted later
        (folder / _MARK).unlink(missing_ok=True)
        folder.rmtree(missing_ok=True)


def unreachable(folder: Path, error: BaseException) -> bool:
    """Whether an error says of a bucket that it was not reached, and nothing of what is in it."""
    if not in_bucket(folder):
        return False
    while error is not None:
        client = type(error).__module__.partition(".")[0] in _CLIENTS
        # In a bucket an object is whole or absent; of the system there is nothing else to fail.
        storage = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        if client or storage or any(sign in str(error) for sign in _NOT_REACHED):
            return True
        error = error.__cause__
    return False
