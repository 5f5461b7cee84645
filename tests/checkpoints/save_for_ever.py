"""``python -m tests.checkpoints.save_for_ever WORKDIR``: tells each step that is saved for sure."""

import itertools
import sys

from tests.checkpoints import states
from vidtx.checkpoints import CheckpointStore


def main():
    with CheckpointStore(sys.argv[1], keep=2) as store:
        for step in itertools.count(1):
            # Starting a save waits for the one before.
            store.save(step, states.state(step))
            print(step - 1, flush=True)


if __name__ == "__main__":
    main()
