"""One class a video: whole-number counts, exact for any batch size and device count."""

import functools
from collections.abc import Callable, Mapping

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vidtx.evaluation.extremes import Extremes
from vidtx.evaluation.metrics import Evaluation
from vidtx.sharding import batch_sharding, done_mark, replicated, use_mesh


@flax.struct.dataclass
class Counts:
    """Sums over examples; padding and unreadable videos weigh nothing.

    Attributes:
      examples: videos judged, int32.
      failed: videos that could not be read, int32.
      top1: of those judged, the label had the highest score, int32.
      top5: the label was among the five highest, int32.
      loss: sum of cross-entropies, float32.
      confusion: videos by true and predicted class, int32 ``[C, C]``.
    """

    examples: jax.Array
    failed: jax.Array
    top1: jax.Array
    top5: jax.Array
    loss: jax.Array
    confusion: jax.Array

    @classmethod
    def empty(cls, num_classes: int) -> "Counts":
        """Counts over no example."""
        return cls(
            examples=jnp.zeros((), jnp.int32),
            failed=jnp.zeros((), jnp.int32),
            top1=jnp.zeros((), jnp.int32),
            top5=jnp.zeros((), jnp.int32),
            loss=jnp.zeros((), jnp.float32),
            confusion=jnp.zeros((num_classes, num_classes), jnp.int32),
        )

    def add(
        self, log_scores: jax.Array, labels: jax.Array, weights: jax.Array, failed: jax.Array
    ) -> "Counts":
        """These counts with a batch in them.

        Args:
          log_scores: logarithms of class probabilities, float32 ``[B, C]``.
          labels: int32 ``[B]``.
          weights: float32 ``[B]``: 1 counts, 0 does not.
          failed: int32 ``[B]``: 1 for a video that could not be read.
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
            failed=self.failed + failed.sum(dtype=jnp.int32),
            top1=self.top1 + (real & (rank < 1)).sum(dtype=jnp.int32),
            top5=self.top5 + (real & (rank < 5)).sum(dtype=jnp.int32),
            loss=self.loss - jnp.where(real, own[:, 0], 0.0).sum(),
            confusion=self.confusion.at[labels, predicted].add(real.astype(jnp.int32)),
        )


@flax.struct.dataclass
class Judged:
    """What is known of the videos so far.

    Attributes:
      counts: sums over all of them.
      right: those whose label was the class of the highest score, the surest ones.
      wrong: the surest ones of the others.
    """

    counts: Counts
    right: Extremes
    wrong: Extremes

    @classmethod
    def empty(cls, num_classes: int) -> "Judged":
        """No video judged."""
        nothing = functools.partial(Extremes.empty, num_classes)
        return cls(Counts.empty(num_classes), nothing(), nothing())

    def add(self, log_scores: jax.Array, batch: Mapping[str, jax.Array]) -> "Judged":
        """The same with a batch in it, whose scores are those of `Counts.add`."""
        labels, weights = batch["label"], batch["weight"]
        counts = self.counts.add(log_scores, labels, weights, batch["failed"])
        if "index" not in batch:
            return self.replace(counts=counts)
        videos = Extremes.of(log_scores, labels, batch["index"])
        real = (weights > 0) & (videos.rank >= 0)
        right = videos.classes[:, 0] == labels
        return Judged(
            counts,
            self.right.merged(videos.only(real & right)),
            self.wrong.merged(videos.only(real & ~right)),
        )


class SingleLabelStep:
    """The compiled step ``(judged, params, batch) -> judged``; it takes the memory of ``judged``.

    Args:
      score: ``(params, batch) -> log-probabilities``, float32 ``[B, C]``.
      mesh: the devices.
    """

    target = "label"

    def __init__(self, score: Callable[[dict, Mapping[str, jax.Array]], jax.Array], mesh: Mesh):
        def eval_step(judged: Judged, params: dict, batch: Mapping[str, jax.Array]) -> Judged:
            return judged.add(score(params, batch), batch)

        everywhere = replicated(mesh)
        self._mesh = mesh
        self._step = jax.jit(
            eval_step,
            in_shardings=(everywhere, None, batch_sharding(mesh)),
            out_shardings=everywhere,
            donate_argnums=0,
        )
        # Made where they will live: placed from host memory, processes would compare them first.
        self.start = jax.jit(Judged.empty, static_argnums=0, out_shardings=everywhere)

    def __call__(self, judged: Judged, params: dict, batch: Mapping[str, jax.Array]) -> Judged:
        """The same with a batch in it."""
        with use_mesh(self._mesh):
            return self._step(judged, params, batch)

    def lower(
        self, num_classes: int, params: dict, batch: Mapping[str, jax.Array]
    ) -> jax.stages.Lowered:
        """The step's program, for arrays like these or `jax.ShapeDtypeStruct`."""
        judged = jax.eval_shape(functools.partial(Judged.empty, num_classes))
        with use_mesh(self._mesh):
            return self._step.lower(judged, params, batch)

    def mark(self, judged: Judged) -> jax.Array:
        """What is ready once these videos are judged; the next step takes their own memory."""
        return done_mark(judged.counts.examples)

    def conclude(self, judged: Judged, *, step: int, class_names: tuple[str, ...]) -> Evaluation:
        """What all of it comes to."""
        found = jax.device_get(judged)
        totals = found.counts
        examples = int(totals.examples)

        def mean(total: np.ndarray) -> float:
            return float(total) / examples if examples else float("nan")

        videos = totals.confusion.sum(axis=1)
        right = np.diagonal(totals.confusion)
        shares = np.divide(right, videos, out=np.full(len(videos), np.nan), where=videos > 0)
        return Evaluation(
            step=step,
            examples=examples,
            failed=int(totals.failed),
            loss=mean(totals.loss),
            class_names=class_names,
            class_counts=videos,
            class_scores=shares,
            best=found.right.videos(),
            worst=found.wrong.videos(),
            top1=mean(totals.top1),
            top5=mean(totals.top5),
            confusion=totals.confusion,
        )
