"""Timing several programs fairly: in turns, so that what else the machine does hits all alike."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from vidtx.sharding import processes

__all__ = ["Contender", "Spread", "Timing", "time_in_turns"]

# Of the quartiles of ten, two or three are beyond each: one bad round moves none of them.
_ROUNDS = 10
# A round of so many steps is long enough for any clock.
_MOST_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Spread:
    """Where a quantity lies that was measured several times.

    Attributes:
      median: half of the values are below it.
      low: a quarter of the values is below it.
      high: a quarter of the values is above it.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        return cls(median=median, low=low, high=high)


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long a step takes.

    Attributes:
      rounds: seconds of a step, a mean over the steps of each round, in the order of the rounds.
      steps: that each round took.
      seconds: of a step, over the rounds.
    """

    rounds: tuple[float, ...]
    steps: int
    seconds: Spread

    @classmethod
    def of(cls, rounds: Sequence[float], steps: int) -> "Timing":
        """The timing of at least one round."""
        return cls(tuple(rounds), steps, Spread.of(rounds))

    def ratio_to(self, reference: "Timing") -> Spread:
        """How many times as long a step takes as another's, compared round by round.

        Args:
          reference: of the same rounds.
        """
        pairs = zip(self.rounds, reference.rounds, strict=True)
        return Spread.of([mine / other for mine, other in pairs])


class Contender(Protocol):
    """Something whose steps can be timed."""

    def get_ready(self) -> None:
        """Does, untimed, what must be done after another one has run."""

    def run(self, steps: int) -> None:
        """Takes so many steps, and returns once all of them are done."""


def time_in_turns(
    contenders: Sequence[Contender],
    estimates: Sequence[float],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Times contenders in rounds; in each round every one takes its turn.

    Every second round goes through them backwards, so that none is always the one after another.
    At least one round is made, and at most ten: none is begun that would end too late.

    Args:
      contenders: at least one.
      estimates: about how many seconds a step of each takes.
      seconds: for all rounds together.
      clock: the time in seconds, monotonic.

    Returns:
      The timing of each contender, all over the same rounds.
    """
    share = seconds / (_ROUNDS * len(contenders))
    # Processes of a job take the same steps, or they would wait for each other for ever.
    counts = processes.on_lead(
        lambda: [int(min(max(share / max(one, 1e-9), 1), _MOST_STEPS)) for one in estimates]
    )
    rounds: list[list[float]] = [[] for _ in contenders]
    turns = list(range(len(contenders)))
    end = clock() + seconds
    for number in range(_ROUNDS):
        begin = clock()
        for turn in turns[:: -1 if number % 2 else 1]:
            contenders[turn].get_ready()
            start = clock()
            contenders[turn].run(counts[turn])
            rounds[turn].append((clock() - start) / counts[turn])
        now = clock()
        if processes.on_lead(lambda last=now - begin, now=now: now + last > end):
            break
    return [Timing.of(found, count) for found, count in zip(rounds, counts, strict=True)]
