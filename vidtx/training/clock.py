"""Wall-clock time of training."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Clock:
    """Time between lines of metrics, and the share of it that was lost waiting for data."""

    def __init__(self):
        self._start = time.perf_counter()
        self._waited = 0.0

    @contextlib.contextmanager
    def waiting(self, idle: Callable[[], bool]) -> Iterator[None]:
        """Counts what happens inside as waiting for data, if it leaves the devices without work.

        Args:
          idle: whether the devices have done all that they were given; must not wait itself.
        """
        start = time.perf_counter()
        yield
        if idle():
            self._waited += time.perf_counter() - start

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Does not count what happens inside."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def lap(self, clips: int) -> dict[str, float]:
        """Figures since the last lap, in which ``clips`` clips were seen.

        Returns:
          ``clips_per_second``, and ``input_wait``, the share of the time in which a batch was
          waited for that came only after the devices had run out of work: an upper bound of what
          was lost.
        """
        now = time.perf_counter()
        seconds = max(now - self._start, 1e-9)
        figures = {"clips_per_second": clips / seconds, "input_wait": self._waited / seconds}
        self._start, self._waited = now, 0.0
        return figures
