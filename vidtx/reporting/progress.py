"""What a person who started a run sees while it runs."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

_REFRESH_SECONDS = 0.1


class Progress:
    """A live bar on a terminal, one plain line per update anywhere else.

    Never the reason that a run dies: once its stream is closed, it is silent. Use it as a context
    manager, so that the terminal gets its cursor back.

    Args:
      total_steps: The step at which the run ends.
      start_step: The step of the state that this process started from.
      stream: Where to write; standard output by default.
      clock: Seconds, monotonic.

    Raises:
      ValueError: If not 0 ≤ start_step ≤ total_steps.
    """

    def __init__(
        self,
        total_steps: int,
        *,
        start_step: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        if not 0 <= start_step <= total_steps:
            raise ValueError(f"{start_step=} must be between 0 and {total_steps=}.")
        self._total = total_steps
        self._clock = clock
        # None when the process was started with its standard output closed.
        self._stream = sys.stdout if stream is None else stream
        self._start = self._step = start_step
        self._started = self._drawn = clock()
        # The step and time that the pace is measured from.
        self._mark: tuple[int, float] = (start_step, self._started)
        self._updated = False
        self._bar = self._make_bar(redirect=stream is None)

    def update(
        self,
        step: int,
        *,
        loss: float,
        accuracy: float | None = None,
        clips_per_second: float,
        input_wait: float,
    ) -> None:
        """Shows the state of the run.

        Args:
          step: The step just finished.
          loss: Training loss.
          accuracy: Training accuracy, a share between 0 and 1; left out when None.
          clips_per_second: Throughput over all devices.
          input_wait: Share of the time, between 0 and 1, that the step waited for its batch.
        """
        now = self._clock()
        self._step = step
        left = _duration(self.seconds_left())
        if not self._updated:
            # Compilation is paid once, before the first update: the pace is measured after it.
            self._updated, self._mark = True, (step, now)
        parts = [f"loss {loss:.3f}"]
        if accuracy is not None:
            parts.append(f"accuracy {accuracy:.3f}")
        parts.append(f"{clips_per_second:.{0 if clips_per_second >= 10 else 1}f} clips/s")
        parts.append(f"input wait {input_wait * 100:.0f} %")
        if self._bar is not None:
            due = now - self._drawn >= _REFRESH_SECONDS or step >= self._total
            self._draw(step, "  ".join(parts), left, due=due)
            return
        width = len(str(self._total))
        self._print("  ".join([f"step  {step:>{width}}/{self._total}", *parts, f"{left} left"]))

    def note(self, text: str) -> None:
        """Prints a line of its own, above the bar where there is one."""
        if self._bar is None:
            self._print(text)
            return
        # `Text`, because rich takes square brackets in a plain string for markup.
        self._guard(lambda: self._bar.console.print(Text(text), soft_wrap=True))

    def seconds_left(self) -> float | None:
        """Returns the estimated seconds to the end, from the pace of this process's own steps.

        None while no step has been finished in this process.
        """
        step, since = self._mark
        if self._step <= step:
            # Only one update so far: all there is to go by is the time since the start.
            step, since = self._start, self._started
        if self._step <= step:
            return None
        pace = (self._clock() - since) / (self._step - step)
        return pace * max(0, self._total - self._step)

    def summary(self) -> str:
        """Returns a sentence on this process's share, such as `1080 steps in 0:21:03`."""
        seconds = self._clock() - self._started
        resumed = f" (resumed at {self._start})" if self._start else ""
        return f"{self._step - self._start} steps in {_duration(seconds)}{resumed}"

    def close(self) -> None:
        """Leaves the bar as it is and gives the terminal back. A second call does nothing."""
        bar, self._bar = self._bar, None
        if bar is not None:
            self._guard(bar.stop)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _make_bar(self, *, redirect: bool) -> RichProgress | None:
        # `isatty` itself: rich also believes FORCE_COLOR, and would fill log files with bars.
        try:
            terminal = self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            terminal = False
        if not terminal:
            return None
        console = Console(file=self._stream)
        if console.is_dumb_terminal:
            return None
        wide = console.width >= 90
        columns = [
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            # On a narrow terminal the figures take a second line, and nothing is cut.
            TextColumn(
                "{task.fields[figures]}",
                style="bold",
                markup=False,
                table_column=Column(no_wrap=wide),
            ),
            TextColumn("{task.fields[left]} left", style="cyan"),
        ]
        if wide:
            columns.insert(1, BarColumn(bar_width=None))
        bar = RichProgress(
            *columns,
            console=console,
            # A refresh thread would write to the terminal outside of `_guard`.
            auto_refresh=False,
            expand=True,
            redirect_stdout=redirect,
            redirect_stderr=redirect,
        )
        bar.add_task("", total=self._total, completed=self._start, figures="starting", left="-")
        bar.start()
        return bar

    def _draw(self, step: int, figures: str, left: str, *, due: bool) -> None:
        bar = self._bar
        bar.update(bar.task_ids[0], completed=step, figures=figures, left=left)
        if due:
            self._drawn = self._clock()
            self._guard(bar.refresh)

    def _print(self, text: str) -> None:
        if self._stream is None:
            return
        # A log in ASCII must not swallow the line that has one foreign character.
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        self._guard(lambda: print(text, file=self._stream, flush=True))

    def _guard(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (OSError, ValueError) as error:  # ValueError: the stream object was closed
            stream, self._stream = self._stream, None
            if self._bar is not None:
                bar, self._bar = self._bar, None
                with contextlib.suppress(OSError, ValueError):
                    bar.stop()  # puts `sys.stdout` back, even when it cannot draw
            if isinstance(error, BrokenPipeError) and stream is sys.stdout:
                # Python flushes the stream again at exit, and would turn exit code 0 into 120.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _duration(seconds: float | None) -> str:
    """Formats seconds as h:mm:ss, days included in the hours."""
    if seconds is None:
        return "-"
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
