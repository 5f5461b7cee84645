"""Kills programs that save for ever."""

import random
import subprocess
import sys
import time

from tests.tiny_run import environment


def kill_amid(module, workdir, seed):
    """Kills ``python -m module WORKDIR`` some time after it has told of a second state.

    Returns:
      The last of the states that it told to be complete.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, workdir],
        env=environment(), cwd=workdir, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    complete = 0
    try:
        for line in process.stdout:
            complete = int(line)
            if complete >= 2:
                break
        time.sleep(random.Random(seed).uniform(0.0, 0.15))
    finally:
        process.kill()
        rest = process.stdout.read().split()
        process.wait()
    complete = max([complete, *map(int, rest)])
    assert complete >= 2, "it ended by itself"
    return complete
