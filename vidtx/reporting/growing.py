"""Files that grow while a run goes on: what is there is always a whole beginning of them."""

import errno
import os
import pathlib
import time
from typing import Protocol

from vidtx.reporting.files import Path, exists, in_bucket, read_bytes, write_bytes

# An object can only be written as a whole, and a store refuses more than one write a second. What
# is lost if a run is killed is written again when it resumes, as no checkpoint is newer.
_BETWEEN_UPLOADS = 30.0  # seconds
_AFTER_OPENING = 1.0


class GrowingFile(Protocol):
    """A file to which pieces are added."""

    def append(self, data: bytes) -> None:
        """Adds a piece: all of it or, where that fails, nothing; in a bucket perhaps later.

        Raises:
          OSError: It cannot be written on this machine.
          MachineError: It cannot be written to its bucket.
        """

    def flush(self) -> None:
        """Returns when all that was appended is stored; raises as `append`."""

    def close(self) -> None:
        """Stores what is left and closes the file. A second call does nothing."""


def growing(path: Path) -> GrowingFile:
    """Opens a file to append to it; made if missing, and so is its folder."""
    if in_bucket(path):
        return _Object(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _File(path)


class _File:
    """A file of this machine: each piece is on disk when `append` returns."""

    def __init__(self, path: pathlib.Path):
        # Unbuffered: nothing is left in memory that a later write or a close could add twice.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by `close`)

    def append(self, data: bytes) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
            os.fsync(self._file.fileno())
        except OSError:
            # Half a piece in the middle would make the whole file unreadable later.
            os.ftruncate(self._file.fileno(), size)
            raise

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


class _Object:
    """An object of a bucket: held in memory, and uploaded whole now and then."""

    def __init__(self, path: Path):
        self._path = path
        if not exists(path):
            write_bytes(path, b"")
        self._data = bytearray(read_bytes(path))
        self._stored = len(self._data)
        self._due = time.monotonic() + _AFTER_OPENING

    def append(self, data: bytes) -> None:
        self._data += data
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        if self._stored == len(self._data):
            return
        write_bytes(self._path, bytes(self._data))
        self._stored = len(self._data)
        self._due = time.monotonic() + _BETWEEN_UPLOADS

    def close(self) -> None:
        self.flush()
