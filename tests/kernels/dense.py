"""Attention in groups by its definition, float64 NumPy, with its gradients; and inputs for it."""

import numpy as np


def attention(query, key, value, valid, given):
    """Output, and the gradients of ``(output · given).sum()`` by query, key and value.

    Shapes as of `vidtx.kernels.attend_groups`; ``given`` is shaped as the output.
    """
    query, key, value, given = (np.asarray(x, np.float64) for x in (query, key, value, given))
    scale = query.shape[-1] ** -0.5
    logits = np.einsum("bgnak,bgmak->bganm", query, key) * scale
    if valid is not None:
        logits = np.where(np.asarray(valid)[None, :, None, None], logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    output = np.einsum("bganm,bgmak->bgnak", weights, value)
    by_weights = np.einsum("bgnak,bgmak->bganm", given, value)
    by_logits = weights * (by_weights - (weights * by_weights).sum(-1, keepdims=True))
    return (
        output,
        np.einsum("bganm,bgmak->bgnak", by_logits, key) * scale,
        np.einsum("bganm,bgnak->bgmak", by_logits, query) * scale,
        np.einsum("bganm,bgnak->bgmak", weights, given),
    )


def inputs(batch, groups, queries, keys, heads, width, *, masked=False, spread=1.0):
    """Query, key, value, ``valid`` (a third of the keys left out, or None), and a gradient."""
    rng = np.random.RandomState(0)
    lengths = (queries, keys, keys, queries)
    query, key, value, given = (
        rng.standard_normal((batch, groups, length, heads, width)).astype(np.float32)
        for length in lengths
    )
    valid = None
    if masked:
        valid = rng.random_sample((groups, keys)) > 1 / 3
        valid[:, 0] = True
    return spread * query, key, value, valid, given
