"""The videos of an evaluation that a person should look at first: the best and the worst judged.

They are found while the videos are judged, exactly, and cost no second pass: of one class a video,
the step keeps a few rows on the device beside its counts. Videos are ranked by what the report
shows of them, hundredths of a percent or ten-thousandths of a loss, and of equal ones the lower
record number comes first. So rounding, which differs between batch sizes and meshes, hardly ever
changes which ones are kept.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

# Videos kept of each kind, and classes told of each.
KEPT = 8
CLASSES = 5

UNITS = 10_000  # of a probability or a loss; ranks are whole numbers of them


@dataclasses.dataclass(frozen=True)
class JudgedVideo:
    """What a model said of one video.

    Attributes:
      index: its record number in the split.
      labels: the numbers of its classes.
      label_probabilities: what the model gave each of them.
      classes: the most probable classes, up to five, the first one first.
      probabilities: of these.
      loss: cross-entropy; of sigmoids, averaged over classes.
    """

    index: int
    labels: tuple[int, ...]
    label_probabilities: tuple[float, ...]
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON; numbers to six places, None for what is not finite."""

        def plain(number: float) -> float | None:
            return round(float(number), 6) if np.isfinite(number) else None

        return {
            "index": self.index,
            "labels": list(self.labels),
            "label_probabilities": [plain(share) for share in self.label_probabilities],
            "classes": list(self.classes),
            "probabilities": [plain(share) for share in self.probabilities],
            "loss": plain(self.loss),
        }


@flax.struct.dataclass
class Extremes:
    """The highest ranked videos so far, on the device; rows beyond them have a negative rank.

    Attributes:
      rank: int32 ``[K]``.
      index: record numbers, int32 ``[K]``.
      label: int32 ``[K]``.
      own: logarithm of the label's probability, float32 ``[K]``.
      classes: the most probable ones, int32 ``[K, min(5, C)]``.
      scores: logarithms of their probabilities, float32 ``[K, min(5, C)]``.
    """

    rank: jax.Array
    index: jax.Array
    label: jax.Array
    own: jax.Array
    classes: jax.Array
    scores: jax.Array

    @classmethod
    def empty(cls, num_classes: int, kept: int = KEPT) -> "Extremes":
        """No video."""
        told = min(CLASSES, num_classes)
        return cls(
            rank=jnp.full(kept, -1, jnp.int32),
            index=jnp.full(kept, -1, jnp.int32),
            label=jnp.zeros(kept, jnp.int32),
            own=jnp.zeros(kept, jnp.float32),
            classes=jnp.zeros((kept, told), jnp.int32),
            scores=jnp.zeros((kept, told), jnp.float32),
        )

    @classmethod
    def of(cls, log_scores: jax.Array, labels: jax.Array, indices: jax.Array) -> "Extremes":
        """All videos of a batch, ranked by how sure the model was of the class that it chose.

        Args:
          log_scores: logarithms of class probabilities, float32 ``[B, C]``.
          labels: int32 ``[B]``.
          indices: record numbers, int32 ``[B]``.
        """
        scores, classes = jax.lax.top_k(log_scores, min(CLASSES, log_scores.shape[1]))
        sure = jnp.exp(scores[:, 0])
        rank = jnp.round(jnp.where(jnp.isnan(sure), -1.0, sure) * UNITS)
        return cls(
            rank=rank.astype(jnp.int32),
            index=indices.astype(jnp.int32),
            label=labels.astype(jnp.int32),
            own=jnp.take_along_axis(log_scores, labels[:, None], axis=1)[:, 0],
            classes=classes.astype(jnp.int32),
            scores=scores,
        )

    def only(self, chosen: jax.Array) -> "Extremes":
        """The same rows; those that are not ``chosen``, bool ``[K]``, count for nothing."""
        return self.replace(rank=jnp.where(chosen, self.rank, -1))

    def merged(self, others: "Extremes") -> "Extremes":
        """As many as these, of these and others: the highest ranks, lower numbers first."""
        both = jax.tree.map(lambda *rows: jnp.concatenate(rows), self, others)
        places = jnp.arange(len(both.rank), dtype=jnp.int32)
        order = jax.lax.sort((-both.rank, both.index, places), num_keys=2)[-1]
        return jax.tree.map(lambda rows: rows[order[: len(self.rank)]], both)

    def videos(self) -> tuple[JudgedVideo, ...]:
        """These videos, in order; to be called with arrays of the host."""
        return tuple(
            JudgedVideo(
                index=int(self.index[row]),
                labels=(int(self.label[row]),),
                label_probabilities=(float(np.exp(self.own[row])),),
                classes=tuple(map(int, self.classes[row])),
                probabilities=tuple(map(float, np.exp(self.scores[row]))),
                loss=-float(self.own[row]),
            )
            for row in np.flatnonzero(self.rank >= 0)
        )


def of_many_labels(
    scores: np.ndarray, labels: np.ndarray, losses: np.ndarray, indices: np.ndarray
) -> tuple[tuple[JudgedVideo, ...], tuple[JudgedVideo, ...]]:
    """The videos of lowest and of highest loss, none in both.

    Args:
      scores: logits of class probabilities, float64 ``[N, C]``.
      labels: bool ``[N, C]``.
      losses: float64 ``[N]``; videos whose loss is not finite are left out.
      indices: record numbers ``[N]``; videos below 0 are left out.
    """
    known = np.flatnonzero(np.isfinite(losses) & (indices >= 0))
    rank = np.round(losses[known] * UNITS)
    worst = known[np.lexsort((indices[known], -rank))][:KEPT]
    best = known[np.lexsort((indices[known], rank))]
    best = best[~np.isin(best, worst)][:KEPT]

    def told(rows: Sequence[int]) -> tuple[JudgedVideo, ...]:
        return tuple(_judged(scores[row], labels[row], losses[row], indices[row]) for row in rows)

    return told(best), told(worst)


def _judged(scores: np.ndarray, labels: np.ndarray, loss: float, index: int) -> JudgedVideo:
    shares = np.exp(-np.logaddexp(0, -scores))
    classes = np.argsort(-scores, kind="stable")[:CLASSES]
    own = np.flatnonzero(labels)
    return JudgedVideo(
        index=int(index),
        labels=tuple(map(int, own)),
        label_probabilities=tuple(map(float, shares[own])),
        classes=tuple(map(int, classes)),
        probabilities=tuple(map(float, shares[classes])),
        loss=float(loss),
    )
