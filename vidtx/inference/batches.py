"""Clips of several videos through one compiled program of a fixed batch."""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

__all__ = ["scored"]

_Thing = TypeVar("_Thing")


class _Waiting:
    """A thing whose clips have not all been scored."""

    def __init__(self, thing: object, count: int):
        self.thing = thing
        self.logits: list[np.ndarray | None] = [None] * count
        self.missing = count


def scored(
    things: Iterable[tuple[_Thing, np.ndarray]],
    logits: Callable[[np.ndarray], np.ndarray],
    batch: int,
) -> Iterator[tuple[_Thing, np.ndarray]]:
    """Scores things by their clips, of which those of neighbours fill a batch together.

    Args:
      things: pairs of anything and its clips, uint8 ``[V, T, height, width, 3]``; V may be 0.
      logits: from clips ``[N, T, height, width, 3]`` to float32 ``[N, C]``.
      batch: clips that are scored at once.

    Yields:
      The things in their order, with float32 ``[V, C]`` (``[0, 0]`` of no clips).
    """
    waiting: collections.deque[_Waiting] = collections.deque()
    rows: list[np.ndarray] = []
    owners: list[tuple[_Waiting, int]] = []

    def score() -> None:
        if rows:
            for (owner, place), row in zip(owners, logits(np.stack(rows)), strict=True):
                owner.logits[place] = row
                owner.missing -= 1
        rows.clear()
        owners.clear()

    def finished() -> Iterator[tuple[_Thing, np.ndarray]]:
        while waiting and not waiting[0].missing:
            done = waiting.popleft()
            yield (
                done.thing,
                np.stack(done.logits) if done.logits else np.zeros((0, 0), np.float32),
            )

    for thing, clips in things:
        entry = _Waiting(thing, len(clips))
        waiting.append(entry)
        for place, clip in enumerate(clips):
            rows.append(clip)
            owners.append((entry, place))
            if len(rows) == batch:
                score()
        yield from finished()
    score()
    yield from finished()
