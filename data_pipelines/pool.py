"""Jobs over processes: results in order, a bounded number under way, ended at once when asked."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from data_pipelines.errors import DataError

__all__ = ["ProcessKilledError", "cores", "in_processes"]

_POLL_SECONDS = 0.1
_AHEAD = 4  # jobs a process that are under way, or done and not taken


class ProcessKilledError(DataError):
    """A process that did a part of the work was killed, mostly as memory ran out."""


def cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def in_processes(
    function: Callable[[Any], Any],
    jobs: Iterable[Any],
    workers: int,
    between: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Any, Any]]:
    """Yields each job with its result, in order; close the iterator to end the workers at once.

    Args:
        function: Of one job; like jobs and results it must be picklable.
        jobs: Taken one by one as there is room.
        workers: Processes, started afresh; with 1, the calling process does the work.
        between: Called some times a second, or after each job where there is one worker; what it
            raises ends the work.

    Raises:
        ProcessKilledError: A worker was killed.
    """
    if workers == 1:
        for job in jobs:
            between()
            yield job, function(job)
        return
    # Spawned, not forked: the calling process may have threads.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, initializer=_begin)
    waiting: collections.deque[tuple[Any, concurrent.futures.Future]] = collections.deque()
    remaining = iter(jobs)
    try:
        while True:
            while len(waiting) < _AHEAD * workers:
                try:
                    job = next(remaining)
                except StopIteration:
                    break
                with _undisturbed():  # processes are started here
                    waiting.append((job, pool.submit(function, job)))
            if not waiting:
                break
            between()
            job, future = waiting[0]
            concurrent.futures.wait([future], _POLL_SECONDS)
            if future.done():
                yield job, future.result()
                waiting.popleft()
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        if isinstance(error, BrokenProcessPool):
            raise ProcessKilledError(
                f"a process was killed at {waiting[0][0]} or shortly after; mostly the system does "
                "so when memory runs out: use fewer workers."
            ) from error
        raise
    pool.shutdown()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keeps Ctrl-C from processes that are started meanwhile, until they can leave it alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """What a worker does first: leaves Ctrl-C to the parent, and sees to it not to outlive that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
