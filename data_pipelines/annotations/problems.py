"""What can be wrong with annotations, told with the place where it stands."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from data_pipelines.errors import DataError

__all__ = ["SHOWN", "AnnotationError", "Problems", "place", "readable", "some"]

SHOWN = 10  # bad rows that one message holds; a wrong file has them by the thousand


class AnnotationError(DataError):
    """Annotations that cannot be used: a bad row, a file of another kind, or none at all."""


class Problems:
    """Bad rows, gathered so that one message shows them together."""

    def __init__(self):
        self._shown: list[str] = []
        self._count = 0

    def add(self, path: str | os.PathLike, line: int, got: str, expected: str) -> None:
        """Notes a bad row.

        Args:
            path: The annotation file.
            line: Counted from 1.
            got: What stands there.
            expected: What should.
        """
        self._count += 1
        if self._count <= SHOWN:
            self._shown.append(f"{place(path, line)}: got {got}; expected {expected}")

    def raise_any(self) -> None:
        """Ends the reading if there was a bad row.

        Raises:
            AnnotationError: There was; shows the first ten.
        """
        if self._count == 1:
            raise AnnotationError(self._shown[0] + ".")
        if self._count:
            more = self._count - len(self._shown)
            rest = [f"and {more} more."] if more else []
            head = f"{self._count} rows of the annotations are bad; mend them or leave them out:"
            raise AnnotationError("\n".join([head, *self._shown, *rest]))


@contextlib.contextmanager
def readable(path: str | os.PathLike) -> Iterator[None]:
    """Tells of annotations that the operating system refuses to read; a context manager.

    Args:
        path: A file or a folder, which is read in the body.

    Raises:
        AnnotationError: It cannot be read.
    """
    try:
        yield
    except OSError as error:
        denied = isinstance(error, PermissionError)
        cure = "mend its permissions" if denied else "name a file that can be"
        raise AnnotationError(
            f"{os.fspath(path)} cannot be read ({error.strerror or error}); {cure}."
        ) from error


def place(path: str | os.PathLike, line: int) -> str:
    """Returns ``FILE:LINE``."""
    return f"{os.fspath(path)}:{line}"


def some(names: list[str] | tuple[str, ...], shown: int = 3) -> str:
    """Returns the first few of many names, quoted, and how many more there are."""
    text = ", ".join(repr(name) for name in names[:shown])
    return text + (f" and {len(names) - shown} more" if len(names) > shown else "")
