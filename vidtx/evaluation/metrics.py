"""What an evaluation found, for one class a video or any number of them."""

import dataclasses
from typing import Any

import numpy as np

from vidtx.evaluation.extremes import JudgedVideo


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
      step: the state that was judged.
      examples: videos judged.
      failed: videos that could not be read, which no figure here covers.
      loss: mean cross-entropy; of the sigmoids, averaged over classes, for any number of classes.
      class_names: in label order.
      class_counts: videos of each class, int ``[C]``.
      class_scores: of each class, the share of its videos that were recognised, or, for any number
        of classes, its average precision; float ``[C]``, nan for a class without any video.
      best: the videos that were judged best, the first one first: right, and the surest; or, of
        any number of classes, those of the lowest loss.
      worst: the same of those that were judged worst: wrong, and the surest; of the highest loss.
      failures: a sentence for each of the first videos that could not be read.
      top1: share of videos whose label had the highest score; None for any number of classes, as
        the next two.
      top5: share whose label was among the five highest.
      confusion: videos by true (row) and predicted (column) class, int ``[C, C]``.
      mean_average_precision: of the classes that some video has (nan if there is none); None for
        one class a video, as the next one.
      hit1: share of videos whose highest score was of one of their classes.
    """

    step: int
    examples: int
    failed: int
    loss: float
    class_names: tuple[str, ...]
    class_counts: np.ndarray
    class_scores: np.ndarray
    best: tuple[JudgedVideo, ...] = ()
    worst: tuple[JudgedVideo, ...] = ()
    failures: tuple[str, ...] = ()
    top1: float | None = None
    top5: float | None = None
    confusion: np.ndarray | None = None
    mean_average_precision: float | None = None
    hit1: float | None = None

    @property
    def multi_label(self) -> bool:
        """Whether videos have any number of classes."""
        return self.mean_average_precision is not None

    @property
    def score_name(self) -> str:
        """The figure that says how good a model is: ``top1`` or ``map``."""
        return "map" if self.multi_label else "top1"

    @property
    def score(self) -> float:
        """That figure, a share: the higher the better; nan if nothing was judged."""
        return self._shares[self.score_name]

    @property
    def classes_without_videos(self) -> int:
        """Classes of which nothing is known."""
        return int((self.class_counts == 0).sum())

    @property
    def _shares(self) -> dict[str, float]:
        if self.multi_label:
            return {"map": self.mean_average_precision, "hit1": self.hit1}
        return {"top1": self.top1, "top5": self.top5}

    def figures(self) -> dict[str, float]:
        """The figures of a line of metrics, the most telling first.

        ``eval/top1`` and ``eval/top5``, or ``eval/map`` and ``eval/hit1``; then ``eval/loss``,
        ``eval/examples`` and ``eval/failed``.
        """
        found = {**self._shares, "loss": self.loss}
        found |= {"examples": self.examples, "failed": self.failed}
        return {f"eval/{name}": value for name, value in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON; None for what is not finite."""

        def finite(number: float) -> float | None:
            return float(number) if np.isfinite(number) else None

        scores = [finite(score) for score in self.class_scores]
        plain = {
            "step": self.step,
            "examples": self.examples,
            "failed": self.failed,
            **{name: finite(share) for name, share in self._shares.items()},
            "loss": finite(self.loss),
            "multi_label": self.multi_label,
            "class_names": list(self.class_names),
            "counts": self.class_counts.tolist(),
            "failures": list(self.failures),
            "best": [video.to_dict() for video in self.best],
            "worst": [video.to_dict() for video in self.worst],
        }
        if self.multi_label:
            without = self.classes_without_videos
            return plain | {"average_precisions": scores, "classes_without_videos": without}
        return plain | {"accuracies": scores, "confusion": self.confusion.tolist()}
