"""Checks of single values, and durations: how long something lasts, in one of three units."""

import dataclasses
from collections.abc import Iterator


def below(name: str, value: float, low: float) -> Iterator[str]:
    """A sentence, if ``value`` is below ``low``."""
    if value < low:
        yield f"{name} is {value}; it must be at least {low}."


def outside(name: str, value: float, low: float, high: float) -> Iterator[str]:
    """A sentence, if ``value`` lies outside ``[low, high)``."""
    if not low <= value < high:
        yield f"{name} is {value}; it must lie in [{low}, {high})."


def other(name: str, value: str, choices: tuple[str, ...]) -> Iterator[str]:
    """A sentence, if ``value`` is none of ``choices``."""
    if value not in choices:
        yield f"{name} is {value!r}; it must be one of {', '.join(choices)}."


@dataclasses.dataclass(frozen=True)
class Duration:
    """A length of training, in steps, epochs or examples.

    Attributes:
      prefix: of the three options' names, such as ``optimizer.warmup_``.
      steps: optimiser steps, or None.
      epochs: passes over the training split, or None.
      examples: training clips, or None.
    """

    prefix: str
    steps: int | None
    epochs: float | None
    examples: int | None

    @classmethod
    def of(cls, spec: object, group: str, stem: str = "") -> "Duration":
        """The duration in the fields ``{stem}steps``, ``{stem}epochs``, ``{stem}examples``."""
        units = ("steps", "epochs", "examples")
        return cls(f"{group}.{stem}", *(getattr(spec, f"{stem}{unit}") for unit in units))

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return any(value is not None for value in (self.steps, self.epochs, self.examples))

    def problems(self, *, optional: bool = False, may_be_zero: bool = False) -> Iterator[str]:
        """What is impossible about it, a sentence each."""
        units = {"steps": self.steps, "epochs": self.epochs, "examples": self.examples}
        values = {unit: value for unit, value in units.items() if value is not None}
        if len(values) > 1 or not (values or optional):
            listing = ", ".join(f"{self.prefix}{unit} {value}" for unit, value in units.items())
            count = "at most one" if optional else "exactly one"
            yield f"{listing}: {count} of the three must be given, the others None."
        for unit, value in values.items():
            if value < 0 or (value == 0 and not may_be_zero):
                bound = "at least 0" if may_be_zero else "above 0"
                yield f"{self.prefix}{unit} is {value}; it must be {bound}."

    def in_steps(self, train_examples: int, global_batch: int) -> int | None:
        """The nearest number of steps, or None if there is no duration."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return round(self.epochs * train_examples / global_batch)
        return None if self.examples is None else round(self.examples / global_batch)
