"""Reading batches in threads or in worker processes: how many, what they hold, how they end.

Threads suffice as a rule: the decoder holds Python's lock for some 2 % of its time, so some tens of
threads decode side by side. Worker processes are for hosts with more cores than that, or where
other work in Python holds the lock. Each of them imports the program anew (some seconds, and 300 MB
or more where JAX is installed), and hands its batches over in shared memory. None of it changes a
batch.
"""

from __future__ import annotations

import dataclasses
import multiprocessing.connection
import os
import pickle
import signal
import threading
from collections.abc import Callable
from typing import Any

import grain
from absl import flags

from data_pipelines.clips import ClipSpec
from data_pipelines.pool import ProcessKilledError

__all__ = [
    "Reading",
    "WorkersError",
    "batch_bytes",
    "check_shared_memory",
    "explained",
    "held_bytes",
    "portable",
    "start_workers",
    "with_workers",
]

_SHARED_MEMORY = "/dev/shm"

# Of each worker's batches in shared memory: one being handed over and one waiting on either side.
_SHARED_BATCHES = 4

# From grain, without a type of its own: "… terminated unexpectedly with exit code -9."
_DIED = "terminated unexpectedly with exit code"


class WorkersError(ProcessKilledError):
    """A worker process was killed, or would be, as there is too little shared memory."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How many threads and processes read batches.

    Attributes:
        threads: Reading threads, each of which makes whole batches; of each worker, where there
            are any. With 0, a batch is made when it is asked for.
        workers: Worker processes, which take turns; 0 for none.
        buffer: Batches that are read ahead of use by these threads; by default one more than
            threads, or as many in workers, which have a buffer behind them.

    Raises:
        ValueError: A number is below its least.
    """

    threads: int = 2
    workers: int = 0
    buffer: int | None = None

    def __post_init__(self):
        for name, least in (("threads", 0), ("workers", 0), ("buffer", 1)):
            number = getattr(self, name)
            if number is not None and number < least:
                raise ValueError(f"{name}={number} must be at least {least}.")

    @property
    def options(self) -> grain.ReadOptions:
        """Grain's; its own default would hold 500 batches, tens of gigabytes."""
        ahead = self.threads + (self.workers == 0) if self.buffer is None else self.buffer
        return grain.ReadOptions(
            num_threads=self.threads, prefetch_buffer_size=ahead if self.threads else 0
        )

    @property
    def shared_batches(self) -> int:
        """Batches that may be in shared memory at a time: the workers', and one on its way out."""
        return self.workers * _SHARED_BATCHES + 1 if self.workers else 0

    @property
    def batches(self) -> int:
        """Batches' worth of memory that may be taken at a time, beside those handed out.

        A batch that is being made counts twice: its clips, and the array that they go into.
        """
        # One more than the buffer: the oldest is waited for while another is begun in its place.
        begun = self.options.prefetch_buffer_size + 1
        unfinished = min(max(1, self.threads), begun)
        return max(1, self.workers) * (begun + unfinished) + self.shared_batches


def held_bytes(spec: ClipSpec, rows: int, reading: Reading, *, evaluation: bool = False) -> int:
    """Returns the most memory that clips take in the loader, in all its processes together.

    Beside it there is what has been handed out; for each thread the video that it is decoding, of
    whatever size that was stored in; and each worker's program.

    Args:
        spec: How clips are cut.
        rows: Of a batch, on this shard.
        reading: How many threads and processes read them.
        evaluation: Of `eval_batches`, whose rows are all views of a video.
    """
    return reading.batches * batch_bytes(spec, rows, evaluation=evaluation)


def batch_bytes(spec: ClipSpec, rows: int, *, evaluation: bool = False) -> int:
    """Returns the size of the clips of a batch, or of all views of its videos."""
    views = spec.views if evaluation else 1
    return rows * views * spec.frames * spec.crop[0] * spec.crop[1] * 3


def check_shared_memory(reading: Reading, batch_bytes: int) -> None:
    """Checks that the workers' batches have room; a process that runs out of it is killed.

    Raises:
        WorkersError: They have not.
    """
    if not reading.workers or not os.path.isdir(_SHARED_MEMORY):
        return
    space = os.statvfs(_SHARED_MEMORY)
    free, needed = space.f_bavail * space.f_frsize, reading.shared_batches * batch_bytes
    if needed > free:
        raise WorkersError(
            f"workers={reading.workers} may need {needed:,} bytes of shared memory, for "
            f"{reading.shared_batches} batches of {batch_bytes:,} bytes, and {_SHARED_MEMORY} has "
            f"{free:,} bytes free of {space.f_blocks * space.f_frsize:,}. Give it more (in "
            "containers --shm-size, whose default is 64 MB), or use threads alone (workers=0)."
        )


def with_workers(dataset: grain.IterDataset, workers: int) -> grain.IterDataset:
    """Returns the same elements in the same order, made by so many processes in turn."""
    # Grain looks at a flag of its own, which a program without absl has never parsed.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
    return dataset.mp_prefetch(options, worker_init_fn=_begin)


def start_workers(iterator: grain.DatasetIterator) -> None:
    """Starts all workers of an iterator at once, which otherwise begins with its first element.

    Signals to the whole group of processes, such as a terminal's Ctrl-C, are not for them: who
    reads their batches decides when to stop, and closes them.
    """
    iterator.get_state()  # makes the workers' iterators, and with them what tracks resources
    stopping = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)  # inherited by what is started
    try:
        iterator.start_prefetch()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def explained(error: RuntimeError) -> Exception:
    """Returns what an error of an iterator with workers means."""
    if _DIED not in str(error):
        return error
    code = str(error).partition(_DIED)[2].split(".")[0].strip()
    cause = {
        "-9": "mostly the system does so when memory runs out",
        "-7": f"mostly as {_SHARED_MEMORY} is full",
    }.get(code, "what it printed is above")
    return WorkersError(
        f"a worker process of the loader was ended with exit code {code} ({cause}). Use fewer "
        "workers or smaller batches, or threads alone (workers=0)."
    )


def _begin(index: int, count: int) -> None:
    """What a worker does first: sees to it that it does not outlive who reads its batches."""
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def portable(function: Callable) -> Callable:
    """Returns a function whose errors reach another process; one that cannot ends all silently."""
    return _Portable(function)


class _Portable:
    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self._function(*arguments)
        except Exception as error:
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:
                plain = RuntimeError(f"{type(error).__name__}: {error}")
                for note in getattr(error, "__notes__", ()):
                    plain.add_note(note)
                raise plain from error
            raise
