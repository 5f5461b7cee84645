"""The process that builds shards, one after the other, as told by :mod:`data_pipelines.build.pool`.

    python -m data_pipelines.build.worker

Jobs come on standard input, one line of JSON each; what happens goes to standard output likewise.
It ends when standard input does: when there is nothing left to do, or when whoever started it is
gone, however that came about.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback

import av

from data_pipelines.build.jobs import ShardJob
from data_pipelines.build.shard import write_shard
from data_pipelines.errors import BuildFailedError, DataError

# Signs of life are sent at most this often.
_ALIVE_SECONDS = 0.5


def main() -> None:
    """Builds shards until standard input ends."""
    # What a library prints must not come between the lines of the protocol.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    av.logging.set_level(None)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    last_sign = 0.0

    def say(**message) -> None:
        nonlocal last_sign
        last_sign = time.monotonic()
        try:
            print(json.dumps(message), file=channel, flush=True)
        except OSError:  # nobody listens any more
            os._exit(1)

    def begin(number: int, num_bytes: int, dropped: int) -> None:
        say(video=number, num_bytes=num_bytes, dropped=dropped)

    def alive() -> None:
        if time.monotonic() - last_sign > _ALIVE_SECONDS:
            say(alive=True)

    say(ready=True)
    while True:
        job = json.loads(lines.get())
        job["skip"] = {int(number): tuple(reason) for number, reason in job["skip"].items()}
        try:
            result = write_shard(ShardJob(**job), begin=begin, alive=alive)
        except Exception as error:
            trace = "" if isinstance(error, OSError | DataError) else traceback.format_exc()
            kind = "" if isinstance(error, BuildFailedError) else f"{type(error).__name__}: "
            say(failed=f"{kind}{error}", trace=trace)
        else:
            counts = {"videos": result.videos, "dropped": len(result.dropped)}
            say(done=True, num_bytes=result.num_bytes, **counts)


def _listen(lines: queue.SimpleQueue[str]) -> None:
    """Passes lines on, and ends the process, whatever it is doing, when there are no more."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
