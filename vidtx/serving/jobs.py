"""One computation at a time, in the order in which videos came, and a bounded number of them."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vidtx.serving.child import Child
from vidtx.serving.limits import ServingError

__all__ = ["Job", "Jobs"]

_BUSY_SECONDS = 5  # after which it may be worth another try
_RESTART_SECONDS = 600.0  # in which the model must be loaded again; its programs are compiled


class Job:
    """One video that is to be answered.

    Args:
      task: as of `Child.compute`.
      tell: is called from another thread with what happens, in order: ``{"progress": …}`` any
        number of times, then ``{"answer": …}`` or ``{"failed": ServingError}`` once.
    """

    def __init__(self, task: Mapping[str, Any], tell: Callable[[dict[str, Any]], None]):
        self.task, self.tell = task, tell
        self.cancelled = threading.Event()


class Jobs:
    """The queue before a `Child`.

    Args:
      child: which is started, and is ended by `close`.
      waiting: how many videos may wait while another one computes.
      log: is told what happened to the child, a line each.
    """

    def __init__(self, child: Child, waiting: int, log: Callable[[str], None]):
        self._child, self._places, self._log = child, waiting + 1, log
        self._taken = 0
        self._jobs: collections.deque[Job] = collections.deque()
        self._changed = threading.Condition()
        self._closing = self._working = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self._child.ready

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Takes a place, from the upload of a video to its answer.

        Raises:
          ServingError: all are taken, or the server ends.
        """
        with self._changed:
            if self._closing:
                raise _closing()
            if self._taken >= self._places:
                count = "1 video is" if self._taken == 1 else f"{self._taken} videos are"
                raise ServingError(
                    503,
                    "busy",
                    f"{count} being sent, waiting or being answered, which is as many as this "
                    f"server takes on (--queue={self._places - 1}). Try again in a moment.",
                    retry_after=_BUSY_SECONDS,
                )
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1

    def submit(self, job: Job) -> None:
        """Queues a job, by whoever has a place."""
        with self._changed:
            if self._closing:
                raise _closing()
            self._jobs.append(job)
            self._tell_of_places()
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Drops a job that waits, and stops one that is under way at its next step."""
        job.cancelled.set()
        with self._changed, contextlib.suppress(ValueError):
            self._jobs.remove(job)
            self._tell_of_places()

    def close(self) -> None:
        """Ends everything: what is under way fails, and so does what waits."""
        with self._changed:
            self._closing = True
            waiting = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        self._child.close()
        for job in waiting:
            job.tell({"failed": _closing()})
        self._thread.join(30)

    def _tell_of_places(self) -> None:
        for ahead, job in enumerate(self._jobs, int(self._working)):
            job.tell({"progress": {"stage": "waiting", "done": 0, "total": ahead}})

    def _work(self) -> None:
        while True:
            with self._changed:
                self._working = False
                self._changed.wait_for(lambda: self._jobs or self._closing)
                if self._closing:
                    return
                job = self._jobs.popleft()
                self._working = True
                self._tell_of_places()
            try:
                told = {"answer": self._answer(job)}
            except ServingError as error:
                told = {"failed": _closing() if self._closing else error}
            except Exception as error:  # this thread is the only one that works
                self._say(f"A fault of the server: {type(error).__name__}: {error}")
                told = {"failed": _fault(error)}
            job.tell(told)
            if not self._child.ready:
                self._restart()

    def _answer(self, job: Job) -> dict[str, Any]:
        if not self._child.ready:
            self._restart()
        return self._child.compute(
            job.task, job.cancelled.is_set, lambda step: job.tell({"progress": step})
        )

    def _restart(self) -> None:
        if self._closing:
            return
        self._say("The process that computes is started again.")
        try:
            self._child.start(lambda: self._closing, seconds=_RESTART_SECONDS)
        except KeyboardInterrupt:
            pass
        except Exception as error:  # told to whoever asks next
            self._say(f"It cannot be: {error}")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._log(line)


def _fault(error: Exception) -> ServingError:
    return ServingError(
        500,
        "bug",
        f"A fault of the server: {type(error).__name__}. It has told more where it runs.",
    )


def _closing() -> ServingError:
    return ServingError(503, "closing", "The server was stopped.")
