"""One opinion about a video, from the model's opinions about its views."""

import jax
import jax.numpy as jnp


def average_views(
    logits: jax.Array, *, average: str, multi_label: bool, weights: jax.Array | None = None
) -> jax.Array:
    """Averages the scores of a video's views.

    Args:
      logits: float32 ``[B, V, C]``.
      average: ``softmax`` averages probabilities (the paper), ``logits`` what they come from (the
        authors' code).
      multi_label: whether a video has any number of classes; if so, each class has a sigmoid of
        its own, else one softmax is over all.
      weights: of each view in its video's average, float32 ``[B, V]``, none below 0; of a row, only
        the proportions matter. None, and a row of zeros: all views alike.

    Returns:
      float32 ``[B, C]``: logits of the averaged probabilities. With ``multi_label`` their sigmoids
      are the probabilities, else their exponentials, and so their softmax.
    """
    if weights is not None:
        return _weighted(logits, weights, average=average, multi_label=multi_label)
    if average == "logits":
        mean = logits.mean(axis=1)
        return mean if multi_label else jax.nn.log_softmax(mean)
    views = logits.shape[1]
    if not multi_label:
        return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=1) - jnp.log(views)
    if views == 1:
        return logits[:, 0]
    # Not of the averaged probability itself: near 1 it has no digits left to rank videos by.
    yes = jax.nn.logsumexp(jax.nn.log_sigmoid(logits), axis=1)
    no = jax.nn.logsumexp(jax.nn.log_sigmoid(-logits), axis=1)
    return yes - no


def _weighted(
    logits: jax.Array, weights: jax.Array, *, average: str, multi_label: bool
) -> jax.Array:
    """The same, with weights."""
    # Padding and unreadable videos have no view at all, and must not become numbers that are none.
    weights = jnp.where((weights > 0).any(axis=1, keepdims=True), weights, 1.0)
    shares = (weights / weights.sum(axis=1, keepdims=True))[:, :, None]
    # What the model says about an empty view must not matter, even if that is no number.
    logits = jnp.where(shares > 0, logits, 0.0)
    if average == "logits":
        mean = (shares * logits).sum(axis=1)
        return mean if multi_label else jax.nn.log_softmax(mean)

    def log_mean(scores: jax.Array) -> jax.Array:
        return jax.nn.logsumexp(scores, axis=1, b=shares)

    if not multi_label:
        return log_mean(jax.nn.log_softmax(logits))
    return log_mean(jax.nn.log_sigmoid(logits)) - log_mean(jax.nn.log_sigmoid(-logits))
