"""An open file that remembers that reading failed: FFmpeg takes that for the end of the file."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import BinaryIO

from data_pipelines.errors import UnreadableError

__all__ = ["GuardedFile", "unreadable"]


class GuardedFile:
    """A file opened for reading.

    Args:
        file: The file.
        name: Of the file, for messages.
    """

    def __init__(self, file: BinaryIO, name: str):
        self._file, self._name = file, name
        self._error: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """Reads as the file does."""
        return self._tried(self._file.read, size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seeks as the file does."""
        return self._tried(self._file.seek, offset, whence)

    def _tried(self, act: Callable, *arguments):
        try:
            return act(*arguments)
        except OSError as error:
            if act != self._file.seek or error.errno != errno.EINVAL:  # where tables are damaged
                self._error = error
            raise

    def check(self) -> None:
        """Raises UnreadableError if reading has failed."""
        if self._error is not None:
            raise unreadable(self._name, self._error) from self._error


def unreadable(name: str, error: OSError) -> UnreadableError:
    """Words the error about a file that the operating system does not let be read."""
    return UnreadableError(
        f"{name} cannot be read ({error.strerror or error}); mend its permissions or the disk."
    )
