"""What a model looks at: its attention composed through all blocks, for every scheme.

All maps are one row of a matrix over all tokens of a clip, class tokens and patches: that of the
class token, or of a chosen patch. Within one attention step, token ``i`` takes ``A[i, j]`` of token
``j``: the softmax weights, averaged over heads, and zero between tokens of different groups. The
class token has a copy in every group and takes the mean of what they take, so that its row is the
mean of theirs; in steps that treat patches alone, its row is empty.

`rollout` (Abnar and Zuidema 2020, arXiv 2005.00928): a residual connection adds what a token takes
to what it is, each counting the same, so that a step is ``(I + A) / 2``, with rows that sum to 1; a
class token that takes no part stays where it is. Where two steps start from the same input
(``divided_parallel``), a patch is the sum of three terms and has the row
``(I + A_time + A_space) / 3``; the class token, which the time step leaves out, has
``(I + A_space) / 2``. Steps are multiplied in their order through all blocks. Space-only keeps a
class token a frame; the classifier sees their mean, and the row is the mean of their rows. MLPs,
norms, values and projections are left out.

`relevance` (Chefer, Gur and Wolf 2021, arXiv 2103.15679): a step is ``I + Ā``, with ``Ā`` the
mean over heads of the positive part of ``∇A ⊙ A``, where ``∇A`` is the gradient of one class's
logit. It asks what speaks for that class, and sees what values and projections do. The entries of
the class token's row are summed over its copies: the gradient of the mean has divided them.

`raw`: the softmax weights of one step of one block, of one head or averaged.

Cost: a forward pass with the plain backend, and of each step its weights, ``4·B·G·A·N²`` bytes,
which `rollout` averages over heads at once (ViT-B on 96 frames of 14 × 14 patches, divided: 0.27 GB
for a clip). `relevance` keeps all heads, and their gradients: 24 times that.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.analysis.attention_raw import raw, raw_problems
from vidtx.analysis.attention_rows import Maps, Query, Row, start_row, through, to_maps
from vidtx.analysis.attention_weights import capture, gradients, plain
from vidtx.models import SCHEMES, TimeSformer

__all__ = ["Maps", "raw", "raw_problems", "relevance", "rollout"]


def rollout(model: TimeSformer, variables: dict, clips: jax.Array, *, query: Query = None) -> Maps:
    """Attention rollout: through all steps of all blocks, residual connections included.

    Args:
      model: of any scheme and dtype.
      variables: ``{"params": …}``.
      clips: float ``[B, T, height, width, 3]``, normalised.
      query: (frame, row, column) of the patch whose row is wanted; None for the class token's.

    Returns:
      Maps; those of a clip sum to 1.

    Raises:
      ValueError: ``query`` lies outside the clips.
    """
    start = start_row(model, clips, query)
    return to_maps(_rollout(plain(model), variables, jnp.asarray(clips), start))


def relevance(
    model: TimeSformer, variables: dict, clips: jax.Array, *, classes: np.ndarray | None = None
) -> Maps:
    """Gradient-weighted relevance for a class: what in the clip speaks for it.

    Args:
      model: of any scheme and dtype.
      variables: ``{"params": …}``.
      clips: float ``[B, T, height, width, 3]``, normalised.
      classes: int ``[B]``, the class of each clip that is asked about; None for the predicted one.

    Returns:
      Maps without the class token's own beginning; those of a clip sum to 1, or are 0 everywhere
      where nothing speaks for the class.

    Raises:
      ValueError: a class that the model does not have.
    """
    start = start_row(model, clips, None)
    chosen = np.full(len(clips), -1) if classes is None else np.asarray(classes)
    if classes is not None and not np.all((chosen >= 0) & (chosen < model.num_classes)):
        raise ValueError(
            f"classes are {chosen.tolist()}; they must be in [0, {model.num_classes})."
        )
    chosen = chosen.astype(np.int32)
    return to_maps(_relevance(plain(model), variables, jnp.asarray(clips), chosen, start))


def _stages(model: TimeSformer) -> list[tuple]:
    """The steps of a block, last first; together those that start from the same input."""
    scheme = SCHEMES[model.scheme]
    if scheme.order == "parallel":
        return [scheme.steps]
    return [(step,) for step in reversed(scheme.steps)]


@functools.partial(jax.jit, static_argnames="model")
def _rollout(
    model: TimeSformer, variables: dict, clips: jax.Array, row: Row
) -> tuple[Row, jax.Array]:
    vit_step = SCHEMES[model.scheme].vit_step
    logits, weights = capture(model, variables, clips)
    averaged = [{name: leaf.mean(axis=2) for name, leaf in block.items()} for block in weights]
    for block in reversed(averaged):
        for steps in _stages(model):
            # Every token keeps as much of itself as it takes by each of the steps.
            own = Row(row.patches / (1 + len(steps)), row.class_tokens / (1 + (vit_step in steps)))
            row = own
            for step in steps:
                row = row.plus(through(own, step, block[step.name]))
    return row, logits


@functools.partial(jax.jit, static_argnames="model")
def _relevance(
    model: TimeSformer, variables: dict, clips: jax.Array, classes: jax.Array, start: Row
) -> tuple[Row, jax.Array]:
    logits, weights, by_weights = gradients(model, variables, clips, classes)
    positive = jax.tree.map(
        lambda leaf, slope: jnp.maximum(leaf * slope, 0).mean(axis=2), weights, by_weights
    )
    row = start
    for block in reversed(positive):
        for steps in _stages(model):
            before = row
            for step in steps:
                row = row.plus(through(before, step, block[step.name], summed=True))
    row = Row(row.patches, row.class_tokens - start.class_tokens)
    total = row.patches.sum(axis=(1, 2, 3)) + row.class_tokens.sum(axis=1)
    scale = jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1), 0)
    row = Row(row.patches * scale[:, None, None, None], row.class_tokens * scale[:, None])
    return row, logits
