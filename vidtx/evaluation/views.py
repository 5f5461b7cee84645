"""One opinion about a video, from the model's opinions about its views."""

import jax
import jax.numpy as jnp


def average_views(logits: jax.Array, *, average: str, multi_label: bool) -> jax.Array:
    """Averages the scores of a video's views.

    Args:
      logits: float32 ``[B, V, C]``.
      average: ``softmax`` averages probabilities (the paper), ``logits`` what they come from (the
        authors' code).
      multi_label: whether a video has any number of classes; if so, each class has a sigmoid of
        its own, else one softmax is over all.

    Returns:
      float32 ``[B, C]``: logits of the averaged probabilities. With ``multi_label`` their sigmoids
      are the probabilities, else their exponentials, and so their softmax.
    """
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
