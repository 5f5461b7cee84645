"""A program that reads batches with one worker until it is killed, and says so.

python -m tests.data_pipelines.reading_for_ever DATA_DIR NAME
"""

import signal
import sys

from data_pipelines import records
from data_pipelines.loader import ClipSpec, train_batches
from data_pipelines.workers import WorkersError


class ChillError(Exception):
    """An error that can be pickled and not be made anew from that."""

    def __init__(self, what, *, degrees):
        super().__init__(f"{what} is below freezing, of {degrees} degrees")


class Unwell:
    """A source whose records raise it."""

    name, class_names = "unwell", ("one",)
    single_label, multi_label = True, False

    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise ChillError(f"record {index}", degrees=11.5)


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: print(f"noted {number:d}", flush=True))
    data_dir, name = sys.argv[1:]
    source = records.open_split(name, "train", data_dir)
    spec = ClipSpec(frames=2, stride=1, crop=(24, 24), short_side=(24, 24), eval_short_side=24)
    try:
        with train_batches(source, spec, global_batch=2, seed=0, workers=1, threads=0) as batches:
            for number, _ in enumerate(batches):
                print(f"batch {number}", flush=True)
    except WorkersError as error:
        print(f"WorkersError: {error}", flush=True)


if __name__ == "__main__":
    main()
