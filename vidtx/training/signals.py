"""Stopping when asked to: SIGTERM from a scheduler, Ctrl-C from a person."""

import os
import signal
from types import FrameType

_NOTED = (
    "\n{}: stopping as soon as this step is done and saved. "
    "A second one stops at once and loses the steps since the last checkpoint.\n"
)


class StopSignal:
    """Notes the first SIGTERM or Ctrl-C for the loop to see; a second one kills as usual.

    Use it as a context manager round the work that looks at `received`.

    Attributes:
      received: name of the signal that came, such as ``SIGTERM``, or None.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.received: str | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        self._previous = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()
        # The plain system call: a print may be under way in what the signal has interrupted.
        os.write(2, _NOTED.format(self.received).encode())

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
