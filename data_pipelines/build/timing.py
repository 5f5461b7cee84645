"""Which frame of a source is on screen when, and so how often each is stored.

A stored video has a constant rate. Its frame n, shown at n / rate seconds, is the source's frame on
screen at that time; time 0 is when the source's first frame appears.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from fractions import Fraction

from data_pipelines.errors import UndecodableError

__all__ = ["Clock", "make_clock"]

# Denominators up to 1001 hold the broadcast rates, such as 30000/1001, exactly.
_DENOMINATOR = 1001
_SLOWEST, _FASTEST = Fraction(1, _DENOMINATOR), Fraction(1000)  # frames per second
_USUAL = Fraction(30)  # of a source that tells nothing at all

# Frames within a quarter of a frame of a constant rate have that rate: containers round times, to
# milliseconds for one, and cameras are a little late now and then.
_JITTER = Fraction(1, 4)

# The usual rate of a source of variable rate is a whole, broadcast or told one if it is so near.
_NEAR = Fraction(1, 200)

# So many copies of each frame of a source of variable rate, on average, may be stored.
_MOST_COPIES = 20

# A rate so little above the highest is the highest (30000/1001 where 29.97 was asked for).
_SAME_RATE = Fraction(10001, 10000)


@dataclasses.dataclass(frozen=True)
class Clock:
    """When a source's frames appear, and the rate at which they are stored.

    Attributes:
        rate: Frames per second that are stored.
        source_rate: Frames per second of the source; of a variable rate, that at which most
            of its frames follow each other.
        times: Of a source of variable rate: seconds at which each frame appears, the first at 0.
        tolerance: Seconds to which ``times`` are rounded.
    """

    rate: Fraction
    source_rate: Fraction
    times: Sequence[Fraction] | None = None
    tolerance: Fraction = Fraction(0)

    def first(self, number: int) -> int:
        """Returns the first stored frame at or after the appearance of a source frame.

        Source frame k is therefore stored ``first(k + 1) - first(k)`` times.

        Args:
            number: Of the source frame; the number of all frames stands for the end.
        """
        if self.times is None:
            appears = number / self.source_rate
        elif number < len(self.times):
            appears = self.times[number]
        else:  # how long the last frame stays is not told: as long as most others
            appears = self.times[-1] + 1 / self.source_rate
        return max(0, math.ceil((appears - self.tolerance) * self.rate))


def make_clock(
    times: Sequence[int] | None,
    time_base: Fraction,
    told: Iterable[Fraction | None],
    max_fps: float | None,
) -> Clock:
    """Finds a source's rate, and sets the rate at which it is stored.

    Args:
        times: When each frame appears, ascending, in units of ``time_base``; None where the
            container's times cannot be trusted, so that frames follow each other evenly.
        time_base: Seconds.
        told: Rates, in frames per second, that the container tells, best first.
        max_fps: Highest rate to store; None for the source's own.

    Returns:
        The clock. A source of constant rate that is not above ``max_fps`` has every frame stored
        exactly once, at exactly that rate. One of variable rate is stored at the rate at which most
        of its frames follow each other, with copies of those that stay longer.

    Raises:
        UndecodableError: The timestamps jump so far that the result would be copies for the most
            part.
    """
    told = [_bounded(rate) for rate in told if rate]
    if times is None or len(times) < 2:
        source_rate = told[0] if told else _USUAL
        return Clock(_stored_rate(source_rate, max_fps), source_rate)
    seconds = [(time - times[0]) * time_base for time in times]
    mean = (len(times) - 1) / seconds[-1]
    whole = Fraction(round(mean))
    broadcast = Fraction(round(mean * 1001 / 1000) * 1000, 1001)
    for rate in (*told, _bounded(whole), _bounded(broadcast), _bounded(mean)):
        if all(abs(time * rate - number) < _JITTER for number, time in enumerate(seconds)):
            return Clock(_stored_rate(rate, max_fps), rate)
    usual = _usual_rate(times, time_base, told)
    rate = _stored_rate(usual, max_fps)
    clock = Clock(rate, usual, seconds, min(Fraction(time_base), _JITTER / rate))
    _check_jumps(clock)
    return clock


def _usual_rate(times: Sequence[int], time_base: Fraction, told: Iterable[Fraction]) -> Fraction:
    """Returns the rate at which most frames follow each other, whatever gaps there are.

    Gaps would lower the mean, and frames be lost between two that the mean rate takes.
    """
    intervals = [later - earlier for earlier, later in itertools.pairwise(times)]
    median = statistics.median_high(intervals)
    # The mean of those about the median, as each is rounded to the container's time base.
    usual = [interval for interval in intervals if abs(interval - median) < median / 2]
    rate = len(usual) / (sum(usual) * Fraction(time_base))
    near = [*told, Fraction(round(rate)), Fraction(round(rate * 1001 / 1000) * 1000, 1001)]
    near = [one for one in near if abs(one / rate - 1) < _NEAR]
    return _bounded(min(near, key=lambda one: abs(one / rate - 1), default=rate))


def _check_jumps(clock: Clock) -> None:
    """Raises UndecodableError where next to nothing but repeated frames would be stored."""
    count = len(clock.times)
    stored = clock.first(count)
    if stored <= _MOST_COPIES * count + clock.rate:
        return
    gap, number = max(
        (later - earlier, number)
        for number, (earlier, later) in enumerate(itertools.pairwise(clock.times))
    )
    raise UndecodableError(
        f"its {count} frames would be stored as {stored}, at {float(clock.rate):g} a second (at "
        f"most {_MOST_COPIES} times as many, and a second more): the timestamps jump by "
        f"{float(gap):g} seconds after frame {number}. Convert it with true timestamps, or give a "
        "lower --max_fps."
    )


def _bounded(rate: Fraction) -> Fraction:
    """Returns the nearest rate that a stored video can have."""
    return max(_SLOWEST, min(_FASTEST, Fraction(rate).limit_denominator(_DENOMINATOR)))


def _stored_rate(rate: Fraction, max_fps: float | None) -> Fraction:
    """Returns the source's rate, or the highest allowed if that is clearly lower."""
    if max_fps is None or rate <= Fraction(max_fps) * _SAME_RATE:
        return rate
    return _bounded(Fraction(max_fps))
