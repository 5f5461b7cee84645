"""Pictures of the last answers: so many, for so long, under names that nobody can guess."""

import collections
import pathlib
import secrets
import threading
import time
from collections.abc import Callable

__all__ = ["CLIP", "OVERLAY", "Kept"]

# Files of an answer: the clip as the model is fed, and with what it looks at.
CLIP, OVERLAY = "clip.mp4", "overlay.mp4"


class Kept:
    """Files of answers, in a folder of their own.

    Args:
      folder: which is there, and empty.
      most: answers of which files are kept, beside those that are not given yet.
      seconds: for which they are, from when the answer is given.
      clock: seconds, monotonic.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        most: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._folder, self._most, self._seconds, self._clock = folder, most, seconds, clock
        self._born: collections.OrderedDict[str, float] = collections.OrderedDict()
        self._coming: set[str] = set()
        self._lock = threading.Lock()

    def reserve(self) -> tuple[str, pathlib.Path]:
        """Returns the name of a new answer and the folder, made here, that its files go to.

        It stays until `answered` or `drop` is called, however long that takes.
        """
        name = secrets.token_urlsafe(16)
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        with self._lock:
            self._coming.add(name)
            self._tidy()
        return name, folder

    def answered(self, name: str) -> None:
        """Begins the time of an answer that was reserved, as it is given now."""
        with self._lock:
            self._coming.discard(name)
            self._born[name] = self._clock()
            self._tidy()

    def find(self, name: str, file: str) -> pathlib.Path | None:
        """Returns a file of an answer, or None if there is none (any more).

        Args:
          name: of the answer; whatever a request says.
          file: of it, one of ours.
        """
        with self._lock:
            self._tidy()
            if name not in self._born:  # before any path is made of it
                return None
        path = self._folder / name / file
        return path if path.is_file() else None

    def drop(self, name: str) -> None:
        """Deletes the files of an answer."""
        with self._lock:
            self._born.pop(name, None)
            self._coming.discard(name)
            self._delete(name)

    def _tidy(self) -> None:
        old = self._clock() - self._seconds
        while self._born:
            name, born = next(iter(self._born.items()))
            if born > old and len(self._born) <= self._most:
                return
            del self._born[name]
            self._delete(name)

    def _delete(self, name: str) -> None:
        folder = self._folder / name
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            folder.rmdir()
