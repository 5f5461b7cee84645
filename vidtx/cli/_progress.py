"""Progress of a command: one line kept up to date on a terminal, a line now and then in a log."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Progress", "duration", "megabytes"]

_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 30.0
_ERASE_TO_END = "\x1b[K"


class Progress:
    """How far a piece of work is, at what rate, and how long it will take.

    Never the reason that the work fails: once its stream is closed, it is silent. Use it as a
    context manager, so that a terminal gets a new line at the end.

    Args:
      unit: what is counted, such as ``videos``.
      stream: where to write; standard error by default, so that results can be piped.
      clock: seconds, monotonic.
    """

    def __init__(
        self,
        unit: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._started = self._written = clock()
        self._newest = ""
        self._open_line = False
        self._terminal = False
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._terminal = self._stream.isatty()

    def update(self, done: int, total: int, *figures: str, before: int = 0) -> None:
        """Shows the state, if it is time to.

        Args:
          done: of this and of earlier processes that did a part of the same work.
          total: all there is to do.
          *figures: more to say, such as ``3 dropped``.
          before: of ``done``, what earlier processes did; the rate is of what this one does.
        """
        now = self._clock()
        parts = [f"{done:,} of {total:,} {self._unit}"]
        new, seconds = done - before, now - self._started
        if new > 0 and seconds > 0:
            rate = new / seconds
            left = duration((total - done) / rate)
            parts += [f"{rate:.{1 if rate < 10 else 0}f} {self._unit}/s", f"{left} left"]
        self._newest = "  ".join([*parts, *figures])
        if now - self._written >= (_REDRAW_SECONDS if self._terminal else _LINE_SECONDS):
            self._written = now
            self._write(self._newest)

    def _write(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            if self._terminal:
                # A line that wraps could not be written over.
                line = line[: shutil.get_terminal_size().columns - 1]
                self._stream.write(f"\r{line}{_ERASE_TO_END}")
                self._open_line = True
            else:
                self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream object was closed
            self._stream = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._open_line:
            self._write(self._newest)
        if self._open_line and self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n")
                self._stream.flush()
        self._open_line = False


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, days included in the hours."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def megabytes(count: int) -> str:
    """Bytes as megabytes of 10⁶, or as gigabytes from 10 of them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e10 else f"{count / 1e6:,.1f} MB"
