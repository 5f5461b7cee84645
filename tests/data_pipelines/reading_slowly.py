"""A program that says by how much it has grown while it read large batches.

    python -m tests.data_pipelines.reading_slowly DATA_DIR NAME

Prints the growth, what the loader says that it may hold, and the size of a batch, in bytes.
"""

import pathlib
import re
import sys
import time

from data_pipelines import records
from data_pipelines.loader import ClipSpec, Reading, held_bytes, train_batches
from data_pipelines.workers import batch_bytes

ROWS = 12


def peak():
    """Of this program; getrusage would count what the one that started it had."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def main():
    data_dir, name = sys.argv[1:]
    source = records.open_split(name, "train", data_dir)
    spec = ClipSpec(frames=4, stride=1, crop=(288, 384), short_side=(288, 288), eval_short_side=288)
    with train_batches(source, spec, global_batch=1, seed=0, threads=1) as batches:
        next(batches)  # what decoding loads and keeps
    before = peak()
    with train_batches(source, spec, global_batch=ROWS, seed=0, threads=2) as batches:
        for _ in range(8):
            next(batches)
            time.sleep(0.1)
    print(peak() - before, held_bytes(spec, ROWS, Reading(threads=2)), batch_bytes(spec, ROWS))


if __name__ == "__main__":
    main()
