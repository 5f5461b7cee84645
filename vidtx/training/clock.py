"""Wall-clock time of training."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Clock:
    """Time between lines of metrics, and the share of it that was lost waiting for data."""

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        """Starts the clock.

        Args:
          now: the time in seconds, monotonic.
        """
        self._now = now
        self._start = now()
        self._waited = 0.0

    @contextlib.contextmanager
    def waiting(self, idle: Callable[[], bool]) -> Iterator[None]:
        """Counts what happens inside as waiting for data, if it leaves the devices without work.

        Args:
          idle: whether the devices have done all that they were given; must not wait itself.
        """
        start = self._now()
        yield
        if idle():
            self._waited += self._now() - start

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Does not count what happens inside."""
        start = self._now()
        yield
        self._start += self._now() - start

    def lap(self, clips: int) -> dict[str, float]:
        """Figures since the last lap, in which ``clips`` clips were seen.

        Returns:
          ``clips_per_second``, and ``input_wait``, the share of the time in which a batch was
          waited for that came only after the devices had run out of work: an upper bound of what
          was lost.
        """
        now = self._now()
        seconds = max(now - self._start, 1e-9)
        figures = {"clips_per_second": clips / seconds, "input_wait": self._waited / seconds}
        self._start, self._waited = now, 0.0
        return figures
