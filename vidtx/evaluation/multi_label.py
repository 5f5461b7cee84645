"""Any number of classes a video: mean average precision, exact over every example.

It ranks all videos by each class's score, which no sums over batches can do, so the scores
themselves are kept: five bytes a video and class, on every device, until the evaluation ends.
"""

from collections.abc import Callable, Mapping

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vidtx.evaluation.extremes import of_many_labels
from vidtx.evaluation.metrics import Evaluation
from vidtx.sharding import batch_sharding, replicated, use_mesh


@flax.struct.dataclass
class Judged:
    """The rows of a batch, the same on every device.

    Attributes:
      scores: logits of class probabilities, float32 ``[B, C]``.
      labels: uint8 ``[B, C]``, 1 for each class of the video.
      weight: float32 ``[B]``: 1 counts, 0 is padding or could not be read.
      failed: int32 ``[B]``: 1 for a video that could not be read.
      index: record numbers, int32 ``[B]``; -1 where none is known.
    """

    scores: jax.Array
    labels: jax.Array
    weight: jax.Array
    failed: jax.Array
    index: jax.Array


class MultiLabelStep:
    """The compiled step ``(judged, params, batch) -> judged``; it appends to what it is given.

    Args:
      score: ``(params, batch) -> logits of class probabilities``, float32 ``[B, C]``.
      mesh: the devices.
    """

    target = "labels"

    def __init__(self, score: Callable[[dict, Mapping[str, jax.Array]], jax.Array], mesh: Mesh):
        def eval_step(params: dict, batch: Mapping[str, jax.Array]) -> Judged:
            scores = score(params, batch)
            index = batch.get("index", jnp.full(len(scores), -1, jnp.int32))
            return Judged(scores, batch["labels"], batch["weight"], batch["failed"], index)

        self._mesh = mesh
        self._step = jax.jit(
            eval_step, in_shardings=(None, batch_sharding(mesh)), out_shardings=replicated(mesh)
        )

    def start(self, num_classes: int) -> list[Judged]:
        """No video judged."""
        return [
            Judged(
                scores=np.zeros((0, num_classes), np.float32),
                labels=np.zeros((0, num_classes), np.uint8),
                weight=np.zeros(0, np.float32),
                failed=np.zeros(0, np.int32),
                index=np.zeros(0, np.int32),
            )
        ]

    def __call__(
        self, judged: list[Judged], params: dict, batch: Mapping[str, jax.Array]
    ) -> list[Judged]:
        """The rows judged, with a batch's behind them."""
        with use_mesh(self._mesh):
            judged.append(self._step(params, batch))
        return judged

    def lower(
        self, num_classes: int, params: dict, batch: Mapping[str, jax.Array]
    ) -> jax.stages.Lowered:
        """The step's program, for arrays like these or `jax.ShapeDtypeStruct`."""
        with use_mesh(self._mesh):
            return self._step.lower(params, batch)

    def mark(self, judged: list[Judged]) -> jax.Array:
        """What is ready once the last of these rows are."""
        return judged[-1].weight

    def conclude(
        self, judged: list[Judged], *, step: int, class_names: tuple[str, ...]
    ) -> Evaluation:
        """What the rows come to, once all are there.

        The loss is the sigmoid cross-entropy, averaged over classes, as in training. Classes that
        no video has are left out of the mean average precision. A video of no class is never hit.
        """
        rows = jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(judged))
        real = rows.weight > 0
        scores, labels = rows.scores[real].astype(np.float64), rows.labels[real] > 0
        best = scores.argmax(axis=1)[:, None]
        hits = np.take_along_axis(labels, best, axis=1)
        hits &= ~np.isnan(np.take_along_axis(scores, best, axis=1))
        with np.errstate(invalid="ignore"):  # of scores that are no numbers
            losses = np.logaddexp(0, np.where(labels, -scores, scores)).mean(axis=1)
        precisions = average_precisions(scores, labels)
        best, worst = of_many_labels(scores, labels, losses, rows.index[real])

        def mean(values: np.ndarray) -> float:
            return float(values.mean()) if len(values) else float("nan")

        return Evaluation(
            step=step,
            examples=len(scores),
            failed=int(rows.failed.sum()),
            loss=mean(losses),
            class_names=class_names,
            class_counts=labels.sum(axis=0),
            class_scores=precisions,
            best=best,
            worst=worst,
            mean_average_precision=mean(precisions[~np.isnan(precisions)]),
            hit1=mean(hits[:, 0]),
        )


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The average precision of every class.

    Over the distinct scores from high to low, the precision among the videos of that score or a
    higher one, weighed by the share of the class's videos that have that very score. So videos of
    equal scores are ranked together, and their order does not matter.

    Args:
      scores: float ``[N, C]``. One that is no number is ranked last for a video of the class, and
        first for any other.
      labels: bool ``[N, C]``.

    Returns:
      float64 ``[C]``; nan for a class without any video.
    """
    worst = np.where(labels, -np.inf, np.inf)
    scores = np.where(np.isnan(scores), worst, scores)
    found = np.full(scores.shape[1], np.nan)
    for number in np.flatnonzero(labels.any(axis=0)):
        own, positive = scores[:, number], labels[:, number]
        order = np.argsort(-own, kind="stable")
        own, hits = own[order], np.cumsum(positive[order])
        last = np.append(own[1:] != own[:-1], True)  # of those with this score
        hits, ranked = hits[last], np.flatnonzero(last) + 1
        found[number] = (np.diff(hits, prepend=0) * hits / ranked).sum() / hits[-1]
    return found
