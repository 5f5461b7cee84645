"""Folders that are there whole or not at all, whatever kills the process that writes them."""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import time
from collections.abc import Iterator

from vidtx.errors import ConfigError, VidtxError, explain

__all__ = ["appearing_whole", "free_folder"]

_REMOVALS, _PAUSE_SECONDS = 50, 0.1


def free_folder(target: str | os.PathLike, what: str, named: str) -> pathlib.Path:
    """The folder to write, which must be absent or empty.

    Args:
      target: a path of this machine.
      what: is written there, such as ``conversion``.
      named: how a command names the target, such as ``DST``.

    Raises:
      ConfigError: something is there already, or it is in a bucket.
      MachineError: it may not be looked into.
    """
    text = os.fspath(target)
    if "://" in text:
        raise ConfigError(
            f"{text}: the {what} is written to a folder of this machine, where it can appear "
            "whole. Name one, and copy it to the bucket afterwards."
        )
    place = pathlib.Path(text).absolute()
    try:
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise ConfigError(f"{place} is there already and no folder. Name one that is new.")
        full = place.is_dir() and any(place.iterdir())
    except OSError as error:
        raise _unwritable(place, error, named) from error
    if full:
        raise ConfigError(
            f"{place} holds files, and nothing is ever written over. Name a folder that is new or "
            "empty, or empty this one."
        )
    return place


@contextlib.contextmanager
def appearing_whole(place: pathlib.Path, what: str, named: str) -> Iterator[pathlib.Path]:
    """Yields a folder beside ``place``, which takes its name when the block ends well.

    What a killed process left there goes first.

    Args:
      place: from `free_folder`.
      what: as there.
      named: as there.

    Raises:
      ConfigError: another process is writing there, or what is there is no folder.
    """
    beside = place.with_name(f".{place.name}.unfinished")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir(exist_ok=True)
        # Not through a link: its target would be emptied.
        lock = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if (
            error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP)
            or not place.parent.is_dir()
        ):
            raise _unwritable(place, error, named) from None
        raise ConfigError(
            f"{beside}, where the {what} is written until it is whole, is a link or a file, which "
            f"no {what} leaves there. Remove it, or name another folder."
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"Another {what} is writing {place}. Wait for it, or name another folder."
            ) from None
        _empty(beside)
        try:
            yield beside
            _flush(beside)
            os.rename(beside, place)  # of folders: onto none, or an empty one
        except BaseException:
            _remove(beside)
            raise
    finally:
        os.close(lock)


def _unwritable(place: pathlib.Path, error: OSError, named: str) -> VidtxError:
    """Why the folder to write cannot be made there, for whoever named it."""
    kind = type(explain(error) or ConfigError())
    return kind(
        f"The target ({named}) {place} cannot be written: {error.filename}: {error.strerror}. Name "
        "a folder where you may write, or mend this one."
    )


def _remove(folder: pathlib.Path) -> None:
    """Removes a folder in which threads that are ending, such as Orbax's, may still write."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE_SECONDS)


def _empty(folder: pathlib.Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _flush(folder: pathlib.Path) -> None:
    """Waits until all that is in a folder is stored, or a power cut would leave names alone."""
    for path in (folder, *folder.rglob("*")):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
