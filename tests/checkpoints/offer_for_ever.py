"""``python -m tests.checkpoints.offer_for_ever WORKDIR``: offers ever better states.

Tells each step that is the best for sure.
"""

import itertools
import sys

from tests.checkpoints import states
from vidtx.checkpoints import BestStore


def main():
    with BestStore(sys.argv[1], keep=1) as best:
        for step in itertools.count(1):
            assert best.offer(step, step / 100, states.state(step))
            print(step, flush=True)


if __name__ == "__main__":
    main()
