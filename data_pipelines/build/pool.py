"""Many processes that build shards, and what is done about a video that ends or stops one.

The processes are this module's own, rather than those of a pool of the standard library: that gives
up as a whole when one of them is gone, and waits for ever for one that hangs. Here a process says
which video it begins. If it ends in the middle of one, or shows no sign of life for a while, that
video is dropped by name and its shard done again without it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import BinaryIO

import data_pipelines
from data_pipelines.build.jobs import ShardJob, ShardResult
from data_pipelines.build.progress import Progress
from data_pipelines.errors import BuildFailedError, DecoderCrashedError, TimedOutError

__all__ = ["STALL_SECONDS", "run_jobs"]

# Without a sign of life for so long, a process hangs. Reading 1 MiB, or decoding one frame, is a
# sign of life, so that this is not about long videos.
STALL_SECONDS = 300.0

# To start, on a machine that is busy with other things.
_START_SECONDS = 300.0

_POLL_SECONDS = 0.1
_REPORT_SECONDS = 1.0
_KILL_SECONDS = 10.0
_LAST_WORDS_BYTES = 2000

# A process may be killed for want of memory, which is not the fault of its video: so only the
# second end at the same video counts.
_TRIES = 2


def run_jobs(
    jobs: Sequence[ShardJob],
    *,
    resumed: Sequence[ShardResult],
    total: int,
    workers: int,
    stall_seconds: float = STALL_SECONDS,
    report: Callable[[Progress], None] = lambda progress: None,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Builds shards in processes of their own; returns when they are all built.

    Args:
        jobs: Of the shards.
        resumed: What shards hold that were built before, for the report.
        total: Number of videos, of all shards.
        workers: Number of processes.
        stall_seconds: Seconds without a sign of life after which a process hangs.
        report: Called about once a second, and at the end.
        between: Called about ten times a second. What it raises stops the build; finished shards
            stay.

    Raises:
        BuildFailedError: A process cannot start or a shard cannot be written.
    """
    pool = _Pool(jobs, resumed, total, stall_seconds)
    try:
        for _ in range(min(workers, len(jobs))):
            pool.start()
        last = time.monotonic()
        while not pool.finished:
            between()
            pool.step()
            if time.monotonic() - last > _REPORT_SECONDS:
                last = time.monotonic()
                report(pool.progress())
        report(pool.progress())
    finally:
        pool.close()


@dataclasses.dataclass
class _Worker:
    """One process."""

    process: subprocess.Popen
    errors: BinaryIO  # what it writes to standard error
    last_sign: float
    ready: bool = False
    unread: bytes = b""
    job: ShardJob | None = None
    video: int | None = None
    num_bytes: int = 0
    dropped: int = 0
    last_words: str = ""


class _Pool:
    """The processes and what is left for them to do."""

    def __init__(self, jobs, resumed, total, stall_seconds):
        self._jobs = collections.deque(jobs)
        self._left = len(jobs)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._ends: collections.Counter = collections.Counter()
        self._stall_seconds = stall_seconds
        self._begun = time.monotonic()
        self._total, self._total_shards = total, len(jobs) + len(resumed)
        self._resumed = self._videos = sum(result.videos for result in resumed)
        self._dropped = sum(len(result.dropped) for result in resumed)
        self._num_bytes = sum(result.num_bytes for result in resumed)

    @property
    def finished(self) -> bool:
        """Whether all shards are built."""
        return not self._left

    def progress(self) -> Progress:
        """Says how far it has come."""
        running = [worker for worker in self._workers if worker.video is not None]
        return Progress(
            videos=self._videos + sum(worker.video for worker in running),
            total=self._total,
            resumed=self._resumed,
            dropped=self._dropped + sum(worker.dropped for worker in running),
            num_bytes=self._num_bytes + sum(worker.num_bytes for worker in running),
            shards=self._total_shards - self._left,
            total_shards=self._total_shards,
            seconds=time.monotonic() - self._begun,
        )

    def start(self) -> None:
        """Starts a process."""
        root = os.fspath(pathlib.Path(data_pipelines.__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        errors = tempfile.TemporaryFile()  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-m", "data_pipelines.build.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # so that Ctrl-C reaches this process alone, which ends them
        )
        os.set_blocking(process.stdout.fileno(), False)
        worker = _Worker(process, errors, time.monotonic())
        self._workers.append(worker)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    def step(self) -> None:
        """Waits a moment for something to happen, and deals with it."""
        for key, _ in self._selector.select(_POLL_SECONDS):
            self._read(key.data)
        now = time.monotonic()
        for worker in list(self._workers):
            patience = self._stall_seconds if worker.ready else _START_SECONDS
            if now - worker.last_sign > patience and (worker.job or not worker.ready):
                self._kill(worker)
                self._give_up(
                    worker,
                    TimedOutError.kind,
                    f"no progress for {patience:g} seconds, so its process was stopped.",
                    tries=1,
                )

    def close(self) -> None:
        """Ends all processes at once."""
        for worker in list(self._workers):
            self._kill(worker)
        self._selector.close()

    def _read(self, worker: _Worker) -> None:
        """Deals with what a process has said, or with its end."""
        content = worker.process.stdout.read()
        if content == b"":
            self._kill(worker)
            code = worker.process.returncode
            how = f"code {code}" if code is None or code >= 0 else signal.strsignal(-code)
            message = (
                f"its process ended ({how}), {_TRIES} times over; the decoder has a fault, or "
                "memory is short (fewer --workers need less)."
            )
            self._give_up(worker, DecoderCrashedError.kind, message, tries=_TRIES)
            return
        worker.last_sign = time.monotonic()
        *lines, worker.unread = (worker.unread + (content or b"")).split(b"\n")
        for line in lines:
            self._take(worker, json.loads(line))

    def _take(self, worker: _Worker, message: dict) -> None:
        """Deals with one message."""
        if "failed" in message:
            raise BuildFailedError(
                f"shard {worker.job.number} of split {worker.job.split!r} cannot be built: "
                f"{message['failed']}. Finished shards stay; mend this and run the same command "
                f"again.\n{message['trace']}".strip()
            )
        if "video" in message:
            worker.video = message["video"]
            worker.num_bytes, worker.dropped = message["num_bytes"], message["dropped"]
        if "done" in message:
            self._left -= 1
            self._videos += message["videos"]
            self._dropped += message["dropped"]
            self._num_bytes += message["num_bytes"]
            worker.job = None
        if "ready" in message or "done" in message:
            worker.ready = True
            worker.video, worker.num_bytes, worker.dropped = None, 0, 0
            if self._jobs:
                worker.job = self._jobs.popleft()
                line = json.dumps(dataclasses.asdict(worker.job)) + "\n"
                with contextlib.suppress(BrokenPipeError):  # its end is noticed where it is read
                    worker.process.stdin.write(line.encode())
                    worker.process.stdin.flush()

    def _give_up(self, worker: _Worker, kind: str, message: str, tries: int) -> None:
        """Has the shard of a process that is gone done again, without the video it was at."""
        job = worker.job
        if job is None or worker.video is None or worker.video >= job.videos:
            # No video's fault: it did not start, or could not write what it had stored.
            where = (job and job.split, job and job.number)
            self._ends[where] += 1
            if not worker.ready or self._ends[where] >= _TRIES:
                raise BuildFailedError(
                    f"a process of the build cannot go on: {message}\n{worker.last_words}".strip()
                )
        else:
            self._ends[job.split, job.number, worker.video] += 1
            if self._ends[job.split, job.number, worker.video] >= tries:
                skip = {**job.skip, worker.video: (kind, message)}
                job = dataclasses.replace(job, skip=skip)
        if job is not None:
            self._jobs.appendleft(job)
            self.start()

    def _kill(self, worker: _Worker) -> None:
        """Ends a process."""
        self._selector.unregister(worker.process.stdout)
        self._workers.remove(worker)
        worker.process.kill()
        # One that waits for a disk that does not answer cannot be killed; it goes when that does.
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(_KILL_SECONDS)
        worker.last_words = _last_words(worker.errors)
        worker.errors.close()
        worker.process.stdout.close()
        with contextlib.suppress(OSError):
            worker.process.stdin.close()


def _last_words(errors: BinaryIO) -> str:
    """Returns the end of what a process wrote to standard error."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _LAST_WORDS_BYTES))
    return errors.read().decode(errors="replace").strip()
