"""Scores over a data set, as whole-number counts: exact for any batch size and device count."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np


@flax.struct.dataclass
class Counts:
    """Sums over examples; padding and unreadable videos weigh nothing.

    Attributes:
      examples: videos judged, int32.
      top1: of these, the label had the highest score, int32.
      top5: the label was among the five highest, int32.
      loss: sum of cross-entropies, float32.
      confusion: videos by true and predicted class, int32 ``[C, C]``.
    """

    examples: jax.Array
    top1: jax.Array
    top5: jax.Array
    loss: jax.Array
    confusion: jax.Array

    @classmethod
    def empty(cls, num_classes: int) -> "Counts":
        """Counts over no example, in host memory, so that placing gives each leaf its buffer."""
        return cls(
            examples=np.zeros((), np.int32),
            top1=np.zeros((), np.int32),
            top5=np.zeros((), np.int32),
            loss=np.zeros((), np.float32),
            confusion=np.zeros((num_classes, num_classes), np.int32),
        )

    def add(self, log_scores: jax.Array, labels: jax.Array, weights: jax.Array) -> "Counts":
        """These counts with a batch in them.

        Args:
          log_scores: logarithms of class probabilities, float32 ``[B, C]``.
          labels: int32 ``[B]``.
          weights: float32 ``[B]``: 1 counts, 0 does not.
        """
        real = weights > 0
        own = jnp.take_along_axis(log_scores, labels[:, None], axis=1)
        # Equal scores rank by class number, as in argmax, so that the label's rank is unique.
        number = jnp.arange(log_scores.shape[1])
        # Written so that a score that is no number puts all others ahead of the label.
        ahead = ~(log_scores <= own) | ((log_scores == own) & (number < labels[:, None]))
        rank = ahead.sum(axis=1)
        predicted = log_scores.argmax(axis=1)
        return Counts(
            examples=self.examples + real.sum(dtype=jnp.int32),
            top1=self.top1 + (real & (rank < 1)).sum(dtype=jnp.int32),
            top5=self.top5 + (real & (rank < 5)).sum(dtype=jnp.int32),
            loss=self.loss - jnp.where(real, own[:, 0], 0.0).sum(),
            confusion=self.confusion.at[labels, predicted].add(real.astype(jnp.int32)),
        )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
      step: the state that was judged.
      examples: videos judged.
      failed: videos that could not be read, which no figure here covers.
      top1: share of videos whose label had the highest score.
      top5: share whose label was among the five highest.
      loss: mean cross-entropy.
      class_names: in label order.
      confusion: videos by true (row) and predicted (column) class, int ``[C, C]``.
    """

    step: int
    examples: int
    failed: int
    top1: float
    top5: float
    loss: float
    class_names: tuple[str, ...]
    confusion: np.ndarray

    @property
    def class_counts(self) -> np.ndarray:
        """Videos of each class, int ``[C]``."""
        return self.confusion.sum(axis=1)

    @property
    def class_accuracies(self) -> np.ndarray:
        """Share of each class's videos recognised, float ``[C]``; nan for a class without any."""
        counts = self.class_counts
        correct = np.diagonal(self.confusion).astype(float)
        return np.divide(correct, counts, out=np.full(len(counts), np.nan), where=counts > 0)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON; None for what is not finite."""

        def finite(number: float) -> float | None:
            return float(number) if np.isfinite(number) else None

        return {
            **dataclasses.asdict(self),
            **{name: finite(getattr(self, name)) for name in ("top1", "top5", "loss")},
            "class_names": list(self.class_names),
            "confusion": self.confusion.tolist(),
            "counts": self.class_counts.tolist(),
            "accuracies": [finite(accuracy) for accuracy in self.class_accuracies],
        }
