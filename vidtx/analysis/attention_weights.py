"""The attention weights of a forward pass, and gradients with respect to them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vidtx.models import SCHEMES, TimeSformer
from vidtx.models.attention import SHIFTS, WEIGHTS

__all__ = ["Weights", "capture", "gradients", "plain"]

# Of each block, the weights of its steps by their names: float32 [B, G, A, N, N].
Weights = list[dict[str, jax.Array]]


def capture(
    model: TimeSformer,
    variables: Mapping[str, Any],
    clips: jax.Array,
    shifts: Weights | None = None,
) -> tuple[jax.Array, Weights]:
    """Logits, and the attention weights that they come of; the plain backend computes both.

    Args:
      model: whose attention is looked at.
      variables: ``{"params": …}``.
      clips: ``[B, T, height, width, 3]``, normalised.
      shifts: added to the weights; None for nothing.

    Returns:
      Logits float32 ``[B, C]``, and the weights.
    """
    model = plain(model)
    scheme = SCHEMES[model.scheme]

    def place(name: str, tree: dict) -> dict:
        return tree["attention"] if name == scheme.vit_step.name else tree[name]["attention"]

    collections = dict(variables)
    if shifts is not None:
        collections[SHIFTS] = {
            f"block_{index}": {
                **{
                    step.name: {"attention": {"weights": steps[step.name]}}
                    for step in scheme.added_steps
                },
                "attention": {"weights": steps[scheme.vit_step.name]},
            }
            for index, steps in enumerate(shifts)
        }
    logits, seen = model.apply(collections, clips, mutable=[WEIGHTS])
    blocks = (seen[WEIGHTS][f"block_{index}"] for index in range(model.depth))
    return logits, [
        {step.name: place(step.name, block)["weights"] for step in scheme.steps} for block in blocks
    ]


def gradients(
    model: TimeSformer, variables: Mapping[str, Any], clips: jax.Array, classes: jax.Array
) -> tuple[jax.Array, Weights, Weights]:
    """Attention weights, and the gradients of one logit of each clip with respect to them.

    Args:
      model: whose attention is looked at.
      variables: ``{"params": …}``.
      clips: ``[B, T, height, width, 3]``, normalised.
      classes: int ``[B]``, whose logit; below 0 the highest one.

    Returns:
      Logits float32 ``[B, C]``, the weights, and their gradients.
    """

    def score(shifts: Weights) -> tuple[jax.Array, tuple[jax.Array, Weights]]:
        logits, weights = capture(model, variables, clips, shifts)
        chosen = jnp.where(classes < 0, logits.argmax(axis=-1), classes)
        return jnp.take_along_axis(logits, chosen[:, None], axis=-1).sum(), (logits, weights)

    _, shapes = jax.eval_shape(lambda: capture(model, variables, clips))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    by_weights, (logits, weights) = jax.grad(score, has_aux=True)(zeros)
    return logits, weights, by_weights


def plain(model: TimeSformer) -> TimeSformer:
    """What of a model decides the program, so that equal ones share it."""
    return model.clone(attention="xla", scan_layers=False, remat="none", drop_path=0.0)
