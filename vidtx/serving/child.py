"""The computing process, as its parent sees it: started, asked, ended where it hangs."""

import contextlib
import json
import math
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from vidtx.errors import MachineError, VidtxError
from vidtx.serving.limits import Limits, ServingError

__all__ = ["Child"]

_POLL_SECONDS = 0.05
_KILL_SECONDS = 10.0
# Of a video that nobody waits for any more, until its process is ended for it.
_CANCEL_SECONDS = 20.0
_MODULE = "vidtx.serving.worker"


class Child:
    """A process that holds the model and answers one video after another.

    Args:
      settings: for `vidtx.serving.worker`, as JSON.
      limits: of a computation.
    """

    def __init__(self, settings: Mapping[str, Any], limits: Limits):
        self._settings, self._limits = settings, limits
        self._process: subprocess.Popen | None = None
        self._said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._number = 0
        self._ended = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether it is there, with the model loaded."""
        return self._process is not None and self._process.poll() is None

    def start(
        self,
        stopping: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = lambda stage: None,
        seconds: float = math.inf,
    ) -> dict[str, Any]:
        """Starts the process and waits until the model is loaded and compiled.

        Args:
          stopping: asked meanwhile; where it says yes, the process is ended.
          report: is told the stages of it, in words.
          seconds: that it may take.

        Returns:
          What `vidtx.serving.answers.about` tells of the model.

        Raises:
          VidtxError: with the exit code of what is wrong: weights, machine, wrong use.
          KeyboardInterrupt: ``stopping`` said yes.
        """
        root = os.fspath(pathlib.Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._said = queue.SimpleQueue()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the parent, which ends this process
            )
        except OSError as error:
            raise MachineError(
                f"The process that computes cannot be started ({error.strerror or error}). Mostly "
                "memory is short, or there are as many processes as may be; end others."
            ) from error
        deadline = time.monotonic() + seconds
        threading.Thread(target=_listen, args=(process, self._said), daemon=True).start()
        try:
            self._say(process, self._settings)
            while True:
                if stopping() or self._ended.is_set():
                    raise KeyboardInterrupt
                if time.monotonic() > deadline:
                    raise MachineError(
                        f"The model was not loaded within {seconds:g} seconds, in which it must "
                        "be. See whether its weights can still be read, and what else computes."
                    )
                message = self._next()
                if message is None:
                    continue
                if "ready" in message:
                    self._process = process
                    return message["ready"]
                if "refused" in message:
                    raise _error_of(**message["refused"])
                if "stage" in message:
                    report(message["stage"])
                if "ended" in message:
                    raise MachineError(
                        f"The process that computes ended ({_end_of(process)}) before the model "
                        "was loaded; what it said is above. Mostly memory is short."
                    )
        except BaseException:
            _kill(process)
            raise

    def compute(
        self,
        task: Mapping[str, Any],
        cancelled: Callable[[], bool],
        report: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any]:
        """Has one video answered.

        Args:
          task: arguments of `vidtx.serving.answers.Answers.answer`.
          cancelled: whether nobody waits for it any more.
          report: is told how far it is, ``{"stage": …, "done": …, "total": …}``.

        Returns:
          The answer.

        Raises:
          ServingError: why there is none. After it the process may be gone: see `ready`.
        """
        if not self.ready:
            raise ServingError(503, "starting", "The model is being loaded again.", retry_after=10)
        process = self._process
        self._number += 1
        deadline = time.monotonic() + self._limits.timeout
        told = False
        self._say(process, {"number": self._number, "task": dict(task)})
        while True:
            message = self._next()
            if message and "ended" in message:
                self._kill()
                raise ServingError(
                    422,
                    "crashed",
                    f"The process that computes ended ({_end_of(process)}) at this video, and is "
                    "started again. The file makes the decoder fail, or is too much for the "
                    "memory of this machine.",
                )
            if message and message.get("number") == self._number:
                if "answer" in message:
                    return message["answer"]
                if "failed" in message:
                    raise ServingError(**message["failed"])
                report(message["progress"])
            if cancelled() and not told:
                told = True
                self._say(process, {"cancel": self._number})
                deadline = min(deadline, time.monotonic() + _CANCEL_SECONDS)
            if time.monotonic() > deadline or self._ended.is_set():
                self._kill()
                raise ServingError(
                    504,
                    "timed_out",
                    f"This video was not done within {self._limits.timeout:g} seconds. Cut it "
                    "shorter, or start the server with a higher --timeout.",
                )

    def close(self) -> None:
        """Ends the process at once; what it computes fails."""
        self._ended.set()
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            _kill(self._process)

    def _next(self) -> dict[str, Any] | None:
        try:
            return self._said.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return None

    @staticmethod
    def _say(process: subprocess.Popen, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # its end is noticed where it is listened to
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()


def _listen(process: subprocess.Popen, said: queue.SimpleQueue) -> None:
    """Passes on what a process says, a line of JSON each, and that it ended."""
    for line in process.stdout:
        with contextlib.suppress(ValueError):  # cut off, as the process was killed
            said.put(json.loads(line))
    process.wait()
    said.put({"ended": True})


def _kill(process: subprocess.Popen) -> None:
    process.kill()
    # One that waits for a disk that does not answer cannot be killed; it goes when that does.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_SECONDS)


def _end_of(process: subprocess.Popen) -> str:
    code = process.wait()
    return f"exit code {code}" if code >= 0 else str(signal.strsignal(-code)).lower()


def _error_of(exit_code: int, message: str) -> VidtxError:
    """The error of the house that ends with an exit code."""
    kinds = {kind.exit_code: kind for kind in VidtxError.__subclasses__()}
    return kinds.get(exit_code, VidtxError)(message)
