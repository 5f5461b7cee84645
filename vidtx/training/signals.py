"""Stopping when asked to: SIGTERM from a scheduler, Ctrl-C from a person."""

import os
import signal
import threading
import time
from types import FrameType

from vidtx.sharding import processes

_NOTED = (
    "\n{}: stopping as soon as this step is done and saved. "
    "Another one, a second from now, stops at once and loses the steps since the last checkpoint.\n"
)
# Schedulers signal a process and its parent, which passes it on: that is one signal, come twice.
_SAME_SECONDS = 1.0


class StopSignal:
    """Notes the first SIGTERM or Ctrl-C for the loop to see; one a second later kills as usual.

    Use it as a context manager round the work that asks `reached`. In a job of several processes a
    signal to any of them stops all, at the same point: once one is told, each says how far it is,
    and all go on to the point after the furthest.

    Attributes:
      received: name of the signal that came, to whichever process, such as ``SIGTERM``, or None.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.received: str | None = None
        self._previous: dict[int, object] = {}
        self._noted_at: float | None = None
        self._asked = 0  # how often this process has asked, the same at the same point of the run
        self._stop_at: int | None = None
        self._agreeing = threading.Lock()

    def reached(self) -> bool:
        """Whether to stop here.

        All processes ask equally often: before every training step and every evaluation batch.
        """
        if processes.count() == 1:
            return self.received is not None
        with self._agreeing:
            self._asked += 1
            return self._asked == self._stop_at

    def __enter__(self) -> "StopSignal":
        self._previous = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        if processes.count() > 1:
            processes.listen("stop", self._agree)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._noted_at is not None:
            if time.monotonic() - self._noted_at > _SAME_SECONDS:
                self._restore()
                os.kill(os.getpid(), number)
            return
        self._noted_at = time.monotonic()
        self.received = signal.Signals(number).name
        # The plain system call: a print may be under way in what the signal has interrupted.
        os.write(2, _NOTED.format(self.received).encode())
        if processes.count() > 1:
            processes.tell("stop", self.received)

    def _agree(self, name: str) -> None:
        self.received = self.received or name
        with self._agreeing:  # nobody goes on before the furthest is known
            self._stop_at = 1 + max(map(int, processes.exchange(str(self._asked), "stop")))

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
