"""The best states of a run, each a complete checkpoint ``best/N`` with its score beside it."""

import math
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vidtx.checkpoints.agreement import DamagedError, gather
from vidtx.checkpoints.folder import Folder
from vidtx.checkpoints.places import Path, absolute
from vidtx.checkpoints.reading import Choose, all_of, read_facts

State = TypeVar("State")


class BestStore:
    """The best states of those that were judged; a context manager.

    A higher score is better, and of equal scores the earlier step. What falls out is deleted only
    when what replaces it is complete: a process that is killed leaves the best of before, or one
    more than are to be kept, which the next offer mends.

    A run that falls back to an older checkpoint may find the best of later steps here. They stay:
    the run is deterministic, and will come to the same states with the same scores again. Scores
    are compared as they are; a run that goes on with another way of judging should have a new
    folder.

    Processes: as `CheckpointStore`.

    Attributes:
      directory: where they are.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        *,
        keep: int = 0,
        read_only: bool = False,
        contract: Mapping[str, Any] | None = None,
        note: Callable[[str], None] = print,
    ):
        """Opens the store, which need not exist yet.

        Args:
          workdir: the run directory.
          keep: how many of the best to keep; with 0 the store is only read.
          read_only: change nothing, as another process may be saving there; a damaged checkpoint is
            then passed over, not set aside.
          contract: as of `CheckpointStore`.
          note: told what a person should know, a sentence each; in the first process alone.

        Raises:
          MachineError: a score may not be read, or processes do not share the run directory.
        """
        self.directory = absolute(workdir) / "best"
        self._keep = 0 if read_only else keep
        self._facts = {} if contract is None else {"contract": dict(contract)}
        self._folder = Folder(self.directory, note=note, read_only=self._keep == 0)
        self._scores: dict[int, float] = {}
        for step in self._folder.steps:
            try:
                self._scores[step] = _score_in(self.directory / str(step))
            except DamagedError as error:
                self._folder.set_aside(step, error)

    @property
    def scores(self) -> dict[int, float]:
        """The scores of what is kept, by step, the best first."""
        there = set(self._folder.steps) & self._scores.keys()
        return {step: self._scores[step] for step in _ranked(self._scores) if step in there}

    @property
    def best_step(self) -> int | None:
        """The step of the best state, or None if none is kept."""
        return next(iter(self.scores), None)

    def offer(self, step: int, score: float, state: Any) -> bool:
        """Saves ``state`` if it is among the best, and waits until it is complete.

        Offering a step again changes nothing. Steps may be offered in any order.

        Args:
          step: its number.
          score: higher is better; NaN is never among the best.
          state: what `CheckpointStore.save` takes.

        Returns:
          Whether it is among the best now.

        Raises:
          MachineError: it could not be written; what was kept before is still there.
        """
        score = float(gather(float(score))[0])  # one for all processes
        if math.isnan(score):
            return False
        best = _ranked({step: score} | self.scores)[: self._keep]
        if step in best and step not in self.scores:
            facts = {"step": step, "score": score, "check": _check(step, score)}
            self._folder.save(step, state, late=True, score=facts, **self._facts)
            self._folder.wait()
            self._scores[step] = score
        if not self._folder.read_only:
            for worse in [worse for worse in self.scores if worse not in best]:
                self._folder.delete(worse)
        return step in best

    def restore_best(self, abstract: State) -> tuple[int, State] | None:
        """The best state that can be read; damaged better ones are set aside.

        Args, raises: as `CheckpointStore.restore_newest`.

        Returns:
          ``(step, state)``, or None if none is kept.
        """
        return self.read_best(all_of(abstract))

    def read_best(self, choose: Choose) -> tuple[int, Any] | None:
        """The same, of what ``choose`` chooses."""
        return self._folder.read_first(
            lambda: list(self.scores), choose, "Restore one from a copy, or use the newest state."
        )

    def close(self) -> None:
        """Closes the store."""
        self._folder.close()

    def __enter__(self) -> "BestStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ranked(scores: dict[int, float]) -> list[int]:
    """Steps, the best first."""
    return sorted(scores, key=lambda step: (-scores[step], step))


def _check(step: int, score: float) -> int:
    return zlib.crc32(f"{step} {score!r}".encode())


def _score_in(folder: Path) -> float:
    facts = read_facts(folder, "score")
    step, score = facts.get("step"), facts.get("score")
    if facts.get("check") != _check(step, score) or str(step) != folder.name:
        raise DamagedError("its score has changed")
    return score
