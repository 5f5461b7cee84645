"""Stopping a long command when asked to, with its worker processes gone.

As `vidtx.training.signals`, which serves jobs of several processes and needs JAX for that.
"""

import multiprocessing
import os
import signal
import threading
import time
from types import FrameType

from vidtx.errors import StoppedError

# Schedulers signal a process and its parent, which passes it on: that is one signal, come twice.
_SAME_SECONDS = 1.0


class StopSignal:
    """Notes the first SIGTERM or Ctrl-C; one a second later ends the process at once.

    Use it as a context manager, and call `check` where it is good to stop.

    Args:
      stopping: what is said when the signal comes: what is waited for.
      stopped: what is said at the end: how to go on.

    Attributes:
      received: name of the signal that came, such as ``SIGTERM``, or None.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, stopping: str, stopped: str):
        self.received: str | None = None
        self._stopping, self._stopped = stopping, stopped
        self._previous: dict[int, object] = {}
        self._noted_at: float | None = None

    def check(self) -> None:
        """Stops here if a signal has come.

        Raises:
          StoppedError: it has.
        """
        if self.received is not None:
            raise StoppedError(f"Stopped by {self.received}. {self._stopped}")

    def __enter__(self) -> "StopSignal":
        # Python handles signals in its main thread only.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._noted_at is None:
            self._noted_at = time.monotonic()
            self.received = signal.Signals(number).name
            # The plain system call: a print may be under way in what the signal has interrupted.
            os.write(2, f"\n{self.received}: {self._stopping} Once more stops at once.\n".encode())
        elif time.monotonic() - self._noted_at > _SAME_SECONDS:
            for worker in multiprocessing.active_children():
                worker.kill()
            os._exit(StoppedError.exit_code)
