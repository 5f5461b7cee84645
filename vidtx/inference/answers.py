"""What a model answers about videos: plain values, ready for JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["ClassScore", "FailedVideo", "Prediction", "Segment", "Timeline", "View", "best_of"]


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """A class and how probable it is.

    Attributes:
      index: of the class, in the order of the head.
      name: of the class, or ``class 17`` where nobody knows it.
      probability: between 0 and 1.
    """

    index: int
    name: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class View:
    """One clip that a model has seen of a video.

    Attributes:
      frames: numbers of its frames, from 0.
      seconds: when each is shown, from the first frame.
      window: (top, left, height, width) of what is shown of the upright picture, in pixels.
    """

    frames: tuple[int, ...]
    seconds: tuple[float, ...]
    window: tuple[int, int, int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "frames": list(self.frames),
            "seconds": list(self.seconds),
            "window": list(self.window),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """The answer about one video.

    Attributes:
      video: its path.
      top: the most probable classes, the first one first.
      probabilities: float32 ``[C]``, of all classes.
      multi_label: whether each class has a probability of its own; else they sum to 1.
      views: what the model has seen, over time and then space.
      seconds: the video's length.
      fps: its mean frames per second.
      num_frames: its frames.
      height: of a picture as it is shown, in pixels.
      width: the same.
      complete: False where the file ends or is damaged before its time; the answer is then of what
        could be read.
      notes: what a person should know, a sentence each.
    """

    video: str
    top: tuple[ClassScore, ...]
    probabilities: np.ndarray
    multi_label: bool
    views: tuple[View, ...]
    seconds: float
    fps: float
    num_frames: int
    height: int
    width: int
    complete: bool = True
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "video": self.video,
            "top": [score.to_dict() for score in self.top],
            "probabilities": _numbers(self.probabilities),
            "multi_label": self.multi_label,
            "views": [view.to_dict() for view in self.views],
            "seconds": self.seconds,
            "fps": self.fps,
            "num_frames": self.num_frames,
            "height": self.height,
            "width": self.width,
            "complete": self.complete,
            "notes": list(self.notes),
        }


@dataclasses.dataclass(frozen=True)
class FailedVideo:
    """A video about which nothing can be said.

    Attributes:
      video: its path.
      kind: of the failure, in a word, as of `data_pipelines.errors.VideoError`.
      message: what is wrong.
    """

    video: str
    kind: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a video in which one class is the most probable throughout.

    Attributes:
      start: seconds.
      end: seconds.
      index: of the class.
      name: of the class.
      probability: of the class, the mean over the windows of the stretch.
    """

    start: float
    end: float
    index: int
    name: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
    """The answers about windows along one video.

    Attributes:
      video: its path.
      class_names: in the order of the head.
      starts: float64 ``[N]``, seconds, ascending.
      ends: float64 ``[N]``, seconds; windows may overlap.
      probabilities: float32 ``[N, C]``.
      multi_label: whether each class has a probability of its own; else rows sum to 1.
      seconds: the video's length.
      complete: False where the file ends or is damaged before its time; nothing is known of the
        rest.
      notes: what a person should know, a sentence each.
    """

    video: str
    class_names: tuple[str, ...]
    starts: np.ndarray
    ends: np.ndarray
    probabilities: np.ndarray
    multi_label: bool
    seconds: float
    complete: bool = True
    notes: tuple[str, ...] = ()

    def segments(self) -> tuple[Segment, ...]:
        """Neighbouring windows of one top class, merged.

        Where windows of different classes overlap, the stretch changes in the middle of what they
        share, so that segments follow each other without gaps.
        """
        tops = self.probabilities.argmax(axis=1)
        # First windows of the stretches.
        firsts = [0, *(np.flatnonzero(tops[1:] != tops[:-1]) + 1).tolist()] if len(tops) else []
        found = []
        for first, after in zip(firsts, [*firsts[1:], len(tops)], strict=True):
            index = int(tops[first])
            begin = self.starts[0] if first == 0 else self._between(first)
            end = self.ends[-1] if after == len(tops) else self._between(after)
            mean = float(self.probabilities[first:after, index].mean())
            found.append(Segment(float(begin), float(end), index, self.class_names[index], mean))
        return tuple(found)

    def _between(self, window: int) -> float:
        """Where the window before one gives way to it, in seconds."""
        return (self.ends[window - 1] + self.starts[window]) / 2

    def to_dict(self) -> dict[str, Any]:
        """Plain values, windows and segments."""
        return {
            "video": self.video,
            "class_names": list(self.class_names),
            "starts": _numbers(self.starts),
            "ends": _numbers(self.ends),
            "probabilities": [_numbers(row) for row in self.probabilities],
            "multi_label": self.multi_label,
            "segments": [segment.to_dict() for segment in self.segments()],
            "seconds": self.seconds,
            "complete": self.complete,
            "notes": list(self.notes),
        }


def best_of(
    probabilities: np.ndarray, class_names: Sequence[str], count: int
) -> tuple[ClassScore, ...]:
    """The most probable classes, the first one first; of equals, the first in the head's order.

    Args:
      probabilities: float32 ``[C]``.
      class_names: ``C`` names.
      count: how many, at most.
    """
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple(
        ClassScore(int(index), class_names[index], float(probabilities[index])) for index in order
    )


def _numbers(values: np.ndarray) -> list[float]:
    return [float(value) for value in values]
